//! Whoever reads or changes the record: prepare at a majority, decide, accept at a majority.
//!
//! A read first looks: where the voters of a majority hold the same ballot, its record was chosen,
//! and none that was chosen before the read began is newer, since one of them would hold it. So a
//! read costs no write, and stands in the way of nobody; only where they differ it takes a round.
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

/// Looks that may find voters of different opinions, because a change is under way.
const LOOKS_MAX: u32 = 2;

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
    looks: u32,
    round: Round<R>,
    answered: BTreeSet<Incarnation>,
    outbid: Option<Ballot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Round<R> {
    BackingOff {
        again_at: Instant,
    },
    /// What do you hold? And, but for a look: promise this ballot.
    Asking {
        ballot: Ballot,
        looking: bool,
        held: BTreeMap<Incarnation, (Ballot, Option<R>)>,
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
                    looks: 0,
                    round,
                    answered: BTreeSet::new(),
                    outbid: None,
                });
                self.ask(effects);
            }
            Event::Answered { voter, ballot, answer } => {
                self.answered(now, (voter, ballot), answer, effects);
            }
            Event::Unreached { voter, ballot } => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.answered.remove(&voter);
                }
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
            Round::Asking { .. } | Round::Accepting { .. } => Some(attempt.until),
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
            self.ask(effects);
        }
    }

    /// A new round with a ballot of its own.
    fn ask(&mut self, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &mut self.attempt else { return };
        let ballot = self.highest.next_for(self.node);
        self.highest = ballot;
        let looking = attempt.ask == Ask::Read && attempt.looks < LOOKS_MAX;
        for to in attempt.electorate.everybody() {
            let prepare = Effect::Prepare { to, ballot };
            effects.push(if looking { Effect::Look { to, ballot } } else { prepare });
        }
        let (held, lost) = (BTreeMap::new(), BTreeSet::new());
        attempt.round = Round::Asking { ballot, looking, held, lost };
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
        attempt.answered.insert(voter);
        if attempt.ballot() != Some(ballot) {
            return;
        }
        match (&mut attempt.round, answer) {
            (Round::Asking { looking: false, held, .. }, Answer::Promised { accepted, record })
            | (Round::Asking { looking: true, held, .. }, Answer::Holds { accepted, record }) => {
                held.insert(voter, (accepted, record));
                self.weigh_held(now, effects);
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
            (_, Answer::Promised { .. } | Answer::Holds { .. } | Answer::Accepted) => {}
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
            Round::Asking { held, lost, .. } => {
                lost.extend((!held.contains_key(&voter)).then_some(voter));
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

    fn weigh_held(&mut self, now: Instant, effects: &mut Vec<Effect<R>>) {
        let Some(attempt) = &mut self.attempt else { return };
        let Round::Asking { ballot, looking, held, .. } = &attempt.round else { return };
        let (ballot, looking) = (*ballot, *looking);
        if !attempt.electorate.decides(|voter| held.contains_key(&voter)) {
            return;
        }
        let records = held.values().filter_map(|(at, record)| Some((*at, record.as_ref()?)));
        let met = records.max_by_key(|(at, _)| *at).map(|(at, record)| {
            let holds = |voter| held.get(&voter).is_some_and(|(other, _)| *other == at);
            Met { record, chosen: attempt.electorate.decides(holds) }
        });
        let named = met.map(|met| met.record.electorate());
        if let Some(named) = named.filter(|named| *named != attempt.electorate) {
            attempt.electorate = named;
            attempt.hops += 1;
            if attempt.hops <= HOPS_MAX {
                self.ask(effects);
            } else {
                attempt.back_off(now);
            }
            return;
        }
        if looking && !met.is_some_and(|met| met.chosen) {
            attempt.looks += 1;
            if attempt.looks < LOOKS_MAX {
                attempt.back_off(now);
            } else {
                self.ask(effects);
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
            Then::Again => self.ask(effects),
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
            Round::Asking { ballot, .. } | Round::Accepting { ballot, .. } => Some(*ballot),
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
