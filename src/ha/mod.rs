//! Decides who is primary, in which epoch, and until when.

mod coordinator;
mod manual;
pub mod manual_policy;

pub use coordinator::{Authority, Coordinator, ReadOutcome, SwapOutcome};
pub use manual::{ManualCoordinator, ManualShrink, RecordStore, Witnesses};
