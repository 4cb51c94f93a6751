//! What holds the cluster state is gone for good: a person gives it up, the cluster serves in
//! manual mode with everything that was acknowledged, and can be made automatic again.

use std::fs;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::ensemble::Ensemble;
use crate::ha_commands::{eventually_says, ha, says};
use crate::wait::eventually;
use crate::zookeeper_mode;

const GIVE_UP: &str = "disable --coordinator-lost -a";
/// Nothing is left to be given up.
const MANUAL: &str = "manual mode has no coordinator";

/// Its trouble shows in what the node says of itself after a few seconds. A try without an answer
/// may have done it.
fn give_up(cluster: &Cluster, told: &[&str]) {
    let mut in_doubt = false;
    eventually("the coordinator given up for lost", READY, || {
        let outcome = ha(cluster, GIVE_UP);
        if in_doubt && outcome.stderr.contains(MANUAL) {
            return Ok(());
        }
        in_doubt |= outcome.code == Some(2);
        if !outcome.ok() {
            return Err(format!("{outcome:#?}"));
        }
        let said = outcome.stdout;
        assert!(told.iter().all(|part| said.contains(part)), "{said}");
        Ok(())
    });
}

fn forget_votes(cluster: &Cluster, node: &Node) {
    let running = cluster.node(&node.name);
    cluster.kill(&running);
    fs::remove_file(node.data_dir.join("voter.json")).expect("voter.json");
    cluster.restart(&node.name).expect("restart");
}

/// With the lease that is there by default: a refusal to be enabled takes forty of them.
#[test]
fn a_lost_majority_of_voters_is_given_up_and_replaced() {
    let cluster = Cluster::automatic_by_default(Shape { standbys: 1, segments: 1 });
    cluster.may_log("starting it again");
    cluster.psql("create table if not exists kept (a int)");
    cluster.synchronized();
    // Once: it would be done where nobody reached the coordinator for a moment.
    says(&cluster, GIVE_UP, 1, "reaches the coordinator");
    let primary = cluster.synchronized();
    let (standby, witness) =
        (cluster.other_masters(&primary).remove(0), cluster.segments()[0].clone());
    cluster.kill(&standby);
    cluster.kill(&witness);
    cluster.kill(&primary);
    // It cannot open: one of three voters is no majority.
    let _ = cluster.restart(&primary.name);
    give_up(&cluster, &["open at", "manual mode"]);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    eventually_says(&cluster, GIVE_UP, 1, MANUAL);
    eventually_says(&cluster, "history", 0, "the coordinator was given up for lost");

    // They were not lost after all: both follow the node that went on without them.
    cluster.restart(&standby.name).expect("restart of the standby");
    cluster.restart(&witness.name).expect("restart of the witness");
    assert_eq!(cluster.synchronized().name, primary.name);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    eventually_says(&cluster, "enable", 1, "what is left there has to go first");

    forget_votes(&cluster, &witness);
    forget_votes(&cluster, &standby);
    cluster.synchronized();
    forget_votes(&cluster, &primary);
    cluster.synchronized();
    eventually_says(&cluster, "enable", 0, "automatic failover (embedded) is on");
    let last = cluster.synchronized();
    cluster.kill(&last);
    zookeeper_mode::other_primary(&cluster, &last);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
}

#[test]
fn zookeeper_without_its_data_is_given_up_and_begun_anew() {
    let mut ensemble = Ensemble::start(1);
    let cluster = zookeeper_mode::start(&ensemble);
    cluster.psql("create table if not exists kept (a int)");
    cluster.synchronized();
    ensemble.wipe();
    give_up(&cluster, &["open at"]);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    // enable_master_auto_ha = on: as soon as both are in sync the empty ZooKeeper is used again.
    let primary = zookeeper_mode::in_zookeeper(&cluster);
    cluster.kill(&primary);
    zookeeper_mode::other_primary(&cluster, &primary);
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
}
