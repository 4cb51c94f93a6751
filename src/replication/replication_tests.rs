//! Tables for the commit point, the lease and the in-sync set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{Incarnation, Instant, Lsn, Member, NodeId};

use super::{Progress, Stage, SyncSet, commit_point, lease_until};

fn member(node: u8) -> Member {
    Member { node: NodeId::new(node).unwrap(), incarnation: Incarnation(u64::from(node)) }
}

fn set(nodes: &[u8]) -> BTreeSet<Member> {
    nodes.iter().map(|node| member(*node)).collect()
}

fn standby(node: u8, acked: u64, stage: Stage) -> (NodeId, Progress) {
    let mut progress = Progress::new(member(node), Instant(0));
    progress.align(Lsn(acked));
    progress.ack(Instant(5), Lsn(acked), Lsn::ZERO, Instant(u64::from(node)));
    progress.stage = stage;
    (member(node).node, progress)
}

#[test]
fn commit_point_is_the_lowest_flush_of_the_required_set() {
    let standbys: BTreeMap<_, _> = [
        standby(2, 70, Stage::Streaming),
        standby(3, 50, Stage::Streaming),
        standby(4, 90, Stage::Unaligned),
    ]
    .into();
    let rows: [(&[u8], u64, bool, Option<u64>); 8] = [
        (&[1], 100, false, Some(100)),
        (&[1], 100, true, None),
        (&[1, 2], 100, false, Some(70)),
        (&[1, 2], 60, false, Some(60)),
        (&[1, 2, 3], 100, true, Some(50)),
        (&[1, 4], 100, false, None),
        (&[1, 2, 4], 100, false, None),
        (&[1, 5], 100, false, None),
    ];
    for (required, own, strict, expected) in rows {
        let found = commit_point((member(1), Lsn(own)), &set(required), &standbys, strict);
        assert_eq!(found, expected.map(Lsn), "required {required:?} own {own} strict {strict}");
    }
}

#[test]
fn another_life_of_a_node_does_not_count() {
    let standbys: BTreeMap<_, _> = [standby(2, 70, Stage::Streaming)].into();
    let mut required = set(&[1]);
    required.insert(Member { node: member(2).node, incarnation: Incarnation(99) });
    assert_eq!(commit_point((member(1), Lsn(100)), &required, &standbys, false), None);
    assert_eq!(lease_until(member(1), &required, &standbys, Duration::from_nanos(100)), None);
}

#[test]
fn lease_needs_every_required_member() {
    let standbys: BTreeMap<_, _> =
        [standby(2, 1, Stage::Streaming), standby(3, 1, Stage::Streaming)].into();
    let lease = Duration::from_nanos(100);
    let until = |required: &[u8]| lease_until(member(1), &set(required), &standbys, lease);
    assert_eq!(until(&[1]), Some(Instant(u64::MAX)));
    assert_eq!(until(&[1, 3]), Some(Instant(93)));
    assert_eq!(until(&[1, 2, 3]), Some(Instant(92)));
    assert_eq!(until(&[1, 4]), None);
}

#[test]
fn larger_set_counts_while_a_swap_is_in_doubt() {
    let mut sync = SyncSet::new(set(&[1, 2]));
    sync.propose(set(&[1, 3]));
    assert_eq!(sync.required(), set(&[1, 2, 3]));
    assert!(sync.requires(member(2)) && sync.requires(member(3)));
    sync.accept();
    assert_eq!(sync.required(), set(&[1, 3]));
    sync.propose(set(&[1]));
    sync.reject(set(&[1, 3]));
    assert_eq!(sync.required(), set(&[1, 3]));
}

#[test]
fn a_member_is_too_slow_by_silence_or_by_an_old_gap() {
    let timeout = Duration::from_nanos(10);
    let mut progress = Progress::new(member(2), Instant(100));
    assert_eq!(progress.too_slow_at(timeout), Instant(110));
    progress.observe_end(Instant(105), Lsn(8));
    progress.ack(Instant(112), Lsn(0), Lsn(0), Instant(111));
    progress.observe_end(Instant(112), Lsn(16));
    assert_eq!(progress.too_slow_at(timeout), Instant(115), "the first gap is the one that counts");
    progress.ack(Instant(113), Lsn(8), Lsn(0), Instant(112));
    progress.observe_end(Instant(113), Lsn(16));
    assert_eq!(progress.too_slow_at(timeout), Instant(123), "then the next one");
    progress.ack(Instant(114), Lsn(16), Lsn(0), Instant(113));
    progress.observe_end(Instant(114), Lsn(16));
    assert_eq!(progress.too_slow_at(timeout), Instant(124));
}
