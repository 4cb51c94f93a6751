//! When two nodes are the same node: what they will do from `now` on, whatever happens.
//!
//! Instants count by how far ahead they lie, and not at all once they are past; counters by what
//! is still compared with them; sentences not at all. So the model may let any amount of time pass
//! and still come to an end. Every field is named, so that a new one has to be thought about.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::ha::{Attempt, Inquiry, Phase};
use crate::master::node::ended::Ended;
use crate::master::node::follow::{Follow, FollowStage};
use crate::master::node::log::Log;
use crate::master::node::reign::{PendingChange, Reign};
use crate::master::node::release::{Awaiting, Releasing};
use crate::master::node::{Node, NodeSettings, Role, Seeding};
use crate::replication::Progress;
use crate::types::{Epoch, Instant, Message};

/// A hasher that knows what time it is.
pub struct Shape<'a, H> {
    pub now: Instant,
    pub settings: &'a NodeSettings,
    pub hasher: &'a mut H,
}

impl<H: Hasher> Shape<'_, H> {
    fn put(&mut self, value: impl Hash) {
        value.hash(self.hasher);
    }

    /// How far ahead an instant lies. Never is never, however late it is.
    fn ahead(&mut self, at: Instant) {
        let never = at == Instant(u64::MAX);
        let ahead = if never { u64::MAX } else { at.0.saturating_sub(self.now.0) };
        ahead.hash(self.hasher);
    }

    fn ahead_if(&mut self, at: Option<Instant>) {
        at.is_some().hash(self.hasher);
        at.into_iter().for_each(|at| self.ahead(at));
    }

    /// An instant that counts for `span` after it.
    fn since(&mut self, at: Instant, span: Duration) {
        self.ahead(at.after(span));
    }

    pub fn node(&mut self, node: &Node) {
        let Node {
            settings: _,
            me,
            cluster: _,
            control,
            log,
            role,
            promise,
            primary_heard,
            primary_commit: _,
            persist_issued,
            persist_done,
            record_ticket,
            attempts: _,
            met,
            open,
            awaiting_release,
            yielded_until,
            rejoins: _,
            limited_until,
            committed_by,
            ended,
            create_in_doubt,
            seeding,
            pausing,
            looks_at,
            handed_back,
            unserved_since: _,
            alarm,
        } = node;
        self.put((me, control, met, open));
        self.put((persist_issued - persist_done, record_ticket.saturating_sub(*persist_done)));
        self.put((create_in_doubt, committed_by, handed_back, alarm.is_some()));
        self.log(log);
        self.ahead(promise.until());
        let lease = self.settings.lease;
        self.put(primary_heard.is_some());
        self.since(primary_heard.unwrap_or(Instant(0)), lease);
        if let Some(Awaiting { ticket: _, of, reading, until }) = awaiting_release {
            self.put((of, reading.is_some()));
            self.ahead(*until);
        }
        self.ahead_if(*yielded_until);
        self.put(ended.map(|Ended { member, upto }| (member, upto)));
        assert!(pausing.is_none(), "nobody pauses in the model");
        self.ahead(*looks_at);
        self.ahead(*limited_until);
        match seeding {
            Some(Seeding { reason: _, fetching }) => self.put((1, fetching)),
            None => self.put(0),
        }
        self.role(role, *persist_done);
    }

    fn log(&mut self, log: &Log) {
        let Log { end, flushed, first, commit, applied, applying, history, doubtful, cutting } =
            log;
        self.put((end, flushed, first, commit, applied));
        self.put((applying, history, doubtful, cutting));
    }

    fn role(&mut self, role: &Role, persisted: u64) {
        match role {
            Role::Joining { closed: _, again_at } => {
                self.put(0);
                self.ahead(*again_at);
            }
            Role::Following(follow) => {
                self.put(1);
                self.follow(follow, persisted);
            }
            Role::TakingOver(attempt) => {
                self.put(2);
                self.attempt(attempt, persisted);
            }
            Role::Primary(reign) => {
                self.put(3);
                self.reign(reign);
            }
            Role::SteppingDown { reign, to, until, ticket } => {
                self.put((4, to, ticket));
                self.ahead(*until);
                self.reign(reign);
            }
        }
    }

    fn follow(&mut self, follow: &Follow, persisted: u64) {
        let Follow { primary, epoch, durable_by, stage, echo, hello_at } = follow;
        self.put((primary, epoch, durable_by.saturating_sub(persisted)));
        let lease = self.settings.lease;
        self.since(*echo, lease);
        self.ahead(*hello_at);
        match stage {
            FollowStage::Aligning => self.put(0),
            FollowStage::Cutting { at, history } => self.put((1, at, history)),
            FollowStage::Streaming { history } => self.put((2, history)),
        }
    }

    fn attempt(&mut self, attempt: &Attempt, persisted: u64) {
        let Attempt {
            number: _,
            cause,
            phase,
            answers,
            switchover,
            asked,
            left_version,
            waiting_for: _,
        } = attempt;
        self.put((cause, switchover, asked, left_version));
        for Inquiry { member, reigning, hears_primary, followed, promised, flush_lsn } in
            answers.values()
        {
            self.put((member, reigning, hears_primary, followed, promised, flush_lsn));
        }
        match phase {
            Phase::Reading { again_at } => {
                self.put(0);
                self.ahead(*again_at);
            }
            Phase::Inquiring { record, until } => {
                self.put((1, record));
                self.ahead(*until);
            }
            Phase::Promising { ticket, proposed } => {
                self.put((2, ticket.saturating_sub(persisted), proposed));
            }
            Phase::Swapping { proposed, again_at } => {
                self.put((3, proposed));
                self.ahead_if(*again_at);
            }
        }
    }

    fn reign(&mut self, reign: &Reign) {
        let Reign {
            epoch,
            record,
            sync,
            standbys,
            opens_at,
            opened,
            opens_not_before,
            fencing: _,
            forgives_at,
            coordinator_heard: _,
            reads_at,
            round,
            next_round: _,
            change,
            change_not_before,
            failed: _,
            requests,
            releasing,
            turn,
            voting,
            removing,
            nonces,
            heartbeat_at,
            flushing_since,
            flushed_at: _,
            leaving,
            note: _,
            unserved_since: _,
        } = reign;
        self.put((epoch, record, sync.recorded(), sync.required(), opens_at, opened));
        self.put((requests.len(), removing, nonces, flushing_since.is_some()));
        assert!(turn.is_none(), "nobody changes the mode in the model");
        assert!(voting.is_none(), "nobody changes the voters in the model");
        assert!(record.unfenced.is_none(), "the model names no ha_fencing_methods");
        assert!(round.is_none(), "no read waits for a confirmation in the model");
        assert!(!self.settings.lone_stops, "a lone primary goes on in the model");
        assert!(*forgives_at > self.now, "no run of the model is long enough to forgive");
        self.ahead_if(*opens_not_before);
        self.ahead(*reads_at);
        if let Some(Releasing { ticket: _, to, reading: _, until }) = releasing {
            self.put(to);
            self.ahead(*until);
        }
        self.ahead(*change_not_before);
        self.ahead(*heartbeat_at);
        standbys.values().for_each(|progress| self.progress(progress));
        for (node, (member, _)) in leaving {
            self.put((node, member));
        }
        self.put(change.is_some());
        if let Some(PendingChange { proposed, why: _, ticket, again_at, doubt }) = change {
            self.put((proposed, ticket, doubt.is_some()));
            self.ahead_if(*again_at);
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let Progress {
            member,
            stage,
            sent,
            acked,
            applied: _,
            shipping,
            last_heard,
            echo,
            record_version,
            behind,
        } = progress;
        self.put((member, *stage as u8, sent, acked, shipping, record_version));
        let (lease, timeout) = (self.settings.lease, self.settings.embedded.standby);
        self.since(*last_heard, timeout);
        self.put(echo.is_some());
        self.since(echo.unwrap_or(Instant(0)), lease);
        self.put(behind.map(|(_, target)| target));
        self.since(behind.map_or(Instant(0), |(since, _)| since), timeout);
    }

    /// `live`: an inquiry or its answer belongs to the attempt that is under way.
    pub fn message(&mut self, message: &Message, live: bool) {
        let lease = self.settings.lease;
        self.put(std::mem::discriminant(message));
        match message {
            Message::Hello { followed, end, commit_lsn, history, seeding } => {
                self.put((followed, end, commit_lsn, history, seeding));
            }
            Message::Align { epoch, cut, history, record } => {
                self.put((epoch, cut, history, record));
            }
            Message::SeedRequired { epoch, judged, reason: _ } => self.put((epoch, judged)),
            Message::Append { epoch, from, records, commit_lsn, sent_at } => {
                self.put((epoch, from, records, commit_lsn));
                self.since(*sent_at, lease);
            }
            Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record } => {
                self.put((epoch, write_lsn, commit_lsn, record));
                self.since(*sent_at, lease);
            }
            Message::Ack { epoch, flush_lsn, apply_lsn: _, record_version, echo } => {
                self.put((epoch, flush_lsn, record_version));
                self.since(*echo, lease);
            }
            Message::Refuse { refused, higher, cause, record } => {
                self.put((refused, higher, *cause as u8, record));
            }
            Message::Inquiry { attempt: _ } => self.put(live),
            Message::InquiryAnswer {
                attempt: _,
                reigning,
                hears_primary,
                followed,
                promised,
                flush_lsn,
                record,
            } => {
                self.put((live, reigning, hears_primary, followed, promised));
                self.put((flush_lsn, record));
            }
            Message::Release { epoch, end, to, planned, stopped_for: _ } => {
                self.put((epoch, end, to, planned));
            }
        }
    }
}

/// What decides which messages can still have an effect on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub reigning: Option<Epoch>,
    pub followed: Epoch,
    pub highest: Epoch,
    pub attempt: u64,
    /// It has met two claims to one epoch.
    pub alarmed: bool,
}

#[must_use]
pub fn facts(node: &Node) -> Facts {
    let reigning = node.reign().map(|reign| reign.epoch);
    let (followed, highest) = (node.control.followed, node.highest_epoch());
    let alarmed = node.alarm.is_some();
    Facts { reigning, followed, highest, attempt: node.attempts, alarmed }
}
