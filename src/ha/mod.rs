//! Decides who is primary, in which epoch, and until when.

mod coordinator;

pub use coordinator::{Authority, Coordinator, ReadOutcome, SwapOutcome};
