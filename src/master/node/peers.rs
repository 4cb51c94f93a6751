//! What other nodes say to this one: hellos and acks of standbys, refusals, inquiries, releases.

use std::time::Duration;

use crate::ha::Cause;
use crate::replication::{Progress, Stage};
use crate::types::{
    ClusterState, Epoch, Instant, Lsn, Member, Message, NodeId, RefuseCause, TimelineHistory,
};

use super::super::event::{Effect, Level};
use super::release::Awaiting;
use super::requests::Change;
use super::{Node, Role};

pub(crate) struct Hello {
    pub(crate) followed: Epoch,
    pub(crate) end: Lsn,
    pub(crate) commit_lsn: Lsn,
    pub(crate) history: TimelineHistory,
    pub(crate) seeding: bool,
}

pub(crate) struct Ack {
    pub(crate) epoch: Epoch,
    pub(crate) flush_lsn: Lsn,
    pub(crate) apply_lsn: Lsn,
    pub(crate) record_version: u64,
    pub(crate) echo: Instant,
}

impl Node {
    pub(crate) fn hello_received(
        &mut self,
        now: Instant,
        from: Member,
        hello: Hello,
        effects: &mut Vec<Effect>,
    ) {
        let (history, end, first) = (self.log.history.clone(), self.log.end, self.log.first);
        let committed = self.committed_by.get(&from).copied().unwrap_or(Lsn::ZERO);
        let lease = self.settings.lease;
        let Some(reign) = self.reign_mut() else { return };
        if hello.followed > reign.epoch {
            // Followed epochs are recorded ones: somebody reigns above us.
            let reason = format!("node {} follows epoch {}", from.node, hello.followed);
            self.step_down(now, &reason, effects);
            return;
        }
        let Some(known) = reign.record.member(from.node) else {
            let (epoch, record) = (reign.epoch, Some(reign.record.clone()));
            let (write_lsn, commit_lsn, sent_at) = (Lsn::ZERO, Lsn::ZERO, now);
            let message = Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record };
            effects.push(Effect::Send { to: from.node, message });
            return;
        };
        if known != from {
            reign.leaving.insert(from.node, (from, "it has a new data directory".to_owned()));
            self.change_if_due(now, effects);
            return;
        }
        let progress = reign.standbys.entry(from.node).or_insert_with(|| Progress::new(from, now));
        let acked = progress.acked.max(committed);
        let acks = progress.stage == Stage::Streaming && now < progress.last_heard.after(lease);
        if acks && hello.end < acked && !hello.seeding {
            // Late, from before the acks; one that was restored from a backup acks no more.
            return;
        }
        let common = history.common_point(end, &hello.history, hello.end);
        let refusal = if hello.seeding {
            Some("it asked for a checkpoint".to_owned())
        } else if hello.end < acked {
            Some(format!(
                "its log ends at {} although it acknowledged {acked}: restored from a backup?",
                hello.end
            ))
        } else if common < hello.commit_lsn {
            Some(format!("its committed log leaves ours at {common}"))
        } else if common < first {
            Some(format!("the log from {common} on was recycled; ours begins at {first}"))
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.require_seed(now, from, (hello.end, reason), effects);
            return;
        }
        progress.align(common);
        // The ack that follows sets the clock for leaving going again; hellos alone do not.
        let (epoch, record) = (reign.epoch, reign.record.clone());
        let message = Message::Align { epoch, cut: common, history, record };
        effects.push(Effect::Send { to: from.node, message });
        self.ship(now, from.node, effects);
    }

    /// A member leaves the set before its log or data is discarded (rule 13).
    fn require_seed(
        &mut self,
        now: Instant,
        from: Member,
        (judged, reason): (Lsn, String),
        effects: &mut Vec<Effect>,
    ) {
        let Some(reign) = self.reign_mut() else { return };
        if reign.sync.requires(from) {
            reign.leaving.insert(from.node, (from, reason));
            self.change_if_due(now, effects);
            return;
        }
        let epoch = reign.epoch;
        let mut progress = Progress::new(from, now);
        progress.stage = Stage::Seeding;
        reign.standbys.insert(from.node, progress);
        let message = Message::SeedRequired { epoch, judged, reason };
        effects.push(Effect::Send { to: from.node, message });
    }

    pub(crate) fn ack_received(
        &mut self,
        now: Instant,
        from: Member,
        ack: Ack,
        effects: &mut Vec<Effect>,
    ) {
        let end = self.log.end;
        let Some(reign) = self.reign_mut() else { return };
        if ack.epoch != reign.epoch {
            return;
        }
        let Some(progress) = reign.standbys.get_mut(&from.node) else { return };
        if progress.member != from || progress.stage != Stage::Streaming || ack.flush_lsn > end {
            return;
        }
        progress.ack(now, ack.flush_lsn, ack.apply_lsn, ack.echo);
        progress.observe_end(now, end);
        progress.record_version = progress.record_version.max(ack.record_version);
        reign.follows_us(from);
        self.end_round(now, effects);
        self.ship(now, from.node, effects);
        self.advance_commit(now, effects);
        // What is committed is never cut, whoever reigns: that much this life of the member has.
        let sound = ack.flush_lsn.min(self.log.commit);
        let known = self.committed_by.entry(from).or_insert(sound);
        *known = sound.max(*known);
        self.turn_if_due(now, effects);
        self.change_if_due(now, effects);
        self.finish_release(now, effects);
    }

    /// Somebody follows, or has promised, a higher epoch than the one we spoke at.
    pub(crate) fn refused(
        &mut self,
        now: Instant,
        (higher, cause): (Epoch, RefuseCause),
        record: Option<ClusterState>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(record) = record {
            self.adopt(record, effects);
        }
        let Some(reign) = self.reign() else { return };
        if higher <= reign.epoch {
            return;
        }
        match cause {
            RefuseCause::Recorded => {
                self.step_down(now, &format!("epoch {higher} is recorded"), effects);
            }
            RefuseCause::Promised if matches!(self.role, Role::Primary(_)) => {
                // A promise is not an epoch: read the record, and if it still names us go on
                // above the epoch met; sessions wait meanwhile (rule 7).
                let text =
                    format!("epoch {higher} was promised to a candidate; reading the record");
                Self::report(Level::Warn, text, effects);
                if let Some(reign) = self.reign_mut() {
                    let requests = reign.take_requests();
                    let (opened, rest): (Vec<_>, Vec<_>) =
                        requests.into_iter().partition(|(_, change)| *change == Change::Opened);
                    Self::refuse_requests(rest, "the primary takes over from itself", effects);
                    for (ticket, _) in opened {
                        let text = format!("another candidate was promised epoch {higher}");
                        Self::leave_open(ticket, &text, effects);
                    }
                }
                self.stand(now, Cause::Again { above: higher }, effects);
            }
            RefuseCause::Promised => {}
        }
    }

    pub(crate) fn inquiry_received(
        &mut self,
        now: Instant,
        from: Member,
        attempt: u64,
        effects: &mut Vec<Effect>,
    ) {
        let hears_primary = self.live_primary(now).is_some_and(|primary| primary != from);
        let reigning = match &self.role {
            Role::Primary(reign) => Some(reign.epoch),
            _ => None,
        };
        let message = Message::InquiryAnswer {
            attempt,
            reigning,
            hears_primary,
            followed: self.control.followed,
            promised: self.control.promised,
            flush_lsn: self.log.end,
            record: self.control.record.clone(),
        };
        effects.push(Effect::Send { to: from.node, message });
    }

    /// Whom this node follows and has heard within a lease.
    pub(crate) fn live_primary(&self, now: Instant) -> Option<Member> {
        match &self.role {
            Role::Following(follow) if now < self.silent_at() => Some(follow.primary),
            _ => None,
        }
    }

    pub(crate) fn release_received(
        &mut self,
        now: Instant,
        from: Member,
        (epoch, to, planned): (Epoch, Option<NodeId>, bool),
        stopped_for: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let current = epoch == self.control.followed && epoch.node() == Some(from.node);
        if !current || to.is_some_and(|node| node != self.me.node) {
            return;
        }
        self.promise.hand_back(now);
        self.primary_heard = None;
        self.limited_until = now;
        self.handed_back = true;
        self.unserved_since = Some(now.before(stopped_for));
        if let Some(Awaiting { ticket, .. }) = self.awaiting_release.take() {
            self.stand(now, Cause::Person { ticket, force: false }, effects);
        } else if self.automatic() && matches!(self.role, Role::Following(_)) {
            // Without a name the others go in the order of their priority.
            let named = to.is_some();
            if named || self.stands_at().is_some_and(|at| now >= at) {
                let cause = if planned { Cause::Release { named } } else { Cause::LetGo };
                self.stand(now, cause, effects);
            }
        }
    }
}
