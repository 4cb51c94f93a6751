//! Acceptors, proposers and what decides between them, case by case. `random_tests` runs them under
//! chance.

use std::collections::BTreeSet;
use std::fmt;

use super::decision::{Decision, Met, Then, decide};
use super::{
    Acceptor, Answer, Ask, Ballot, Effect, Electorate, Event, Failure, Outcome, Proposer, Record,
};
use crate::types::{ClusterId, Incarnation, Instant, NodeId, Nonce};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Small {
    pub(super) version: u64,
    pub(super) nonce: u128,
    pub(super) voters: Electorate,
    pub(super) ended: bool,
    pub(super) cluster: u128,
}

impl fmt::Display for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} nonce {} of {}", self.version, self.nonce, self.voters)
    }
}

impl Record for Small {
    fn version(&self) -> u64 {
        self.version
    }

    fn nonce(&self) -> Nonce {
        Nonce(self.nonce)
    }

    fn cluster(&self) -> ClusterId {
        ClusterId(self.cluster)
    }

    fn electorate(&self) -> Electorate {
        self.voters.clone()
    }

    fn ends_register(&self) -> bool {
        self.ended
    }
}

pub(super) fn voters(names: &[u64], next: Option<&[u64]>) -> Electorate {
    let set = |names: &[u64]| names.iter().map(|name| Incarnation(*name)).collect();
    Electorate::new(set(names), next.map(set))
}

pub(super) fn small(version: u64, nonce: u128, voters: &Electorate) -> Small {
    Small { version, nonce, voters: voters.clone(), ended: false, cluster: 7 }
}

pub(super) fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

#[test]
fn ballots_of_two_nodes_never_meet() {
    let first = Ballot::ZERO.next_for(node(1));
    let second = first.next_for(node(2));
    assert_eq!((first.to_string(), second.to_string()), ("1.1".to_owned(), "2.2".to_owned()));
    assert!(
        second.next_for(node(1)) > second
            && Ballot(0x1FF) < Ballot::ZERO.next_for(node(1)).next_for(node(1))
    );
}

#[test]
fn a_majority_of_both_decides_while_voters_change() {
    let three = voters(&[1, 2, 3], None);
    let both = voters(&[1, 2, 3], Some(&[2, 3, 4]));
    let moved = voters(&[1, 2, 3], Some(&[4, 5, 6]));
    let decides = |e: &Electorate, names: &[u64]| e.decides(|voter| names.contains(&voter.0));
    let rows = [
        (&three, &[1, 2][..], true),
        (&three, &[1], false),
        (&three, &[1, 4, 5], false),
        (&both, &[2, 3], true),
        (&both, &[1, 2], false),
        (&both, &[1, 2, 4], true),
        (&moved, &[1, 2, 4], false),
        (&moved, &[1, 2, 4, 5], true),
    ];
    for (electorate, names, expected) in rows {
        assert_eq!(decides(electorate, names), expected, "{names:?} of {electorate}");
    }
    let nobody = voters(&[], None);
    assert!(!nobody.decides(|_| true), "no voters decide nothing");
}

#[test]
fn voters_change_by_way_of_both_and_never_back() {
    let (old, new) = (voters(&[1, 2, 3], None), voters(&[2, 3, 4], None));
    let both = voters(&[1, 2, 3], Some(&[2, 3, 4]));
    let rows = [
        (&old, &old, true),
        (&old, &both, true),
        (&both, &both, true),
        (&both, &new, true),
        (&old, &new, false),
        (&both, &old, false),
        (&new, &both, false),
    ];
    for (before, after, allowed) in rows {
        assert_eq!(before.may_become(after), allowed, "{before} to {after}");
    }
}

#[test]
fn a_voter_promises_each_ballot_once_and_keeps_what_it_accepted() {
    let mut voter = Acceptor::<Small>::default();
    let record = small(1, 1, &voters(&[1], None));
    let refused = |at: u64| Answer::Refused { promised: Ballot(at) };
    assert_eq!(voter.prepare(Ballot(5)), Answer::Promised { accepted: Ballot::ZERO, record: None });
    assert_eq!(voter.prepare(Ballot(5)), refused(5));
    assert_eq!(voter.prepare(Ballot(4)), refused(5));
    assert_eq!(voter.accept(Ballot(4), record.clone()), refused(5));
    for _ in 0..2 {
        assert_eq!(voter.accept(Ballot(5), record.clone()), Answer::Accepted);
    }
    assert_eq!(voter.accept(Ballot(7), record.clone()), Answer::Accepted, "not prepared here");
    assert_eq!(voter.prepare(Ballot(6)), refused(7));
    let held = Answer::Promised { accepted: Ballot(7), record: Some(record) };
    assert_eq!(voter.prepare(Ballot(8)), held);
}

#[test]
fn what_is_done_with_the_record_that_was_met() {
    let three = voters(&[1, 2, 3], None);
    let both = voters(&[1, 2, 3], Some(&[2, 3, 4]));
    let other = voters(&[4, 5, 6], None);
    let current = small(4, 40, &three);
    let ended = Small { ended: true, ..current.clone() };
    let foreign = Small { cluster: 8, ..current.clone() };
    let finish = |outcome| Decision::Finish(outcome);
    let write = |record: &Small, outcome| Decision::Write {
        record: record.clone(),
        then: Then::Finish(outcome),
    };
    let failed = |current: &Small, why| Outcome::Failed { current: current.clone(), why };
    let again = |record: &Small| Decision::Write { record: record.clone(), then: Then::Again };
    let (swap, create) = (Ask::Swap, Ask::Create);
    let next = small(5, 50, &three);
    let changes = small(5, 50, &both);
    let leaps = small(5, 50, &other);
    let late = small(4, 41, &three);
    let early = small(9, 90, &three);
    let rows = [
        (Ask::Read, &current, true, finish(Outcome::Current(current.clone()))),
        (Ask::Read, &current, false, write(&current, Outcome::Current(current.clone()))),
        (swap(next.clone()), &current, false, write(&next, Outcome::Done)),
        (swap(current.clone()), &current, true, finish(Outcome::Done)),
        (swap(current.clone()), &current, false, write(&current, Outcome::Done)),
        (swap(late.clone()), &current, true, finish(failed(&current, Failure::Superseded))),
        (swap(late), &current, false, write(&current, failed(&current, Failure::Superseded))),
        (
            swap(early.clone()),
            &current,
            true,
            write(&current, failed(&current, Failure::Superseded)),
        ),
        (swap(next.clone()), &ended, true, write(&ended, failed(&ended, Failure::SwitchedOff))),
        (swap(next.clone()), &foreign, true, finish(failed(&foreign, Failure::Foreign))),
        (swap(changes.clone()), &current, true, write(&changes, Outcome::Done)),
        (swap(changes), &current, false, again(&current)),
        (swap(leaps), &current, true, write(&current, failed(&current, Failure::BadVoters))),
        (create(early.clone()), &current, true, finish(failed(&current, Failure::Exists))),
        (create(early.clone()), &ended, true, write(&early, Outcome::Done)),
        (create(early), &ended, false, again(&ended)),
        (create(small(3, 30, &three)), &ended, true, finish(failed(&ended, Failure::Exists))),
        (create(next), &foreign, true, finish(failed(&foreign, Failure::Foreign))),
    ];
    for (ask, record, chosen, expected) in rows {
        let found = decide(&ask, Some(Met { record, chosen }), &three);
        assert_eq!(found, expected, "{ask} met {record}, chosen {chosen}");
    }
    let first = small(1, 10, &three);
    let nothing = |ask| decide(&ask, None, &three);
    assert_eq!(nothing(Ask::Read), finish(Outcome::Empty));
    assert_eq!(nothing(swap(first.clone())), finish(Outcome::Empty));
    assert_eq!(nothing(create(first.clone())), write(&first, Outcome::Done));
}

#[test]
fn an_attempt_ends_at_its_deadline_and_says_who_answered() {
    let mut proposer = Proposer::<Small>::new(node(1));
    let electorate = voters(&[1, 2, 3], None);
    let mut effects = Vec::new();
    let begin = Event::Begin {
        ask: Ask::Read,
        electorate: electorate.clone(),
        until: Instant(100_000_000),
        chance: 3,
    };
    proposer.step(Instant(0), begin, &mut effects);
    let (mut rounds, mut now) = (0, Instant(0));
    while proposer.deadline().is_some() {
        for effect in std::mem::take(&mut effects) {
            let Effect::Look { to, ballot } = effect else { panic!("{effect}") };
            let event = if to.0 == 1 {
                let answer = Answer::Holds { accepted: Ballot::ZERO, record: None };
                Event::Answered { voter: to, ballot, answer }
            } else {
                Event::Unreached { voter: to, ballot }
            };
            rounds += u64::from(to.0 == 1);
            proposer.step(now, event, &mut Vec::new());
        }
        now = proposer.deadline().unwrap();
        assert!(now <= Instant(100_000_000));
        proposer.step(now, Event::Deadline, &mut effects);
    }
    assert!(rounds > 2, "it tried {rounds} times");
    let [Effect::Finished(Outcome::Unresolved(obstacle))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(obstacle.answered, BTreeSet::from([Incarnation(1)]));
    assert_eq!((&obstacle.electorate, obstacle.outbid), (&electorate, None));
}

#[test]
fn a_duel_is_won_above_the_ballot_that_stood_in_the_way() {
    let mut proposer = Proposer::<Small>::new(node(1));
    let electorate = voters(&[1, 2, 3], None);
    let ask = Ask::Swap(small(2, 2, &electorate));
    let mut effects = Vec::new();
    let begin = Event::Begin { ask, electorate, until: Instant(1_000_000_000), chance: 3 };
    proposer.step(Instant(0), begin, &mut effects);
    let ballot = Ballot::ZERO.next_for(node(1));
    let promised = Ballot(0x0902);
    for voter in [1, 2] {
        let answer = Answer::Refused { promised };
        let event = Event::Answered { voter: Incarnation(voter), ballot, answer };
        proposer.step(Instant(0), event, &mut effects);
    }
    effects.clear();
    let at = proposer.deadline().unwrap();
    assert!(at > Instant(0), "it backs off");
    proposer.step(at, Event::Deadline, &mut effects);
    let next = promised.next_for(node(1));
    let prepares = |effect: &Effect<Small>| match effect {
        Effect::Prepare { ballot, .. } => *ballot == next,
        _ => false,
    };
    assert!(effects.iter().all(prepares) && effects.len() == 3, "{effects:?}");
}

#[test]
fn a_read_whose_voters_agree_stands_in_nobodys_way() {
    let electorate = voters(&[1, 2, 3], None);
    let (old, new) = (small(4, 40, &electorate), small(5, 50, &electorate));
    let rows = [
        (vec![(7, &new), (7, &new)], Some(&new)),
        (vec![(7, &new), (3, &old)], None),
        (vec![(3, &old)], None),
    ];
    for (held, expected) in rows {
        let mut proposer = Proposer::<Small>::new(node(1));
        let mut effects = Vec::new();
        let (ask, until) = (Ask::Read, Instant(1_000_000_000));
        let begin = Event::Begin { ask, electorate: electorate.clone(), until, chance: 3 };
        proposer.step(Instant(0), begin, &mut effects);
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Look { .. })));
        let ballot = Ballot::ZERO.next_for(node(1));
        for (voter, (accepted, record)) in (1..).zip(&held) {
            let (accepted, record) = (Ballot(*accepted), Some((*record).clone()));
            let answer = Answer::Holds { accepted, record };
            let voter = Incarnation(voter);
            proposer.step(Instant(0), Event::Answered { voter, ballot, answer }, &mut effects);
        }
        let found = effects.iter().find_map(|effect| match effect {
            Effect::Finished(Outcome::Current(record)) => Some(record),
            _ => None,
        });
        assert_eq!(found, expected, "{held:?}");
    }
}
