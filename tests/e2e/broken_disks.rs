//! Disks that fail, hang or are full: the primary lets go and another goes on; nothing that was
//! acknowledged is lost, and nothing is retried on a file whose flush has failed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::cluster::{Cluster, Node, PATIENT, READY, Shape};
use crate::ha_commands::number;
use crate::hosts::Hosts;
use crate::machine::psql;
use crate::registers::Registers;
use crate::run::run;
use crate::session::Session;
use crate::wait::{eventually, seconds};

const FIU: &str = "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so";

/// Of a node whose disk is to hang: longer than a slow flush.
const DISK_TIMEOUT: &str = "10s";

const MIRRORING: &str = "select summary_state from gp_master_mirroring";

fn cluster() -> Cluster {
    Cluster::automatic(Shape { standbys: 1, segments: 1 })
}

fn clients(cluster: &Cluster) -> Registers {
    let target = cluster.target();
    Registers::start(Arc::new(move || Session::connect_to(&target)))
}

/// Starts a master again with a library before its own, and gives it the reign.
fn primary_with(cluster: &Cluster, variables: &[(&str, &str)]) -> Node {
    let standby = cluster.other_masters(&cluster.synchronized()).remove(0);
    cluster.kill(&standby);
    standby.reset("60s", DISK_TIMEOUT);
    cluster.restart_with(&standby.name, variables).expect("restart");
    // It is refused while the standby is out of the set, if only for a moment.
    eventually("the reign", READY, || {
        if cluster.synchronized().name == standby.name {
            return Ok(());
        }
        let said = cluster.hawq(&["ha", "switchover", "--to", &number(&standby)]);
        Err(format!("{said:?}"))
    });
    cluster.node(&standby.name)
}

fn eventually_moved(cluster: &Cluster, old: &Node) -> Node {
    eventually("another primary", READY, || {
        let primary = cluster.primary();
        if primary.name == old.name { Err(cluster.report()) } else { Ok(primary) }
    })
}

fn go_on(clients: &Registers, cluster: &Cluster) {
    clients.eventually_write(30, || cluster.report());
}

#[test]
fn a_failed_flush_ends_the_process_and_the_cluster_goes_on() {
    let cluster = cluster();
    let folder = tempfile::tempdir().expect("directory");
    let control = folder.path().join("fiu").display().to_string();
    let old = primary_with(&cluster, &[("LD_PRELOAD", FIU), ("FIU_CTRL_FIFO", &control)]);
    let clients = clients(&cluster);
    go_on(&clients, &cluster);
    cluster.may_log("PANIC: write-ahead log: flush WAL file");
    cluster.may_log("starting it again");
    let pid = old.pid.expect("a process").to_string();
    let fault = "enable name=posix/io/sync/fdatasync,failinfo=5";
    run(Command::new("fiu-ctrl").args(["-f", &control, "-c", fault, &pid]), seconds(60))
        .expect("fiu-ctrl");
    // The standby takes over, or the old one from itself, whoever stands first.
    eventually("the end of the process", READY, || {
        let log = cluster.log(&old);
        if log.contains("Input/output error (os error 5)") { Ok(()) } else { Err(log) }
    });
    go_on(&clients, &cluster);
    // Whoever supervises it, or else we, start it again, without the fault.
    eventually("the old primary's return", READY, || {
        if cluster.node(&old.name).supervisor_pid.is_none() {
            let _ = cluster.restart(&old.name);
        }
        let found = psql(cluster.primary().pg_port, MIRRORING);
        if found.stdout.trim() == "Synchronized" { Ok(()) } else { Err(cluster.report()) }
    });
    clients.finish();
    cluster.equal_digests();
}

/// A library whose `fdatasync` hangs while `flag` is there.
fn hanging_library(folder: &Path) -> String {
    let library = folder.join("hanging_sync.so").display().to_string();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/hanging_sync.c");
    let arguments = ["-shared", "-fPIC", "-o", &library, source];
    run(Command::new("cc").args(arguments), seconds(60)).expect("cc");
    library
}

#[test]
fn a_disk_that_hangs_loses_the_reign_although_the_process_lives() {
    let cluster = cluster();
    let folder = tempfile::tempdir().expect("directory");
    let library = hanging_library(folder.path());
    let flag = folder.path().join("hang").display().to_string();
    let old = primary_with(&cluster, &[("LD_PRELOAD", &library), ("HANG_WHILE", &flag)]);
    cluster.may_log("the log device has not completed a flush within ha_disk_timeout");
    let clients = clients(&cluster);
    go_on(&clients, &cluster);
    fs::write(&flag, "").expect("flag");
    let new = eventually_moved(&cluster, &old);
    go_on(&clients, &cluster);
    fs::remove_file(&flag).expect("flag");
    assert_eq!(cluster.synchronized().name, new.name, "the old primary comes back");
    clients.finish();
    cluster.equal_digests();
}

#[test]
fn a_standby_whose_disk_hangs_leaves_the_set_and_comes_back() {
    let cluster = cluster();
    let folder = tempfile::tempdir().expect("directory");
    let library = hanging_library(folder.path());
    let flag = folder.path().join("hang").display().to_string();
    let standby = cluster.other_masters(&cluster.synchronized()).remove(0);
    cluster.kill(&standby);
    let variables = [("LD_PRELOAD", library.as_str()), ("HANG_WHILE", flag.as_str())];
    cluster.restart_with(&standby.name, &variables).expect("restart");
    let primary = cluster.synchronized();
    let clients = clients(&cluster);
    go_on(&clients, &cluster);
    fs::write(&flag, "").expect("flag");
    go_on(&clients, &cluster);
    assert_eq!(cluster.primary().name, primary.name);
    // The row is written a moment after the set has shrunk.
    eventually("out of sync", READY, || {
        let state = cluster.psql(MIRRORING);
        if state.trim() == "Synchronized" { Err(cluster.report()) } else { Ok(()) }
    });
    fs::remove_file(&flag).expect("flag");
    assert_eq!(cluster.synchronized().name, primary.name);
    clients.finish();
}

#[test]
fn a_full_disk_moves_the_reign_and_loses_nothing() {
    let Some(hosts) = Hosts::bare(2, 1, &PATIENT) else { return };
    fs::create_dir_all(hosts.data_dir(1)).expect("directory");
    hosts.fabric.host(1).mount_disk(&hosts.data_dir(1), 400);
    hosts.make();
    hosts.enable("embedded");
    let hosts = Arc::new(hosts);
    let asked = Arc::clone(&hosts);
    let clients = Registers::start(Arc::new(move || asked.connect(&asked.every_master())));
    clients.eventually_write(30, || hosts.report());
    let ballast = hosts.data_dir(1).join("ballast");
    hosts.fabric.host(1).run(|| fill(&ballast));
    // The log's file is allocated ahead: large rows use it up.
    let large = "x".repeat(1 << 20);
    eventually("another primary", READY, || {
        if let Ok(session) = hosts.connect(&[1]) {
            let _ = session.execute("create table large (id int)");
            let _ = session.execute(&format!("comment on table large is '{large}'"));
        }
        hosts.connect(&[2]).map(drop).map_err(|_| hosts.report())
    });
    hosts.fabric.host(1).run(|| fs::remove_file(&ballast)).expect("ballast");
    clients.eventually_write(30, || hosts.report());
    let _ = hosts.hawq(1, &["start", "master", "-a"]);
    assert_eq!(hosts.synchronized(), 2);
    clients.finish();
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).expect("ballast");
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}
