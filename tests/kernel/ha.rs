//! Attempts, promises, what a coordinator may answer, the register, and the driver of manual mode.

#[path = "../../src/ha/coordinator.rs"]
mod coordinator;
#[path = "../../src/ha/lease.rs"]
mod lease;
#[path = "../../src/ha/manual.rs"]
mod manual;
#[path = "../../src/ha/manual_change.rs"]
mod manual_change;
#[path = "../../src/ha/manual_policy.rs"]
pub mod manual_policy;
#[path = "../../src/ha/refusal.rs"]
mod refusal;
#[path = "../../src/ha/register/mod.rs"]
pub mod register;
#[path = "../../src/ha/takeover.rs"]
mod takeover;

pub use coordinator::{Authority, Coordinator, ReadOutcome, SwapOutcome};
pub use lease::{Promise, fence};
pub use manual::{ManualCoordinator, ManualShrink, RecordStore, Witnesses};
pub use refusal::Refusal;
pub use takeover::{Attempt, Candidate, Cause, Inquiry, Phase, nonce};
