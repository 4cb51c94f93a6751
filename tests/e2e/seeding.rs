//! New standbys: seeded online, and killed while that goes on.

use std::fs;

use crate::cluster::{Cluster, Shape, psql};
use crate::wait::{eventually, seconds};
use crate::writers::Writers;

const TABLES: usize = 200;
const KILLS: usize = 6;
/// A seeded directory has about as many.
const FILES: usize = 12;

/// The standby's directory is gone; a new life of the node is seeded while commits go on, and is
/// killed at several points of that. It comes to the end all the same.
#[test]
fn a_standby_killed_while_it_is_seeded_comes_to_the_end() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    for number in 0..TABLES {
        let sql = format!("create table wide_{number} (a int, b text, c int, d text, e int)");
        psql(primary.pg_port, &sql).expect(&sql);
    }
    let writers = Writers::start(&cluster, 2);
    for round in 0..KILLS {
        cluster.kill(&cluster.node(&standby.name));
        cluster.hawq(&["init", "standby", "-r", "-a"]).expect("remove the standby");
        fs::remove_dir_all(&standby.data_dir).expect("remove the directory");
        let demo = cluster.demo_in_background();
        let victim = eventually("a process", seconds(30), || {
            let node = cluster.node(&standby.name);
            if node.pid.is_some() { Ok(node) } else { Err(format!("{node:?}")) }
        });
        // Each time it gets a little further before it is killed.
        let start = count(&standby.data_dir);
        eventually("some files", seconds(30), || {
            let files = count(&standby.data_dir);
            let enough = round == 0 || files > start + round || files > FILES;
            if enough { Ok(()) } else { Err(format!("{files} files")) }
        });
        cluster.kill(&victim);
        demo.join().expect("hawq demo ends").expect("hawq demo ends in time");
        writers.eventually_commit(10, &cluster);
    }
    cluster.demo().expect("hawq demo brings it to the end");
    cluster.synchronized();
    writers.finish(&cluster);
    cluster.equal_digests();
    let tables = "select count(*) from pg_class where relname like 'wide_%'";
    cluster.kill(&primary);
    cluster.hawq(&["activate", "standby", "-a"]).expect("activate the new standby");
    assert_eq!(cluster.psql(tables).trim(), TABLES.to_string());
}

/// The primary dies while it seeds: the standby knows that it is no standby yet.
#[test]
fn a_half_seeded_standby_cannot_be_activated() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    psql(primary.pg_port, "create table seeded (id int)").expect("create");
    cluster.kill(&standby);
    cluster.hawq(&["init", "standby", "-r", "-a"]).expect("remove the standby");
    fs::remove_dir_all(&standby.data_dir).expect("remove the directory");
    let demo = cluster.demo_in_background();
    eventually("a process", seconds(30), || {
        let node = cluster.node(&standby.name);
        if node.pid.is_some() { Ok(()) } else { Err(format!("{node:?}")) }
    });
    cluster.kill(&primary);
    demo.join().expect("hawq demo ends").expect("hawq demo ends in time");
    let _ = cluster.restart(&standby.name);
    let outcome = cluster.hawq(&["activate", "standby", "-a"]);
    if outcome.ok() {
        // It was complete by then, and may lead.
        assert_eq!(cluster.psql("select 'seeded'::regclass").trim(), "seeded");
        return;
    }
    cluster.restart(&primary.name).expect("restart of the primary");
    assert_eq!(cluster.primary().name, primary.name);
    assert_eq!(cluster.psql("select 'seeded'::regclass").trim(), "seeded");
}

fn count(folder: &std::path::Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| 1 + if entry.path().is_dir() { count(&entry.path()) } else { 0 }).sum()
}
