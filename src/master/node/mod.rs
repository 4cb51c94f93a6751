//! A master node as a pure state machine: events in, effects out, `now` passed in.
//!
//! It puts the deciders of `ha` and `replication` together: who reigns, what is committed, what a
//! standby may do. It reads no clock, file or socket; the daemon's loop and the simulation drive
//! the same code. The rule numbers in comments are those of the protocol (docs/protocol.md).
//!
//! ```text
//!            record names me                      swap done, epoch-start committed
//!  Joining ───────────────────► TakingOver ───────────────────────────────────► Primary
//!     ▲ │ primary heard            ▲   │ refused                                    │
//!     │ └──────────► Following ────┘   └──► Joining                                 │
//!     │   CatchingUp / InSync by the record                                         │
//!     └──────────────────── SteppingDown ◄── higher epoch, release, hung disk ◄─────┘
//! ```

mod alarm;
mod attempt;
mod changes;
mod enabling;
pub(crate) mod ended;
mod explain;
pub(crate) mod fencing;
pub(crate) mod follow;
mod let_go;
mod limit;
pub(crate) mod log;
mod passing;
mod pause;
mod peers;
mod promising;
mod reading;
mod reads;
pub(crate) mod reign;
mod rejoin;
pub(crate) mod release;
mod requests;
mod seeding;
mod settings;
mod swap;
mod view;
pub(crate) mod voters;

pub use settings::{NodeSettings, Timeouts};
pub use view::{NodeView, StandbyView};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ha::{Attempt, Promise};
use crate::types::{
    ClusterId, ClusterState, Enabling, Epoch, Instant, Lsn, Member, Message, Mode, NodeId,
    RefuseCause,
};

use super::event::{Control, Effect, Event, Level, LogState};
use ended::Ended;
use follow::Follow;
use log::Log;
use pause::Pausing;
use reign::Reign;
use release::Awaiting;

/// What this node is. A primary without an epoch and a set, or a candidate without an attempt,
/// cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Neither primary nor aligned with one; `closed` says why it does not serve.
    Joining {
        closed: String,
        /// When to look at the record, and say hello, again.
        again_at: Instant,
    },
    Following(Follow),
    TakingOver(Box<Attempt>),
    Primary(Box<Reign>),
    /// The reign is being handed back: nothing new is accepted, what is in flight is finished.
    SteppingDown {
        reign: Box<Reign>,
        to: Option<NodeId>,
        until: Instant,
        ticket: Option<u64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub(crate) settings: NodeSettings,
    pub(crate) me: Member,
    pub(crate) cluster: ClusterId,
    pub(crate) control: Control,
    pub(crate) log: Log,
    pub(crate) role: Role,
    pub(crate) promise: Promise,
    /// When anything was last heard from a primary at the epoch that we follow.
    pub(crate) primary_heard: Option<Instant>,
    /// The commit LSN that came with it; shown, never applied.
    pub(crate) primary_commit: Lsn,
    /// The last ticket of `Effect::Persist`, and the last that is durable.
    pub(crate) persist_issued: u64,
    pub(crate) persist_done: u64,
    /// The ticket with which the record that we know becomes durable.
    pub(crate) record_ticket: u64,
    pub(crate) attempts: u64,
    /// The highest epoch that a failed takeover met: the next one goes above it.
    pub(crate) met: Epoch,
    /// Sessions are open (between `Open` and `Close`), also while the node takes over again.
    pub(crate) open: bool,
    /// An operator's switchover waits for the primary to release its reign.
    pub(crate) awaiting_release: Option<Awaiting>,
    /// This node gave its reign away: it does not stand again before then.
    pub(crate) yielded_until: Option<Instant>,
    /// The operator asked this old primary to follow (`ha_auto_rejoin = off`).
    pub(crate) rejoins: bool,
    /// After too many failovers in an hour: it does not stand by itself before then.
    pub(crate) limited_until: Instant,
    /// What each member is known to have flushed of what was committed, in any reign of this
    /// process: a log that ends below was restored from a backup (rule 13).
    pub(crate) committed_by: BTreeMap<Member, Lsn>,
    /// Whose process has ended, as far as its supervisor told.
    pub(crate) ended: Option<Ended>,
    /// The record may have got into a new coordinator without our knowing, in this life or before.
    pub(crate) create_in_doubt: bool,
    /// A checkpoint is wanted (and why), or being fetched.
    pub(crate) seeding: Option<Seeding>,
    /// An operator pauses takeovers, or ends that, through this node, which is not primary.
    pub(crate) pausing: Option<Pausing>,
    /// A standby that hears no primary has looked at the record, and does not again before then.
    pub(crate) looks_at: Instant,
    /// The primary that this node followed has handed its reign back.
    pub(crate) handed_back: bool,
    /// That reign is known not to have been served since then.
    pub(crate) unserved_since: Option<Instant>,
    /// Two claims to one epoch were met: a person must act.
    pub(crate) alarm: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seeding {
    pub(crate) reason: String,
    pub(crate) fetching: bool,
}

impl Node {
    /// A node that has just started. It first makes durable what it found of its log, reads the
    /// record, and assumes that it has just promised not to stand (rule 9).
    pub fn new(
        settings: NodeSettings,
        (cluster, me): (ClusterId, Member),
        control: Control,
        found: LogState,
        (now, effects): (Instant, &mut Vec<Effect>),
    ) -> Node {
        let longest = promising::longer(settings.lease, control.record.as_ref());
        let promise = Promise::at_start(now, longest);
        let mut node = Node {
            settings,
            me,
            cluster,
            control,
            log: Log::found(found),
            role: Role::Joining { closed: "starting up".to_owned(), again_at: now },
            promise,
            primary_heard: None,
            primary_commit: Lsn::ZERO,
            persist_issued: 0,
            persist_done: 0,
            record_ticket: 0,
            attempts: 0,
            met: Epoch::ZERO,
            open: false,
            awaiting_release: None,
            yielded_until: None,
            rejoins: false,
            committed_by: BTreeMap::new(),
            limited_until: now,
            ended: None,
            create_in_doubt: false,
            seeding: None,
            pausing: None,
            looks_at: now,
            handed_back: false,
            unserved_since: None,
            alarm: None,
        };
        node.create_in_doubt = node.decided().is_some();
        effects.push(Effect::Flush { epoch: node.log.history.last_epoch() });
        let named = node.control.record.as_ref().is_some_and(|record| record.primary == me.node);
        if node.log.empty_life() && !named {
            node.seeding =
                Some(Seeding { reason: "new data directory".to_owned(), fetching: false });
        }
        node.join(now, "starting up", effects);
        node
    }

    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Received { from, message } => self.received(now, from, message, effects),
            Event::Flushed { end, .. } => self.flushed(now, end, effects),
            Event::Applied { lsn } => {
                self.log.applied = self.log.applied.max(lsn);
                self.open_when_committed(now, effects);
            }
            Event::Persisted { ticket } => self.persisted(now, ticket, effects),
            Event::Cut { end } => self.cut_done(now, end, effects),
            Event::Recycled { first } => self.log.first = self.log.first.max(first),
            Event::Shipped { to, epoch, end } => self.shipped(now, to, (epoch, end), effects),
            Event::RecordRead { attempt, outcome } => {
                self.record_read(now, attempt, outcome, effects);
            }
            Event::Swapped { nonce, outcome } => self.swapped(now, nonce, outcome, effects),
            Event::Seeded { incarnation, log } => self.seeded(now, incarnation, log, effects),
            Event::NotReleased { ticket, reason } => self.not_released(ticket, &reason, effects),
            Event::SeedFailed { reason } => self.seed_failed(now, &reason, effects),
            Event::Propose { ticket, payload } => self.propose(now, ticket, payload, effects),
            Event::Request { ticket, request } => self.request(now, ticket, request, effects),
            Event::Fenced { reign, outcome } => self.fenced(now, (reign, outcome), effects),
            Event::ConfirmReads => self.confirm_reads(now, effects),
            Event::Deadline => self.deadline_reached(now, effects),
        }
    }

    /// When to send `Event::Deadline`.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let role = match &self.role {
            Role::Joining { again_at, .. } => {
                Some(self.stands_at().map_or(*again_at, |at| at.min(*again_at)))
            }
            Role::Following(follow) => Some(self.follow_deadline(follow)),
            Role::TakingOver(attempt) => Self::attempt_deadline(attempt),
            Role::Primary(reign) => Some(self.reign_deadline(reign)),
            Role::SteppingDown { reign, until, .. } => Some(self.reign_deadline(reign).min(*until)),
        };
        let release = self.awaiting_release.as_ref().map(|awaiting| awaiting.until);
        let pausing = self.pausing.as_ref().map(Pausing::deadline);
        [role, release, pausing].into_iter().flatten().min()
    }

    fn deadline_reached(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.release_overdue(now, effects);
        self.pause_tick(now, effects);
        match &self.role {
            Role::Joining { again_at, .. } => {
                if self.stands_at().is_some_and(|at| now >= at) {
                    self.silence(now, effects);
                } else if now >= *again_at {
                    self.join_again(now, effects);
                }
            }
            Role::Following(_) => self.follow_tick(now, effects),
            Role::TakingOver(_) => self.attempt_tick(now, effects),
            Role::Primary(_) | Role::SteppingDown { .. } => self.reign_tick(now, effects),
        }
    }

    fn received(
        &mut self,
        now: Instant,
        from: Member,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        match message {
            Message::Hello { followed, end, commit_lsn, history, seeding } => {
                let hello = peers::Hello { followed, end, commit_lsn, history, seeding };
                self.hello_received(now, from, hello, effects);
            }
            Message::Ack { epoch, flush_lsn, apply_lsn, record_version, echo } => {
                let ack = peers::Ack { epoch, flush_lsn, apply_lsn, record_version, echo };
                self.ack_received(now, from, ack, effects);
            }
            Message::Refuse { higher, cause, record, .. } => {
                self.refused(now, (higher, cause), record, effects);
            }
            Message::Inquiry { attempt } => self.inquiry_received(now, from, attempt, effects),
            answer @ Message::InquiryAnswer { .. } => {
                self.inquiry_answered(now, from, answer, effects);
            }
            Message::Release { epoch, to, planned, stopped_for, .. } => {
                self.release_received(now, from, (epoch, to, planned), stopped_for, effects);
            }
            from_primary => self.primary_spoke(now, from, from_primary, effects),
        }
    }

    /// The highest epoch that this node follows, reigned in, or has promised.
    pub(crate) fn highest_epoch(&self) -> Epoch {
        self.control.followed.max(self.control.promised)
    }

    /// Whether the record leaves takeovers to the rules rather than to a person.
    pub(crate) fn automatic(&self) -> bool {
        self.mode() != Mode::Manual
    }

    /// Writes the control file; what depends on it waits for the ticket.
    pub(crate) fn persist(&mut self, effects: &mut Vec<Effect>) -> u64 {
        self.persist_issued += 1;
        let ticket = self.persist_issued;
        effects.push(Effect::Persist { ticket, control: Box::new(self.control.clone()) });
        ticket
    }

    fn persisted(&mut self, now: Instant, ticket: u64, effects: &mut Vec<Effect>) {
        self.persist_done = self.persist_done.max(ticket);
        match &self.role {
            Role::Following(_) => self.follow_persisted(now, effects),
            Role::TakingOver(_) => self.promise_persisted(effects),
            _ => {}
        }
    }

    /// Takes over a newer version of the record, from whoever has it.
    pub(crate) fn adopt(&mut self, record: ClusterState, effects: &mut Vec<Effect>) -> bool {
        self.watch_record(&record, effects);
        let newer = self
            .control
            .record
            .as_ref()
            .is_none_or(|known| (record.epoch, record.version) > (known.epoch, known.version));
        if !newer || record.cluster_id != self.cluster || self.proposes(&record) {
            return false;
        }
        self.control.followed = self.control.followed.max(record.epoch);
        let before = self.control.record.as_ref().map(|known| known.lease);
        let same = before == Some(record.lease);
        let was_removed = self.removed();
        self.know(record, effects);
        if self.removed() && !was_removed {
            let text = "this node was removed from the cluster; stop it, or make it a standby \
                        again with hawq init standby";
            Self::report(Level::Warn, text.to_owned(), effects);
        }
        if !same {
            self.lease_learned();
        }
        true
    }

    /// Makes `record` the one that this node goes by, durably.
    pub(crate) fn know(&mut self, record: ClusterState, effects: &mut Vec<Effect>) {
        self.control.record = Some(record);
        self.record_ticket = self.persist(effects);
    }

    /// The version of the record that would be found here after a crash, zero while the newest is
    /// being written.
    pub(crate) fn durable_version(&self) -> u64 {
        let durable = self.persist_done >= self.record_ticket;
        self.control.record.as_ref().filter(|_| durable).map_or(0, |record| record.version)
    }

    /// Who decides, as far as this node knows.
    pub(crate) fn mode(&self) -> Mode {
        self.control.record.as_ref().map_or(Mode::Manual, |record| record.mode)
    }

    pub(crate) fn standby_timeout(&self) -> Duration {
        self.settings.timeouts(self.mode()).standby
    }

    pub(crate) fn coordinator_timeout(&self) -> Duration {
        let mode = self.enabling().map_or(self.mode(), Enabling::mode);
        self.settings.timeouts(mode).coordinator
    }

    pub(crate) fn refuse(&self, to: NodeId, refused: Epoch, effects: &mut Vec<Effect>) {
        let recorded = self.control.followed > refused;
        let cause = if recorded { RefuseCause::Recorded } else { RefuseCause::Promised };
        let record = self.control.record.clone().filter(|_| recorded);
        let message = Message::Refuse { refused, higher: self.highest_epoch(), cause, record };
        effects.push(Effect::Send { to, message });
    }

    pub(crate) fn report(level: Level, text: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Report { level, text });
    }

    /// Node numbers of the other members that the record names.
    pub(crate) fn others(&self) -> Vec<NodeId> {
        let members = self.control.record.iter().flat_map(|record| record.members.keys());
        members.copied().filter(|node| *node != self.me.node).collect()
    }
}
