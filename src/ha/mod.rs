//! Decides who is primary, in which epoch, and until when.
//!
//! It never commits anything (that is `replication`) and never reads a wall clock. The drivers
//! that hold the cluster state stand behind `Coordinator`.

#[cfg(test)]
pub(crate) mod conformance;
mod coordinator;
mod embedded;
mod lease;
mod manual;
mod manual_change;
pub mod manual_policy;
mod refusal;
pub mod register;
mod takeover;
mod voter;
mod voter_client;
mod voter_file;
mod voter_service;
mod zookeeper;

pub use coordinator::{Authority, Coordinator, ReadOutcome, SwapOutcome};
pub use embedded::{Description, EmbeddedCoordinator, Voters};
pub use lease::{Promise, fence};
pub use manual::{ManualCoordinator, ManualShrink, RecordStore, Witnesses};
pub use refusal::Refusal;
pub use takeover::{Attempt, Candidate, Cause, Inquiry, Phase, nonce};
pub use voter::{VoterError, Voting};
pub use voter_client::RpcVoters;
pub use voter_file::{VoterFile, VoterFileError};
pub use voter_service::{Seat, VoterService, take_seat, voter_server};
pub use zookeeper::{
    FormatError, Presence, Present, ZooKeeperCoordinator, ZooKeeperError, ZooKeeperTree,
};

#[cfg(test)]
mod takeover_tests;
