//! What a proposer does with the record that a majority showed it.
//!
//! A refusal is final only when the record it rests on has been chosen: one that only a minority
//! holds may yet give way to the very record that was refused.

use super::{Ask, Electorate, Failure, Outcome, Record};

/// The record with the highest ballot among the promises of a majority.
#[derive(Debug)]
pub(super) struct Met<'a, R> {
    pub(super) record: &'a R,
    /// A majority holds it at that very ballot: it has been chosen.
    pub(super) chosen: bool,
}

impl<R> Clone for Met<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Met<'_, R> {}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Decision<R> {
    Finish(Outcome<R>),
    /// Have a majority accept `record`, then go on.
    Write {
        record: R,
        then: Then<R>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Then<R> {
    Finish(Outcome<R>),
    /// What was met is chosen now: another round for what was asked.
    Again,
}

pub(super) fn decide<R: Record>(
    ask: &Ask<R>,
    met: Option<Met<'_, R>>,
    electorate: &Electorate,
) -> Decision<R> {
    match (ask, met) {
        (Ask::Create(first), None) => write(first, Outcome::Done),
        (Ask::Read | Ask::Swap(_), None) => Decision::Finish(Outcome::Empty),
        (Ask::Read, Some(met)) => settle(met, Outcome::Current(met.record.clone())),
        (Ask::Swap(proposed), Some(met)) => swap(proposed, met, electorate),
        (Ask::Create(first), Some(met)) => create(first, met),
    }
}

fn swap<R: Record>(proposed: &R, met: Met<'_, R>, electorate: &Electorate) -> Decision<R> {
    let record = met.record;
    if let Some(decision) = same_or_foreign(proposed, met) {
        return decision;
    }
    if record.version().checked_add(1) != Some(proposed.version()) {
        let failed = failed(record, Failure::Superseded);
        // Of an older record it is not enough to know that it was chosen once: a round of our own
        // ends every earlier one.
        let newer = record.version() >= proposed.version();
        return if newer { settle(met, failed) } else { write(record, failed) };
    }
    if record.ends_register() {
        return write(record, failed(record, Failure::SwitchedOff));
    }
    let later = proposed.electorate();
    if !electorate.may_become(&later) {
        return write(record, failed(record, Failure::BadVoters));
    }
    if later != *electorate && !met.chosen {
        return again(record);
    }
    write(proposed, Outcome::Done)
}

fn create<R: Record>(first: &R, met: Met<'_, R>) -> Decision<R> {
    let record = met.record;
    if let Some(decision) = same_or_foreign(first, met) {
        return decision;
    }
    if !record.ends_register() || record.version() >= first.version() {
        return settle(met, failed(record, Failure::Exists));
    }
    if met.chosen { write(first, Outcome::Done) } else { again(record) }
}

fn same_or_foreign<R: Record>(proposed: &R, met: Met<'_, R>) -> Option<Decision<R>> {
    let record = met.record;
    if record.cluster() != proposed.cluster() {
        return Some(settle(met, failed(record, Failure::Foreign)));
    }
    let same = record.nonce() == proposed.nonce() && record.version() == proposed.version();
    same.then(|| settle(met, Outcome::Done))
}

fn failed<R: Record>(current: &R, why: Failure) -> Outcome<R> {
    Outcome::Failed { current: current.clone(), why }
}

/// Finishes once the record that was met is chosen.
fn settle<R: Record>(met: Met<'_, R>, outcome: Outcome<R>) -> Decision<R> {
    if met.chosen { Decision::Finish(outcome) } else { write(met.record, outcome) }
}

fn write<R: Record>(record: &R, outcome: Outcome<R>) -> Decision<R> {
    Decision::Write { record: record.clone(), then: Then::Finish(outcome) }
}

fn again<R: Record>(record: &R) -> Decision<R> {
    Decision::Write { record: record.clone(), then: Then::Again }
}
