//! What makes a primary let go although nobody else has taken over: a log device that hangs (rule
//! 11), or a set of one.
//!
//! A primary alone in its set (rule 15): no ack tells it that it is still the one, so it reads the
//! record every lease; and where the operator wants that (`ha_lone_primary = stop`) it closes when
//! the coordinator does not answer.

use crate::types::{Instant, Message};

use super::super::event::{Effect, Level};
use super::{Node, Role};

impl Node {
    /// Rule 11: a primary whose log device does not answer lets go, although its CPU is fine. In
    /// manual mode nobody would take over, so it only says so.
    pub(crate) fn disk_hangs(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let text = "the log device has not completed a flush within ha_disk_timeout".to_owned();
        Self::report(Level::Error, text.clone(), effects);
        let (automatic, stopped_for) = (self.automatic(), self.settings.disk_timeout);
        let Some(reign) = self.reign_mut() else { return };
        if !automatic {
            reign.flushing_since = Some(now);
            return;
        }
        let (epoch, end) = (reign.epoch, self.log.flushed);
        self.yielded_until = Some(now.after(self.settings.release_timeout()));
        for to in self.others() {
            let message = Message::Release { epoch, end, to: None, planned: false, stopped_for };
            effects.push(Effect::Send { to, message });
        }
        self.join(now, &text, effects);
    }

    pub(crate) fn look_at_record(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let (lease, stops) = (self.settings.lease, self.settings.lone_stops);
        let automatic = self.automatic();
        let Role::Primary(reign) = &mut self.role else { return };
        let alone = reign.sync.required().len() == 1 && reign.record.members.len() > 1;
        if !automatic || !alone {
            (reign.coordinator_heard, reign.reads_at) = (now, now);
            return;
        }
        // One lease until the next reading, and one without its answer.
        if stops && now >= reign.coordinator_heard.after(lease * 2) {
            let text = "alone in the in-sync set and without the coordinator for a lease \
                        (ha_lone_primary = stop)";
            Self::report(Level::Error, text.to_owned(), effects);
            self.step_down(now, text, effects);
        } else if now >= reign.reads_at {
            reign.reads_at = now.after(lease);
            self.read_record(0, None, effects);
        }
    }

    pub(crate) fn coordinator_answered(&mut self, now: Instant) {
        if let Role::Primary(reign) = &mut self.role {
            reign.coordinator_heard = now;
        }
    }
}
