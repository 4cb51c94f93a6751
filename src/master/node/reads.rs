//! `ha_read_mode = confirm`: reads do not trust the lease, which a clock that stood still would
//! stretch; each waits until every counted member has answered something that was sent after the
//! read arrived (rule 9). A node asks once for all reads that wait; those that come meanwhile wait
//! for the next round.

use crate::replication::lease_until;
use crate::types::Instant;

use super::super::event::Effect;
use super::{Node, Role};

impl Node {
    /// Until when reads may be served here; `None` while some promise is missing.
    #[must_use]
    pub fn readable_until(&self) -> Option<Instant> {
        let Role::Primary(reign) = &self.role else { return None };
        if !reign.opened {
            return None;
        }
        if !self.automatic() {
            return Some(Instant(u64::MAX));
        }
        let lease = self.settings.lease;
        lease_until(self.me, &reign.sync.required(), &reign.standbys, lease)
    }

    /// Reads wait: ask now, or once the round under way is over.
    pub(crate) fn confirm_reads(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let interval = self.settings.heartbeat_interval();
        let Role::Primary(reign) = &mut self.role else { return };
        if reign.round.is_some() {
            reign.next_round = true;
            return;
        }
        (reign.round, reign.next_round) = (Some(now), false);
        reign.heartbeat_at = now.after(interval);
        self.send_heartbeats(now, effects);
    }

    /// An ack came: a round is over when every counted member has answered it.
    pub(crate) fn end_round(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let (me, lease) = (self.me, self.settings.lease);
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(sent) = reign.round else { return };
        let until = lease_until(me, &reign.sync.required(), &reign.standbys, lease);
        if until.is_some_and(|until| until >= sent.after(lease * 9 / 10)) {
            reign.round = None;
            if reign.next_round {
                self.confirm_reads(now, effects);
            }
        }
    }
}
