//! Changes of the record that the primary proposes, one at a time: somebody leaves, an operator's
//! wish, somebody comes in. And the other things that operators ask of a node.

use std::collections::BTreeSet;

use crate::ha::{Cause, nonce};
use crate::types::{Instant, Lsn, Member, MemberEntry, Message, Mode, NodeId, Voter};

use super::super::event::{Answer, Effect, Request};
use super::ended::Ended;
use super::reign::PendingChange;
use super::{Node, Role, Seeding};

/// How many operators' wishes may wait.
const REQUESTS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Admit {
        node: NodeId,
        entry: MemberEntry,
    },
    Remove {
        node: NodeId,
    },
    /// Announces the way out of manual mode to every member.
    Announce {
        mode: Mode,
        voters: BTreeSet<Voter>,
    },
    /// Back to manual mode.
    Disable,
    /// Not a change: answered when the reign opens.
    Opened,
    Nothing,
}

impl Node {
    pub(crate) fn request(
        &mut self,
        now: Instant,
        ticket: u64,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        match request {
            Request::Activate { force, switchover } => {
                self.activate(now, ticket, (force, switchover), effects);
            }
            Request::ForceOpen => self.force_open(now, ticket, effects),
            Request::Admit { node, entry } => {
                self.queue_change(now, ticket, Change::Admit { node, entry }, effects);
            }
            Request::Remove { node } => {
                self.queue_change(now, ticket, Change::Remove { node }, effects);
            }
            Request::Pause { paused } => self.pause(now, ticket, paused, effects),
            Request::Enable { mode, voters } => self.enable(now, ticket, (mode, voters), effects),
            Request::Disable => self.disable(now, ticket, effects),
            Request::ChangeVoters { from, to } => {
                self.change_voters(now, ticket, (from, to), effects);
            }
            Request::Release { to } => self.release(now, ticket, to, effects),
            Request::Abandon { force } => self.abandon(now, ticket, force, effects),
            Request::Reseed { reason } => self.reseed(now, ticket, reason, effects),
            Request::Rejoin => self.rejoin(now, ticket, effects),
            Request::Ended { member, upto } => {
                self.end_reported(now, ticket, Ended { member, upto }, effects);
            }
        }
    }

    fn activate(
        &mut self,
        now: Instant,
        ticket: u64,
        (force, switchover): (bool, bool),
        effects: &mut Vec<Effect>,
    ) {
        match &self.role {
            Role::Primary(reign) if reign.opened => {
                let text = format!("this node is the primary already, at epoch {}", reign.epoch);
                effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
            }
            Role::Primary(_) | Role::SteppingDown { .. } | Role::TakingOver(_) => {
                Self::refuse_request(ticket, "a takeover is under way on this node", effects);
            }
            Role::Joining { .. } | Role::Following(_) => {
                if self.seeding.is_some() {
                    Self::refuse_request(ticket, "this standby is being seeded", effects);
                    return;
                }
                if self.awaiting_release.is_some() {
                    Self::refuse_request(ticket, "a takeover is under way on this node", effects);
                    return;
                }
                if let Some(primary) = self.live_primary(now).filter(|_| switchover) {
                    self.await_release(now, ticket, primary.node, effects);
                    return;
                }
                self.stand(now, Cause::Person { ticket, force }, effects);
                if let Role::TakingOver(attempt) = &mut self.role {
                    attempt.switchover = switchover;
                }
            }
        }
    }

    /// Whatever this node is doing waits for a coordinator that does not come back.
    fn abandon(&mut self, now: Instant, ticket: u64, force: bool, effects: &mut Vec<Effect>) {
        let asked = self.attempt_cause().and_then(Cause::ticket).is_some();
        if !self.automatic() {
            Self::refuse_request(
                ticket,
                "manual mode has no coordinator that could be lost",
                effects,
            );
        } else if asked || matches!(self.role, Role::SteppingDown { .. }) {
            Self::refuse_request(ticket, "a takeover is under way on this node", effects);
        } else if self.seeding.is_some() {
            Self::refuse_request(ticket, "this standby is being seeded", effects);
        } else {
            self.stand(now, Cause::Abandon { ticket, force }, effects);
        }
    }

    fn force_open(&mut self, now: Instant, ticket: u64, effects: &mut Vec<Effect>) {
        let record = self.control.record.as_ref();
        let named = record.is_some_and(|r| r.primary == self.me.node && r.is_in_sync(self.me));
        match &self.role {
            Role::Primary(_) => {
                let text = "this node is the primary already".to_owned();
                effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
            }
            Role::Joining { .. } | Role::TakingOver(_) if named => {
                self.stand(now, Cause::ForcedRestart { ticket }, effects);
            }
            _ => Self::refuse_request(
                ticket,
                "the cluster state does not name this node as primary; use hawq activate standby",
                effects,
            ),
        }
    }

    fn reseed(&mut self, now: Instant, ticket: u64, reason: String, effects: &mut Vec<Effect>) {
        if !matches!(self.role, Role::Following(_)) {
            Self::refuse_request(ticket, "only a standby is seeded", effects);
            return;
        }
        self.seeding.get_or_insert(Seeding { reason, fetching: false });
        self.say_hello(now, effects);
        let text = "the standby will be seeded anew".to_owned();
        effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
    }

    pub(crate) fn queue_change(
        &mut self,
        now: Instant,
        ticket: u64,
        change: Change,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Primary(reign) if reign.opened && reign.requests.len() < REQUESTS_MAX => {
                reign.requests.push_back((ticket, change));
                self.change_if_due(now, effects);
            }
            Role::Primary(_) => {
                Self::refuse_request(ticket, "the primary is busy; try again", effects);
            }
            _ => Self::refuse_request(ticket, "this node is not the primary", effects),
        }
    }

    pub(crate) fn refuse_request(ticket: u64, reason: &str, effects: &mut Vec<Effect>) {
        let answer = Answer::Refused { reason: reason.to_owned() };
        effects.push(Effect::Answer { ticket, answer });
    }

    /// It was neither done nor refused.
    pub(crate) fn leave_open(ticket: u64, reason: &str, effects: &mut Vec<Effect>) {
        let answer = Answer::Unknown { reason: reason.to_owned() };
        effects.push(Effect::Answer { ticket, answer });
    }

    pub(crate) fn refuse_requests(
        requests: Vec<(u64, Change)>,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        for (ticket, change) in requests {
            match change {
                // On its way already.
                Change::Nothing => Self::leave_open(ticket, reason, effects),
                _ => Self::refuse_request(ticket, reason, effects),
            }
        }
    }

    pub(crate) fn answer_opened(&mut self, effects: &mut Vec<Effect>) {
        let lsn = self.log.applied;
        let Some(reign) = self.reign_mut() else { return };
        let epoch = reign.epoch;
        let (opened, rest): (Vec<_>, Vec<_>) =
            reign.requests.drain(..).partition(|(_, change)| *change == Change::Opened);
        reign.requests = rest.into();
        for (ticket, _) in opened {
            let text = format!("primary at epoch {epoch}, open at {lsn}");
            effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
        }
    }

    pub(crate) fn change_settled(
        &mut self,
        result: Result<(), String>,
        ticket: Option<u64>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(ticket) = ticket else { return };
        let answer = match result {
            Ok(()) => Answer::Done { text: "done".to_owned() },
            Err(reason) => Answer::Refused { reason },
        };
        effects.push(Effect::Answer { ticket, answer });
    }

    /// The set or the members are other than before: new streams, other commit point, next change.
    pub(crate) fn after_change(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let commit_lsn = self.log.commit;
        if let Some(reign) = self.reign_mut() {
            let record = &reign.record;
            for node in reign.standbys.keys().filter(|node| !record.members.contains_key(node)) {
                // The last word to a node that was removed: the record without it.
                let (epoch, write_lsn, sent_at) = (reign.epoch, Lsn::ZERO, now);
                let record = Some(record.clone());
                let message = Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record };
                effects.push(Effect::Send { to: *node, message });
            }
            reign.standbys.retain(|node, progress| record.member(*node) == Some(progress.member));
            for (node, entry) in &record.members {
                let member = Member { node: *node, incarnation: entry.incarnation };
                if *node != record.primary {
                    reign
                        .standbys
                        .entry(*node)
                        .or_insert_with(|| crate::replication::Progress::new(member, now));
                }
            }
            reign.leaving.retain(|_, (member, _)| {
                record.member(member.node) != Some(*member) || record.is_in_sync(*member)
            });
            reign.heartbeat_at = now;
        }
        self.advance_commit(now, effects);
        self.change_if_due(now, effects);
    }

    /// Proposes the next change of the record, the most urgent first.
    pub(crate) fn change_if_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let (timeout, strict) = (self.standby_timeout(), self.settings.strict);
        let stays = matches!(self.role, Role::Primary(_));
        let (me, commit) = (self.me, self.log.commit);
        let forgive_interval = self.forgive_interval();
        self.settle_voting(now, effects);
        let Some(reign) = self.reign_mut() else { return };
        reign.give_way_to_removal();
        if reign.change.is_some() || now < reign.change_not_before {
            return;
        }
        let removal = if std::mem::take(&mut reign.removing) { reign.wish() } else { None };
        let shrunk = removal.or_else(|| reign.shrink(now, me, (timeout, strict)));
        let next = shrunk
            .or_else(|| reign.settle_fencing())
            .or_else(|| reign.next_turn(now).filter(|_| stays))
            .or_else(|| reign.next_voting().filter(|_| stays))
            .or_else(|| reign.wish())
            .or_else(|| reign.grow(now, commit, timeout))
            .or_else(|| reign.forgive(now));
        let Some((mut proposed, why, ticket)) = next else { return };
        if proposed.failovers < reign.record.failovers {
            reign.forgives_at = now.after(forgive_interval);
        }
        reign.nonces += 1;
        proposed.version = reign.record.version + 1;
        proposed.nonce = nonce(reign.epoch, reign.nonces);
        let alone = proposed.in_sync.len() == 1 && proposed.members.len() > 1;
        proposed.not_synchronized_since = match reign.record.not_synchronized_since {
            _ if !alone => None,
            Some(since) => Some(since),
            None => Some(commit),
        };
        reign.sync.propose(proposed.in_sync.clone());
        let change =
            PendingChange { proposed: proposed.clone(), why, ticket, again_at: None, doubt: None };
        reign.change = Some(change);
        self.swap(crate::ha::Authority::Rules, proposed, effects);
    }
}
