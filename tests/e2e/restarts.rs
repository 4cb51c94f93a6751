//! The whole cluster is killed at once and started in every order.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::{Cluster, Node, Shape};
use crate::machine::end;

/// Orders of primary (0), standby (1) and segments (2).
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// All at once: first a signal to each, only then the wait for their ends.
fn kill_all(nodes: &[Node]) {
    let pids: Vec<i32> = nodes.iter().flat_map(Node::pids).collect();
    for pid in &pids {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    pids.into_iter().for_each(end);
}

#[test]
fn a_cluster_killed_at_once_starts_in_every_order() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 2 });
    for (round, order) in ORDERS.iter().enumerate() {
        let primary = cluster.synchronized();
        cluster.psql(&format!("create table if not exists round_{round} (id int)"));
        let groups = [vec![primary.clone()], cluster.other_masters(&primary), cluster.segments()];
        kill_all(&cluster.nodes());
        for node in order.iter().flat_map(|group| &groups[*group]) {
            // A master that waits for the others may say so; what counts is how it ends.
            let _ = cluster.restart(&node.name);
        }
        let again = cluster.synchronized();
        assert_eq!(again.name, primary.name, "nobody asked for another primary: {order:?}");
        for earlier in 0..=round {
            let sql = format!("select 'round_{earlier}'::regclass");
            assert_eq!(cluster.psql(&sql).trim(), format!("round_{earlier}"), "{order:?}");
        }
        cluster.equal_digests();
    }
}

#[test]
fn a_demo_that_was_killed_goes_on() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    let primary = cluster.synchronized();
    let id = cluster.cluster_id();
    cluster.psql("create table if not exists kept (id int)");
    kill_all(&cluster.nodes());
    cluster.demo().expect("hawq demo on the same directory");
    assert_eq!(cluster.cluster_id(), id);
    assert_eq!(cluster.synchronized().pg_port, primary.pg_port);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
}

#[test]
fn object_ids_survive_everything() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    cluster.psql("create table if not exists numbered (id int)");
    let sql = "select oid, relname from pg_class order by 1";
    let before = cluster.psql(sql);
    kill_all(&cluster.nodes());
    cluster.demo().expect("demo");
    assert_eq!(cluster.psql(sql), before);
    let primary = cluster.synchronized();
    cluster.kill(&primary);
    cluster.activate();
    assert_eq!(cluster.psql(sql), before);
    cluster.psql("create table if not exists numbered_later (id int)");
    let both = "select count(distinct oid) from pg_class where relname like 'numbered%'";
    assert_eq!(cluster.psql(both).trim(), "2", "no id is given twice");
}
