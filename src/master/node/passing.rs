//! What a reign does as time passes: heartbeats, a log device that is looked after, and whatever
//! was put off.

use crate::replication::Stage;
use crate::types::{Instant, Lsn, Message};

use super::super::event::Effect;
use super::Node;
use super::reign::Reign;

impl Node {
    pub(crate) fn reign_deadline(&self, reign: &Reign) -> Instant {
        let mut at = reign.heartbeat_at;
        at = reign.fencing_deadline().map_or(at, |due| at.min(due));
        at = reign.opens_not_before.map_or(at, |opens| at.min(opens));
        at = reign.releasing.as_ref().map_or(at, |asked| at.min(asked.until));
        if let Some(change) = &reign.change {
            at = change.again_at.map_or(at, |again| at.min(again));
        }
        let disk_timeout = self.settings.disk_timeout;
        match reign.flushing_since {
            Some(since) => at.min(since.after(disk_timeout)),
            None => at.min(reign.flushed_at.after(disk_timeout / 2)),
        }
    }

    pub(crate) fn reign_tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let disk_timeout = self.settings.disk_timeout;
        let interval = self.settings.heartbeat_interval();
        let Some(reign) = self.reign_mut() else { return };
        if reign.flushing_since.is_some_and(|since| now >= since.after(disk_timeout)) {
            self.disk_hangs(now, effects);
            return;
        }
        if reign.flushing_since.is_none() && now >= reign.flushed_at.after(disk_timeout / 2) {
            reign.flushing_since = Some(now);
            effects.push(Effect::Flush { epoch: reign.epoch });
        }
        if now >= reign.heartbeat_at {
            reign.heartbeat_at = now.after(interval);
            self.send_heartbeats(now, effects);
            self.look_at_record(now, effects);
        }
        self.fence_if_due(now, effects);
        if let Some(reign) = self.reign_mut() {
            reign.opens_not_before = reign.opens_not_before.filter(|at| now < *at);
        }
        self.open_when_committed(now, effects);
        self.repeat_change(now, effects);
        self.turn_if_due(now, effects);
        self.change_if_due(now, effects);
        self.open_when_committed(now, effects);
    }

    pub(crate) fn send_heartbeats(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let commit_lsn = self.log.commit;
        if let Some(reign) = self.reign_mut() {
            // A round whose question was lost: this one asks again.
            reign.round = reign.round.map(|_| now);
        }
        let Some(reign) = self.reign() else { return };
        for (to, progress) in &reign.standbys {
            let streaming = progress.stage == Stage::Streaming;
            let write_lsn = if streaming { progress.sent } else { Lsn::ZERO };
            let stale = progress.record_version < reign.record.version;
            let record = stale.then(|| reign.record.clone());
            let (epoch, sent_at) = (reign.epoch, now);
            let message = Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record };
            effects.push(Effect::Send { to: *to, message });
        }
    }
}
