//! The standby's side: hear the primary, align the log, append, acknowledge.
//!
//! An ack says "durable here, in this epoch, after alignment" and promises not to stand for a
//! lease; so nothing is acked before the epoch is in the control file.

use crate::types::{Epoch, Instant, Lsn, Member, Message, NodeId, TimelineHistory};
use crate::wal::record::boundary_at;

use super::super::event::{Effect, Level};
use super::{Node, Role, Seeding};

/// Following one primary in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follow {
    pub(crate) primary: Member,
    pub(crate) epoch: Epoch,
    /// The control file must have this ticket before anything is acked.
    pub(crate) durable_by: u64,
    pub(crate) stage: FollowStage,
    /// When (its clock) the newest message of the primary was sent: what acks echo.
    pub(crate) echo: Instant,
    pub(crate) hello_at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FollowStage {
    /// The control file is written, then hello is said and the primary's Align awaited.
    Aligning,
    Cutting {
        at: Lsn,
        history: TimelineHistory,
    },
    Streaming {
        history: TimelineHistory,
    },
}

impl Node {
    /// Anything that only a primary says.
    pub(crate) fn primary_spoke(
        &mut self,
        now: Instant,
        from: Member,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        let epoch = match &message {
            Message::Align { epoch, .. }
            | Message::SeedRequired { epoch, .. }
            | Message::Append { epoch, .. }
            | Message::Heartbeat { epoch, .. } => *epoch,
            _ => return,
        };
        self.watch_claim(from, epoch, effects);
        if from.node == self.me.node || epoch.node() != Some(from.node) {
            return;
        }
        if self.spoken_by_the_dead(from, epoch) {
            return;
        }
        if epoch < self.highest_epoch() {
            // A promise without effect yet still binds us: the primary must stop acking (rule 7).
            self.refuse(from.node, epoch, effects);
            return;
        }
        if self.asked_while_it_lives(now, from, epoch, effects) {
            return;
        }
        if !self.follows(from, epoch) && self.kept_out() {
            self.stay_out(now, (from, epoch), effects);
            if let Message::Align { record, .. } | Message::Heartbeat { record: Some(record), .. } =
                message
            {
                self.adopt(record, effects);
            }
            return;
        }
        if !self.follows(from, epoch) {
            self.follow(now, from, epoch, effects);
        }
        self.primary_heard = Some(now);
        match message {
            Message::Align { history, record, .. } => {
                self.adopt(record, effects);
                self.compare_leases(effects);
                self.align(history, effects);
                self.acknowledge(now, effects);
            }
            Message::SeedRequired { judged, reason, .. } => {
                if judged == self.log.end || self.seeding.is_some() {
                    self.seed_required(from, reason, effects);
                } else {
                    self.say_hello(now, effects);
                }
            }
            Message::Append { from: start, records, commit_lsn, sent_at, .. } => {
                self.primary_commit = commit_lsn;
                self.append_received(now, (start, records), commit_lsn, sent_at, effects);
            }
            Message::Heartbeat { write_lsn, commit_lsn, sent_at, record, .. } => {
                if let Some(record) = record {
                    self.adopt(record, effects);
                }
                self.primary_commit = commit_lsn;
                self.heartbeat_received(now, (write_lsn, commit_lsn), sent_at, effects);
            }
            _ => {}
        }
    }

    fn follows(&self, primary: Member, epoch: Epoch) -> bool {
        matches!(&self.role, Role::Following(f) if f.primary == primary && f.epoch == epoch)
    }

    /// A primary at an epoch that nothing here forbids: follow it, whatever this node was.
    fn follow(&mut self, now: Instant, primary: Member, epoch: Epoch, effects: &mut Vec<Effect>) {
        self.leave_role(&format!("node {} is primary at epoch {epoch}", primary.node), effects);
        self.handed_back = false;
        self.unserved_since = None;
        self.control.followed = epoch;
        // What was promised to a candidacy of our own is settled by the higher epoch.
        self.control.promised = Epoch::ZERO;
        let durable_by = self.persist(effects);
        let text = format!("following primary {} epoch={epoch} lsn={}", primary.node, self.log.end);
        Self::report(Level::Info, text, effects);
        self.role = Role::Following(Follow {
            primary,
            epoch,
            durable_by,
            stage: FollowStage::Aligning,
            echo: Instant(0),
            hello_at: now,
        });
    }

    /// Says how our log ends, at most once a hello interval. Whoever says hello is sent the log, so
    /// not before it could be taken.
    pub(crate) fn say_hello(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let interval = self.settings.hello_interval();
        let (message, persisted) = (self.hello(), self.persist_done);
        if let Role::Following(follow) = &mut self.role
            && persisted >= follow.durable_by
            && now >= follow.hello_at
            && self.log.cutting.is_none()
        {
            follow.hello_at = now.after(interval);
            effects.push(Effect::Send { to: follow.primary.node, message });
        }
    }

    pub(crate) fn hello(&self) -> Message {
        Message::Hello {
            followed: self.control.followed,
            end: self.log.end,
            commit_lsn: self.log.commit,
            history: self.log.history.clone(),
            seeding: self.seeding.is_some(),
        }
    }

    pub(crate) fn follow_deadline(&self, follow: &Follow) -> Instant {
        let unaligned = !matches!(follow.stage, FollowStage::Streaming { .. });
        let could = self.persist_done >= follow.durable_by && self.log.cutting.is_none();
        let says = could && (unaligned || self.seeding.is_some());
        let hello = if says { follow.hello_at } else { Instant(u64::MAX) };
        let acts = [self.stands_at(), self.looks_again_at()].into_iter().flatten().min();
        acts.map_or(hello, |at| at.min(hello))
    }

    /// When this standby will stand by itself: a lease after it last heard the primary, when its
    /// own promise has lapsed, and never in manual mode.
    pub(crate) fn stands_at(&self) -> Option<Instant> {
        let record = self.control.record.as_ref()?;
        // On the way out of manual mode the new coordinator may have the record already.
        let eligible = (self.automatic() || self.enabling().is_some())
            && record.is_in_sync(self.me)
            && record.primary != self.me.node
            && self.seeding.is_none()
            && self.log.cutting.is_none();
        if !eligible {
            return None;
        }
        let entry = record.members.get(&self.me.node)?;
        if entry.priority == 0 {
            return None;
        }
        // Staggered: those with a higher priority go first; the swap decides in any case.
        let before = record.members.iter().filter(|(node, other)| {
            **node != self.me.node
                && **node != record.primary
                && (other.priority, self.me.node) > (entry.priority, **node)
                && record.in_sync.iter().any(|member| member.node == **node)
        });
        let stagger = self.settings.lease / 5 * u32::try_from(before.count()).unwrap_or(0);
        // While takeovers are paused it looks at the record now and then instead.
        let looks = if self.paused() { self.looks_at } else { Instant(0) };
        let free = self.promise.until().max(self.silent_at());
        Some(free.after(stagger).max(looks).max(self.limited_until))
    }

    pub(crate) fn follow_tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.stands_at().is_some_and(|at| now >= at) {
            self.silence(now, effects);
            return;
        }
        self.look_again(now, effects);
        self.say_hello(now, effects);
    }

    pub(crate) fn follow_persisted(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let unaligned = matches!(&self.role, Role::Following(follow)
            if matches!(follow.stage, FollowStage::Aligning));
        if unaligned {
            self.say_hello(now, effects);
        }
        self.acknowledge(now, effects);
    }

    /// Cuts the log at the common point, once the epoch is in the control file.
    ///
    /// The point is worked out here, from the primary's history, which does not change within its
    /// epoch: a position computed by the primary for an earlier hello could lie below what has
    /// been acked since.
    fn align(&mut self, history: TimelineHistory, effects: &mut Vec<Effect>) {
        let Role::Following(follow) = &mut self.role else { return };
        let durable = self.persist_done >= follow.durable_by;
        // Aligned once in an epoch, a log only grows: what a late answer says is passed over.
        let awaited = matches!(follow.stage, FollowStage::Aligning) && self.seeding.is_none();
        if !durable || !awaited {
            return;
        }
        let cut = self.log.history.common_point(self.log.end, &history, Lsn::MAX);
        if cut < self.log.commit {
            let (commit, primary) = (self.log.commit, follow.primary.node);
            let reason = format!("log leaves primary {primary}'s at {cut}, below commit {commit}");
            Self::report(Level::Error, format!("{reason}: seeding anew"), effects);
            self.seeding = Some(Seeding { reason, fetching: false });
            return;
        }
        if cut < self.log.end || self.log.doubtful {
            self.log.cutting = Some(cut);
            follow.stage = FollowStage::Cutting { at: cut, history };
            effects.push(Effect::Cut { at: cut });
        } else {
            follow.stage = FollowStage::Streaming { history };
        }
    }

    pub(crate) fn cut_done(&mut self, now: Instant, end: Lsn, effects: &mut Vec<Effect>) {
        assert!(Some(end) == self.log.cutting, "the log was cut at {end}, which nobody asked for");
        let text = if self.log.doubtful {
            format!("what follows {end} in the log is damaged; it is kept in pg_lost_wal")
        } else {
            format!("log cut from {} to {end}; the tail is kept in pg_lost_wal", self.log.end)
        };
        Self::report(Level::Warn, text, effects);
        self.log.cutting = None;
        self.log.end = end;
        self.log.flushed = end;
        self.log.history.cut(end);
        self.log.doubtful = false;
        if let Role::Following(follow) = &mut self.role
            && let FollowStage::Cutting { at, history } = &follow.stage
        {
            assert!(*at == end, "cut at {end} instead of {at}");
            follow.stage = FollowStage::Streaming { history: history.clone() };
            // What came meanwhile was not taken.
            follow.hello_at = now;
            self.say_hello(now, effects);
        }
        self.acknowledge(now, effects);
        self.promise_persisted(effects);
    }

    fn append_received(
        &mut self,
        now: Instant,
        (start, records): (Lsn, Vec<u8>),
        commit: Lsn,
        sent_at: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.renew(now, sent_at);
        let Role::Following(follow) = &self.role else { return };
        let FollowStage::Streaming { history } = &follow.stage else {
            self.say_hello(now, effects);
            return;
        };
        let (epoch, history) = (follow.epoch, history.clone());
        let end = start.advance(records.len() as u64);
        if start > self.log.end {
            // Something before it was lost.
            self.say_hello(now, effects);
            return;
        }
        if end > self.log.end {
            let skip = self.log.end.bytes_since(start);
            let Some(fresh) = boundary_at(&records, skip) else {
                self.say_hello(now, effects);
                return;
            };
            let (from, records) = (self.log.end, records[fresh..].to_vec());
            self.log.end = end;
            for (started, lsn) in history.entries().iter().filter(|(_, lsn)| *lsn < end) {
                if *started > self.log.history.last_epoch() {
                    self.log.history.note(*started, *lsn);
                }
            }
            effects.push(Effect::AppendEncoded { epoch, from, records });
            effects.push(Effect::Flush { epoch });
        }
        self.log.learn_commit(commit.min(self.log.end), effects);
        if self.log.flushed >= end {
            self.acknowledge(now, effects);
        }
    }

    fn heartbeat_received(
        &mut self,
        now: Instant,
        (sent, commit): (Lsn, Lsn),
        sent_at: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.renew(now, sent_at);
        let Role::Following(follow) = &self.role else { return };
        if matches!(follow.stage, FollowStage::Streaming { .. }) && sent <= self.log.end {
            self.log.learn_commit(commit.min(self.log.end), effects);
            self.acknowledge(now, effects);
            if sent == Lsn::ZERO {
                // The primary does not count us as aligned; it may have lost track of us.
                self.say_hello(now, effects);
            }
        } else {
            self.say_hello(now, effects);
        }
    }

    /// The promise runs from the receipt of what will be acked.
    fn renew(&mut self, now: Instant, sent_at: Instant) {
        self.promise.renew(now, self.lease());
        if let Role::Following(follow) = &mut self.role {
            follow.echo = follow.echo.max(sent_at);
        }
    }

    /// Acks what is durable, provided that the log is aligned and the epoch is on disk. Also where
    /// the primary has nothing to send: it counts on acks alone.
    pub(crate) fn acknowledge(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Role::Following(follow) = &self.role else { return };
        let aligned = matches!(follow.stage, FollowStage::Streaming { .. });
        if !aligned || self.persist_done < follow.durable_by || self.seeding.is_some() {
            return;
        }
        let message = Message::Ack {
            epoch: follow.epoch,
            flush_lsn: self.log.flushed,
            apply_lsn: self.log.applied,
            record_version: self.durable_version(),
            echo: follow.echo,
        };
        effects.push(Effect::Send { to: follow.primary.node, message });
        self.promise.renew(now, self.lease());
    }

    pub(crate) fn flushed(&mut self, now: Instant, end: Lsn, effects: &mut Vec<Effect>) {
        self.log.note_flushed(end);
        self.log.apply(effects);
        match &self.role {
            Role::Following(_) => self.acknowledge(now, effects),
            Role::Primary(_) | Role::SteppingDown { .. } => self.own_flush(now, effects),
            Role::Joining { .. } | Role::TakingOver(_) => {}
        }
    }

    /// Whom this node follows, or would ask.
    pub(crate) fn known_primary(&self) -> Option<NodeId> {
        match &self.role {
            Role::Following(follow) => Some(follow.primary.node),
            Role::Primary(_) | Role::SteppingDown { .. } => Some(self.me.node),
            _ => self.control.record.as_ref().map(|record| record.primary),
        }
    }
}
