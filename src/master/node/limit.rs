//! How many takeovers may follow each other before a person has to look
//! (`ha_max_failovers_per_hour`), and what a takeover by itself leaves in the record.
//!
//! The record counts, so that all nodes agree, and no wall clock is asked: an open primary strikes
//! one off for each part of an hour that it has reigned, by its own clock. A person's takeover
//! begins at zero.

use std::time::Duration;

use crate::ha::Cause;
use crate::types::{ClusterState, Instant, Unfenced};

use super::Node;
use super::changes::NextChange;
use super::reign::Reign;

const HOUR: Duration = Duration::from_secs(3600);

impl Node {
    /// What the record is to say of this takeover.
    pub(crate) fn note_takeover(
        &self,
        cause: Cause,
        record: &ClusterState,
        proposed: &mut ClusterState,
    ) {
        proposed.lease = self.settings.lease;
        match cause {
            Cause::Silence | Cause::Ended { .. } => {
                proposed.failovers = record.failovers.saturating_add(1);
                if self.settings.fences && record.unfenced.is_none() {
                    proposed.unfenced =
                        Some(Unfenced { node: record.primary, epoch: record.epoch });
                }
            }
            // It has closed by itself.
            Cause::LetGo => proposed.failovers = record.failovers.saturating_add(1),
            // Who types it answers for the old primary.
            Cause::Person { .. } | Cause::Abandon { .. } => {
                proposed.failovers = 0;
                proposed.unfenced = None;
            }
            Cause::Restart
            | Cause::Enable { .. }
            | Cause::StayManual { .. }
            | Cause::Again { .. }
            | Cause::ForcedRestart { .. }
            | Cause::Release { .. } => {}
        }
        if proposed.unfenced.is_some_and(|old| old.node == self.me.node) {
            // Whoever opens has closed first, or died: nobody fences itself.
            proposed.unfenced = None;
        }
    }

    /// An open primary reigns long enough between two of them that at most so many fall in an hour.
    pub(crate) fn forgive_interval(&self) -> Duration {
        HOUR / self.settings.failovers_max.max(1)
    }
}

impl Reign {
    /// One failover less to remember.
    pub(crate) fn forgive(&self, now: Instant) -> Option<NextChange> {
        if self.record.failovers == 0 || !self.opened || now < self.forgives_at {
            return None;
        }
        let failovers = self.record.failovers - 1;
        let proposed = ClusterState { failovers, ..self.record.clone() };
        Some((proposed, format!("{failovers} failovers are remembered"), None))
    }
}
