//! A planned stop of the primary of an automatic cluster: it hands its reign to a standby first, so
//! that nobody has to wait for a lease to lapse. It never decides who takes over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::types::Mode;

use super::node::NodeView;
use super::parts::Parts;
use super::{Answer, Request};

/// What is in flight is finished within so many leases, and somebody has taken over.
const LEASES_MAX: u32 = 8;

/// Bounded by a few leases; what does not come to pass in time is left to the lease.
pub(super) async fn hand_over(parts: &Parts) {
    let view = parts.view();
    if parts.without_failover.load(Ordering::SeqCst) || !could_take_over(&view) {
        return;
    }
    let patience: Duration = parts.settings.lease * LEASES_MAX;
    match parts.answers.ask(Request::Release { to: None }, patience).await {
        Answer::Done { .. } => {}
        Answer::Refused { reason } | Answer::Unknown { reason } => {
            tracing::warn!("the reign is not handed over: {reason}");
            return;
        }
    }
    let mut node = parts.node.clone();
    let taken = node.wait_for(|now| now.epoch > view.epoch);
    match tokio::time::timeout(patience, taken).await {
        Ok(Ok(now)) => tracing::info!("handed over; epoch {} has begun", now.epoch),
        _ => tracing::warn!("no standby has taken over within {patience:?}"),
    }
}

fn could_take_over(view: &NodeView) -> bool {
    let Some(record) = &view.record else { return false };
    let standby = record.in_sync.iter().any(|member| *member != view.me);
    view.is_open_primary() && record.mode != Mode::Manual && standby && !record.paused
}
