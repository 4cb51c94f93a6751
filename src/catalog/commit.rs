//! How a session commits: a trait that `master` implements, so that nothing above sees the log.

use std::future::Future;
use std::pin::Pin;

use crate::types::Lsn;

use super::transaction::Transaction;

/// Proof that a transaction is committed (durable on the whole in-sync set) and applied here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub lsn: Lsn,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error("cannot write: this node is not the primary")]
    NotPrimary { primary: Option<String> },
    #[error("cannot commit now: {reason}")]
    NotNow { reason: String },
    /// The same node has taken over from itself; what it had in hand was logged or is void.
    #[error("could not serialize access: the primary has begun a new reign meanwhile")]
    NewReign,
    #[error("could not serialize access due to concurrent update")]
    Conflict { relation: String },
    /// It stands in the log and may or may not be committed.
    #[error("outcome of transaction {xid} is unknown: {reason}")]
    Unknown { xid: u64, reason: String },
    #[error("terminating connection due to administrator command")]
    Terminated,
}

pub type CommitFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Committed, CommitError>> + Send + 'a>>;

pub trait Commit: Send + Sync + 'static {
    /// Checks for conflicts (also with commits in flight), logs, replicates, applies, then answers.
    fn commit(&self, transaction: Transaction) -> CommitFuture<'_>;

    /// Waits, bounded, until a read here is linearizable; checked when a snapshot is taken.
    fn read_permit(&self) -> Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send + '_>>;
}
