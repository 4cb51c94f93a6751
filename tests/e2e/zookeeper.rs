//! The ZooKeeper coordinator against real servers: what a swap means, and what it says when the
//! servers die, hang, forget, or let nobody in.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use aerie::ha::{
    Authority, Coordinator, FormatError, Presence, ReadOutcome, SwapOutcome, ZooKeeperCoordinator,
    ZooKeeperTree,
};
use aerie::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Lsn, Member, MemberEntry, Mode, NodeId, Nonce,
    TimelineHistory,
};
use nix::sys::signal::Signal;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::ensemble::{Ensemble, settings};
use crate::wait::eventually;

/// After that an attempt, which has a bound of its own, must have ended.
const BOUND: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(180);

/// What `Driver::read` says where nothing is.
const EMPTY: &str = "no record";

/// A driver and what runs it.
struct Driver {
    coordinator: ZooKeeperCoordinator,
    runtime: Runtime,
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime")
}

impl Driver {
    fn new(quorum: &str, cluster: u128, more: &[(&str, &str)]) -> Driver {
        Driver::shown(quorum, cluster, more, None)
    }

    fn shown(
        quorum: &str,
        cluster: u128,
        more: &[(&str, &str)],
        presence: Option<Presence>,
    ) -> Driver {
        let (runtime, settings) = (runtime(), settings(quorum, more));
        let tasks = runtime.handle().clone();
        let coordinator = ZooKeeperCoordinator::new(settings, ClusterId(cluster), presence, tasks);
        Driver { coordinator, runtime }
    }

    fn bounded<T>(&self, work: impl Future<Output = T>) -> T {
        let asked = self.runtime.block_on(async { timeout(BOUND, work).await });
        asked.expect("an answer in time")
    }

    fn read(&self) -> Result<ClusterState, String> {
        match self.bounded(self.coordinator.read(Authority::Rules)) {
            ReadOutcome::Record(record) => Ok(*record),
            ReadOutcome::Empty => Err(EMPTY.to_owned()),
            ReadOutcome::Unavailable { reason } => Err(reason),
        }
    }

    fn swap(&self, proposed: &ClusterState) -> SwapOutcome {
        self.bounded(self.coordinator.compare_and_swap(Authority::Rules, proposed.clone()))
    }

    fn create(&self, first: &ClusterState) -> SwapOutcome {
        self.bounded(self.coordinator.create(first.clone()))
    }

    /// As the node does with an unknown outcome: the very same swap again.
    fn swap_until_known(&self, proposed: &ClusterState) -> SwapOutcome {
        until_known(|| self.swap(proposed))
    }

    fn create_until_known(&self, first: &ClusterState) -> SwapOutcome {
        until_known(|| self.create(first))
    }

    fn eventually_read(&self) -> ClusterState {
        eventually("the record", AGAIN, || self.read())
    }

    fn eventually_empty(&self) {
        eventually(EMPTY, AGAIN, || match self.read() {
            Err(reason) if reason == EMPTY => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    fn tree(&self, quorum: &str) -> ZooKeeperTree {
        eventually("ZooKeeper", AGAIN, || {
            let opened = self.bounded(ZooKeeperTree::open(settings(quorum, &[]), ClusterId(1)));
            opened.map_err(|error| error.to_string())
        })
    }

    fn exists(&self, tree: &ZooKeeperTree) -> bool {
        let look = || self.bounded(tree.look()).map_err(|error| error.to_string());
        eventually("a look at the tree", AGAIN, look).exists
    }

    fn eventually_remove(&self, tree: &ZooKeeperTree) {
        eventually("the removal", AGAIN, || {
            self.bounded(tree.remove()).map_err(|error| error.to_string())
        });
    }
}

/// What is refused, and by no record, may not have been sent, for want of a connection.
fn is_known(outcome: &SwapOutcome) -> bool {
    !matches!(outcome, SwapOutcome::Unknown { .. } | SwapOutcome::Failed { current: None, .. })
}

fn until_known(put: impl Fn() -> SwapOutcome) -> SwapOutcome {
    eventually("a known outcome", AGAIN, || {
        let outcome = put();
        if is_known(&outcome) { Ok(outcome) } else { Err(format!("{outcome:?}")) }
    })
}

/// Waits for a reason with all these parts: at first an answer may not come in time.
#[track_caller]
fn eventually_says(parts: &[&str], ask: impl Fn() -> String) -> String {
    eventually("the reason", AGAIN, || {
        let reason = ask();
        let says = parts.iter().all(|part| reason.contains(part));
        if says { Ok(reason) } else { Err(format!("{reason}, wanted {parts:?}")) }
    })
}

/// Version `version` of a cluster's record; its nonce is `nonce`.
pub fn record(cluster: u128, version: u64, nonce: u128) -> ClusterState {
    let node = NodeId::new(1).expect("a node number");
    let incarnation = Incarnation(7);
    let (host, priority) = ("127.0.0.1".to_owned(), 1);
    let entry = MemberEntry { incarnation, host, rpc_port: 1, pg_port: 2, priority };
    let members = BTreeMap::from([(node, entry)]);
    ClusterState {
        version,
        epoch: Epoch(0x0101),
        mode: Mode::ZooKeeper,
        nonce: Nonce(nonce),
        history: TimelineHistory::from_entries(vec![(Epoch(0x0101), Lsn(0))]).expect("history"),
        ..ClusterState::first(ClusterId(cluster), Member { node, incarnation }, members)
    }
}

#[track_caller]
fn failure(outcome: SwapOutcome) -> Option<u64> {
    match outcome {
        SwapOutcome::Failed { current, .. } => current.map(|record| record.version),
        other => panic!("{other:?}"),
    }
}

/// Why it was not done, as far as that is known.
#[track_caller]
fn refusal(outcome: SwapOutcome) -> String {
    match outcome {
        SwapOutcome::Unknown { reason } | SwapOutcome::Failed { current: None, reason, .. } => {
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn zookeeper_holds_one_record_changed_by_whoever_is_first() {
    let ensemble = Ensemble::start(1);
    let quorum = ensemble.quorum();
    let (one, two) = (Driver::new(&quorum, 1, &[]), Driver::new(&quorum, 1, &[]));
    one.eventually_empty();
    eventually_says(&["ha_zookeeper_path"], || refusal(one.swap(&record(1, 2, 20))));

    let first = record(1, 1, 10);
    assert_eq!(one.create_until_known(&first), SwapOutcome::Done);
    assert_eq!(one.create_until_known(&first), SwapOutcome::Done);
    assert_eq!(failure(two.create_until_known(&record(1, 1, 11))), Some(1));
    assert_eq!(two.eventually_read(), first);

    // Both know version 1 and want to be its successor; the second has to look again.
    assert_eq!(one.swap_until_known(&record(1, 2, 20)), SwapOutcome::Done);
    assert_eq!(failure(two.swap_until_known(&record(1, 2, 21))), Some(2));
    assert_eq!(one.swap_until_known(&record(1, 2, 20)), SwapOutcome::Done);
    assert_eq!(two.swap_until_known(&record(1, 3, 30)), SwapOutcome::Done);
    assert_eq!(failure(one.swap_until_known(&record(1, 2, 20))), Some(3));
    assert_eq!(one.eventually_read(), record(1, 3, 30));

    // Many at once: exactly one is the successor of each version.
    for version in 4..14 {
        let wanted = |driver: u128| record(1, version, u128::from(version) * 10 + driver);
        let (a, b) = (wanted(1), wanted(2));
        let (of_one, of_two) = one.bounded(async {
            tokio::join!(
                one.coordinator.compare_and_swap(Authority::Rules, a.clone()),
                two.coordinator.compare_and_swap(Authority::Rules, b.clone())
            )
        });
        let of_one = if is_known(&of_one) { of_one } else { one.swap_until_known(&a) };
        let of_two = if is_known(&of_two) { of_two } else { two.swap_until_known(&b) };
        let done = [of_one, of_two].iter().filter(|it| **it == SwapOutcome::Done).count();
        assert_eq!(done, 1, "version {version}");
    }

    // What was left when automatic mode was switched off gives way; anything else does not.
    let left = ClusterState { mode: Mode::Manual, ..record(1, 14, 140) };
    assert_eq!(one.swap_until_known(&left), SwapOutcome::Done);
    assert_eq!(failure(two.create_until_known(&record(1, 14, 149))), Some(14));
    assert_eq!(two.create_until_known(&record(1, 15, 150)), SwapOutcome::Done);
    assert_eq!(failure(one.create_until_known(&record(1, 16, 160))), Some(15));
}

#[test]
fn swaps_go_on_when_the_server_that_leads_is_killed() {
    let mut ensemble = Ensemble::start(3);
    let driver = Driver::new(&ensemble.quorum(), 1, &[]);
    assert_eq!(driver.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    for version in 2..5 {
        ensemble.kill(ensemble.leading());
        let nonce = u128::from(version) * 10;
        let outcome = driver.swap_until_known(&record(1, version, nonce));
        // Nobody else changes the record, so it is there, be it by an earlier sending.
        assert_eq!(outcome, SwapOutcome::Done, "version {version}");
        ensemble.start_all();
    }
    assert_eq!(driver.eventually_read().version, 4);
}

#[test]
fn all_servers_gone_is_told_in_time_and_ends_when_they_are_back() {
    let mut ensemble = Ensemble::start(1);
    let quorum = ensemble.quorum();
    let driver = Driver::new(&quorum, 1, &[("ha_zookeeper_session_timeout", "2s")]);
    assert_eq!(driver.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    ensemble.kill_all();
    eventually("the end of the session", AGAIN, || {
        let reason = driver.read().expect_err("no server runs");
        let named = reason.contains(&format!("ha_zookeeper_quorum = \"{quorum}\""));
        // What only the session knows.
        let known = reason.contains("no server takes connections");
        if named && known { Ok(()) } else { Err(reason) }
    });
    // Nothing was sent, so it is certain that nothing will happen.
    assert_eq!(failure(driver.swap(&record(1, 2, 20))), None);
    ensemble.start_all();
    assert_eq!(driver.eventually_read(), record(1, 1, 10));
    assert_eq!(driver.swap_until_known(&record(1, 2, 21)), SwapOutcome::Done);
}

#[test]
fn a_hung_server_leaves_a_swap_in_doubt_until_it_is_repeated() {
    let ensemble = Ensemble::start(1);
    let driver = Driver::new(&ensemble.quorum(), 1, &[]);
    assert_eq!(driver.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    // Where the connection was lost just before, nothing is sent and nothing is in doubt.
    eventually("a swap in doubt", AGAIN, || {
        ensemble.signal_all(Signal::SIGSTOP);
        let outcome = driver.swap(&record(1, 2, 20));
        if matches!(outcome, SwapOutcome::Unknown { .. }) {
            return Ok(());
        }
        ensemble.signal_all(Signal::SIGCONT);
        assert_eq!(driver.eventually_read(), record(1, 1, 10), "{outcome:?}");
        Err(format!("{outcome:?}"))
    });
    // Still in doubt, although this time nothing can be sent.
    let again = driver.swap(&record(1, 2, 20));
    assert!(matches!(again, SwapOutcome::Unknown { .. }), "{again:?}");
    ensemble.signal_all(Signal::SIGCONT);
    assert_eq!(driver.swap_until_known(&record(1, 2, 20)), SwapOutcome::Done);
    assert_eq!(driver.eventually_read(), record(1, 2, 20));
}

#[test]
fn a_wiped_tree_is_not_made_anew_and_old_swaps_do_not_reach_the_next_one() {
    let ensemble = Ensemble::start(1);
    let quorum = ensemble.quorum();
    let (old, other) = (Driver::new(&quorum, 1, &[]), Driver::new(&quorum, 1, &[]));
    assert_eq!(old.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    assert_eq!(old.swap_until_known(&record(1, 2, 20)), SwapOutcome::Done);
    // A frozen node would keep what it knows now; it is made to know nothing newer.
    let frozen = Driver::new(&quorum, 1, &[]);
    assert_eq!(frozen.eventually_read(), record(1, 2, 20));
    let tree = frozen.tree(&quorum);
    frozen.eventually_remove(&tree);
    assert!(!frozen.exists(&tree));

    other.eventually_empty();
    eventually_says(&["the tree was wiped"], || refusal(other.swap(&record(1, 3, 30))));
    assert!(!frozen.exists(&tree), "it was made anew");

    // The znode of the next tree reaches the same version as that of the first one.
    assert_eq!(other.create_until_known(&record(1, 9, 90)), SwapOutcome::Done);
    assert_eq!(other.swap_until_known(&record(1, 10, 100)), SwapOutcome::Done);
    assert_eq!(failure(old.swap_until_known(&record(1, 3, 31))), Some(10));
    assert_eq!(failure(frozen.swap_until_known(&record(1, 3, 32))), Some(10));
    assert_eq!(other.eventually_read(), record(1, 10, 100));
}

#[test]
fn the_trees_of_other_clusters_and_other_programs_are_refused() {
    let ensemble = Ensemble::start(1);
    let quorum = ensemble.quorum();
    let (ours, theirs) = (Driver::new(&quorum, 1, &[]), Driver::new(&quorum, 2, &[]));
    // Two clusters under one path do not meet.
    assert_eq!(ours.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    assert_eq!(theirs.create_until_known(&record(2, 1, 10)), SwapOutcome::Done);
    assert_eq!(ours.eventually_read(), record(1, 1, 10));

    // Somebody copies the other's record over ours, then something else.
    let state = |cluster| format!("/aerie/{}/state", ClusterId(cluster));
    ours.bounded(async {
        let client = Client::connect(&quorum).await.expect("ZooKeeper");
        let (bytes, _) = client.get_data(&state(2)).await.expect("a record");
        client.set_data(&state(1), &bytes, None).await.expect("written");
    });
    let [one, two] = [ClusterId(1), ClusterId(2)].map(|id| id.to_string());
    eventually_says(&[&one, &two], || ours.read().expect_err("foreign"));
    eventually_says(&[&one, &two], || refusal(ours.swap(&record(1, 2, 20))));
    eventually_says(&[&one, &two], || refusal(ours.create(&record(1, 2, 20))));
    ours.bounded(async {
        let client = Client::connect(&quorum).await.expect("ZooKeeper");
        client.set_data(&state(1), b"hello", None).await.expect("written");
    });
    eventually_says(&["is not a record of Aerie"], || ours.read().expect_err("not a record"));
    assert_eq!(theirs.eventually_read(), record(2, 1, 10));
}

#[test]
fn who_is_not_let_in_is_told_which_setting_to_look_at() {
    let ensemble = Ensemble::start(1);
    let quorum = ensemble.quorum();
    let mine = Driver::new(&quorum, 1, &[("ha_zookeeper_auth", "digest:aerie:secret")]);
    assert_eq!(mine.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    for (auth, whom) in [("digest:aerie:wrong", "digest:aerie"), ("", "world:anyone")] {
        let other = Driver::new(&quorum, 1, &[("ha_zookeeper_auth", auth)]);
        let told = ["set ha_zookeeper_auth", whom];
        for reason in [
            eventually_says(&told, || other.read().expect_err("no permission")),
            eventually_says(&told, || refusal(other.swap(&record(1, 2, 20)))),
            eventually_says(&told, || refusal(other.create(&record(1, 2, 20)))),
        ] {
            assert!(!reason.contains("wrong"), "{reason}");
        }
    }
    assert_eq!(mine.swap_until_known(&record(1, 2, 20)), SwapOutcome::Done);

    // An ACL that the servers do not take, and one that leaves us out.
    let site = [("ha_zookeeper_acl", "nobody:x:cdrwa"), ("ha_zookeeper_path", "/other")];
    let refused = Driver::new(&quorum, 1, &site);
    let told = ["ha_zookeeper_acl = \"nobody:x:cdrwa\""];
    eventually_says(&told, || refusal(refused.create(&record(1, 1, 10))));
    let site = [("ha_zookeeper_acl", "digest:x:aGFzaA==:cdrwa"), ("ha_zookeeper_path", "/third")];
    let refused = Driver::new(&quorum, 1, &site);
    eventually_says(&["set ha_zookeeper_auth"], || refusal(refused.create(&record(1, 1, 10))));
}

#[test]
fn a_tree_in_use_is_not_removed() {
    let ensemble = Ensemble::start(1);
    let quorum = ensemble.quorum();
    let node = NodeId::new(3).expect("a node number");
    let presence = Presence { node, text: "node 3 at h:5437".to_owned() };
    let driver = Driver::shown(&quorum, 1, &[], Some(presence));
    assert_eq!(driver.create_until_known(&record(1, 1, 10)), SwapOutcome::Done);
    let tree = driver.tree(&quorum);
    eventually("the node's mark", AGAIN, || {
        let nodes = driver.bounded(tree.look()).map_err(|error| error.to_string())?.nodes;
        if nodes == ["node 3 at h:5437"] { Ok(()) } else { Err(format!("{nodes:?}")) }
    });
    let refused = eventually("an answer", AGAIN, || match driver.bounded(tree.remove()) {
        Err(FormatError::ZooKeeper(error)) => Err(error.to_string()),
        answered => Ok(answered),
    });
    match refused {
        Err(FormatError::InUse { path, nodes }) => {
            assert_eq!(path, format!("/aerie/{}", ClusterId(1)));
            assert_eq!(nodes, ["node 3 at h:5437"]);
        }
        other => panic!("{other:?}"),
    }
    driver.coordinator.disconnect();
    driver.eventually_remove(&tree);
    // What is not ours stays.
    driver.bounded(async {
        let client = Client::connect(&quorum).await.expect("ZooKeeper");
        let lasting = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/aerie/other", b"", &lasting).await.expect("/aerie is still there");
    });
}
