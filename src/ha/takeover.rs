//! One attempt to become primary: read the record, ask around, promise, swap.
//!
//! No pre-vote and no count of votes: the swap of the record decides, and the inquiry only keeps a
//! node that is cut off from a healthy primary from disturbing it. The attempt ends by a reign, by
//! a refusal, or because a higher epoch is met; `master` drives it and owns what follows.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{
    ClusterState, Enabling, Epoch, Instant, Lsn, Member, Mode, NodeId, Nonce, TimelineHistory,
};

use super::Authority;
use super::refusal::Refusal;

/// Why this node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The record names it as primary, but an epoch never outlives its process.
    Restart,
    /// Its epoch was refused because of a promise to somebody whose swap may have failed.
    Again { above: Epoch },
    /// Nothing was heard from the primary for a lease.
    Silence,
    /// The primary's supervisor reports that its process, with every epoch up to that, has ended.
    Ended { node: NodeId, upto: Epoch },
    /// The primary handed its reign back; `named`: to this very node, at a person's word.
    Release { named: bool },
    /// The primary let go of its reign, since its log device hung.
    LetGo,
    /// The cluster leaves manual mode: the record goes into its new coordinator.
    Enable { ticket: Option<u64> },
    /// It does not after all: the new coordinator certainly does not take the record.
    StayManual { above: Epoch },
    /// An operator asked; `ticket` waits for the answer.
    Person { ticket: u64, force: bool },
    /// An operator opens the recorded primary without hearing from the others.
    ForcedRestart { ticket: u64 },
    /// An operator gives the coordinator up for lost: this node's own copy of the record is the
    /// record from here on, in manual mode. `force`: also outside the in-sync set.
    Abandon { ticket: u64, force: bool },
}

impl Cause {
    #[must_use]
    pub fn authority(self, end: Lsn) -> Authority {
        match self {
            Cause::Person { force, .. } => Authority::Person { force, end },
            Cause::ForcedRestart { .. } | Cause::Abandon { .. } => {
                Authority::Person { force: true, end }
            }
            Cause::Restart
            | Cause::Again { .. }
            | Cause::Silence
            | Cause::Ended { .. }
            | Cause::Release { .. }
            | Cause::LetGo
            | Cause::Enable { .. }
            | Cause::StayManual { .. } => Authority::Rules,
        }
    }

    /// The node stands without being asked by a person, and not from itself.
    #[must_use]
    pub fn by_rule(self) -> bool {
        matches!(self, Cause::Silence | Cause::Ended { .. } | Cause::Release { .. } | Cause::LetGo)
    }

    /// The recorded primary takes over from itself and keeps its set.
    #[must_use]
    pub fn from_itself(self) -> bool {
        match self {
            Cause::Restart
            | Cause::Again { .. }
            | Cause::Enable { .. }
            | Cause::StayManual { .. }
            | Cause::ForcedRestart { .. } => true,
            Cause::Silence
            | Cause::Ended { .. }
            | Cause::Release { .. }
            | Cause::LetGo
            | Cause::Abandon { .. }
            | Cause::Person { .. } => false,
        }
    }

    /// A primary that is open goes on above its own epoch: its sessions wait meanwhile.
    #[must_use]
    pub fn keeps_sessions(self) -> bool {
        matches!(self, Cause::Again { .. } | Cause::Enable { .. } | Cause::StayManual { .. })
    }

    #[must_use]
    pub fn forced(self) -> bool {
        matches!(
            self,
            Cause::Person { force: true, .. }
                | Cause::Abandon { force: true, .. }
                | Cause::ForcedRestart { .. }
        )
    }

    #[must_use]
    pub fn ticket(self) -> Option<u64> {
        match self {
            Cause::Person { ticket, .. }
            | Cause::Abandon { ticket, .. }
            | Cause::ForcedRestart { ticket } => Some(ticket),
            Cause::Enable { ticket } => ticket,
            _ => None,
        }
    }
}

/// What another node answered to our inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    pub member: Member,
    pub reigning: Option<Epoch>,
    pub hears_primary: bool,
    pub followed: Epoch,
    pub promised: Epoch,
    pub flush_lsn: Lsn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Reading {
        again_at: Instant,
    },
    Inquiring {
        record: Box<ClusterState>,
        until: Instant,
    },
    /// The promise is being made durable under this ticket.
    Promising {
        ticket: u64,
        proposed: Box<ClusterState>,
    },
    /// The swap is issued and, where its answer is unknown, issued again.
    Swapping {
        proposed: Box<ClusterState>,
        again_at: Option<Instant>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub number: u64,
    pub cause: Cause,
    pub phase: Phase,
    pub answers: BTreeMap<NodeId, Inquiry>,
    /// An operator wants a primary that answers to be asked for its reign.
    pub switchover: bool,
    /// Whom it has asked for the record.
    pub asked: Mode,
    /// The version of what was left in the coordinator when it was last disabled.
    pub left_version: u64,
    /// Why the record could not be read so far.
    pub waiting_for: Option<String>,
}

/// The candidate: who it is and how its log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub me: Member,
    pub end: Lsn,
    pub history: &'a TimelineHistory,
    /// The highest epoch that this node follows or has promised.
    pub highest: Epoch,
    pub doubtful: bool,
}

impl Attempt {
    #[must_use]
    pub fn new(number: u64, cause: Cause, again_at: Instant) -> Attempt {
        let phase = Phase::Reading { again_at };
        Attempt {
            number,
            cause,
            phase,
            answers: BTreeMap::new(),
            switchover: false,
            asked: Mode::Manual,
            left_version: 0,
            waiting_for: None,
        }
    }

    /// Whether the record lets this node stand at all.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn may_stand(&self, me: Member, record: &ClusterState) -> Result<(), Refusal> {
        let primary = record.primary;
        if self.cause.from_itself() {
            let named = primary == me.node && record.is_in_sync(me);
            return named.then_some(()).ok_or(Refusal::NotRecorded { primary });
        }
        if !record.members.contains_key(&me.node) {
            return Err(Refusal::NotMember);
        }
        let forced = self.cause.forced();
        if let Some(enabling) = record.enabling.filter(|_| !forced) {
            return Err(Refusal::Enabling { mode: enabling.mode(), primary });
        }
        if self.cause.by_rule() && record.mode == Mode::Manual {
            return Err(Refusal::PersonDecides);
        }
        if !record.is_in_sync(me) && !forced {
            return Err(Refusal::NotInSync { primary });
        }
        if let Cause::Ended { upto, .. } = self.cause
            && record.epoch > upto
        {
            return Err(Refusal::ReignsAgain { node: primary, epoch: record.epoch });
        }
        let never = record.members.get(&me.node).is_some_and(|entry| entry.priority == 0);
        if self.cause.by_rule() && never {
            return Err(Refusal::NeverStands);
        }
        let named = matches!(self.cause, Cause::Release { named: true });
        let unasked = self.cause.by_rule() && !named;
        if unasked && record.paused { Err(Refusal::Paused) } else { Ok(()) }
    }

    /// Whether so many takeovers have not followed each other yet.
    ///
    /// # Errors
    /// The limit.
    pub fn within(&self, max: u32, record: &ClusterState) -> Result<(), Refusal> {
        let unplanned = matches!(self.cause, Cause::Silence | Cause::Ended { .. } | Cause::LetGo);
        let many = unplanned && record.failovers >= max;
        if many { Err(Refusal::TooManyFailovers { max }) } else { Ok(()) }
    }

    /// Whether the answers so far forbid the takeover.
    ///
    /// # Errors
    /// The answer that forbids it.
    pub fn weigh(&self, candidate: &Candidate<'_>, record: &ClusterState) -> Result<(), Refusal> {
        for answer in self.answers.values() {
            let node = answer.member.node;
            if let Some(epoch) = answer.reigning.filter(|epoch| *epoch >= record.epoch) {
                return Err(Refusal::PrimaryAnswers { node, epoch });
            }
            // A person may know better than a node that heard the primary a moment ago.
            let ask = matches!(self.cause, Cause::Silence);
            if ask && answer.hears_primary {
                return Err(Refusal::PrimaryHeard { by: node });
            }
        }
        if candidate.doubtful && !self.cause.forced() && !self.confirms_end(candidate, record) {
            return Err(Refusal::Doubtful);
        }
        Ok(())
    }

    /// Every committed record is in the log of every in-sync member, so one of them that ends no
    /// later than we do proves that nothing committed is missing here.
    fn confirms_end(&self, candidate: &Candidate<'_>, record: &ClusterState) -> bool {
        self.answers.values().any(|answer| {
            answer.member != candidate.me
                && record.is_in_sync(answer.member)
                && answer.flush_lsn <= candidate.end
        })
    }

    /// Everyone asked has answered, apart from a process that is known to have ended.
    #[must_use]
    pub fn complete(&self, me: Member, record: &ClusterState) -> bool {
        let ended = match self.cause {
            Cause::Ended { node, .. } => Some(node),
            _ => None,
        };
        let silent = |node: NodeId| node == me.node || Some(node) == ended;
        record.members.keys().all(|node| silent(*node) || self.answers.contains_key(node))
    }

    /// Everyone of the recorded set has answered, the primary that is to be followed apart.
    #[must_use]
    pub fn heard_the_set(&self, me: Member, record: &ClusterState) -> bool {
        let known = |node| node == me.node || node == record.primary;
        record.in_sync.iter().all(|m| known(m.node) || self.answers.contains_key(&m.node))
    }

    /// The record that makes `candidate` primary: above every epoch met, and with those of the old
    /// set that answered, the old primary not among them.
    #[must_use]
    pub fn proposal(&self, candidate: &Candidate<'_>, record: &ClusterState) -> ClusterState {
        let above = match self.cause {
            Cause::Again { above } | Cause::StayManual { above } => above,
            _ => Epoch::ZERO,
        };
        let met = self.answers.values().map(|answer| answer.followed.max(answer.promised));
        let highest = met.fold(record.epoch.max(candidate.highest).max(above), Epoch::max);
        let epoch = highest.next_for(candidate.me.node);
        let alone = matches!(self.cause, Cause::ForcedRestart { .. });
        let in_sync: BTreeSet<Member> = if alone {
            // The operator said that the others are not to be waited for.
            BTreeSet::from([candidate.me])
        } else if self.cause.from_itself() {
            record.in_sync.clone()
        } else {
            let answered = |member: &Member| {
                self.answers.get(&member.node).is_some_and(|answer| answer.member == *member)
            };
            let others = record.in_sync.iter().copied();
            let others = others.filter(|m| m.node != record.primary && answered(m));
            others.chain([candidate.me]).collect()
        };
        let not_synchronized_since = match record.not_synchronized_since {
            _ if in_sync.len() > 1 || record.members.len() == 1 => None,
            Some(since) if self.cause.from_itself() => Some(since),
            _ => Some(candidate.end),
        };
        let (mode, enabling) = self.next_mode(record);
        let mut history = candidate.history.clone();
        history.cut(candidate.end);
        history.note(epoch, candidate.end);
        ClusterState {
            version: record.version.max(self.left_version) + 1,
            epoch,
            primary: candidate.me.node,
            in_sync,
            mode,
            enabling,
            nonce: nonce(epoch, 0),
            history,
            not_synchronized_since,
            ..record.clone()
        }
    }

    /// A person's force, and a coordinator that certainly refused, end the way out of manual mode.
    fn next_mode(&self, record: &ClusterState) -> (Mode, Option<Enabling>) {
        if matches!(self.cause, Cause::Abandon { .. }) {
            return (Mode::Manual, None);
        }
        let stays = self.cause.forced() || matches!(self.cause, Cause::StayManual { .. });
        match record.enabling {
            Some(Enabling::Decided(mode)) if !stays => (mode, None),
            announced => (record.mode, announced.filter(|_| !stays)),
        }
    }
}

/// An epoch belongs to one process for ever, so epoch and a counter make a nonce without chance.
#[must_use]
pub fn nonce(epoch: Epoch, counter: u64) -> Nonce {
    Nonce(u128::from(epoch.0) << 64 | u128::from(counter))
}
