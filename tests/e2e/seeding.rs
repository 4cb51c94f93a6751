//! New standbys: seeded online, and killed while that goes on.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::machine::{is_alive, psql};
use crate::run::Running;
use crate::session::Session;
use crate::wait::{eventually, eventually_soon, seconds};
use crate::writers::Writers;

/// Each has a comment of `COMMENT` bytes, so that a transfer takes long enough to be hit.
const TABLES: usize = 32;
const COMMENT: usize = 1_000_000;
const KILLS: usize = 6;
/// At most, where transfers are over before they are hit.
const ROUNDS_MAX: usize = 20;
/// To stop a transfer before it is over.
const TRIES: usize = 5;

/// Text that does not compress well.
fn noise(seed: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut text = String::with_capacity(COMMENT + 16);
    while text.len() < COMMENT {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        text.push_str(&format!("{:012x}", state >> 16));
    }
    text
}

fn fill(primary: &Node) {
    for number in 0..TABLES {
        let create = format!("create table if not exists wide_{number} (a int)");
        let comment = format!("comment on table wide_{number} is '{}'", noise(number));
        eventually(&create, READY, || {
            let session = Session::connect(primary.pg_port);
            let done = session.and_then(|session| {
                session.execute(&create)?;
                session.execute(&comment)
            });
            done.map_err(|failure| format!("{failure:?}"))
        });
    }
}

/// Takes the standby out of the cluster, with its directory, and has `hawq demo` make it anew.
fn make_anew(cluster: &Cluster, standby: &Node) -> (Running, Node) {
    let old = cluster.node(&standby.name);
    cluster.kill(&old);
    eventually("the removal of the standby", READY, || {
        let said = cluster.hawq(&["init", "standby", "-r", "-a"]);
        if said.ok() { Ok(()) } else { Err(format!("{said:?}")) }
    });
    fs::remove_dir_all(&standby.data_dir).expect("remove the directory");
    let demo = cluster.demo_in_background();
    let node = eventually("a process", READY, || {
        let node = cluster.node(&standby.name);
        // Until the list is written anew it has the process that was killed.
        let is_new = node.pid.is_some_and(|pid| Some(pid) != old.pid && is_alive(pid));
        if is_new { Ok(node) } else { Err(format!("{node:?}")) }
    });
    (demo, node)
}

/// What has come of a transfer; `None` before it and after it.
fn arrived(data_dir: &Path) -> Option<u64> {
    let files = fs::read_dir(data_dir.join("seed.partial")).ok()?.flatten();
    Some(files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum())
}

/// The standby's directory is gone; a new life of the node is seeded while commits go on, and is
/// killed at several points of that. It comes to the end all the same.
#[test]
fn a_standby_killed_while_it_is_seeded_comes_to_the_end() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    fill(&primary);
    let writers = Writers::start(&cluster, 2);
    let mut hits = 0;
    for round in 0..ROUNDS_MAX {
        if round >= KILLS && hits > KILLS / 2 {
            break;
        }
        let (demo, victim) = make_anew(&cluster, &standby);
        // Each time it gets a little further before it is killed.
        let enough = (round % KILLS * TABLES * COMMENT / KILLS) as u64;
        eventually_soon("a transfer", READY, || match arrived(&standby.data_dir) {
            Some(bytes) if bytes >= enough => Ok(()),
            None if is_seeded(&standby) => Ok(()),
            bytes => Err(format!("{bytes:?} bytes have come")),
        });
        // It stands still from here on: the kill itself takes a while.
        cluster.signal(&victim, Signal::SIGSTOP);
        hits += usize::from(arrived(&standby.data_dir).is_some());
        cluster.kill(&victim);
        demo.interrupt();
        // It may have been at its end.
        let _ = demo.end(seconds(120)).expect("hawq demo ends");
        writers.eventually_commit(10, &cluster);
    }
    assert!(hits > KILLS / 2, "only {hits} of {ROUNDS_MAX} kills hit a transfer");
    eventually("hawq demo that brings it to the end", READY, || {
        let said = cluster.demo();
        if said.ok() { Ok(()) } else { Err(format!("{said:#?}")) }
    });
    cluster.synchronized();
    writers.finish(&cluster);
    cluster.equal_digests();
    let tables = "select count(*) from pg_class where relname like 'wide_%'";
    cluster.kill(&primary);
    cluster.activate();
    assert_eq!(cluster.psql(tables).trim(), TABLES.to_string());
    let last = TABLES - 1;
    let sql = format!("select obj_description('wide_{last}'::regclass)");
    assert!(cluster.psql(&sql).trim() == noise(last), "the last comment is another");
}

/// A standby that stands still while it is seeded; `None` when the transfer was faster.
fn stopped_halfway(cluster: &Cluster, standby: &Node) -> Option<(Running, Node)> {
    let (demo, half) = make_anew(cluster, standby);
    eventually_soon("a transfer", READY, || match arrived(&standby.data_dir) {
        Some(1..) => Ok(()),
        None if is_seeded(standby) => Ok(()),
        bytes => Err(format!("{bytes:?} bytes have come")),
    });
    cluster.signal(&half, Signal::SIGSTOP);
    if arrived(&standby.data_dir).is_some() {
        return Some((demo, half));
    }
    cluster.signal(&half, Signal::SIGCONT);
    demo.interrupt();
    // It may have been at its end.
    let _ = demo.end(seconds(120)).expect("hawq demo ends");
    None
}

/// The node has a log: before a seed there is none.
fn is_seeded(standby: &Node) -> bool {
    fs::read_dir(standby.data_dir.join("pg_xlog")).is_ok_and(|mut lives| lives.next().is_some())
}

/// The primary dies while it seeds: the standby knows that it is no standby yet.
#[test]
fn a_half_seeded_standby_cannot_be_activated() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    fill(&primary);
    let (demo, half) = (0..TRIES)
        .find_map(|_| stopped_halfway(&cluster, &standby))
        .expect("a standby that is stopped in the middle of the transfer");
    cluster.kill(&primary);
    cluster.signal(&half, Signal::SIGCONT);
    let ways = [&["activate", "standby", "-a"][..], &["activate", "standby", "-a", "--force"]];
    for words in ways {
        let said = cluster.hawq(words).expect_failure("activation while seeding");
        assert!(!said.trim().is_empty(), "{words:?} says nothing");
    }
    demo.interrupt();
    demo.end(seconds(120)).expect("hawq demo ends").expect_failure("interrupted");
    let _ = cluster.restart(&standby.name);
    for words in ways {
        let said = cluster.hawq(words).expect_failure("activation after another start");
        assert!(!said.trim().is_empty(), "{words:?} says nothing");
    }
    psql(standby.pg_port, "select 1").expect_failure("a session");
    cluster.restart(&primary.name).expect("restart of the primary");
    assert_eq!(cluster.synchronized().name, primary.name);
    let tables = "select count(*) from pg_class where relname like 'wide_%'";
    assert_eq!(cluster.psql(tables).trim(), TABLES.to_string());
    cluster.equal_digests();
}
