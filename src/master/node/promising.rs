//! How long a member promises not to stand (rule 9), where the masters' settings differ.
//!
//! The primary counts on its own `ha_lease`, and its takeover writes that into the record. A member
//! promises what the record says or what it is set to, whichever is longer, after a restart too:
//! so the record with another lease is on its disk before it acks anything under it. Nothing is
//! refused: a setting that was forgotten on one host must not stop the cluster, only be told.

use std::time::Duration;

use crate::types::{ClusterState, Instant};

use super::super::event::{Effect, Level};
use super::follow::{Follow, FollowStage};
use super::{Node, Role};

/// What a node with this setting goes by.
pub(crate) fn longer(own: Duration, record: Option<&ClusterState>) -> Duration {
    record.map_or(own, |record| own.max(record.lease))
}

impl Node {
    /// No primary that this node may follow counts on more.
    pub(crate) fn lease(&self) -> Duration {
        longer(self.settings.lease, self.control.record.as_ref())
    }

    /// After a start, and after a takeover by force: a lease that any primary of before may have.
    pub(crate) fn after_lease(&self, now: Instant) -> Instant {
        now.after(self.lease())
    }

    /// When the primary will have been silent for a lease: never heard, it is silent already.
    pub(crate) fn silent_at(&self) -> Instant {
        self.primary_heard.map_or(Instant(0), |at| at.after(self.lease()))
    }

    /// The record that was just learned has another lease than the one before: it is on disk before
    /// anything is acked.
    pub(crate) fn lease_learned(&mut self) {
        let ticket = self.record_ticket;
        if let Role::Following(follow) = &mut self.role {
            follow.durable_by = follow.durable_by.max(ticket);
        }
    }

    /// Once an alignment: says that the masters are set differently.
    pub(crate) fn compare_leases(&self, effects: &mut Vec<Effect>) {
        let own = self.settings.lease;
        let Role::Following(Follow { stage: FollowStage::Aligning, .. }) = &self.role else {
            return;
        };
        let Some(record) = &self.control.record else { return };
        if record.lease != own && record.lease > Duration::ZERO {
            let text = format!(
                "ha_lease is {own:?} here and {:?} at node {}, which is primary; the longer of the \
                 two holds here. Set it alike in hawq-site.xml of every master, and restart those \
                 that differ",
                record.lease, record.primary
            );
            Self::report(Level::Warn, text, effects);
        }
    }
}
