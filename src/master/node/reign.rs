//! The primary's side: append, ship, commit, open; let laggards leave and caught-up standbys in.

use std::collections::{BTreeMap, VecDeque};

use crate::ha::{self, Cause};
use crate::replication::{Progress, Stage, SyncSet, commit_point};
use crate::types::{ClusterState, Epoch, Instant, Lsn, Member, NodeId};
use crate::wal::record::encoded_len;

use super::super::ReignNote;
use super::super::event::{Answer, Effect, Level, Payload, Rejection};
use super::enabling::Turn;
use super::fencing::Fencing;
use super::release::Releasing;
use super::requests::Change;
use super::voters::Voting;
use super::{Node, Role};

/// Bytes of one `Append` message: small enough that a heartbeat does not wait long behind it.
const SHIP_BYTES: u32 = 1 << 20;

/// One reign.
///
/// * Nothing beyond `opens_at` is applied, acknowledged or served before the epoch-start record,
///   which ends there, is committed by the set of this reign (rule 6).
/// * At most one change of the record is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) epoch: Epoch,
    pub(crate) record: ClusterState,
    pub(crate) sync: SyncSet,
    pub(crate) standbys: BTreeMap<NodeId, Progress>,
    pub(crate) opens_at: Lsn,
    pub(crate) opened: bool,
    /// A takeover by force opens no sooner (rule 16).
    pub(crate) opens_not_before: Option<Instant>,
    pub(crate) fencing: Fencing,
    pub(crate) forgives_at: Instant,
    /// When the coordinator last answered this primary, and when one that is alone reads again.
    pub(crate) coordinator_heard: Instant,
    pub(crate) reads_at: Instant,
    /// Since when members are asked to confirm for reads that wait; more have come since.
    pub(crate) round: Option<Instant>,
    pub(crate) next_round: bool,
    pub(crate) change: Option<PendingChange>,
    /// After a change that failed: no other before then; and why, at which commit LSN.
    pub(crate) change_not_before: Instant,
    pub(crate) failed: Option<(Lsn, String)>,
    pub(crate) requests: VecDeque<(u64, Change)>,
    /// The reign is to be handed back, once the record has been read.
    pub(crate) releasing: Option<Releasing>,
    /// The way out of manual mode.
    pub(crate) turn: Option<Turn>,
    pub(crate) voting: Option<Voting>,
    /// The next change is the operator's removal at the head of `requests`.
    pub(crate) removing: bool,
    pub(crate) nonces: u64,
    pub(crate) heartbeat_at: Instant,
    /// Since when a flush of ours has been outstanding.
    pub(crate) flushing_since: Option<Instant>,
    /// When our last flush was done: an idle log device is probed from time to time (rule 11).
    pub(crate) flushed_at: Instant,
    /// Standbys that must leave the set to be seeded (with why), or whose new life must be noted.
    pub(crate) leaving: BTreeMap<NodeId, (Member, String)>,
    /// For the history; the gap is filled in when the reign opens.
    pub(crate) note: ReignNote,
    /// Since when nobody has served, where that is known.
    pub(crate) unserved_since: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingChange {
    pub(crate) proposed: ClusterState,
    pub(crate) why: String,
    pub(crate) ticket: Option<u64>,
    pub(crate) again_at: Option<Instant>,
    /// Why its outcome is unknown, since the first answer that left it so.
    pub(crate) doubt: Option<String>,
}

impl Reign {
    pub(crate) fn accept_change(&mut self) -> PendingChange {
        let Some(change) = self.change.take() else { unreachable!("the caller holds a change") };
        self.sync.accept();
        self.record = change.proposed.clone();
        change
    }

    pub(crate) fn reject_change(&mut self, not_before: Instant) -> PendingChange {
        let Some(change) = self.change.take() else { unreachable!("the caller holds a change") };
        self.sync.reject(self.record.in_sync.clone());
        self.change_not_before = not_before;
        change
    }

    /// The record as the coordinator has it, where it is still of this reign.
    pub(crate) fn follow_record(&mut self, current: &ClusterState) {
        if current.epoch == self.epoch && current.version > self.record.version {
            self.record = current.clone();
            self.sync.reject(current.in_sync.clone());
        }
    }

    pub(crate) fn take_requests(&mut self) -> Vec<(u64, Change)> {
        let pending = self.change.take().and_then(|change| change.ticket);
        let pending = pending.map(|ticket| (ticket, Change::Nothing));
        let turn = self.turn.take().and_then(|turn| turn.ticket);
        let voting = self.voting.take().map(|voting| voting.ticket);
        let others = turn.into_iter().chain(voting).map(|ticket| (ticket, Change::Nothing));
        // Nothing was done about it yet.
        let releasing = self.releasing.take().map(|asked| (asked.ticket, Change::Opened));
        self.requests.drain(..).chain(pending).chain(others).chain(releasing).collect()
    }
}

impl Node {
    pub(crate) fn reign(&self) -> Option<&Reign> {
        match &self.role {
            Role::Primary(reign) | Role::SteppingDown { reign, .. } => Some(reign),
            _ => None,
        }
    }

    pub(crate) fn reign_mut(&mut self) -> Option<&mut Reign> {
        match &mut self.role {
            Role::Primary(reign) | Role::SteppingDown { reign, .. } => Some(reign),
            _ => None,
        }
    }

    /// The record names this node: append the epoch-start record and gather the set around it.
    pub(crate) fn begin_reign(
        &mut self,
        now: Instant,
        record: ClusterState,
        effects: &mut Vec<Effect>,
    ) {
        let epoch = record.epoch;
        let cause = self.attempt_cause().unwrap_or(Cause::Restart);
        let awaited = self.awaiting_release.take().map(|awaiting| awaiting.ticket);
        let (note, unserved_since) = self.reign_note(epoch, cause);
        assert!(epoch > self.control.followed, "a reign begins above every epoch followed");
        let text = format!("primary epoch={epoch} lsn={} {record}", self.log.end);
        Self::report(Level::Info, text, effects);
        let lapsed = self.after_lease(now);
        self.control.followed = epoch;
        self.control.promised = Epoch::ZERO;
        self.know(record.clone(), effects);
        self.yielded_until = None;
        self.rejoins = false;
        self.committed_by.retain(|member, _| record.member(member.node) == Some(*member));
        (self.handed_back, self.unserved_since) = (false, None);
        let reason = "this node took over meanwhile; try again".to_owned();
        self.pause_settled(Answer::Unknown { reason }, effects);
        let members = record.members.iter().filter(|(node, _)| **node != self.me.node);
        let standbys = members
            .map(|(node, entry)| {
                let member = Member { node: *node, incarnation: entry.incarnation };
                (*node, Progress::new(member, now))
            })
            .collect();
        let turn = self.resumed_turn(now, &record);
        let mut reign = Reign {
            epoch,
            turn,
            voting: None,
            sync: SyncSet::new(record.in_sync.clone()),
            record,
            standbys,
            opens_at: Lsn::ZERO,
            opened: false,
            opens_not_before: self.opens_late(cause).then_some(lapsed),
            fencing: Fencing::Due(now),
            forgives_at: now.after(self.forgive_interval()),
            coordinator_heard: now,
            reads_at: now,
            round: None,
            next_round: false,
            change: None,
            change_not_before: now,
            failed: None,
            requests: VecDeque::new(),
            releasing: None,
            removing: false,
            nonces: 0,
            heartbeat_at: now,
            flushing_since: None,
            flushed_at: now,
            leaving: BTreeMap::new(),
            note,
            unserved_since,
        };
        let tickets = cause.ticket().into_iter().chain(awaited);
        reign.requests.extend(tickets.map(|ticket| (ticket, Change::Opened)));
        self.role = Role::Primary(Box::new(reign));
        let opens_at = self.append(now, Payload::EpochStart, effects);
        if let Some(reign) = self.reign_mut() {
            reign.opens_at = opens_at;
        }
        self.reign_tick(now, effects);
    }

    /// A primary of before may still read under its lease (rule 16).
    fn opens_late(&self, cause: Cause) -> bool {
        let forced = self.automatic() && matches!(cause, Cause::Person { force: true, .. });
        forced || matches!(cause, Cause::Abandon { .. })
    }

    /// Appends one record at the end of our log and returns where it ends.
    fn append(&mut self, now: Instant, payload: Payload, effects: &mut Vec<Effect>) -> Lsn {
        let Some(epoch) = self.reign().map(|reign| reign.epoch) else {
            unreachable!("only a primary appends");
        };
        let lsn = self.log.end;
        let bytes = match &payload {
            Payload::EpochStart => 0,
            Payload::Transaction(bytes) => bytes.len(),
        };
        self.log.end = lsn.advance(encoded_len(1 + bytes));
        self.log.history.note(epoch, lsn);
        effects.push(Effect::Append { epoch, lsn, commit_lsn: self.log.commit, payload });
        effects.push(Effect::Flush { epoch });
        let end = self.log.end;
        if let Some(reign) = self.reign_mut() {
            reign.flushing_since = reign.flushing_since.or(Some(now));
            for progress in reign.standbys.values_mut() {
                progress.observe_end(now, end);
            }
        }
        self.ship_all(now, effects);
        end
    }

    pub(crate) fn propose(
        &mut self,
        now: Instant,
        ticket: u64,
        payload: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) {
        let reason = match &self.role {
            Role::Primary(reign) if reign.opened => {
                let waiting = self.log.end.bytes_since(self.log.commit);
                (waiting > self.settings.backlog).then_some(Rejection::Overloaded)
            }
            Role::Primary(_) | Role::SteppingDown { .. } | Role::TakingOver(_) => {
                Some(Rejection::NotOpen)
            }
            _ => Some(Rejection::NotPrimary { primary: self.known_primary() }),
        };
        if let Some(reason) = reason {
            effects.push(Effect::Rejected { ticket, reason });
            return;
        }
        let end = self.append(now, Payload::Transaction(payload), effects);
        effects.push(Effect::Proposed { ticket, end });
    }

    pub(crate) fn own_flush(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let done = self.log.flushed >= self.log.end;
        if let Some(reign) = self.reign_mut() {
            reign.flushing_since = if done { None } else { Some(now) };
            reign.flushed_at = now;
        }
        self.advance_commit(now, effects);
    }

    /// Rule 2: committed is what every required member has flushed, at our epoch.
    pub(crate) fn advance_commit(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let (me, flushed, strict) = (self.me, self.log.flushed, self.settings.strict);
        let Some(reign) = self.reign() else { return };
        let required = reign.sync.required();
        let Some(point) = commit_point((me, flushed), &required, &reign.standbys, strict) else {
            return;
        };
        // What earlier reigns left is committed only together with our epoch-start record.
        if point >= reign.opens_at && point > self.log.commit {
            self.log.learn_commit(point, effects);
        }
        self.open_when_committed(now, effects);
    }

    pub(crate) fn open_when_committed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let applied = self.log.applied;
        let Role::Primary(reign) = &mut self.role else {
            self.finish_release(now, effects);
            return;
        };
        let waits =
            reign.record.unfenced.is_some() || reign.opens_not_before.is_some_and(|at| now < at);
        if reign.opened || applied < reign.opens_at || waits {
            return;
        }
        reign.opened = true;
        reign.note.gap = reign.unserved_since.map(|since| now.since(since));
        let epoch = reign.epoch;
        self.open = true;
        effects.push(Effect::Open { fence: ha::fence(epoch) });
        Self::report(Level::Info, format!("open epoch={epoch} lsn={applied}"), effects);
        self.answer_opened(effects);
        self.change_if_due(now, effects);
    }

    pub(crate) fn ship_all(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let nodes: Vec<NodeId> =
            self.reign().iter().flat_map(|r| r.standbys.keys().copied()).collect();
        for node in nodes {
            self.ship(now, node, effects);
        }
    }

    /// Sends what a streaming standby lacks, within the window.
    pub(crate) fn ship(&mut self, now: Instant, to: NodeId, effects: &mut Vec<Effect>) {
        let (end, commit_lsn, window) = (self.log.end, self.log.commit, self.settings.window);
        let Some(reign) = self.reign_mut() else { return };
        let epoch = reign.epoch;
        let Some(progress) = reign.standbys.get_mut(&to) else { return };
        let streaming = progress.stage == Stage::Streaming && !progress.shipping;
        if !streaming || progress.sent >= end || progress.sent.bytes_since(progress.acked) > window
        {
            return;
        }
        progress.shipping = true;
        let (from, max_bytes) = (progress.sent, SHIP_BYTES);
        effects.push(Effect::Ship { to, epoch, from, max_bytes, commit_lsn, sent_at: now });
    }

    pub(crate) fn shipped(
        &mut self,
        now: Instant,
        to: NodeId,
        (epoch, end): (Epoch, Lsn),
        effects: &mut Vec<Effect>,
    ) {
        let Some(reign) = self.reign_mut().filter(|reign| reign.epoch == epoch) else { return };
        let Some(progress) = reign.standbys.get_mut(&to) else { return };
        if !progress.shipping {
            return; // It was aligned anew meanwhile.
        }
        progress.shipping = false;
        if end > progress.sent {
            progress.sent = end;
            self.ship(now, to, effects);
        } else {
            // The log it needs is gone: its next hello finds out.
            progress.stage = Stage::Unaligned;
        }
    }
}
