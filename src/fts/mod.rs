//! Decides which segments are up and who may be handed out (HAWQ's fault tolerance service).
//!
//! The machine is pure. It runs on every master node: the primary's registers, marks and probes,
//! a standby's only listens, so that a takeover starts warm. It never writes the catalog: it asks
//! for rows to be stored and repeats that until it is told that they are.

mod allocate;
mod detector;
mod event;
mod machine;
mod prober;
mod probes;
mod registered;
mod segment;
mod settings;
mod store;

pub use allocate::{
    AvailableSegment, RequestKind, SegmentAddress, SegmentView, TooManyUnavailable, admit,
};
pub use event::{Effect, Event, SegmentRow, Severity, StoreError, Suspect, Write};
pub use machine::Machine;
pub use prober::{ProbeResult, Prober};
pub use settings::{Settings, SettingsError};

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod scenarios;
