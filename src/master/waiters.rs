//! Sessions that wait for their commit, by proposal and then by position in the log.
//!
//! Whatever is applied here was committed before, so reaching a position answers everybody up to
//! it; that costs what is answered, not what waits. It never decides what is committed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::catalog::{CommitError, Committed};
use crate::types::Lsn;

use super::Rejection;

pub(super) type Outcome = Result<Committed, CommitError>;

/// Proposals that may be under way at once; more sessions than that are told to come again.
const PROPOSALS_MAX: usize = 65_536;

#[derive(Debug)]
struct Waiter {
    xid: u64,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Debug, Default)]
struct State {
    tickets: u64,
    /// Handed to the node, not known to be in the log.
    proposed: BTreeMap<u64, Waiter>,
    /// In the log; the key is where the record ends.
    appended: BTreeMap<(Lsn, u64), Waiter>,
    applied: Lsn,
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
}

impl Waiters {
    /// A ticket for a proposal and where its outcome arrives; `None` when too much is under way.
    pub(super) fn enter(&self, xid: u64) -> Option<(u64, oneshot::Receiver<Outcome>)> {
        let mut state = self.lock();
        if state.proposed.len() + state.appended.len() >= PROPOSALS_MAX {
            return None;
        }
        state.tickets += 1;
        let ticket = state.tickets;
        let (answer, outcome) = oneshot::channel();
        state.proposed.insert(ticket, Waiter { xid, answer });
        Some((ticket, outcome))
    }

    /// The proposal stands in the log and ends at `end`. Tells its transaction id.
    pub(super) fn appended(&self, ticket: u64, end: Lsn) -> Option<u64> {
        let mut state = self.lock();
        let waiter = state.proposed.remove(&ticket)?;
        let xid = waiter.xid;
        if state.applied >= end {
            let _ = waiter.answer.send(Ok(Committed { lsn: end }));
        } else {
            state.appended.insert((end, ticket), waiter);
        }
        Some(xid)
    }

    /// The proposal was certainly not appended. Tells its transaction id.
    pub(super) fn rejected(&self, ticket: u64, error: CommitError) -> Option<u64> {
        let waiter = self.lock().proposed.remove(&ticket)?;
        let _ = waiter.answer.send(Err(error));
        Some(waiter.xid)
    }

    pub(super) fn applied(&self, lsn: Lsn) {
        let mut state = self.lock();
        state.applied = state.applied.max(lsn);
        let later = state.appended.split_off(&(lsn, u64::MAX));
        let done = std::mem::replace(&mut state.appended, later);
        drop(state);
        for ((end, _), waiter) in done {
            // The session may have gone; its commit stands all the same.
            let _ = waiter.answer.send(Ok(Committed { lsn: end }));
        }
    }

    /// This node is no longer an open primary: what stands in the log may or may not be committed.
    pub(super) fn close(&self, reason: &str) {
        let appended = std::mem::take(&mut self.lock().appended);
        for waiter in appended.into_values() {
            let unknown = CommitError::Unknown { xid: waiter.xid, reason: reason.to_owned() };
            let _ = waiter.answer.send(Err(unknown));
        }
    }

    /// Whether a transaction with this id is under way.
    pub(super) fn in_progress(&self, xid: u64) -> bool {
        let state = self.lock();
        let mut all = state.proposed.values().chain(state.appended.values());
        all.any(|waiter| waiter.xid == xid)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rejection as a session sees it; `address` finds the address of a node.
pub(super) fn rejection_error(
    reason: &Rejection,
    address: impl Fn(crate::types::NodeId) -> Option<String>,
) -> CommitError {
    match reason {
        Rejection::NotPrimary { primary } => {
            CommitError::NotPrimary { primary: primary.and_then(address) }
        }
        Rejection::NotOpen => {
            CommitError::NotNow { reason: "the primary is not open yet".to_owned() }
        }
        Rejection::Overloaded => {
            CommitError::NotNow { reason: "too much is waiting for the standby".to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_up_to_the_applied_position_is_answered() {
        let waiters = Waiters::default();
        let mut receivers = Vec::new();
        for n in 1..=3_u64 {
            let (ticket, receiver) = waiters.enter(n).unwrap();
            assert_eq!(waiters.appended(ticket, Lsn(n * 10)), Some(n));
            receivers.push(receiver);
        }
        waiters.applied(Lsn(20));
        assert_eq!(receivers[0].try_recv(), Ok(Ok(Committed { lsn: Lsn(10) })));
        assert_eq!(receivers[1].try_recv(), Ok(Ok(Committed { lsn: Lsn(20) })));
        assert!(receivers[2].try_recv().is_err());
        assert!(waiters.in_progress(3) && !waiters.in_progress(2));
        let (late, mut receiver) = waiters.enter(4).unwrap();
        waiters.appended(late, Lsn(20));
        assert!(receiver.try_recv().unwrap().is_ok());
    }

    #[test]
    fn closing_tells_unknown_only_to_what_is_in_the_log() {
        let waiters = Waiters::default();
        let (logged, mut unknown) = waiters.enter(7).unwrap();
        let (ticket, mut refused) = waiters.enter(8).unwrap();
        waiters.appended(logged, Lsn(10));
        waiters.close("a higher epoch");
        let outcome = unknown.try_recv().unwrap();
        assert!(matches!(outcome, Err(CommitError::Unknown { xid: 7, .. })), "{outcome:?}");
        assert!(refused.try_recv().is_err());
        let error = rejection_error(&Rejection::NotPrimary { primary: None }, |_| None);
        assert_eq!(waiters.rejected(ticket, error.clone()), Some(8));
        assert_eq!(refused.try_recv(), Ok(Err(error)));
        assert_eq!(waiters.rejected(ticket, CommitError::Terminated), None);
    }
}
