//! What every coordinator has to do, checked of ZooKeeper with real servers: the checks are those
//! of the embedded register and of manual mode.

use std::sync::Arc;

use aerie::ha::{Authority, Coordinator, ReadOutcome, SwapOutcome, ZooKeeperCoordinator};
use aerie::types::{ClusterId, ClusterState};
use tokio::time::timeout;
use zookeeper_client::Client;

use crate::ensemble::{Ensemble, settings};
use crate::wait::seconds;
use crate::zookeeper::{record, runtime};

#[path = "../../src/ha/conformance.rs"]
mod conformance;

/// Nodes of one cluster, each with a session of its own.
fn coordinators(
    runtime: &tokio::runtime::Runtime,
    quorum: &str,
    count: usize,
) -> Vec<ZooKeeperCoordinator> {
    let tasks = runtime.handle();
    let new =
        |_| ZooKeeperCoordinator::new(settings(quorum, &[]), ClusterId(1), None, tasks.clone());
    (0..count).map(new).collect()
}

fn conforms(servers: usize) {
    let ensemble = Ensemble::start(servers);
    let (runtime, quorum) = (runtime(), ensemble.quorum());
    let nodes = coordinators(&runtime, &quorum, 3);
    let checked = runtime.block_on(async {
        timeout(seconds(600), async {
            let current = conformance::conforms(&nodes, &record(1, 1, 10)).await;
            foreign(&nodes[2], &current, &quorum).await;
        })
        .await
    });
    checked.expect("in time");
}

/// Somebody copies the record of another cluster over ours.
async fn foreign(ours: &ZooKeeperCoordinator, current: &ClusterState, quorum: &str) {
    let stranger = ClusterId(2);
    let theirs = ZooKeeperCoordinator::new(
        settings(quorum, &[]),
        stranger,
        None,
        tokio::runtime::Handle::current(),
    );
    let theirs = Arc::new(theirs);
    let first = ClusterState { cluster_id: stranger, ..current.clone() };
    assert_eq!(conformance::create(&*theirs, &first).await, SwapOutcome::Done);
    let client = Client::connect(quorum).await.expect("ZooKeeper");
    let state = |cluster: ClusterId| format!("/aerie/{cluster}/state");
    let (bytes, _) = client.get_data(&state(stranger)).await.expect("a record");
    client.set_data(&state(current.cluster_id), &bytes, None).await.expect("written");
    conformance::a_foreign_record_is_refused_by_name(ours, &first, current.cluster_id).await;
}

#[test]
fn one_zookeeper_server_does_what_every_coordinator_has_to() {
    conforms(1);
}

#[test]
fn three_zookeeper_servers_do_what_every_coordinator_has_to() {
    conforms(3);
}
