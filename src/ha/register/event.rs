//! What a proposer is asked and told, and what it wants done.

use std::collections::BTreeSet;
use std::fmt;

use crate::types::{Incarnation, Instant};

use super::{Answer, Ballot, Electorate};

/// What is wanted of the register.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ask<R> {
    Read,
    /// Replace the record of the version before; idempotent by nonce.
    Swap(R),
    /// Put the first record.
    Create(R),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event<R> {
    /// A new attempt, in place of one that is still under way.
    Begin {
        ask: Ask<R>,
        /// The voters of the newest record known; it may be out of date.
        electorate: Electorate,
        until: Instant,
        /// Any number: how long to back off is drawn from it.
        chance: u64,
    },
    Answered {
        voter: Incarnation,
        ballot: Ballot,
        answer: Answer<R>,
    },
    /// The voter did not answer, or another voter lives at its address.
    Unreached {
        voter: Incarnation,
        ballot: Ballot,
    },
    Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect<R> {
    /// `ballot` only tells the answer from others.
    Look {
        to: Incarnation,
        ballot: Ballot,
    },
    Prepare {
        to: Incarnation,
        ballot: Ballot,
    },
    Accept {
        to: Incarnation,
        ballot: Ballot,
        record: R,
    },
    Finished(Outcome<R>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome<R> {
    /// The record that was chosen last when the read began, or a later one.
    Current(R),
    /// The proposed record was chosen, now or before.
    Done,
    /// The proposed record is not the register's and never will be. `current` was chosen.
    Failed { current: R, why: Failure },
    /// A majority holds no record at all.
    Empty,
    /// Nothing is known: what was sent may yet take effect.
    Unresolved(Obstacle),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The record has another version than the one to be replaced.
    Superseded,
    Foreign,
    /// Automatic mode was switched off.
    SwitchedOff,
    /// There is a first record already.
    Exists,
    /// Voters change only from old to old and next, from there to next.
    BadVoters,
}

/// Why an attempt ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Obstacle {
    pub electorate: Electorate,
    /// Voters of which an answer was the last that was heard, whatever it said.
    pub answered: BTreeSet<Incarnation>,
    /// The highest ballot of another proposer that stood in the way.
    pub outbid: Option<Ballot>,
}

impl<R: fmt::Display> fmt::Display for Ask<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Read => f.write_str("read"),
            Ask::Swap(record) => write!(f, "swap to {record}"),
            Ask::Create(record) => write!(f, "create {record}"),
        }
    }
}

impl<R: fmt::Display> fmt::Display for Event<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Begin { ask, electorate, until, .. } => {
                write!(f, "{ask} until {until}, voters {electorate}")
            }
            Event::Answered { voter, ballot, answer } => {
                write!(f, "voter {voter} ballot {ballot}: {answer}")
            }
            Event::Unreached { voter, ballot } => {
                write!(f, "voter {voter} ballot {ballot}: no answer")
            }
            Event::Deadline => f.write_str("deadline"),
        }
    }
}

impl<R: fmt::Display> fmt::Display for Effect<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Look { to, ballot } => write!(f, "look {ballot} at voter {to}"),
            Effect::Prepare { to, ballot } => write!(f, "prepare {ballot} at voter {to}"),
            Effect::Accept { to, ballot, record } => {
                write!(f, "accept {ballot} at voter {to}: {record}")
            }
            Effect::Finished(outcome) => write!(f, "finished: {outcome}"),
        }
    }
}

impl<R: fmt::Display> fmt::Display for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Current(record) => write!(f, "current {record}"),
            Outcome::Done => f.write_str("done"),
            Outcome::Failed { current, why } => write!(f, "failed, {why}: {current}"),
            Outcome::Empty => f.write_str("no record"),
            Outcome::Unresolved(obstacle) => {
                let (answered, outbid) = (obstacle.answered.len(), obstacle.outbid);
                let asked = obstacle.electorate.everybody().len();
                write!(f, "unresolved, {answered} of {asked} voters answered")?;
                outbid.map_or(Ok(()), |ballot| write!(f, ", outbid by {ballot}"))
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Superseded => "the record has changed meanwhile",
            Failure::Foreign => "the record belongs to another cluster",
            Failure::SwitchedOff => "automatic mode was switched off",
            Failure::Exists => "the register already holds a record",
            Failure::BadVoters => {
                "voters change only to the old and the next ones together, and from there to the \
                 next ones"
            }
        })
    }
}
