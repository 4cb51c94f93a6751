//! What the machine keeps: of each identity its last heartbeat, of each row its present truth.

use std::num::NonZeroU32;

use crate::types::{Heartbeat, Instant, Reasons, SegmentStatus};

use super::allocate::SegmentAddress;
use super::event::{Effect, SegmentRow, Severity};
use super::segment;
use super::store::Storage;

/// The last heartbeat of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) heartbeat: Heartbeat,
    pub(super) peer_address: String,
    /// When the agent before this one started, to tell a restart from two agents in turn.
    pub(super) started_before: Option<u64>,
}

impl Heard {
    pub(super) fn agent(&self) -> SegmentAddress {
        let (hostname, address) = place(self);
        let Heartbeat { segment, port, rpc_port, .. } = self.heartbeat;
        SegmentAddress { segment, hostname, address, port, rpc_port }
    }
}

/// A row of `gp_segment_configuration` as it should be, and how far it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) hostname: String,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) reasons: Reasons,
    /// The identity that claimed this row.
    pub(super) segment: Option<u64>,
    pub(super) storage: Storage,
}

impl Registered {
    pub(super) fn set_reasons(&mut self, reasons: Reasons) {
        if reasons != self.reasons {
            self.storage.note_change(Some(segment::history_text(&reasons)));
            self.reasons = reasons;
        }
    }

    /// HAWQ never rewrites these columns: there a segment that moved is another one.
    pub(super) fn set_place(&mut self, heard: &Heard) {
        let (hostname, address) = place(heard);
        let port = heard.heartbeat.port;
        if (&self.hostname, &self.address, self.port) != (&hostname, &address, port) {
            (self.hostname, self.address, self.port) = (hostname, address, port);
            self.storage.note_change(None);
        }
    }

    pub(super) fn row(&self, order: NonZeroU32) -> SegmentRow {
        SegmentRow {
            order,
            hostname: self.hostname.clone(),
            address: self.address.clone(),
            port: self.port,
            status: SegmentStatus::of(self.reasons.clone()),
        }
    }
}

/// Host name and address of the row: the address is the peer's, as in HAWQ, unless it is unknown;
/// names are never looked up (HAWQ-1051).
pub(super) fn place(heard: &Heard) -> (String, String) {
    let Heartbeat { hostname, addresses, .. } = &heard.heartbeat;
    let address = if heard.peer_address.is_empty() {
        addresses.first().cloned().unwrap_or_default()
    } else {
        heard.peer_address.clone()
    };
    let hostname = if hostname.is_empty() { address.clone() } else { hostname.clone() };
    (hostname, address)
}

/// An identity that goes back to an earlier start time is two agents that speak in turn.
pub(super) fn report_two_agents(heartbeat: &Heartbeat, peer_address: &str) -> Effect {
    let text = format!(
        "two agents have the identity {:016x} (one at {} {peer_address}): was a data directory \
         copied? Each needs its own",
        heartbeat.segment, heartbeat.hostname
    );
    Effect::Report { severity: Severity::Warning, text }
}

/// Once after a data directory was made anew; again and again where two agents on one host were
/// given the same port.
pub(super) fn report_replaced(order: NonZeroU32, owner: u64, heard: &Heard) -> Effect {
    let Heartbeat { segment, hostname, port, .. } = &heard.heartbeat;
    let text = format!(
        "segment {order} at {hostname}:{port} is agent {segment:016x} now, it was {owner:016x}"
    );
    Effect::Report { severity: Severity::Warning, text }
}
