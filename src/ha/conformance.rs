//! What every coordinator has to do, whatever holds the record: one set of checks for all drivers.
//!
//! Each takes coordinators of different nodes on the same record. An answer may be `Unknown`; then
//! the same proposal is issued again, which is how rule 8 resolves it.

use futures::future::join_all;

use crate::types::{ClusterId, ClusterState, Mode, Nonce};

use super::{Authority, Coordinator, ReadOutcome, SwapOutcome};

/// Attempts at one question before a test gives up.
const ATTEMPTS_MAX: usize = 200;

/// Refusals that name no record are taken for what they are after so many: the first may be of a
/// proposal that was never sent, for want of a connection.
const REFUSALS_MAX: usize = 5;

/// The record that follows `current`, by a nonce of its own.
pub(crate) fn after(current: &ClusterState, nonce: u128) -> ClusterState {
    ClusterState { version: current.version + 1, nonce: Nonce(nonce), ..current.clone() }
}

/// Whether an outcome says what became of the proposal.
fn is_known(outcome: &SwapOutcome, refusals: &mut usize) -> bool {
    match outcome {
        SwapOutcome::Unknown { .. } => false,
        SwapOutcome::Failed { current: None, .. } => {
            *refusals += 1;
            *refusals >= REFUSALS_MAX
        }
        SwapOutcome::Done | SwapOutcome::Failed { .. } => true,
    }
}

/// Issues the same swap until its outcome is known.
pub(crate) async fn swap<C: Coordinator>(coordinator: &C, proposed: &ClusterState) -> SwapOutcome {
    let mut refusals = 0;
    for _ in 0..ATTEMPTS_MAX {
        let outcome = coordinator.compare_and_swap(Authority::Rules, proposed.clone()).await;
        if is_known(&outcome, &mut refusals) {
            return outcome;
        }
    }
    panic!("the outcome of {proposed} stays unknown");
}

pub(crate) async fn create<C: Coordinator>(coordinator: &C, first: &ClusterState) -> SwapOutcome {
    let mut refusals = 0;
    for _ in 0..ATTEMPTS_MAX {
        let outcome = coordinator.create(first.clone()).await;
        if is_known(&outcome, &mut refusals) {
            return outcome;
        }
    }
    panic!("the outcome of creating {first} stays unknown");
}

pub(crate) async fn read<C: Coordinator>(coordinator: &C) -> ClusterState {
    let mut reason = String::new();
    for _ in 0..ATTEMPTS_MAX {
        match coordinator.read(Authority::Rules).await {
            ReadOutcome::Record(record) => return *record,
            ReadOutcome::Unavailable { reason: why } => reason = why,
            ReadOutcome::Empty => panic!("the record is gone"),
        }
    }
    panic!("the record cannot be read: {reason}");
}

/// A swap replaces the version before, is done when repeated, and fails on any other version; what
/// failed never takes effect.
pub(crate) async fn a_swap_is_idempotent_and_by_version<C: Coordinator>(
    coordinator: &C,
    current: &ClusterState,
) -> ClusterState {
    let next = after(current, 1001);
    for _ in 0..3 {
        assert_eq!(swap(coordinator, &next).await, SwapOutcome::Done);
    }
    assert_eq!(read(coordinator).await, next);
    let same_version = after(current, 1002);
    let too_far = ClusterState { version: next.version + 2, nonce: Nonce(1003), ..next.clone() };
    for stale in [same_version, too_far] {
        let SwapOutcome::Failed { current: found, .. } = swap(coordinator, &stale).await else {
            panic!("{stale} was not refused");
        };
        // What is based on a later record may meet a coordinator that only says so.
        let may_be_silent = stale.version > next.version;
        assert!(found.as_deref() == Some(&next) || (found.is_none() && may_be_silent), "{found:?}");
    }
    assert_eq!(read(coordinator).await, next);
    next
}

/// Of swaps of one version that race each other exactly one is done, and everybody reads it.
pub(crate) async fn of_racing_swaps_one_wins<C: Coordinator>(
    coordinators: &[C],
    current: &ClusterState,
) -> ClusterState {
    let mut current = current.clone();
    for round in 0..5 {
        let proposals: Vec<ClusterState> = (0..coordinators.len())
            .map(|i| after(&current, 2000 + round * 100 + i as u128))
            .collect();
        let racing = coordinators.iter().zip(&proposals).map(|(c, proposed)| swap(c, proposed));
        let outcomes = join_all(racing).await;
        let won = proposals.iter().zip(&outcomes).filter(|(_, o)| **o == SwapOutcome::Done);
        let won: Vec<ClusterState> = won.map(|(proposed, _)| proposed.clone()).collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        for coordinator in coordinators {
            assert_eq!(read(coordinator).await, won[0]);
        }
        current = won[0].clone();
    }
    current
}

/// A read that begins after a swap was done sees it or a later one, and never goes back.
pub(crate) async fn reads_are_linearizable<C: Coordinator>(
    (writer, reader): (&C, &C),
    current: &ClusterState,
) -> ClusterState {
    let done = std::sync::atomic::AtomicU64::new(current.version);
    let order = std::sync::atomic::Ordering::SeqCst;
    let writes = async {
        let mut current = current.clone();
        for round in 0..20 {
            let next = after(&current, 3000 + round);
            assert_eq!(swap(writer, &next).await, SwapOutcome::Done);
            done.store(next.version, order);
            current = next;
        }
        current
    };
    let reads = async {
        let (mut seen, last) = (0, current.version + 20);
        while done.load(order) < last {
            let before = done.load(order);
            let version = read(reader).await.version;
            assert!(version >= before, "read version {version} after {before} was written");
            assert!(version >= seen, "read version {version} after version {seen}");
            seen = version;
        }
    };
    let (written, ()) = futures::future::join(writes, reads).await;
    assert_eq!(read(reader).await, written);
    written
}

/// Of first records that race each other one is put; it is not put twice, and none replaces it.
pub(crate) async fn the_first_record_is_put_once<C: Coordinator>(
    coordinators: &[C],
    first: &ClusterState,
) -> ClusterState {
    let proposals: Vec<ClusterState> = (0..coordinators.len())
        .map(|i| ClusterState { nonce: Nonce(4000 + i as u128), ..first.clone() })
        .collect();
    let racing = coordinators.iter().zip(&proposals).map(|(c, first)| create(c, first));
    let outcomes = join_all(racing).await;
    let done = outcomes.iter().filter(|outcome| **outcome == SwapOutcome::Done).count();
    assert_eq!(done, 1, "{outcomes:?}");
    let put = read(&coordinators[0]).await;
    assert!(proposals.contains(&put));
    for (coordinator, proposed) in coordinators.iter().zip(&proposals) {
        match create(coordinator, proposed).await {
            SwapOutcome::Done => assert_eq!(*proposed, put),
            SwapOutcome::Failed { current, .. } => {
                assert_ne!(*proposed, put);
                assert_eq!(current.as_deref(), Some(&put));
            }
            SwapOutcome::Unknown { reason } => panic!("{reason}"),
        }
    }
    let later = ClusterState { nonce: Nonce(4999), version: first.version + 50, ..first.clone() };
    let outcome = create(&coordinators[0], &later).await;
    assert!(matches!(outcome, SwapOutcome::Failed { .. }), "a record that rules was replaced");
    assert_eq!(read(&coordinators[0]).await, put);
    put
}

/// A record that switched automatic mode off is followed by no swap, only by a newer first record.
pub(crate) async fn what_was_switched_off_can_begin_again<C: Coordinator>(
    coordinator: &C,
    current: &ClusterState,
) -> ClusterState {
    let off = ClusterState { mode: Mode::Manual, ..after(current, 5001) };
    assert_eq!(swap(coordinator, &off).await, SwapOutcome::Done);
    let late = ClusterState { mode: current.mode, ..after(&off, 5002) };
    let outcome = swap(coordinator, &late).await;
    assert!(matches!(outcome, SwapOutcome::Failed { .. }), "{outcome:?}");
    let older = ClusterState { version: off.version, nonce: Nonce(5003), ..current.clone() };
    let outcome = create(coordinator, &older).await;
    assert!(matches!(outcome, SwapOutcome::Failed { .. }), "{outcome:?}");
    assert_eq!(read(coordinator).await, off);
    let again = ClusterState { version: off.version + 7, nonce: Nonce(5004), ..current.clone() };
    for _ in 0..2 {
        assert_eq!(create(coordinator, &again).await, SwapOutcome::Done);
    }
    assert_eq!(read(coordinator).await, again);
    again
}

/// `foreign` is the coordinator of another cluster that was pointed at the same place by mistake.
pub(crate) async fn a_foreign_record_is_refused_by_name<C: Coordinator>(
    foreign: &C,
    current: &ClusterState,
    theirs: ClusterId,
) {
    let proposed = ClusterState { cluster_id: theirs, ..after(current, 6001) };
    let mut last = String::new();
    // An answer that does not come in time names nobody.
    for _ in 0..REFUSALS_MAX {
        match refused_by_name(foreign, &proposed, current.cluster_id).await {
            Ok(()) => return,
            Err(reason) => last = reason,
        }
    }
    panic!("{last}");
}

/// It is refused by everything; the first reason that does not say why.
async fn refused_by_name<C: Coordinator>(
    foreign: &C,
    proposed: &ClusterState,
    found: ClusterId,
) -> Result<(), String> {
    let outcomes = [swap(foreign, proposed).await, create(foreign, proposed).await];
    for outcome in outcomes {
        let SwapOutcome::Failed { reason, current: None, .. } = outcome else {
            panic!("{outcome:?}");
        };
        for id in [proposed.cluster_id, found] {
            if !reason.contains(&id.to_string()) {
                return Err(reason);
            }
        }
    }
    let ReadOutcome::Unavailable { reason } = foreign.read(Authority::Rules).await else {
        panic!("a foreign record was read");
    };
    if reason.contains(&found.to_string()) { Ok(()) } else { Err(reason) }
}

/// Every check that needs a record of its own, in a row; `first` is not put yet.
pub(crate) async fn conforms<C: Coordinator>(
    coordinators: &[C],
    first: &ClusterState,
) -> ClusterState {
    let mut current = the_first_record_is_put_once(coordinators, first).await;
    let pair = (&coordinators[0], &coordinators[1]);
    current = a_swap_is_idempotent_and_by_version(pair.0, &current).await;
    current = of_racing_swaps_one_wins(coordinators, &current).await;
    current = reads_are_linearizable(pair, &current).await;
    what_was_switched_off_can_begin_again(pair.1, &current).await
}
