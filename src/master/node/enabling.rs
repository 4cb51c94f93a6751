//! The way out of manual mode and back: who holds the record meanwhile.
//!
//! A cluster begins in manual mode, where each node goes by its own copy of the record. Before a
//! coordinator may let anybody take over, no node may be left that could still take over by its
//! copy alone. So the primary *announces* the change, and once every member has acknowledged that
//! it knows (from then on none of them takes over from another one, unless forced), it *decides*:
//! it changes nothing any more until the record, at a new epoch, is in the coordinator. Disabling
//! is one swap; the record that stays in the coordinator names manual mode and stops whoever still
//! asks there.

use std::collections::BTreeSet;

use crate::ha::{Authority, Cause, ReadOutcome};
use crate::types::{ClusterState, Enabling, Epoch, Instant, Mode, NodeId, Voter};

use super::super::event::{Answer, Effect, Level};
use super::changes::NextChange;
use super::reign::Reign;
use super::requests::Change;
use super::{Node, Role};

/// In leases: how long the members and the new coordinator have for their answers.
const TURN_LEASES: u32 = 40;

/// The members are being told; a person may wait for the end of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) ticket: Option<u64>,
    until: Instant,
    /// The question to the new coordinator that is under way, and when the next one may be asked.
    asked: Option<u64>,
    ask_at: Instant,
    /// The new coordinator has answered that it holds no record that could rule.
    ready: bool,
    waits_for: String,
}

impl Turn {
    pub(crate) fn new(now: Instant, until: Instant, ticket: Option<u64>) -> Turn {
        let waits_for = "the members were not heard in time".to_owned();
        Turn { ticket, until, asked: None, ask_at: now, ready: false, waits_for }
    }
}

impl Reign {
    /// Members that may still go by an older record.
    fn uninformed(&self) -> Vec<NodeId> {
        let others = self.record.members.keys().filter(|node| **node != self.record.primary);
        let knows = |node: &NodeId| {
            self.standbys.get(node).is_some_and(|p| p.record_version >= self.record.version)
        };
        others.copied().filter(|node| !knows(node)).collect()
    }

    /// The next step out of manual mode, or back into it when time is up.
    pub(crate) fn next_turn(&self, now: Instant) -> Option<NextChange> {
        let turn = self.turn.as_ref()?;
        let Some(Enabling::Announced(mode)) = self.record.enabling else { return None };
        let mut proposed = self.record.clone();
        let why = if now >= turn.until {
            proposed.enabling = None;
            format!("automatic mode ({mode}) is not enabled: {}", turn.waits_for)
        } else if turn.ready && self.uninformed().is_empty() {
            proposed.enabling = Some(Enabling::Decided(mode));
            format!("every member knows that automatic mode ({mode}) comes")
        } else {
            return None;
        };
        Some((proposed, why, None))
    }
}

impl Node {
    pub(crate) fn enabling(&self) -> Option<Enabling> {
        self.control.record.as_ref().and_then(|record| record.enabling)
    }

    /// The mode that nothing but a coordinator's certain refusal, or force, keeps from coming.
    pub(crate) fn decided(&self) -> Option<Mode> {
        match self.enabling() {
            Some(Enabling::Decided(mode)) => Some(mode),
            _ => None,
        }
    }

    pub(crate) fn enable(
        &mut self,
        now: Instant,
        ticket: u64,
        (mode, voters): (Mode, BTreeSet<Voter>),
        effects: &mut Vec<Effect>,
    ) {
        let Role::Primary(reign) = &self.role else {
            Self::refuse_request(ticket, "this node is not the primary", effects);
            return;
        };
        let record = &reign.record;
        let outside: Vec<String> = record
            .members
            .keys()
            .filter(|node| record.member(**node).is_none_or(|member| !record.is_in_sync(member)))
            .map(ToString::to_string)
            .collect();
        let refusal = if record.mode == mode {
            let text = format!("automatic mode ({mode}) is on already");
            effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
            return;
        } else if record.mode != Mode::Manual {
            format!("the coordinator is {}; run \"hawq ha disable\" first", record.mode)
        } else if record.enabling.is_some() || reign.turn.is_some() {
            "automatic mode is being enabled already".to_owned()
        } else if mode == Mode::Embedded && (voters.len() < 3 || voters.len() % 2 == 0) {
            format!("{} voters were chosen; 3 or 5 are needed", voters.len())
        } else if !outside.is_empty() {
            format!("node {} is not in sync; wait for it, or remove it", outside.join(", "))
        } else {
            self.queue_change(now, ticket, Change::Announce { mode, voters }, effects);
            return;
        };
        Self::refuse_request(ticket, &refusal, effects);
    }

    pub(crate) fn disable(&mut self, now: Instant, ticket: u64, effects: &mut Vec<Effect>) {
        let Role::Primary(reign) = &self.role else {
            Self::refuse_request(ticket, "this node is not the primary", effects);
            return;
        };
        if reign.record.enabling.is_some() || reign.turn.is_some() {
            let reason = "automatic mode is being enabled; try again when that is done";
            Self::refuse_request(ticket, reason, effects);
        } else if reign.record.mode == Mode::Manual {
            let text = "automatic mode is off already".to_owned();
            effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
        } else {
            self.queue_change(now, ticket, Change::Disable, effects);
        }
    }

    /// After a change of the record: begins or ends a turn. Returns the ticket that is done.
    pub(crate) fn keep_for_turn(
        &mut self,
        now: Instant,
        ticket: Option<u64>,
        effects: &mut Vec<Effect>,
    ) -> Option<u64> {
        let until = now.after(self.settings.lease * TURN_LEASES);
        let reign = self.reign_mut()?;
        match (reign.record.enabling, &reign.turn) {
            (Some(Enabling::Announced(_)), None) => {
                reign.turn = Some(Turn::new(now, until, ticket));
                None
            }
            (None, Some(_)) => {
                if let Some(Turn { ticket: Some(waiting), waits_for, .. }) = reign.turn.take() {
                    Self::refuse_request(waiting, &waits_for, effects);
                }
                ticket
            }
            _ => ticket,
        }
    }

    /// A reign that begins while the change is announced goes on with it.
    pub(crate) fn resumed_turn(&self, now: Instant, record: &ClusterState) -> Option<Turn> {
        let announced = matches!(record.enabling, Some(Enabling::Announced(_)));
        let until = now.after(self.settings.lease * TURN_LEASES);
        announced.then(|| Turn::new(now, until, None))
    }

    /// Asks the new coordinator what it holds, once every member knows what is to come.
    pub(crate) fn turn_if_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let again = now.after(self.coordinator_timeout() * 2);
        let number = self.attempts + 1;
        let Role::Primary(reign) = &mut self.role else { return };
        let uninformed: Vec<String> = reign.uninformed().iter().map(NodeId::to_string).collect();
        let Some(Enabling::Announced(mode)) = reign.record.enabling else { return };
        let Some(turn) = &mut reign.turn else { return };
        if !uninformed.is_empty() {
            turn.waits_for = format!("node {} has not acknowledged it", uninformed.join(", "));
            return;
        }
        if turn.ready || now < turn.ask_at {
            return;
        }
        (turn.asked, turn.ask_at) = (Some(number), again);
        turn.waits_for = "the coordinator did not answer".to_owned();
        self.attempts = number;
        let authority = Authority::Rules;
        effects.push(Effect::ReadRecord { attempt: number, authority, coordinator: mode });
    }

    /// Whether `number` is the question that a turn has asked.
    pub(crate) fn turn_asked(&self, number: u64) -> bool {
        let turn = self.reign().and_then(|reign| reign.turn.as_ref());
        turn.is_some_and(|turn| turn.asked == Some(number))
    }

    pub(crate) fn turn_answered(
        &mut self,
        now: Instant,
        outcome: ReadOutcome,
        effects: &mut Vec<Effect>,
    ) {
        let ruling = match &outcome {
            ReadOutcome::Record(record) if record.mode != Mode::Manual => Some(record.clone()),
            _ => None,
        };
        let Some(turn) = self.reign_mut().and_then(|reign| reign.turn.as_mut()) else { return };
        turn.asked = None;
        match (outcome, ruling) {
            (ReadOutcome::Unavailable { reason }, _) => turn.waits_for = reason,
            (_, Some(record)) => {
                let own = self.control.followed;
                let old = if record.epoch < own {
                    format!(", from before epoch {own}; what is left there has to go first")
                } else {
                    String::new()
                };
                let text = format!("the coordinator holds a record that rules: {record}{old}");
                if let Some(turn) = self.reign_mut().and_then(|reign| reign.turn.as_mut()) {
                    turn.waits_for = text;
                }
                self.adopt((*record).clone(), effects);
                self.dethroned_by(now, &record, effects);
            }
            // Nothing, or what was left when it was last disabled.
            (ReadOutcome::Empty | ReadOutcome::Record(_), None) => turn.ready = true,
        }
        self.change_if_due(now, effects);
    }

    /// Every member knows, and so does our own disk: from here on only the coordinator decides.
    pub(crate) fn put_record(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(reign) = self.reign_mut() else { return };
        let ticket = reign.turn.take().and_then(|turn| turn.ticket);
        let requests = reign.take_requests();
        Self::refuse_requests(requests, "the primary takes over from itself", effects);
        self.stand(now, Cause::Enable { ticket }, effects);
    }

    /// The coordinator that is asked by an attempt for `cause`, or by a node that only looks.
    pub(crate) fn asks(&self, cause: Option<Cause>) -> Mode {
        if matches!(cause, Some(Cause::Abandon { .. })) {
            return Mode::Manual;
        }
        let by_primary = cause.is_some_and(Cause::from_itself) || self.reign().is_some();
        let stays = matches!(cause, Some(Cause::StayManual { .. }));
        match self.enabling() {
            // Nothing is in the new coordinator before the primary has decided.
            Some(Enabling::Announced(_)) if by_primary => Mode::Manual,
            Some(enabling) if !stays => enabling.mode(),
            _ => self.mode(),
        }
    }

    /// Changes the record where it is held; one that was decided on goes into its new coordinator.
    pub(crate) fn swap(
        &self,
        authority: Authority,
        proposed: ClusterState,
        effects: &mut Vec<Effect>,
    ) {
        let proposed = Box::new(proposed);
        effects.push(match self.decided() {
            Some(coordinator) if proposed.mode == coordinator => {
                Effect::Create { coordinator, first: proposed }
            }
            _ if matches!(self.attempt_cause(), Some(Cause::Abandon { .. })) => {
                Effect::Swap { authority, coordinator: Mode::Manual, proposed }
            }
            _ => Effect::Swap { authority, coordinator: self.mode(), proposed },
        });
    }

    /// The new coordinator has certainly not got the record, and never will.
    pub(crate) fn may_stay_manual(&self) -> bool {
        let Role::TakingOver(attempt) = &self.role else { return false };
        let putting =
            attempt.cause.from_itself() && !matches!(attempt.cause, Cause::StayManual { .. });
        self.decided().is_some() && putting && !self.create_in_doubt
    }

    pub(crate) fn stay_manual(&mut self, now: Instant, reason: &str, effects: &mut Vec<Effect>) {
        let Role::TakingOver(attempt) = &self.role else { return };
        if let Some(ticket) = attempt.cause.ticket() {
            Self::refuse_request(ticket, reason, effects);
        }
        let text = format!("the coordinator does not take the record: {reason}; staying manual");
        Self::report(Level::Error, text, effects);
        let above: Epoch = self.highest_epoch().max(self.met);
        self.stand(now, Cause::StayManual { above }, effects);
    }
}
