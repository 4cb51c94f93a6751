//! Decides who is primary, in which epoch, and until when.
//!
//! It never commits anything (that is `replication`) and never reads a wall clock. The drivers
//! that hold the cluster state stand behind `Coordinator`.

mod coordinator;
mod lease;
mod manual;
pub mod manual_policy;
pub mod register;
mod takeover;
mod zookeeper;

pub use coordinator::{Authority, Coordinator, ReadOutcome, SwapOutcome};
pub use lease::{Promise, fence};
pub use manual::{ManualCoordinator, ManualShrink, RecordStore, Witnesses};
pub use takeover::{Attempt, Candidate, Cause, Inquiry, Phase, Refusal, nonce};
pub use zookeeper::{
    FormatError, Presence, Present, ZooKeeperCoordinator, ZooKeeperError, ZooKeeperTree,
};

#[cfg(test)]
mod takeover_tests;
