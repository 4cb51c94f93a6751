//! The driver asks the right witnesses, writes only what the policy allows, and is idempotent.

use std::io;
use std::sync::{Arc, Mutex};

use super::{ManualCoordinator, ManualShrink, RecordStore, Witnesses};
use crate::ha::manual_policy::tests::{node, record, segment, taken_over};
use crate::ha::manual_policy::{MasterAnswer, SegmentAnswer};
use crate::ha::{Authority, Coordinator, ReadOutcome, SwapOutcome, conformance};
use crate::types::{ClusterState, Epoch, Incarnation, Lsn, Member, Nonce};

#[derive(Default)]
struct Store(Mutex<Option<ClusterState>>);

impl RecordStore for Store {
    fn current(&self) -> Option<ClusterState> {
        self.0.lock().unwrap().clone()
    }

    async fn replace(&self, expected: &ClusterState, proposed: &ClusterState) -> io::Result<bool> {
        let mut current = self.0.lock().unwrap();
        if current.as_ref() != Some(expected) {
            return Ok(false);
        }
        *current = Some(proposed.clone());
        Ok(true)
    }
}

#[derive(Default)]
struct World {
    registered: usize,
    answers: Vec<SegmentAnswer>,
    masters: Vec<MasterAnswer>,
    asked: Mutex<Vec<&'static str>>,
}

impl World {
    fn answer(&self, question: &'static str) -> Vec<SegmentAnswer> {
        self.asked.lock().unwrap().push(question);
        self.answers.clone()
    }
}

impl Witnesses for World {
    fn registered(&self) -> usize {
        self.registered
    }

    async fn follow(&self, _record: ClusterState) -> Vec<SegmentAnswer> {
        self.answer("follow")
    }

    async fn promise(&self, _epoch: Epoch, _candidate: Member) -> Vec<SegmentAnswer> {
        self.answer("promise")
    }

    async fn begin(&self, _epoch: Epoch) -> Vec<SegmentAnswer> {
        self.answer("begin")
    }

    async fn store(&self, _record: ClusterState) -> Vec<SegmentAnswer> {
        self.answer("store")
    }

    async fn masters(&self, _record: ClusterState) -> Vec<MasterAnswer> {
        self.masters.clone()
    }

    fn say(&self, _text: String) {}
}

fn coordinator(
    number: u8,
    current: Option<ClusterState>,
    world: World,
) -> (ManualCoordinator<Store, World>, Arc<Store>, Arc<World>) {
    let (store, world) = (Arc::new(Store(Mutex::new(current))), Arc::new(world));
    let coordinator = ManualCoordinator::new(
        node(number),
        ManualShrink::Witnessed,
        Arc::clone(&store),
        Arc::clone(&world),
    );
    (coordinator, store, world)
}

#[tokio::test]
async fn a_node_without_a_record_cannot_read() {
    let (coordinator, _, _) = coordinator(1, None, World::default());
    let outcome = coordinator.read(Authority::Rules).await;
    assert!(matches!(outcome, ReadOutcome::Unavailable { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_person_reads_the_local_copy_without_asking() {
    let mine = record(5, 3, 2, &[1, 2]);
    let (coordinator, _, world) = coordinator(2, Some(mine.clone()), World::default());
    let authority = Authority::Person { force: false, end: Lsn(1) };
    assert_eq!(coordinator.read(authority).await, ReadOutcome::Record(Box::new(mine)));
    assert!(world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_takeover_is_promised_and_followed_then_written_and_repeats_as_done() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 2);
    let world = World { registered: 1, answers: vec![segment(current.epoch)], ..World::default() };
    let (coordinator, store, world) = coordinator(2, Some(current), world);
    let authority = Authority::Person { force: false, end: Lsn(1) };
    for _ in 0..2 {
        let outcome = coordinator.compare_and_swap(authority, proposed.clone()).await;
        assert_eq!(outcome, SwapOutcome::Done);
    }
    assert_eq!(store.current(), Some(proposed));
    assert_eq!(*world.asked.lock().unwrap(), ["follow", "promise", "begin"]);
}

#[tokio::test]
async fn a_takeover_that_is_refused_asks_nobody_for_a_promise() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 2);
    let alone = record(6, 3, 2, &[1]);
    let knows = SegmentAnswer { record: Some(alone), ..segment(current.epoch) };
    for (answers, registered) in [(vec![knows], 1), (vec![segment(current.epoch)], 3)] {
        let world = World { registered, answers, ..World::default() };
        let (coordinator, store, world) = coordinator(2, Some(current.clone()), world);
        let authority = Authority::Person { force: false, end: Lsn(1) };
        let outcome = coordinator.compare_and_swap(authority, proposed.clone()).await;
        assert!(matches!(outcome, SwapOutcome::Failed { .. }), "{outcome:?}");
        assert_eq!(store.current().as_ref(), Some(&current));
        assert_eq!(*world.asked.lock().unwrap(), ["follow"]);
    }
}

#[tokio::test]
async fn a_member_that_comes_back_as_another_leaves_the_set_before_witnesses() {
    let current = record(5, 3, 2, &[1, 2]);
    let world = World { registered: 2, answers: vec![segment(current.epoch)], ..World::default() };
    let (coordinator, store, world) = coordinator(1, Some(current.clone()), world);
    let mut proposed = record(6, 3, 2, &[1]);
    proposed.members.get_mut(&node(2)).unwrap().incarnation = Incarnation(22);
    let outcome = coordinator.compare_and_swap(Authority::Rules, proposed).await;
    assert!(matches!(outcome, SwapOutcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(store.current(), Some(current));
    assert_eq!(*world.asked.lock().unwrap(), ["store"]);
}

#[tokio::test]
async fn a_shrink_without_most_segments_stays_unknown_and_writes_nothing() {
    let current = record(5, 3, 2, &[1, 2]);
    let world = World { registered: 2, answers: vec![segment(current.epoch)], ..World::default() };
    let (coordinator, store, world) = coordinator(1, Some(current.clone()), world);
    let proposed = record(6, 3, 2, &[1]);
    let outcome = coordinator.compare_and_swap(Authority::Rules, proposed).await;
    assert!(matches!(outcome, SwapOutcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(store.current(), Some(current));
    assert_eq!(*world.asked.lock().unwrap(), ["store"]);
}

#[tokio::test]
async fn a_stale_version_or_epoch_fails_with_the_current_record() {
    let current = record(5, 3, 2, &[1, 2]);
    let (coordinator, _, _) = coordinator(1, Some(current.clone()), World::default());
    let mut same = record(5, 3, 2, &[1]);
    same.nonce = Nonce(1234);
    for stale in [same, record(7, 3, 2, &[1]), record(6, 2, 2, &[1, 2])] {
        let outcome = coordinator.compare_and_swap(Authority::Rules, stale).await;
        let SwapOutcome::Failed { current: found, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(found.as_deref(), Some(&current));
    }
}

#[tokio::test]
async fn the_first_record_is_not_made_by_this_driver() {
    let current = record(5, 3, 2, &[1, 2]);
    let (coordinator, store, world) = coordinator(1, Some(current.clone()), World::default());
    let outcome = coordinator.create(record(6, 4, 2, &[1, 2])).await;
    let SwapOutcome::Failed { current: found, reason, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(reason.contains("control file"), "{reason}");
    assert_eq!((found.as_deref(), store.current()), (Some(&current), Some(current.clone())));
    assert!(world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn it_conforms_where_a_person_coordinates_too() {
    let mut current = record(5, 3, 2, &[1]);
    current.members.retain(|member, _| *member == node(1));
    let (coordinator, _, _) = coordinator(1, Some(current.clone()), World::default());
    conformance::a_swap_is_idempotent_and_by_version(&coordinator, &current).await;
}
