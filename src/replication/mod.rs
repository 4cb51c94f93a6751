//! Decides what is committed: who must flush, how far each has, and when one is too slow.
//!
//! It never decides who is primary (that is `ha`) and never reads or writes the log itself.

mod commit_point;
mod progress;
mod sync_set;

pub use commit_point::{commit_point, lease_until};
pub use progress::{Progress, Stage};
pub use sync_set::SyncSet;

#[cfg(test)]
mod replication_tests;
