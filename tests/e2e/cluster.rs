//! A cluster that `hawq demo` has started: its nodes, the ways to kill and to ask them.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::digests::digests;
use crate::machine::{HAWQ, child_of, clean, end, end_all_of, free_ports, is_alive, psql};
pub use crate::node::Node;
use crate::run::{Outcome, Running, attempt, run};
use crate::session::Session;
use crate::traces::complaints;
use crate::wait::{eventually, eventually_soon, seconds};

/// A cluster is given this long to come up, to fail over, to be in sync again.
pub const READY: std::time::Duration = std::time::Duration::from_secs(180);

/// For clusters of tests that are not about how soon something is noticed: a machine that stands
/// still for a second or two loses no lease, and a slow disk is not given up.
pub const PATIENT: [(&str, &str); 2] = [("ha_lease", "3s"), ("ha_disk_timeout", "60s")];

/// Standbys in sync with this reign: `gp_master_mirroring` is a row of the catalog, which a primary
/// that has just opened still has from the reign before.
pub const IN_SYNC: &str = "select count(*) from pg_stat_replication where sync_state = 'sync'";

/// Ports that a cluster may take.
const PORTS: u16 = 24;
/// True of the machine, whatever the test.
const SLOW_DISK: &str = "the log device has not completed a flush within ha_disk_timeout";

#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub standbys: usize,
    pub segments: usize,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { standbys: 1, segments: 2 }
    }
}

#[derive(Debug, Deserialize)]
struct Listing {
    cluster_id: String,
    nodes: Vec<Node>,
}

pub struct Cluster {
    folder: TempDir,
    pub shape: Shape,
    pub port: u16,
    /// The rules take over, not a person.
    automatic: bool,
    settings: Vec<(&'static str, &'static str)>,
    /// Parts of the errors that a test means its nodes to log.
    allowed: RefCell<Vec<&'static str>>,
}

impl Cluster {
    /// A cluster in manual mode.
    pub fn start(shape: Shape) -> Cluster {
        Cluster::begin(shape, false, &PATIENT[1..])
    }

    /// A cluster that fails over by itself, patiently.
    pub fn automatic(shape: Shape) -> Cluster {
        Cluster::begin(shape, true, &PATIENT)
    }

    /// A cluster that fails over by itself, as fast as it does unless told otherwise.
    pub fn automatic_by_default(shape: Shape) -> Cluster {
        Cluster::begin(shape, true, &[])
    }

    fn begin(shape: Shape, automatic: bool, settings: &[(&'static str, &'static str)]) -> Cluster {
        let folder = tempfile::Builder::new().prefix("aerie-e2e").tempdir().expect("directory");
        let (allowed, settings) = (RefCell::default(), settings.to_vec());
        let port = free_ports(PORTS);
        let cluster = Cluster { folder, shape, port, automatic, settings, allowed };
        cluster.may_log(SLOW_DISK);
        cluster.demo().expect("hawq demo");
        cluster
    }

    /// Starts the cluster, or starts it again.
    pub fn demo(&self) -> Outcome {
        run(&mut self.demo_command(), seconds(300))
    }

    pub fn stop(&self) -> Result<Outcome, String> {
        let mut command = self.hawq_program();
        attempt(command.args(["demo", "stop", "--dir"]).arg(self.dir()), seconds(180))
    }

    /// Errors with this in them are no surprise; any other in a node's log fails the test.
    pub fn may_log(&self, part: &'static str) {
        self.allowed.borrow_mut().push(part);
    }

    pub fn demo_in_background(&self) -> Running {
        Running::start(&mut self.demo_command()).expect("hawq demo")
    }

    fn demo_command(&self) -> Command {
        let mut command = self.hawq_program();
        command.arg("demo").arg("--dir").arg(self.dir());
        command.args(["--port", &self.port.to_string(), "--detach"]);
        command.args(["--standbys", &self.shape.standbys.to_string()]);
        command.args(["--segments", &self.shape.segments.to_string()]);
        if !self.automatic {
            command.arg("--manual");
        }
        if !self.dir().join("cluster.json").exists() {
            for (name, value) in &self.settings {
                command.args(["--set", &format!("{name}={value}")]);
            }
        }
        command
    }

    /// Sets properties in the site file of a node; the node reads them at its next start.
    pub fn configure(&self, node: &Node, properties: &[(&str, &str)]) {
        let site = self.dir().join(&node.name).join("etc/hawq-site.xml");
        let text = fs::read_to_string(&site).expect("hawq-site.xml");
        let property = |(name, value): &(&str, &str)| {
            format!("<property><name>{name}</name><value>{value}</value></property>\n")
        };
        let added: String = properties.iter().map(property).collect();
        let text = text.replace("</configuration>", &format!("{added}</configuration>"));
        fs::write(&site, text).expect("hawq-site.xml");
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    /// `hawq` keeps its logs in the user's home; ours is a folder of the test.
    fn hawq_program(&self) -> Command {
        let mut command = clean(HAWQ);
        command.env("HOME", self.folder.path());
        command
    }

    /// Any signal but `SIGKILL`, to the process alone.
    pub fn signal(&self, node: &Node, signal: Signal) {
        let pid = node.pid.expect("a process");
        kill(Pid::from_raw(pid), signal).expect("signal");
    }

    pub fn cluster_id(&self) -> String {
        self.listing().cluster_id
    }

    pub fn nodes(&self) -> Vec<Node> {
        let mut nodes = self.listing().nodes;
        for node in &mut nodes {
            // A supervisor may have started its master again since the file was written.
            if let Some(child) = node.supervisor_pid.and_then(child_of) {
                node.pid = Some(child);
            }
        }
        nodes
    }

    fn listing(&self) -> Listing {
        let path = self.dir().join("cluster.json");
        // It is replaced while nodes come and go.
        eventually("cluster.json", seconds(30), || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
        })
    }

    pub fn masters(&self) -> Vec<Node> {
        self.nodes().into_iter().filter(|node| node.kind == "master").collect()
    }

    pub fn segments(&self) -> Vec<Node> {
        self.nodes().into_iter().filter(|node| node.kind == "segment").collect()
    }

    #[track_caller]
    pub fn node(&self, name: &str) -> Node {
        let found = self.nodes().into_iter().find(|node| node.name == name);
        found.unwrap_or_else(|| panic!("no node {name} in cluster.json"))
    }

    /// The master that serves SQL now.
    pub fn primary(&self) -> Node {
        eventually("an open primary", READY, || {
            let open = |node: &Node| Session::connect(node.pg_port).is_ok();
            self.masters().into_iter().find(open).ok_or_else(|| self.report())
        })
    }

    /// A connection string with every master: whichever takes writes serves it.
    pub fn target(&self) -> String {
        let masters = self.masters();
        let hosts = vec!["127.0.0.1"; masters.len()].join(",");
        let ports: Vec<String> = masters.iter().map(|node| node.pg_port.to_string()).collect();
        format!(
            "host={hosts} port={} user=gpadmin dbname=postgres connect_timeout=1 \
             target_session_attrs=read-write",
            ports.join(",")
        )
    }

    pub fn other_masters(&self, than: &Node) -> Vec<Node> {
        self.masters().into_iter().filter(|node| node.name != than.name).collect()
    }

    /// A command with what `env.sh` exports.
    pub fn command(&self, program: &str) -> Command {
        let mut command = clean("sh");
        command.env("HOME", self.folder.path());
        command.args(["-c", ". \"$0\" && exec \"$@\""]).arg(self.dir().join("env.sh")).arg(program);
        command
    }

    pub fn hawq(&self, arguments: &[&str]) -> Outcome {
        run(self.command(HAWQ).args(arguments), seconds(120))
    }

    /// `psql` at the current primary: unaligned, rows only. Again where it fails: the primary may
    /// change at any moment, so what is committed by it must be no harm twice.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        eventually(sql, READY, || {
            let said = psql(self.primary().pg_port, sql);
            if said.ok() { Ok(said.stdout) } else { Err(format!("{said:?}")) }
        })
    }

    /// `hawq activate standby` as a person types it: again where somebody did not answer in time,
    /// and only there.
    #[track_caller]
    pub fn activate(&self) {
        const AGAIN: [&str; 6] = [
            "not answer",
            "no standby answers",
            "have answered",
            "segments follow epoch",
            "run the command again",
            "is under way",
        ];
        eventually("activate", READY, || {
            let said = self.hawq(&["activate", "standby", "-a"]);
            let text = format!("{}{}", said.stdout, said.stderr);
            // An attempt whose answer was lost may have been the one.
            let open = |node: &Node| Session::connect(node.pg_port).is_ok();
            if said.ok() || self.masters().iter().any(open) {
                return Ok(());
            }
            assert!(AGAIN.iter().any(|part| text.contains(part)), "{said:#?}");
            Err(text)
        });
    }

    pub fn restart(&self, name: &str) -> Outcome {
        self.restart_with(name, &[])
    }

    /// With these in the environment of the node's processes.
    pub fn restart_with(&self, name: &str, variables: &[(&str, &str)]) -> Outcome {
        run(self.restart_command(name).envs(variables.iter().copied()), seconds(300))
    }

    /// Until its process runs, whether it serves or waits for others.
    pub fn begin_restart(&self, name: &str) {
        let before = self.node(name).pids();
        let begun = Running::start(&mut self.restart_command(name)).expect("hawq demo restart");
        eventually_soon("a new process", READY, || {
            let now = self.node(name).pids();
            // The command writes the others' processes anew meanwhile: no process is none yet.
            let is_new = |pid: &i32| !before.contains(pid) && is_alive(*pid);
            let runs = !now.is_empty() && now.iter().all(is_new);
            if runs { Ok(()) } else { Err(format!("{name}: {before:?}, then {now:?}")) }
        });
        drop(begun);
    }

    fn restart_command(&self, name: &str) -> Command {
        let mut command = self.hawq_program();
        command.args(["demo", "restart", name, "--dir"]).arg(self.dir());
        command
    }

    /// Process and supervisor, the supervisor first so that it starts nothing again.
    pub fn kill(&self, node: &Node) {
        node.pids().into_iter().for_each(end);
    }

    pub fn state(&self) -> Value {
        let outcome = run(self.command(HAWQ).args(["state", "--json"]), seconds(60));
        let parsed = serde_json::from_str(&outcome.stdout);
        parsed.unwrap_or_else(|error| panic!("hawq state --json: {error}: {outcome:#?}"))
    }

    /// What the tests print when a wait ends in vain.
    pub fn report(&self) -> String {
        let outcome = run(self.command(HAWQ).arg("state"), seconds(60));
        format!("{}{}", outcome.stdout, outcome.stderr)
    }

    /// Waits until the primary says that every standby that runs is in sync.
    pub fn synchronized(&self) -> Node {
        let sql = "select summary_state from gp_master_mirroring";
        eventually("Synchronized", READY, || {
            let primary = self.primary();
            let others = self.other_masters(&primary);
            let standbys = others.iter().filter(|node| node.pid.is_some_and(is_alive)).count();
            let (row, live) = (psql(primary.pg_port, sql), psql(primary.pg_port, IN_SYNC));
            let in_sync = row.stdout.trim() == "Synchronized"
                && live.stdout.trim() == standbys.max(1).to_string();
            if in_sync { Ok(primary) } else { Err(format!("{row:?} {live:?}\n{}", self.report())) }
        })
    }

    /// Something that the primary commits with nobody else: the table `alone`.
    pub fn commit_alone(&self, primary: &Node) {
        eventually("a commit alone", READY, || {
            // An earlier attempt may have been without an answer, and is committed all the same.
            let created = psql(primary.pg_port, "create table if not exists alone (id int)");
            if created.ok() { Ok(()) } else { Err(created.stderr) }
        });
    }

    /// Waits until all masters have the same catalog at the same position.
    pub fn equal_digests(&self) {
        let masters = self.masters().len();
        eventually("equal digests", READY, || {
            let digests = digests(&self.state());
            let equal = digests.values().all(|digest| Some(digest) == digests.values().next());
            let complete = digests.len() == masters;
            if equal && complete { Ok(()) } else { Err(format!("{digests:#?}")) }
        });
    }

    /// Text of a node's log.
    pub fn log(&self, node: &Node) -> String {
        let name = |error| format!("{}: {error}", node.log.display());
        fs::read(&node.log).map_or_else(name, |text| String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let nodes = fs::read_to_string(self.dir().join("cluster.json"));
        let listing = nodes.ok().and_then(|text| serde_json::from_str::<Listing>(&text).ok());
        let nodes = listing.map(|listing| listing.nodes).unwrap_or_default();
        let stopped = self.stop();
        let left = end_all_of(self.folder.path());
        let logs: Vec<String> = nodes.iter().map(|node| self.log(node)).collect();
        if std::thread::panicking() {
            for (node, log) in nodes.iter().zip(&logs) {
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                eprintln!("--- {} ({:?})\n{}", node.name, node.pid, tail.join("\n"));
            }
            return;
        }
        let allowed = self.allowed.borrow();
        for (node, log) in nodes.iter().zip(&logs) {
            let found = complaints(log, &allowed);
            assert!(found.is_empty(), "{} logs:\n{}", node.name, found.join("\n"));
        }
        let stopped = stopped.expect("hawq demo stop");
        assert!(stopped.ok(), "hawq demo stop: {stopped:#?}");
        assert!(left.is_empty(), "left behind by hawq demo stop: {left:#?}");
    }
}
