//! Which transactions may be logged: first committer wins.
//!
//! Decides conflicts on the primary, before anything is logged: a key that a transaction writes
//! must not have been written or guarded, and a key that it guards must not have been written, by
//! anyone since its snapshot, whether already applied or still in flight. Guards do not conflict
//! with guards. It never reads the store: what it must know of the past is a window of recent
//! changes; a transaction older than the window is refused, which is always safe.
//!
//! It also knows the fate of the ids of this reign that are not applied (yet).

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Lsn;

use super::key::RowKey;
use super::transaction::Transaction;

/// How many changed or guarded keys the window remembers.
pub(crate) const WINDOW_KEYS_MAX: usize = 65_536;

/// Ids of the first transaction of a cluster, which no session begins.
pub(crate) const BOOTSTRAP_XID: u64 = 1;

/// An id is `reign << SEQUENCE_BITS | sequence`.
pub(crate) const SEQUENCE_BITS: u32 = 40;

/// Why a transaction may not be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NobodyReigns,
    /// Its id is of an earlier one.
    NotOfThisReign,
    /// Another one was first, at a row of this relation; `None`: it is too old to be sure.
    Conflict {
        relation: Option<u32>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Flight {
    writes: Vec<RowKey>,
    guards: Vec<RowKey>,
    /// Known once the record has its place in the log.
    end: Option<Lsn>,
}

/// * `window` names every key written or guarded by a transaction applied after `horizon`.
/// * Every transaction in `in_flight` has its keys in `flying`, and no other has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Admission {
    reign: Option<u64>,
    sequence: u64,
    horizon: Lsn,
    window: BTreeMap<RowKey, Touched>,
    by_lsn: BTreeMap<Lsn, Vec<RowKey>>,
    remembered: usize,
    in_flight: BTreeMap<u64, Flight>,
    flying: BTreeMap<RowKey, Vec<(u64, Touch)>>,
    /// Ids that were given out and are neither in flight nor decided.
    open: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    Write,
    Guard,
}

/// The last LSNs at which a key was written and guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Touched {
    written: Lsn,
    guarded: Lsn,
}

impl Admission {
    /// A reign begins with everything up to `applied` in the catalog. What the log holds beyond
    /// that is noted when it is applied, before the node opens.
    pub(crate) fn begin_reign(&mut self, counter: u64, applied: Lsn) {
        *self = Admission { reign: Some(counter), horizon: applied, ..Admission::default() };
    }

    /// Nobody reigns here any more.
    pub(crate) fn end_reign(&mut self) {
        *self = Admission::default();
    }

    pub(crate) fn reign(&self) -> Option<u64> {
        self.reign
    }

    /// A new id; zero where nobody reigns, which `admit` refuses.
    pub(crate) fn assign_xid(&mut self) -> u64 {
        let Some(reign) = self.reign else {
            return 0;
        };
        self.sequence += 1;
        assert!(self.sequence >> SEQUENCE_BITS == 0, "a reign never has 2^40 transactions");
        let xid = reign << SEQUENCE_BITS | self.sequence;
        self.open.insert(xid);
        xid
    }

    /// A transaction ended without being logged.
    pub(crate) fn forget(&mut self, xid: u64) {
        self.open.remove(&xid);
        self.remove_flight(xid);
    }

    pub(crate) fn is_undecided(&self, xid: u64) -> bool {
        self.open.contains(&xid) || self.in_flight.contains_key(&xid)
    }

    /// Checks for conflicts and, if there is none, counts the transaction as in flight.
    pub(crate) fn admit(&mut self, transaction: &Transaction) -> Result<(), Refusal> {
        let checked = self.check(transaction);
        if checked.is_err() {
            self.open.remove(&transaction.xid);
            return checked;
        }
        self.open.remove(&transaction.xid);
        let writes: Vec<RowKey> = transaction.changes.iter().map(|c| c.key.clone()).collect();
        let guards = transaction.guards.clone();
        for key in &writes {
            let touch = (transaction.xid, Touch::Write);
            self.flying.entry(key.clone()).or_default().push(touch);
        }
        for key in &guards {
            let touch = (transaction.xid, Touch::Guard);
            self.flying.entry(key.clone()).or_default().push(touch);
        }
        self.in_flight.insert(transaction.xid, Flight { writes, guards, end: None });
        Ok(())
    }

    fn check(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let Some(reign) = self.reign else { return Err(Refusal::NobodyReigns) };
        let of_this_reign = reign == transaction.xid >> SEQUENCE_BITS;
        let bootstrap = transaction.xid == BOOTSTRAP_XID;
        if !of_this_reign && !bootstrap || self.in_flight.contains_key(&transaction.xid) {
            return Err(Refusal::NotOfThisReign);
        }
        // The first transaction of a cluster sees nothing and is checked against everything known.
        if transaction.snapshot < self.horizon && !bootstrap {
            return Err(Refusal::Conflict { relation: None });
        }
        for change in &transaction.changes {
            self.check_key(&change.key, transaction.snapshot, Touch::Write)?;
        }
        for guard in &transaction.guards {
            self.check_key(guard, transaction.snapshot, Touch::Guard)?;
        }
        Ok(())
    }

    fn check_key(&self, key: &RowKey, snapshot: Lsn, mine: Touch) -> Result<(), Refusal> {
        let conflict = Err(Refusal::Conflict { relation: Some(key.relation) });
        if let Some(touched) = self.window.get(key) {
            let guarded = mine == Touch::Write && touched.guarded > snapshot;
            if touched.written > snapshot || guarded {
                return conflict;
            }
        }
        for (xid, theirs) in self.flying.get(key).into_iter().flatten() {
            let both_guard = mine == Touch::Guard && *theirs == Touch::Guard;
            // It may be in the snapshot already: applied, and not yet noted here.
            let end = self.in_flight.get(xid).and_then(|flight| flight.end);
            let seen = end.is_some_and(|end| end <= snapshot);
            if !both_guard && !seen {
                return conflict;
            }
        }
        Ok(())
    }

    pub(crate) fn admitted_at(&mut self, xid: u64, end: Lsn) {
        if let Some(flight) = self.in_flight.get_mut(&xid) {
            flight.end = Some(end);
        }
    }

    /// A transaction was applied, whoever logged it.
    pub(crate) fn applied(&mut self, transaction: &Transaction, end: Lsn) {
        self.open.remove(&transaction.xid);
        self.remove_flight(transaction.xid);
        if self.reign < Some(transaction.xid >> SEQUENCE_BITS) {
            // Somebody else has reigned since.
            self.end_reign();
        }
        if self.reign.is_none() {
            return;
        }
        let writes = transaction.changes.iter().map(|change| (&change.key, Touch::Write));
        let guards = transaction.guards.iter().map(|guard| (guard, Touch::Guard));
        for (key, touch) in writes.chain(guards) {
            let touched = self.window.entry(key.clone()).or_default();
            match touch {
                Touch::Write => touched.written = touched.written.max(end),
                Touch::Guard => touched.guarded = touched.guarded.max(end),
            }
            self.by_lsn.entry(end).or_default().push(key.clone());
            self.remembered += 1;
        }
        self.shorten();
    }

    /// Forgets the oldest transactions of the window until it is within its bound.
    fn shorten(&mut self) {
        while self.remembered > WINDOW_KEYS_MAX {
            let Some((lsn, keys)) = self.by_lsn.pop_first() else {
                return;
            };
            self.remembered = self.remembered.saturating_sub(keys.len());
            self.horizon = self.horizon.max(lsn);
            for key in keys {
                let last = self.window.get(&key).map(|t| t.written.max(t.guarded));
                if last.is_some_and(|last| last <= lsn) {
                    self.window.remove(&key);
                }
            }
        }
    }

    fn remove_flight(&mut self, xid: u64) {
        let Some(flight) = self.in_flight.remove(&xid) else {
            return;
        };
        for key in flight.writes.iter().chain(&flight.guards) {
            if let Some(touches) = self.flying.get_mut(key) {
                touches.retain(|(other, _)| *other != xid);
                if touches.is_empty() {
                    self.flying.remove(key);
                }
            }
        }
    }
}
