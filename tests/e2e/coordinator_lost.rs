//! What holds the cluster state is gone for good: a person gives it up, the cluster serves in
//! manual mode with everything that was acknowledged, and can be made automatic again.

use std::fs;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::ensemble::Ensemble;
use crate::ha_commands::{number, says};
use crate::wait::eventually;
use crate::zookeeper_mode;

const GIVE_UP: &str = "disable --coordinator-lost -a";

/// Its trouble shows in what the node says of itself after a few seconds.
fn give_up(cluster: &Cluster) -> String {
    eventually("the coordinator given up for lost", READY, || {
        let outcome = crate::ha_commands::ha(cluster, GIVE_UP);
        if outcome.ok() { Ok(outcome.stdout) } else { Err(format!("{outcome:#?}")) }
    })
}

fn forget_votes(cluster: &Cluster, node: &Node) {
    let running = cluster.node(&node.name);
    cluster.kill(&running);
    fs::remove_file(node.data_dir.join("voter.json")).expect("voter.json");
    cluster.restart(&node.name).expect("restart");
}

#[test]
fn a_lost_majority_of_voters_is_given_up_and_replaced() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    cluster.may_log("starting it again");
    let primary = cluster.synchronized();
    let (standby, witness) =
        (cluster.other_masters(&primary).remove(0), cluster.segments()[0].clone());
    cluster.psql("create table kept (a int)");
    says(&cluster, GIVE_UP, 1, "reaches the coordinator");
    cluster.kill(&standby);
    cluster.kill(&witness);
    cluster.kill(&primary);
    // It cannot open: one of three voters is no majority.
    let _ = cluster.restart(&primary.name);
    let said = give_up(&cluster);
    assert!(said.contains("open at") && said.contains("manual mode"), "{said}");
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    says(&cluster, GIVE_UP, 1, "manual mode has no coordinator");
    says(&cluster, "history", 0, "the coordinator was given up for lost");

    // They were not lost after all: both follow the node that went on without them.
    cluster.restart(&standby.name).expect("restart of the standby");
    cluster.restart(&witness.name).expect("restart of the witness");
    assert_eq!(cluster.synchronized().name, primary.name);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    says(&cluster, "enable", 1, "what is left there has to go first");

    forget_votes(&cluster, &witness);
    forget_votes(&cluster, &standby);
    cluster.synchronized();
    forget_votes(&cluster, &primary);
    cluster.synchronized();
    says(&cluster, "enable", 0, "automatic failover (embedded) is on");
    cluster.kill(&cluster.node(&primary.name));
    eventually("another primary", READY, || {
        let other = cluster.primary();
        if number(&other) == number(&standby) { Ok(()) } else { Err(cluster.report()) }
    });
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
}

#[test]
fn zookeeper_without_its_data_is_given_up_and_begun_anew() {
    let mut ensemble = Ensemble::start(1);
    let cluster = zookeeper_mode::start(&ensemble);
    let primary = cluster.synchronized();
    cluster.psql("create table kept (a int)");
    ensemble.wipe();
    let said = give_up(&cluster);
    assert!(said.contains("open at"), "{said}");
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    // enable_master_auto_ha = on: as soon as both are in sync the empty ZooKeeper is used again.
    zookeeper_mode::in_zookeeper(&cluster);
    cluster.kill(&cluster.node(&primary.name));
    zookeeper_mode::other_primary(&cluster, &primary);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
}
