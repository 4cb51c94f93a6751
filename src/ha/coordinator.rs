//! Whatever holds the cluster state linearizably: a person, the embedded register, ZooKeeper.
//!
//! A driver never decides who should reign; it only says whether a change of the record took
//! effect. The three answers of a swap are the three that exist: it did, it certainly did not,
//! nobody knows.

use std::future::Future;

use crate::types::{ClusterState, Epoch, Lsn};

/// In whose name the record is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// By the rules alone.
    Rules,
    /// An operator typed `hawq activate standby` (or `start --force`) on this node, whose log ends
    /// at `end`.
    Person { force: bool, end: Lsn },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadOutcome {
    Record(Box<ClusterState>),
    /// Nothing was ever put here, or it was wiped.
    Empty,
    /// No linearizable answer can be had now; the sentence says why and what would help.
    Unavailable {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapOutcome {
    /// The record is now the proposed one (also when it already was, by its nonce).
    Done,
    /// Certainly not applied and never will be; the record as it stands, where it is known.
    /// `met` is the highest epoch that stands in the way, zero where there is none: the next
    /// attempt goes above it.
    Failed { current: Option<Box<ClusterState>>, reason: String, met: Epoch },
    /// It may have been applied or may yet be.
    Unknown { reason: String },
}

pub trait Coordinator: Send + Sync + 'static {
    fn read(&self, authority: Authority) -> impl Future<Output = ReadOutcome> + Send;

    /// Replaces the record if its version is still `proposed.version - 1`. Idempotent by
    /// `proposed.nonce`: issuing the same proposal again resolves an unknown outcome.
    fn compare_and_swap(
        &self,
        authority: Authority,
        proposed: ClusterState,
    ) -> impl Future<Output = SwapOutcome> + Send;

    /// Puts `first` where no record is yet: how a cluster gets this coordinator. A record of the
    /// same cluster whose mode is manual and whose version is lower is what was left when this
    /// coordinator was last switched off; it is replaced too. Any other record stays. Idempotent by
    /// `first.nonce`. A record of another cluster: `Failed`, naming both.
    fn create(&self, first: ClusterState) -> impl Future<Output = SwapOutcome> + Send;
}
