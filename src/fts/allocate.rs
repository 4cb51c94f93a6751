//! Who may be handed out, and when there are too few to hand out any.

use std::fmt;
use std::num::NonZeroU32;

use crate::types::Instant;

use super::event::SegmentRow;
use super::machine::Machine;
use super::registered::{Heard, Registered};

/// A segment that may be given work: up, stored as up, and not being probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableSegment {
    pub order: NonZeroU32,
    pub hostname: String,
    pub address: String,
    pub port: u16,
    /// As its last heartbeat said; zero when none was heard yet by this node.
    pub memory_mb: u32,
    pub cores: u32,
}

/// Where a segment's agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentAddress {
    pub segment: u64,
    pub hostname: String,
    pub address: String,
    /// The segment's PostgreSQL, as registered.
    pub port: u16,
    pub rpc_port: u16,
}

/// What an operator is shown of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentView {
    pub row: SegmentRow,
    /// When it was last heard; `None` when this node never heard it.
    pub heard: Option<Instant>,
    pub probing: bool,
}

impl Machine {
    /// Who may be handed out now, in order of registration; nobody outside a reign.
    #[must_use]
    pub fn available(&self) -> Vec<AvailableSegment> {
        let usable = |order: NonZeroU32, known: &Registered| {
            known.reasons.is_empty()
                && known.storage.is_stored_up()
                && !self.probes.is_pending(order)
        };
        self.registered
            .iter()
            .filter(|(order, known)| usable(**order, known))
            .map(|(order, known)| {
                let heard = known.segment.and_then(|segment| self.heard.get(&segment));
                let size = heard.map(|h| (h.heartbeat.memory_mb, h.heartbeat.cores));
                let (memory_mb, cores) = size.unwrap_or((0, 0));
                let Registered { hostname, address, port, .. } = known.clone();
                AvailableSegment { order: *order, hostname, address, port, memory_mb, cores }
            })
            .collect()
    }

    /// Where the agents answer, of every segment that this node has heard within the timeout;
    /// also on a standby, which asks them for promises when it takes over.
    #[must_use]
    pub fn agents(&self, now: Instant) -> Vec<SegmentAddress> {
        let recent = |heard: &&Heard| now.since(heard.at) <= self.settings.heartbeat_timeout;
        self.heard.values().filter(recent).map(Heard::agent).collect()
    }

    /// All registered segments as this reign knows them; empty outside a reign.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentView> {
        self.registered
            .iter()
            .map(|(order, known)| SegmentView {
                row: known.row(*order),
                heard: known.segment.and_then(|segment| self.heard.get(&segment)).map(|h| h.at),
                probing: self.probes.is_pending(*order),
            })
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Allocation,
    Quota,
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestKind::Allocation => "allocation",
            RequestKind::Quota => "resource quota",
        })
    }
}

/// HAWQ's refusal, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "failed to acquire resource from resource manager, {unavailable} of {expected} segments \
     {verb} unavailable, exceeds {percent:.1}% defined in GUC hawq_rm_rejectrequest_nseg_limit. \
     The {kind} request is rejected.",
    verb = if *unavailable == 1 { "is" } else { "are" },
    percent = limit * 100.0
)]
pub struct TooManyUnavailable {
    pub unavailable: u32,
    pub expected: u32,
    /// `hawq_rm_rejectrequest_nseg_limit`, 0.0 to 1.0.
    pub limit: f64,
    pub kind: RequestKind,
}

/// HAWQ's gate. `expected` counts the segments that there should be (lines of `etc/slaves`), so
/// one that never registered is unavailable too. The number allowed is rounded down, as since
/// HAWQ-1828: rounded up, the loss of one of three would pass.
pub fn admit(
    expected: u32,
    available: u32,
    limit: f64,
    kind: RequestKind,
) -> Result<(), TooManyUnavailable> {
    let unavailable = expected.saturating_sub(available);
    let allowed = (f64::from(expected) * limit.clamp(0.0, 1.0)).floor();
    if f64::from(unavailable) > allowed {
        return Err(TooManyUnavailable { unavailable, expected, limit, kind });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: u32, available: u32, limit: f64) -> bool {
        admit(expected, available, limit, RequestKind::Allocation).is_ok()
    }

    #[test]
    fn the_number_allowed_is_rounded_down_and_the_border_is_inside() {
        assert!(check(4, 3, 0.25));
        assert!(!check(4, 2, 0.25));
        assert!(!check(3, 2, 0.25), "one of three is more than a quarter");
        assert!(check(7, 6, 0.25));
        assert!(!check(7, 5, 0.25));
        assert!(check(8, 6, 0.25));
        assert!(check(10, 0, 1.0));
        assert!(!check(10, 9, 0.0));
    }

    #[test]
    fn more_segments_than_expected_never_reject() {
        assert!(check(2, 5, 0.0));
        assert!(check(0, 0, 0.25));
    }

    #[test]
    fn the_refusal_is_hawqs_sentence() {
        let one = admit(3, 2, 0.25, RequestKind::Allocation).unwrap_err();
        assert_eq!(
            one.to_string(),
            "failed to acquire resource from resource manager, 1 of 3 segments is unavailable, \
             exceeds 25.0% defined in GUC hawq_rm_rejectrequest_nseg_limit. The allocation \
             request is rejected."
        );
        let two = admit(4, 2, 0.25, RequestKind::Quota).unwrap_err();
        assert_eq!(
            two.to_string(),
            "failed to acquire resource from resource manager, 2 of 4 segments are unavailable, \
             exceeds 25.0% defined in GUC hawq_rm_rejectrequest_nseg_limit. The resource quota \
             request is rejected."
        );
    }
}
