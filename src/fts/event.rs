//! What can happen to the machine and what it may ask for; each prints as one line.

use std::fmt;
use std::num::NonZeroU32;

use crate::types::{Heartbeat, ProbeOutcome, Reasons, SegmentStatus};

/// What a row of `gp_segment_configuration` says of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    pub order: NonZeroU32,
    pub hostname: String,
    pub address: String,
    pub port: u16,
    pub status: SegmentStatus,
}

impl SegmentRow {
    /// The status that the columns `status` and `description` stand for; `None` for a pair that
    /// this program never writes.
    #[must_use]
    pub fn status_from_columns(status: char, description: &str) -> Option<SegmentStatus> {
        let reasons = Reasons::parse(description)?;
        let known = SegmentStatus::of(reasons);
        (known.column() == status).then_some(known)
    }
}

/// Whom a report of trouble is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspect {
    /// HAWQ's dispatcher knows only the host: every segment on it, by name or address.
    Host(String),
    Order(NonZeroU32),
}

/// How a write of rows failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    NotStored,
    /// It may or may not be stored. It is written again; the history may then tell it twice.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This node is the open primary. Silence counts from here; `Loaded` follows.
    ReignBegan,
    ReignEnded,
    /// What the catalog says, read after `ReignBegan`: all rows of role `p`.
    Loaded {
        rows: Vec<SegmentRow>,
    },
    /// `now` of the step is when it was received. The driver feeds waiting heartbeats before a
    /// deadline, so that a busy master does not take its own lateness for silence.
    HeartbeatReceived {
        heartbeat: Heartbeat,
        peer_address: String,
    },
    ProbeFinished {
        order: NonZeroU32,
        attempt: u64,
        outcome: ProbeOutcome,
    },
    /// A dispatcher or an operator reports a segment.
    Suspected(Suspect),
    Stored {
        order: NonZeroU32,
        generation: u64,
    },
    StoreFailed {
        order: NonZeroU32,
        generation: u64,
        error: StoreError,
    },
    /// `gp_remove_segment` has deleted the row. An agent that still sends heartbeats registers
    /// anew, under a new order.
    Removed {
        order: NonZeroU32,
    },
    Deadline,
}

/// One catalog transaction: the row, and one history row for each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub row: SegmentRow,
    /// Echoed in `Stored` or `StoreFailed`.
    pub generation: u64,
    /// `gp_configuration_history.description`, in order; empty when only the address changed.
    pub history: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the agent on a fresh connection, then report `ProbeFinished`.
    Probe { order: NonZeroU32, address: String, rpc_port: u16, attempt: u64 },
    /// Put the row, replacing one of the same order (a repeated write must not make two).
    Register(Write),
    /// Update the row of this order; where it is gone, write nothing and report it as stored.
    Change(Write),
    /// One line for the operator's log.
    Report { severity: Severity, text: String },
}

impl fmt::Display for SegmentRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}|p|{}|{}|{}|{}|{}",
            self.order,
            self.status.column(),
            self.port,
            self.hostname,
            self.address,
            self.status.description()
        )
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Suspect::Host(host) => write!(f, "host={host}"),
            Suspect::Order(order) => write!(f, "order={order}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::ReignBegan => f.write_str("reign-began"),
            Event::ReignEnded => f.write_str("reign-ended"),
            Event::Loaded { rows } => write!(f, "loaded rows={}", rows.len()),
            Event::HeartbeatReceived { heartbeat, peer_address } => {
                let Heartbeat { segment, hostname, port, started_at, .. } = heartbeat;
                write!(f, "heartbeat segment={segment:016x} host={hostname} port={port} ")?;
                write!(f, "peer={peer_address} started_at={started_at}")
            }
            Event::ProbeFinished { order, attempt, outcome } => {
                write!(f, "probe-finished order={order} attempt={attempt} outcome={outcome:?}")
            }
            Event::Suspected(suspect) => write!(f, "suspected {suspect}"),
            Event::Stored { order, generation } => {
                write!(f, "stored order={order} generation={generation}")
            }
            Event::StoreFailed { order, generation, error } => {
                write!(f, "store-failed order={order} generation={generation} error={error:?}")
            }
            Event::Removed { order } => write!(f, "removed order={order}"),
            Event::Deadline => f.write_str("deadline"),
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} generation={} history={:?}", self.row, self.generation, self.history)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Probe { order, address, rpc_port, attempt } => {
                write!(f, "probe order={order} at={address}:{rpc_port} attempt={attempt}")
            }
            Effect::Register(write) => write!(f, "register {write}"),
            Effect::Change(write) => write!(f, "change {write}"),
            Effect::Report { severity, text } => write!(f, "report {severity:?} {text}"),
        }
    }
}
