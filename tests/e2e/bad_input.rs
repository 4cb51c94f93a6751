//! What is damaged, foreign, taken or misspelt: a clear refusal, and nothing damaged.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cluster::{Cluster, Node, PATIENT, READY, Shape};
use crate::machine::{HAWQ, clean, end_all_of, free_port, psql, same_again};
use crate::run::{Outcome, run};
use crate::wait::eventually;

/// A home as HAWQ has it: `etc/hawq-site.xml`, and a directory for the data.
struct Home {
    folder: TempDir,
    port: u16,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::Builder::new().prefix("aerie-home").tempdir().expect("directory");
        fs::create_dir(folder.path().join("etc")).expect("etc");
        let home = Home { folder, port: free_port() };
        home.write_site(&home.site(&[]));
        home
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("master")
    }

    /// The text of a good file, with these properties in place of its own.
    fn site(&self, changes: &[(&str, &str)]) -> String {
        let defaults = [
            ("hawq_master_address_host", "127.0.0.1".to_string()),
            ("hawq_master_address_port", self.port.to_string()),
            ("hawq_rm_master_port", free_port().to_string()),
            ("hawq_master_directory", self.data().display().to_string()),
            ("unix_socket_directory", self.folder.path().display().to_string()),
            (PATIENT[1].0, PATIENT[1].1.to_string()),
        ];
        let kept = defaults.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name));
        let kept = kept.map(|(name, value)| (*name, value.as_str()));
        let mut text = String::from("<configuration>\n");
        for (name, value) in kept.chain(changes.iter().copied()) {
            let property = format!("<name>{name}</name><value>{value}</value>");
            text.push_str(&format!("  <property>{property}</property>\n"));
        }
        text + "</configuration>\n"
    }

    fn write_site(&self, text: &str) {
        fs::write(self.folder.path().join("etc/hawq-site.xml"), text).expect("hawq-site.xml");
    }

    fn hawq(&self, arguments: &[&str]) -> Outcome {
        let mut command = clean(HAWQ);
        command.env("GPHOME", self.folder.path()).env("HOME", self.folder.path());
        // The first superuser is whoever makes the cluster.
        command.env("LOGNAME", "gpadmin");
        run(command.args(arguments), READY)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.hawq(&["stop", "master", "-a", "-M", "immediate"]);
        let left = end_all_of(self.folder.path());
        assert!(left.is_empty() || std::thread::panicking(), "left behind: {left:#?}");
    }
}

fn says(outcome: Outcome, parts: &[&str]) {
    let said = outcome.expect_failure("bad input");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn a_good_file_is_accepted() {
    let home = Home::new();
    home.hawq(&["init", "master", "-a"]).expect("init");
    psql(home.port, "create table first (id int)").expect("create");
    home.hawq(&["stop", "master", "-a", "-M", "fast"]).expect("stop");
    home.hawq(&["start", "master", "-a"]).expect("start");
    assert_eq!(psql(home.port, "select 'first'::regclass").expect("select").trim(), "first");
}

#[test]
fn a_directory_that_is_not_empty_is_refused_at_init() {
    let home = Home::new();
    fs::create_dir(home.data()).expect("directory");
    fs::write(home.data().join("letter"), "dear").expect("file");
    says(home.hawq(&["init", "master", "-a"]), &["is not empty"]);
    let letter = fs::read_to_string(home.data().join("letter")).expect("still there");
    assert_eq!(letter, "dear");
    assert_eq!(fs::read_dir(home.data()).expect("directory").count(), 1);
}

#[test]
fn bad_settings_are_refused_by_name() {
    let home = Home::new();
    let cases: &[(String, &[&str])] = &[
        ("<configuration><property><name>a</name>".to_string(), &["hawq-site.xml"]),
        ("not a file of settings".to_string(), &["hawq-site.xml"]),
        (home.site(&[("hawq_master_adress_host", "mdw")]), &["hawq_master_adress_host"]),
        (home.site(&[("hawq_master_address_port", "many")]), &["hawq_master_address_port", "many"]),
        (home.site(&[("hawq_master_address_port", "70000")]), &["hawq_master_address_port"]),
        (home.site(&[("enable_master_auto_ha", "perhaps")]), &["enable_master_auto_ha"]),
        (home.site(&[("ha_lease", "5 parsecs")]), &["ha_lease"]),
        // An address of the documentation range, never of this host.
        (home.site(&[("hawq_master_address_host", "192.0.2.7")]), &["192.0.2.7"]),
    ];
    for (text, parts) in cases {
        home.write_site(text);
        says(home.hawq(&["init", "master", "-a"]), parts);
        assert!(!home.data().exists() || is_empty(&home.data()), "nothing was made: {parts:?}");
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn a_taken_port_is_named() {
    let home = Home::new();
    let taken = TcpListener::bind(("127.0.0.1", home.port)).expect("listener");
    says(home.hawq(&["init", "master", "-a"]), &[&home.port.to_string()]);
    drop(taken);
    let mut demo = clean(HAWQ);
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("listener");
    let port = taken.local_addr().expect("address").port().to_string();
    demo.args(["demo", "--detach", "--port", &port, "--dir"]).arg(home.folder.path().join("demo"));
    says(run(&mut demo, READY), &[&port]);
}

/// The process itself: it ends, with a sentence, whatever it has begun by then.
#[test]
fn a_master_ends_when_its_port_is_taken() {
    let home = Home::new();
    home.hawq(&["init", "master", "-a"]).expect("init");
    home.hawq(&["stop", "master", "-a", "-M", "fast"]).expect("stop");
    let taken = TcpListener::bind(("127.0.0.1", home.port)).expect("listener");
    says(home.hawq(&["start", "master", "-a"]), &[&home.port.to_string()]);
    let mut master = clean(env!("CARGO_BIN_EXE_hawq-master"));
    master.arg("--config").arg(home.folder.path().join("etc/hawq-site.xml"));
    for _ in 0..3 {
        says(run(&mut master, READY), &[&home.port.to_string(), "in use"]);
    }
    drop(taken);
    home.hawq(&["start", "master", "-a"]).expect("start");
    psql(home.port, "select 1").expect("select");
}

#[test]
fn a_second_start_is_refused() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    let pid = primary.pid.expect("a process");
    let said = run(&mut same_again(pid), READY).expect_failure("a second start");
    let directory = primary.data_dir.display().to_string();
    assert!(said.contains(&directory) || cluster.log(&primary).contains(&directory), "{said}");
    // The first goes on.
    cluster.psql("create table if not exists undisturbed (id int)");
}

/// The node is stopped; its newest WAL file and the length of what is written in it.
fn wal_file(node: &Node) -> (PathBuf, Vec<u8>, usize) {
    let mut open = vec![node.data_dir.join("pg_xlog")];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("folder").flatten() {
            let path = entry.path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let written = |path: &PathBuf| {
        let bytes = fs::read(path).expect("WAL file");
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        (path.clone(), bytes, length)
    };
    let found = files.iter().map(written).max_by_key(|(_, _, length)| *length);
    found.expect("a WAL file")
}

/// Starts the node again and gives what it says, in its log or on the way.
fn start_and_hear(cluster: &Cluster, node: &Node) -> String {
    let before = cluster.log(node).len();
    let outcome = cluster.restart(&node.name);
    let log = cluster.log(node);
    let new = log.get(before..).unwrap_or(&log);
    format!("{}{}{new}", outcome.stdout, outcome.stderr)
}

#[test]
fn a_corrupt_record_in_the_middle_is_refused_with_its_place() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    for number in 0..20 {
        cluster.psql(&format!("create table if not exists t_{number} (id int)"));
    }
    cluster.kill(&primary);
    let (path, mut bytes, length) = wal_file(&primary);
    let good = bytes.clone();
    bytes[length / 2] ^= 0x10;
    fs::write(&path, &bytes).expect("write");
    let said = start_and_hear(&cluster, &primary);
    let name = path.file_name().expect("name").to_string_lossy().into_owned();
    assert!(said.contains("corrupt") && said.contains(&name), "{said}");
    assert_eq!(fs::read(&path).expect("read"), bytes, "the file is left as it was");
    cluster.kill(&cluster.node(&primary.name));
    fs::write(&path, good).expect("write");
    cluster.restart(&primary.name).expect("restart with the good file");
    assert_eq!(cluster.psql("select 't_19'::regclass").trim(), "t_19");
}

#[test]
fn a_corrupt_last_record_never_leads() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    cluster.may_log("doubtful end of the log");
    cluster.psql("create table if not exists newest (id int)");
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&primary);
    cluster.kill(&standby);
    let (path, mut bytes, length) = wal_file(&standby);
    bytes[length - 2] ^= 0x10;
    fs::write(&path, &bytes).expect("write");
    let said = start_and_hear(&cluster, &standby);
    cluster.hawq(&["activate", "standby", "-a"]).expect_failure(&said);
    cluster.restart(&primary.name).expect("restart of the primary");
    assert_eq!(cluster.primary().name, primary.name);
    assert_eq!(cluster.psql("select 'newest'::regclass").trim(), "newest");
}

#[test]
fn a_foreign_data_directory_is_refused() {
    let ours = Cluster::start(Shape { standbys: 1, segments: 0 });
    let theirs = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = ours.synchronized();
    let standby = ours.other_masters(&primary).remove(0);
    let foreign = theirs.node(&standby.name);
    theirs.synchronized();
    ours.kill(&standby);
    theirs.kill(&foreign);
    let aside = standby.data_dir.with_extension("aside");
    fs::rename(&standby.data_dir, &aside).expect("aside");
    fs::rename(&foreign.data_dir, &standby.data_dir).expect("foreign directory in its place");
    let mut said = start_and_hear(&ours, &standby);
    eventually("a refusal that names both clusters", READY, || {
        said.push_str(&ours.log(&standby));
        said.push_str(&ours.log(&primary));
        let named = said.contains(&theirs.cluster_id()) && said.contains(&ours.cluster_id());
        if named { Ok(()) } else { Err(said.clone()) }
    });
    let sql = "select summary_state from gp_master_mirroring";
    eventually("a set without the standby", READY, || {
        let found = ours.psql(sql);
        if found.trim() == "Synchronized" { Err(found) } else { Ok(()) }
    });
    ours.kill(&ours.node(&standby.name));
    fs::rename(&standby.data_dir, &foreign.data_dir).expect("back");
    fs::rename(&aside, &standby.data_dir).expect("back");
    ours.restart(&standby.name).expect("restart with its own directory");
    ours.synchronized();
    theirs.restart(&foreign.name).expect("the foreign cluster is undamaged");
    theirs.synchronized();
}
