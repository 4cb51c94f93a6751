//! The catalog: rows, transactions, deterministic apply, snapshots.
//!
//! It never decides what is committed and never talks to another node: `master` hands it committed
//! transactions in LSN order and it is the same on every node at the same LSN.

mod commit;
mod transaction;

pub use commit::{Commit, CommitError, Committed};
pub use transaction::Transaction;
