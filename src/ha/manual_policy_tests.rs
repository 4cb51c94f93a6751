//! Table: what was heard -> what is decided.

use std::collections::BTreeSet;

use super::{
    Heard, MasterAnswer, SegmentAnswer, Verdict, decide_begin, decide_read, decide_restart,
    decide_shrink, decide_takeover,
};
use crate::ha::{Authority, ReadOutcome, SwapOutcome};
use crate::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Lsn, Member, MemberEntry, NodeId, Nonce,
};

pub(crate) fn node(number: u8) -> NodeId {
    NodeId::new(number).expect("not zero")
}

pub(crate) fn member(number: u8) -> Member {
    Member { node: node(number), incarnation: Incarnation(u64::from(number)) }
}

/// Version `version`, epoch `counter.1` unless changed, members 1..=`members`.
pub(crate) fn record(version: u64, counter: u64, members: u8, in_sync: &[u8]) -> ClusterState {
    let entry = |number: u8| MemberEntry {
        incarnation: Incarnation(u64::from(number)),
        host: "127.0.0.1".to_owned(),
        rpc_port: 1000 + u16::from(number),
        pg_port: 2000 + u16::from(number),
        priority: 1,
    };
    let members = (1..=members).map(|n| (node(n), entry(n))).collect();
    ClusterState {
        version,
        epoch: Epoch::new(counter, node(1)),
        in_sync: in_sync.iter().map(|number| member(*number)).collect(),
        nonce: Nonce(u128::from(version)),
        ..ClusterState::first(ClusterId(7), member(1), members)
    }
}

pub(crate) fn taken_over(from: &ClusterState, by: u8) -> ClusterState {
    ClusterState {
        version: from.version + 1,
        epoch: from.epoch.next_for(node(by)),
        primary: node(by),
        in_sync: BTreeSet::from([member(by)]),
        nonce: Nonce(99),
        ..from.clone()
    }
}

fn master(number: u8, followed: Epoch) -> MasterAnswer {
    MasterAnswer { node: node(number), followed, taking_over: false, record: None }
}

pub(crate) fn segment(followed: Epoch) -> SegmentAnswer {
    SegmentAnswer { accepted: true, followed, promised: followed, record: None }
}

fn heard(registered: usize, segments: Vec<SegmentAnswer>, masters: Vec<MasterAnswer>) -> Heard {
    Heard { registered, segments, masters }
}

#[derive(Debug, PartialEq)]
enum Read {
    Mine,
    Newer,
    Unavailable,
}

#[test]
fn a_restarted_primary_believes_its_copy_only_when_confirmed() {
    let mine = record(5, 3, 2, &[1, 2]);
    let e = mine.epoch;
    let newer = taken_over(&mine, 2);
    let telling = MasterAnswer { record: Some(newer.clone()), ..master(2, newer.epoch) };
    let told = SegmentAnswer { record: Some(newer.clone()), ..segment(newer.epoch) };
    let promised = SegmentAnswer { promised: newer.epoch, ..segment(e) };
    let standing = MasterAnswer { taking_over: true, ..master(2, e) };
    let cases = [
        ("nobody answers", heard(0, vec![], vec![]), Read::Unavailable),
        ("the standby confirms", heard(0, vec![], vec![master(2, e)]), Read::Mine),
        ("the standby took over", heard(0, vec![], vec![telling]), Read::Newer),
        ("a segment knows better", heard(3, vec![told], vec![]), Read::Newer),
        ("one of three segments", heard(3, vec![segment(e)], vec![]), Read::Unavailable),
        ("two of three segments", heard(3, vec![segment(e); 2], vec![]), Read::Mine),
        ("two of four segments", heard(4, vec![segment(e); 2], vec![]), Read::Unavailable),
        (
            "a higher epoch without its record",
            heard(1, vec![segment(newer.epoch)], vec![master(2, e)]),
            Read::Unavailable,
        ),
        (
            "a promise to a standby that is silent",
            heard(2, vec![promised.clone(), segment(e)], vec![]),
            Read::Unavailable,
        ),
        (
            "a promise to a standby that says it failed",
            heard(2, vec![promised, segment(e)], vec![master(2, e)]),
            Read::Mine,
        ),
        ("the standby stands right now", heard(0, vec![], vec![standing]), Read::Unavailable),
    ];
    for (name, heard, expected) in cases {
        let found = match decide_read(&mine, node(1), &heard) {
            ReadOutcome::Record(found) if *found == mine => Read::Mine,
            ReadOutcome::Record(found) if *found == newer => Read::Newer,
            ReadOutcome::Record(other) => panic!("{name}: {other}"),
            ReadOutcome::Empty | ReadOutcome::Unavailable { .. } => Read::Unavailable,
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_set_of_one_without_segments_asks_nobody() {
    let mine = record(5, 3, 1, &[1]);
    let found = decide_read(&mine, node(1), &Heard::default());
    assert_eq!(found, ReadOutcome::Record(Box::new(mine)));
}

#[test]
fn an_out_of_sync_standby_still_confirms() {
    let mine = record(5, 3, 2, &[1]);
    let found = decide_read(&mine, node(1), &heard(0, vec![], vec![master(2, mine.epoch)]));
    assert_eq!(found, ReadOutcome::Record(Box::new(mine)));
}

#[derive(Debug, PartialEq)]
enum Swap {
    Write,
    Failed,
    Unknown,
}

fn kind(verdict: &Verdict) -> Swap {
    match verdict {
        Verdict::Write { .. } => Swap::Write,
        Verdict::Answer(SwapOutcome::Failed { .. }) => Swap::Failed,
        Verdict::Answer(SwapOutcome::Unknown { .. }) => Swap::Unknown,
        Verdict::Answer(SwapOutcome::Done) => panic!("only the store says done"),
    }
}

#[test]
fn a_person_takes_over() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 2);
    let e = current.epoch;
    let shrunk = ClusterState { not_synchronized_since: Some(Lsn(77)), ..record(6, 3, 2, &[1]) };
    let knows = SegmentAnswer { record: Some(shrunk), ..segment(e) };
    let ahead = segment(proposed.epoch.next_for(node(1)));
    let refused = SegmentAnswer { accepted: false, ..segment(e) };
    let calm = Authority::Person { force: false, end: Lsn(70) };
    let force = Authority::Person { force: true, end: Lsn(70) };
    let cases = [
        ("by the rules", Authority::Rules, heard(0, vec![], vec![]), Swap::Failed),
        ("no segments, in sync", calm, heard(0, vec![], vec![]), Swap::Write),
        ("most segments agree", calm, heard(3, vec![segment(e); 2], vec![]), Swap::Write),
        ("half agree", calm, heard(4, vec![segment(e); 2], vec![]), Swap::Failed),
        ("half agree, forced", force, heard(4, vec![segment(e); 2], vec![]), Swap::Write),
        ("refusals are no agreement", calm, heard(3, vec![refused; 3], vec![]), Swap::Failed),
        (
            "one segment knows that the standby was out of sync",
            calm,
            heard(3, vec![segment(e), segment(e), knows.clone()], vec![]),
            Swap::Failed,
        ),
        (
            "the same, forced",
            force,
            heard(3, vec![segment(e), segment(e), knows], vec![]),
            Swap::Write,
        ),
        ("a higher epoch, even forced", force, heard(1, vec![ahead], vec![]), Swap::Failed),
    ];
    for (name, authority, heard, expected) in cases {
        let verdict = decide_takeover(authority, &current, &proposed, &heard, false);
        assert_eq!(kind(&verdict), expected, "{name}: {verdict:?}");
    }
}

#[test]
fn a_refusal_tells_what_would_be_lost() {
    let current = ClusterState { not_synchronized_since: Some(Lsn(0x10)), ..record(6, 3, 2, &[1]) };
    let proposed = taken_over(&current, 2);
    let authority = Authority::Person { force: false, end: Lsn(0x20) };
    let verdict = decide_takeover(authority, &current, &proposed, &Heard::default(), false);
    let Verdict::Answer(SwapOutcome::Failed { reason, .. }) = verdict else {
        panic!("{verdict:?}");
    };
    assert!(reason.contains("out of sync since 0/10"), "{reason}");
    assert!(reason.contains("ends at 0/20"), "{reason}");
    assert!(reason.contains("--force"), "{reason}");
}

#[test]
fn a_promise_above_the_proposed_epoch_is_met_and_named() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 2);
    let above = proposed.epoch.next_for(node(1));
    let promised = SegmentAnswer { promised: above, ..segment(current.epoch) };
    for force in [false, true] {
        let authority = Authority::Person { force, end: Lsn(70) };
        let heard = heard(1, vec![promised.clone()], vec![]);
        let verdict = decide_takeover(authority, &current, &proposed, &heard, false);
        let Verdict::Answer(SwapOutcome::Failed { met, .. }) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(met, above);
    }
}

#[test]
fn with_local_shrinks_a_takeover_claims_no_agreement() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 2);
    let authority = Authority::Person { force: false, end: Lsn(70) };
    let heard = heard(1, vec![segment(current.epoch)], vec![]);
    for (local, expected) in [(true, "the standby's own knowledge"), (false, "1 of 1 segments")] {
        let verdict = decide_takeover(authority, &current, &proposed, &heard, local);
        let Verdict::Write { says: Some(says) } = verdict else { panic!("{verdict:?}") };
        assert!(says.contains(expected), "{says}");
        assert_eq!(says.contains("agree"), !local, "{says}");
    }
}

#[test]
fn going_on_alone_needs_most_segments() {
    let proposed = record(6, 3, 2, &[1]);
    let e = proposed.epoch;
    let ahead = segment(e.next_for(node(2)));
    let cases = [
        ("no segments", heard(0, vec![], vec![]), false, Swap::Write),
        ("none answers", heard(3, vec![], vec![]), false, Swap::Unknown),
        ("one of three", heard(3, vec![segment(e)], vec![]), false, Swap::Unknown),
        ("two of three", heard(3, vec![segment(e); 2], vec![]), false, Swap::Write),
        ("local needs nobody", heard(3, vec![], vec![]), true, Swap::Write),
        ("a higher epoch, even local", heard(3, vec![ahead], vec![]), true, Swap::Failed),
    ];
    for (name, heard, local, expected) in cases {
        let verdict = decide_shrink(&proposed, &heard, local);
        assert_eq!(kind(&verdict), expected, "{name}: {verdict:?}");
    }
}

#[test]
fn a_restart_is_refused_until_confirmed_or_forced() {
    let current = record(5, 3, 2, &[1, 2]);
    let mut proposed = taken_over(&current, 1);
    proposed.in_sync = current.in_sync.clone();
    let rules = Authority::Rules;
    let force = Authority::Person { force: true, end: Lsn(1) };
    let confirmed = heard(0, vec![], vec![master(2, current.epoch)]);
    let overtaken = MasterAnswer {
        record: Some(taken_over(&proposed, 2)),
        ..master(2, proposed.epoch.next_for(node(2)))
    };
    let overtaken = heard(0, vec![], vec![overtaken]);
    let above = proposed.epoch.next_for(node(2));
    let promised = SegmentAnswer { promised: above, ..segment(current.epoch) };
    let promised = heard(1, vec![promised], vec![]);
    let cases = [
        (rules, Heard::default(), Swap::Failed),
        (rules, confirmed, Swap::Write),
        (force, Heard::default(), Swap::Write),
        (force, overtaken, Swap::Failed),
        (force, promised, Swap::Failed),
    ];
    for (authority, heard, expected) in cases {
        let verdict = decide_restart(authority, &current, &proposed, &heard);
        assert_eq!(kind(&verdict), expected, "{authority:?} {heard:?}: {verdict:?}");
    }
}

#[test]
fn a_takeover_begins_when_most_segments_follow_it() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 2);
    let yes = segment(proposed.epoch);
    let above = Epoch::new(9, node(1));
    let promised = SegmentAnswer { accepted: false, promised: above, ..segment(current.epoch) };
    let followed = SegmentAnswer { accepted: false, ..segment(above) };
    let cases = [
        ("nobody is registered", heard(0, vec![], vec![]), [true, true]),
        ("two of three", heard(3, vec![yes.clone(); 2], vec![]), [true, true]),
        ("one of three", heard(3, vec![yes.clone()], vec![]), [false, true]),
        ("a promise", heard(3, vec![yes.clone(), yes.clone(), promised], vec![]), [false, false]),
        ("a reign", heard(3, vec![yes.clone(), yes, followed], vec![]), [false, false]),
    ];
    for (name, heard, expected) in cases {
        let begins = [false, true].map(|force| {
            let authority = Authority::Person { force, end: Lsn(1) };
            matches!(decide_begin(authority, &proposed, &heard, None), Verdict::Write { .. })
        });
        assert_eq!(begins, expected, "{name}: without and with force");
    }
}

#[test]
fn an_epoch_that_is_followed_without_its_record_is_a_doubt_for_others() {
    let current = record(5, 3, 3, &[1, 2, 3]);
    let begun = segment(current.epoch.next_for(node(2)));
    let heard = heard(1, vec![begun], vec![]);
    let authority = Authority::Person { force: false, end: Lsn(1) };
    let takes_over = |by| {
        let mut proposed = taken_over(&current, by);
        proposed.epoch = Epoch::new(9, node(by));
        matches!(
            decide_takeover(authority, &current, &proposed, &heard, false),
            Verdict::Write { .. }
        )
    };
    assert_eq!([2, 3].map(takes_over), [true, false]);
}

#[test]
fn a_member_that_has_left_does_not_come_back_with_a_takeover() {
    let current = record(5, 3, 3, &[1, 2, 3]);
    let newest = record(6, 3, 3, &[1, 2]);
    let told = SegmentAnswer { record: Some(newest.clone()), ..segment(newest.epoch) };
    let heard = heard(1, vec![told], vec![]);
    let mut proposed = taken_over(&current, 2);
    for (set, force, goes_on) in
        [(vec![2], false, true), (vec![2, 3], false, false), (vec![2, 3], true, false)]
    {
        proposed.in_sync = set.into_iter().map(member).collect();
        let authority = Authority::Person { force, end: Lsn(1) };
        match decide_takeover(authority, &current, &proposed, &heard, false) {
            Verdict::Write { .. } => assert!(goes_on),
            Verdict::Answer(SwapOutcome::Failed { current: found, .. }) => {
                assert_eq!((found.as_deref(), goes_on), (Some(&newest), false));
            }
            Verdict::Answer(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reign_that_has_just_begun_is_not_taken_over() {
    let current = record(5, 3, 3, &[1, 2, 3]);
    let (begun, proposed) = (taken_over(&current, 2), taken_over(&taken_over(&current, 2), 3));
    let answer = MasterAnswer {
        node: node(2),
        followed: begun.epoch,
        taking_over: false,
        record: Some(begun.clone()),
    };
    for force in [false, true] {
        let authority = Authority::Person { force, end: Lsn(1) };
        let heard = heard(0, vec![], vec![answer.clone()]);
        let verdict = decide_takeover(authority, &current, &proposed, &heard, false);
        let Verdict::Answer(SwapOutcome::Failed { current: found, reason, .. }) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(found.as_deref(), Some(&begun));
        assert!(reason.contains("node 2 has taken over"), "{reason}");
    }
}

/// It may have handed its reign back, or have dropped a standby that was activated meanwhile.
#[test]
fn a_recorded_primary_takes_over_only_where_that_is_confirmed() {
    let current = record(5, 3, 2, &[1, 2]);
    let proposed = taken_over(&current, 1);
    let yes = segment(current.epoch);
    let takes_over = MasterAnswer { taking_over: true, ..master(2, current.epoch) };
    let began = segment(current.epoch.next_for(node(1)));
    let cases = [
        ("nobody answers", heard(0, vec![], vec![]), [false, true]),
        ("the standby", heard(0, vec![], vec![master(2, current.epoch)]), [true, true]),
        ("one that takes over", heard(0, vec![], vec![takes_over]), [false, true]),
        ("one of three", heard(3, vec![yes.clone()], vec![]), [false, true]),
        ("its own attempt", heard(1, vec![began], vec![]), [true, true]),
        ("two of three", heard(3, vec![yes; 2], vec![]), [true, true]),
    ];
    for (name, heard, expected) in cases {
        let found = [false, true].map(|force| {
            let authority = Authority::Person { force, end: Lsn(1) };
            let verdict = decide_takeover(authority, &current, &proposed, &heard, true);
            matches!(verdict, Verdict::Write { .. })
        });
        assert_eq!(found, expected, "{name}: without and with force");
    }
}

/// A version that few segments have stored was proposed, and never became the record.
#[test]
fn a_primary_goes_by_its_own_record_of_its_reign() {
    let current = record(5, 3, 3, &[1, 2, 3]);
    let few = record(6, 3, 3, &[1, 2]);
    let told = SegmentAnswer { record: Some(few), ..segment(current.epoch) };
    let proposed = ClusterState { in_sync: [1, 3].map(member).into(), ..taken_over(&current, 1) };
    let authority = Authority::Person { force: false, end: Lsn(1) };
    let heard = heard(1, vec![told], vec![master(3, current.epoch)]);
    let verdict = decide_takeover(authority, &current, &proposed, &heard, false);
    assert!(matches!(verdict, Verdict::Write { .. }), "{verdict:?}");
}
