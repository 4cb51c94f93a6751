//! A standby's catalog that is damaged in a way no checksum finds: its digest tells.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aerie::catalog::{Batch, Family, RocksStore, Store};
use nix::sys::signal::Signal;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::machine::is_alive;
use crate::wait::eventually;

const DIFFERS: &str = "its catalog differs from the primary's";

/// The folder of the catalog that the node has in this life.
fn catalog_of(node: &Node) -> PathBuf {
    let lives = fs::read_dir(node.data_dir.join("catalog")).expect("catalog").flatten();
    let mut lives: Vec<PathBuf> = lives.map(|entry| entry.path()).collect();
    assert_eq!(lives.len(), 1, "{lives:?}");
    lives.remove(0)
}

/// Stops it in order, so that its catalog is on disk and nothing is applied to it again.
fn stop(cluster: &Cluster, node: &Node) {
    let pid = node.pid.expect("a process");
    cluster.signal(node, Signal::SIGINT);
    eventually("the end of the standby", READY, || {
        if is_alive(pid) { Err(format!("{pid} lives")) } else { Ok(()) }
    });
    cluster.kill(node);
}

/// Replaces bytes in the rows of a catalog that nobody has open; how many rows had them.
fn alter(catalog: &Path, from: &[u8], to: &[u8]) -> usize {
    let store = RocksStore::open(catalog).expect("open the catalog");
    let mut batch = Batch::default();
    let scanned = store.snapshot().scan(Family::Rows, &[], &mut |key, value| {
        if let Some(at) = value.windows(from.len()).position(|part| part == from) {
            let mut other = value.to_vec();
            other[at..at + from.len()].copy_from_slice(to);
            batch.put(Family::Rows, key.to_vec(), other);
        }
        ControlFlow::Continue(())
    });
    scanned.expect("scan");
    let altered = batch.operations.len();
    store.write(batch).expect("write");
    store.flush().expect("flush");
    altered
}

#[test]
fn a_standby_whose_catalog_differs_is_reported_and_seeds_itself_anew() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    cluster.synchronized();
    cluster.stop().expect("stop").expect("hawq demo stop");
    cluster.masters().iter().for_each(|node| node.set("ha_digest_interval", "1s"));
    cluster.demo().expect("hawq demo");
    let primary = cluster.synchronized();
    cluster.psql("create table if not exists compared (a int)");
    cluster.psql("comment on table compared is 'sound'");
    cluster.equal_digests();
    let standby = cluster.other_masters(&primary).remove(0);
    let before = catalog_of(&standby);
    cluster.may_log(DIFFERS);
    // The next comparison may find it before it has begun anew, and tell it while it does.
    cluster.may_log("cannot be told");
    cluster.may_log("only a standby is seeded");
    stop(&cluster, &standby);
    assert_eq!(alter(&before, b"sound", b"wrong"), 1);
    let _ = cluster.restart(&standby.name);
    eventually("the report of the difference", READY, || {
        let log = cluster.log(&primary);
        if log.contains(DIFFERS) { Ok(()) } else { Err(log) }
    });
    eventually("another life of the standby", READY, || {
        let lives = fs::read_dir(standby.data_dir.join("catalog")).expect("catalog").flatten();
        let lives: Vec<PathBuf> = lives.map(|entry| entry.path()).collect();
        if lives.contains(&before) { Err(format!("{lives:?}")) } else { Ok(()) }
    });
    cluster.synchronized();
    cluster.equal_digests();
    cluster.kill(&cluster.node(&primary.name));
    cluster.activate();
    let sql = "select obj_description('compared'::regclass)";
    assert_eq!(cluster.psql(sql).trim(), "sound");
}
