//! The nouns of the system: positions, epochs, identities, the cluster state, segment status.
//!
//! Everything here is a plain value: no IO, no clock, no lock. Every other module may use it and
//! it uses none of them (floor 0).

mod epoch;
mod history;
mod instant;
mod lsn;
mod member;
mod message;
mod node_role;
mod record;
mod segment;

pub use epoch::{Epoch, Fence};
pub use history::TimelineHistory;
pub use instant::Instant;
pub use lsn::{Lsn, LsnParseError};
pub use member::{ClusterId, IdentityParseError, Incarnation, Member, NodeId};
pub use message::{Envelope, Message, RefuseCause};
pub use node_role::NodeRole;
pub use record::{ClusterState, Enabling, MemberEntry, Mode, Nonce, Unfenced, Voter};
pub use segment::{
    Heartbeat, ProbeOutcome, Reason, Reasons, RegistrationOrder, SegmentStatus, UP_HISTORY_TEXT,
};

#[cfg(test)]
mod types_tests;
