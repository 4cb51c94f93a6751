//! Whoever reads or changes the record: prepare at a majority, decide, accept at a majority.
//!
//! One attempt at a time, bounded by its deadline; within it rounds follow each other, each with
//! a ballot never used before, after a back-off where another proposer or silent voters stood in
//! the way. It never decides what the record should be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{Incarnation, Instant, NodeId};

use super::decision::{Decision, Met, Then, decide};
use super::{Answer, Ask, Ballot, Effect, Electorate, Event, Obstacle, Outcome, Record};

/// The shortest back-off; it doubles with each try in vain, up to `2^BACKOFF_DOUBLINGS` times.
const BACKOFF: Duration = Duration::from_millis(2);
const BACKOFF_DOUBLINGS: u32 = 5;

/// Changes of voters that one attempt follows without a back-off.
const HOPS_MAX: u32 = 4;

/// The proposer of one process. It may forget everything: voters do not promise a ballot twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposer<R> {
    node: NodeId,
    /// The highest ballot used or met.
    highest: Ballot,
    attempt: Option<Attempt<R>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Attempt<R> {
    ask: Ask<R>,
    electorate: Electorate,
    until: Instant,
    chance: u64,
    tries: u32,
    hops: u32,
    round: Round<R>,
    /// Of the last round.
    answered: BTreeSet<Incarnation>,
    outbid: Option<Ballot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Round<R> {
    BackingOff {
        again_at: Instant,
    },
    Preparing {
        ballot: Ballot,
        promises: BTreeMap<Incarnation, (Ballot, Option<R>)>,
        lost: BTreeSet<Incarnation>,
    },
    Accepting {
        ballot: Ballot,
        record: R,
        /// The voters of `record`, whose majority is needed beside that of those prepared.
        also: Electorate,
        then: Then<R>,
        accepted: BTreeSet<Incarnation>,
        lost: BTreeSet<Incarnation>,
    },
}

impl<R: Record> Proposer<R> {
    #[must_use]
    pub fn new(node: NodeId) -> Proposer<R> {
        Proposer { node, highest: Ballot::ZERO, attempt: None }
    }

    pub fn step(&mut self, now: Instant, event: Event<R>, effects: &mut Vec<Effect<R>>) {
        match event {
            Event::Begin { ask, electorate, until, chance } => {
                let round = Round::BackingOff { again_at: now };
                self.attempt = Some(Attempt {
                    ask,
                    electorate,
                    until,
                    chance,
                    tries: 0,
                    hops: 0,
                    round,
                    answered: BTreeSet::new(),
                    outbid: None,
                });
                self.prepare(effects);
            }
            Event::Answered { voter, ballot, answer } => {
                self.answered(now, (voter, ballot), answer, effects);
            }
            Event::Unreached { voter, ballot } => {
                self.lost(now, (voter, ballot));
            }
            Event::Deadline => self.deadline_reached(now, effects),
        }
    }

    /// When to send `Event::Deadline`; none while nothing is asked.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref()?;
        match attempt.round {
            Round::BackingOff { again_at } => Some(again_at.min(attempt.until)),
            Round::Preparing { .. } | Round::Accepting { .. } => Some(attempt.until),
        }
    }

    fn deadline_reached(&mut self, now: Instant, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &self.attempt else { return };
        if now >= attempt.until {
            let obstacle = Obstacle {
                electorate: attempt.electorate.clone(),
                answered: attempt.answered.clone(),
                outbid: attempt.outbid,
            };
            self.finish(Outcome::Unresolved(obstacle), effects);
        } else if matches!(attempt.round, Round::BackingOff { again_at } if now >= again_at) {
            self.prepare(effects);
        }
    }

    /// A new round with a ballot of its own.
    fn prepare(&mut self, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &mut self.attempt else { return };
        let ballot = self.highest.next_for(self.node);
        self.highest = ballot;
        attempt.answered.clear();
        attempt.round =
            Round::Preparing { ballot, promises: BTreeMap::new(), lost: BTreeSet::new() };
        for to in attempt.electorate.everybody() {
            effects.push(Effect::Prepare { to, ballot });
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        (voter, ballot): (Incarnation, Ballot),
        answer: Answer<R>,
        effects: &mut Vec<Effect<R>>,
    ) {
        if let Answer::Refused { promised } = &answer {
            self.highest = self.highest.max(*promised);
        }
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.ballot() != Some(ballot) {
            return;
        }
        attempt.answered.insert(voter);
        match (&mut attempt.round, answer) {
            (Round::Preparing { promises, .. }, Answer::Promised { accepted, record }) => {
                promises.insert(voter, (accepted, record));
                self.weigh_promises(now, effects);
            }
            (Round::Accepting { accepted, .. }, Answer::Accepted) => {
                accepted.insert(voter);
                self.weigh_acceptances(effects);
            }
            (_, Answer::Refused { promised }) => {
                attempt.outbid = attempt.outbid.max(Some(promised));
                self.lost(now, (voter, ballot));
            }
            // A promise that comes late, when the record is already being written.
            (_, Answer::Promised { .. } | Answer::Accepted) => {}
        }
    }

    /// One voter less for this round.
    fn lost(&mut self, now: Instant, (voter, ballot): (Incarnation, Ballot)) {
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.ballot() != Some(ballot) {
            return;
        }
        let electorate = &attempt.electorate;
        let hopeless = match &mut attempt.round {
            Round::BackingOff { .. } => false,
            Round::Preparing { promises, lost, .. } => {
                lost.extend((!promises.contains_key(&voter)).then_some(voter));
                !electorate.decides(|voter| !lost.contains(&voter))
            }
            Round::Accepting { also, accepted, lost, .. } => {
                lost.extend((!accepted.contains(&voter)).then_some(voter));
                let left = |voter| !lost.contains(&voter);
                !(electorate.decides(left) && also.decides(left))
            }
        };
        if hopeless {
            attempt.back_off(now);
        }
    }

    fn weigh_promises(&mut self, now: Instant, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &mut self.attempt else { return };
        let Round::Preparing { ballot, promises, .. } = &attempt.round else { return };
        let ballot = *ballot;
        if !attempt.electorate.decides(|voter| promises.contains_key(&voter)) {
            return;
        }
        let held = promises.values().filter_map(|(at, record)| Some((*at, record.as_ref()?)));
        let met = held.max_by_key(|(at, _)| *at).map(|(at, record)| {
            let holds = |voter| promises.get(&voter).is_some_and(|(other, _)| *other == at);
            Met { record, chosen: attempt.electorate.decides(holds) }
        });
        let named = met.map(|met| met.record.electorate());
        if let Some(named) = named.filter(|named| *named != attempt.electorate) {
            attempt.electorate = named;
            attempt.hops += 1;
            if attempt.hops > HOPS_MAX {
                attempt.back_off(now);
            } else {
                self.prepare(effects);
            }
            return;
        }
        match decide(&attempt.ask, met, &attempt.electorate) {
            Decision::Finish(outcome) => self.finish(outcome, effects),
            Decision::Write { record, then } => self.accept(ballot, record, then, effects),
        }
    }

    /// To all voters of both records: one that was not reached before may be now.
    fn accept(&mut self, ballot: Ballot, record: R, then: Then<R>, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &mut self.attempt else { return };
        let also = record.electorate();
        let everybody = attempt.electorate.everybody().into_iter().chain(also.everybody());
        for to in everybody.collect::<BTreeSet<Incarnation>>() {
            effects.push(Effect::Accept { to, ballot, record: record.clone() });
        }
        let (accepted, lost) = (BTreeSet::new(), BTreeSet::new());
        attempt.answered.clear();
        attempt.round = Round::Accepting { ballot, record, also, then, accepted, lost };
    }

    fn weigh_acceptances(&mut self, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &mut self.attempt else { return };
        let Round::Accepting { also, then, accepted, .. } = &attempt.round else { return };
        let has = |voter| accepted.contains(&voter);
        if !(attempt.electorate.decides(has) && also.decides(has)) {
            return;
        }
        match then.clone() {
            Then::Finish(outcome) => self.finish(outcome, effects),
            Then::Again => self.prepare(effects),
        }
    }

    fn finish(&mut self, outcome: Outcome<R>, effects: &mut Vec<Effect<R>>) {
        self.attempt = None;
        effects.push(Effect::Finished(outcome));
    }
}

impl<R> Attempt<R> {
    fn ballot(&self) -> Option<Ballot> {
        match &self.round {
            Round::BackingOff { .. } => None,
            Round::Preparing { ballot, .. } | Round::Accepting { ballot, .. } => Some(*ballot),
        }
    }

    /// Half of the time doubled so often, and up to the same again by chance, so that two
    /// proposers do not meet for ever.
    fn back_off(&mut self, now: Instant) {
        let most = BACKOFF * (1 << self.tries.min(BACKOFF_DOUBLINGS));
        self.tries += 1;
        self.hops = 0;
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let share = (self.chance >> 33) as u32 % 1024;
        let wait = most / 2 + most / 2 * share / 1024;
        self.round = Round::BackingOff { again_at: now.after(wait) };
    }
}
