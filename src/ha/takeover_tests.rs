//! Tables: who may stand, which answers forbid it, and what a candidate proposes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Instant, Lsn, Member, MemberEntry, Mode, NodeId,
    Nonce, TimelineHistory,
};

use super::{Attempt, Candidate, Cause, Inquiry, Promise, Refusal, nonce};

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn member(number: u8) -> Member {
    Member { node: node(number), incarnation: Incarnation(u64::from(number)) }
}

/// Node 1 is primary at epoch 5.1 of three members; node 3 has priority 0.
fn record(in_sync: &[u8]) -> ClusterState {
    let entry = |number: u8| MemberEntry {
        incarnation: Incarnation(u64::from(number)),
        host: format!("m{number}"),
        rpc_port: 5437,
        pg_port: 5432,
        priority: u32::from(number != 3),
    };
    let members = (1..=3).map(|number| (node(number), entry(number))).collect();
    ClusterState {
        version: 9,
        epoch: Epoch::new(5, node(1)),
        in_sync: in_sync.iter().map(|number| member(*number)).collect(),
        mode: Mode::Embedded,
        ..ClusterState::first(ClusterId(1), member(1), members)
    }
}

fn answer(number: u8) -> Inquiry {
    Inquiry {
        member: member(number),
        reigning: None,
        hears_primary: false,
        followed: Epoch::new(5, node(1)),
        promised: Epoch::ZERO,
        flush_lsn: Lsn(100),
    }
}

fn attempt(cause: Cause, answers: &[Inquiry]) -> Attempt {
    let mut attempt = Attempt::new(1, cause, Instant(0));
    attempt.answers = answers.iter().map(|a| (a.member.node, a.clone())).collect();
    attempt
}

fn person(force: bool) -> Cause {
    Cause::Person { ticket: 1, force }
}

#[test]
fn only_members_of_the_recorded_set_stand() {
    let not_in_sync = Err(Refusal::NotInSync { primary: node(1) });
    let not_recorded = Err(Refusal::NotRecorded { primary: node(1) });
    let rows = [
        (Cause::Silence, 2, record(&[1, 2]), Ok(())),
        (Cause::Silence, 2, record(&[1]), not_in_sync.clone()),
        (Cause::Silence, 3, record(&[1, 3]), Err(Refusal::NeverStands)),
        (Cause::Release { named: true }, 3, record(&[1, 3]), Err(Refusal::NeverStands)),
        (person(false), 3, record(&[1, 3]), Ok(())),
        (person(false), 2, record(&[1]), not_in_sync.clone()),
        (person(true), 2, record(&[1]), Ok(())),
        (Cause::Restart, 1, record(&[1, 2]), Ok(())),
        (Cause::Restart, 2, record(&[1, 2]), not_recorded.clone()),
        (Cause::Again { above: Epoch::ZERO }, 2, record(&[1, 2]), not_recorded),
    ];
    for (cause, number, record, expected) in rows {
        let found = attempt(cause, &[]).may_stand(member(number), &record);
        assert_eq!(found, expected, "{cause:?} of node {number} under {record}");
    }
    let wiped = Member { node: node(2), incarnation: Incarnation(77) };
    let found = attempt(Cause::Silence, &[]).may_stand(wiped, &record(&[1, 2]));
    assert_eq!(found, not_in_sync, "a wiped node is not the member that it was");
}

#[test]
fn while_takeovers_are_paused_only_a_person_starts_one() {
    let paused = ClusterState { paused: true, ..record(&[1, 2]) };
    let rows = [
        (Cause::Silence, 2, Err(Refusal::Paused)),
        (Cause::Release { named: false }, 2, Err(Refusal::Paused)),
        (Cause::Release { named: true }, 2, Ok(())),
        (person(false), 2, Ok(())),
        (Cause::Restart, 1, Ok(())),
    ];
    for (cause, number, expected) in rows {
        assert_eq!(attempt(cause, &[]).may_stand(member(number), &paused), expected, "{cause:?}");
    }
}

#[test]
fn a_node_that_hears_the_primary_forbids_a_takeover_by_silence_alone() {
    let history = TimelineHistory::default();
    let candidate = Candidate {
        me: member(2),
        end: Lsn(100),
        history: &history,
        highest: Epoch::new(5, node(1)),
        doubtful: false,
    };
    let hears = Inquiry { hears_primary: true, ..answer(3) };
    let epoch = Epoch::new(5, node(1));
    let reigns = Inquiry { reigning: Some(epoch), ..answer(1) };
    let reigned = Inquiry { reigning: Some(Epoch::new(4, node(1))), ..answer(1) };
    let alive = Err(Refusal::PrimaryAnswers { node: node(1), epoch });
    let rows = [
        (Cause::Silence, vec![answer(3)], Ok(())),
        (Cause::Silence, vec![hears.clone()], Err(Refusal::PrimaryHeard { by: node(3) })),
        (person(false), vec![hears], Ok(())),
        (person(false), vec![reigns.clone()], alive.clone()),
        (person(true), vec![reigns.clone()], alive.clone()),
        (Cause::Silence, vec![reigns], alive),
        (Cause::Silence, vec![reigned], Ok(())),
    ];
    for (cause, answers, expected) in rows {
        let found = attempt(cause, &answers).weigh(&candidate, &record(&[1, 2, 3]));
        assert_eq!(found, expected, "{cause:?} with {answers:?}");
    }
}

#[test]
fn a_damaged_tail_needs_another_member_that_ends_no_later() {
    let history = TimelineHistory::default();
    let candidate = Candidate {
        me: member(2),
        end: Lsn(100),
        history: &history,
        highest: Epoch::ZERO,
        doubtful: true,
    };
    let longer = Inquiry { flush_lsn: Lsn(101), ..answer(3) };
    let rows = [
        (Cause::Silence, vec![], &[1, 2, 3][..], false),
        (Cause::Silence, vec![answer(3)], &[1, 2, 3], true),
        (Cause::Silence, vec![answer(3)], &[1, 2], false),
        (Cause::Silence, vec![longer], &[1, 2, 3], false),
        (person(true), vec![], &[1, 2], true),
        (Cause::ForcedRestart { ticket: 1 }, vec![], &[1, 2], true),
    ];
    for (cause, answers, in_sync, allowed) in rows {
        let found = attempt(cause, &answers).weigh(&candidate, &record(in_sync));
        assert_eq!(found.is_ok(), allowed, "{cause:?} with {answers:?} in {in_sync:?}");
    }
}

#[test]
fn a_proposal_goes_above_every_epoch_met_and_leaves_the_old_primary_out() {
    let mut history = TimelineHistory::default();
    history.note(Epoch::new(5, node(1)), Lsn(0));
    let candidate = Candidate {
        me: member(2),
        end: Lsn(100),
        history: &history,
        highest: Epoch::new(6, node(2)),
        doubtful: false,
    };
    let promised = Inquiry { promised: Epoch::new(8, node(3)), ..answer(3) };
    let proposed = attempt(Cause::Silence, &[promised.clone(), answer(1)])
        .proposal(&candidate, &record(&[1, 2, 3]));
    assert_eq!(proposed.epoch, Epoch::new(9, node(2)));
    assert_eq!(proposed.version, 10);
    assert_eq!(proposed.primary, node(2));
    assert_eq!(proposed.in_sync, BTreeSet::from([member(2), member(3)]));
    assert_eq!(proposed.history.entries().last(), Some(&(proposed.epoch, Lsn(100))));

    let unreached = attempt(Cause::Silence, &[]).proposal(&candidate, &record(&[1, 2, 3]));
    assert_eq!(unreached.in_sync, BTreeSet::from([member(2)]), "who did not answer stays out");
    assert_eq!(unreached.epoch, Epoch::new(7, node(2)));

    let mut other_life = promised;
    other_life.member.incarnation = Incarnation(99);
    let wiped = attempt(Cause::Silence, &[other_life]).proposal(&candidate, &record(&[1, 2, 3]));
    assert_eq!(wiped.in_sync, BTreeSet::from([member(2)]), "a wiped member stays out");

    let me = Candidate { me: member(1), highest: Epoch::ZERO, ..candidate };
    let above = Epoch::new(20, node(3));
    let again = attempt(Cause::Again { above }, &[]).proposal(&me, &record(&[1, 2]));
    assert_eq!(again.in_sync, record(&[1, 2]).in_sync, "from itself it keeps its set");
    assert_eq!(again.epoch, Epoch::new(21, node(1)));
}

#[test]
fn a_nonce_belongs_to_one_epoch_and_one_change() {
    let epochs = [Epoch::new(1, node(1)), Epoch::new(1, node(2)), Epoch::new(2, node(1))];
    let nonces: BTreeSet<Nonce> =
        epochs.iter().flat_map(|epoch| (0..3).map(|i| nonce(*epoch, i))).collect();
    assert_eq!(nonces.len(), 9);
}

#[test]
fn a_start_counts_as_a_promise_and_only_the_primary_hands_it_back() {
    let lease = Duration::from_nanos(10);
    let mut promise = Promise::at_start(Instant(100), lease);
    assert!(!promise.lapsed(Instant(109)) && promise.lapsed(Instant(110)));
    promise.renew(Instant(105), lease);
    promise.renew(Instant(101), lease);
    assert_eq!(promise.until(), Instant(115), "it never moves back by itself");
    promise.hand_back(Instant(107));
    assert!(promise.lapsed(Instant(107)));
}

#[test]
fn an_attempt_is_complete_when_every_other_member_has_answered() {
    let record = record(&[1, 2]);
    let of = |answers: &[Inquiry]| attempt(Cause::Silence, answers).complete(member(2), &record);
    assert!(!of(&[]) && !of(&[answer(1)]) && of(&[answer(1), answer(3)]));
    let nobody = ClusterState { members: BTreeMap::new(), ..record.clone() };
    assert!(attempt(Cause::Restart, &[]).complete(member(1), &nobody));
}
