//! Handing the reign back: at an operator's word the primary finishes what it has accepted and
//! tells the others, of whom the named one takes over at once.
//!
//! Whoever lets go and whoever is to take over read the record first: with a coordinator that does
//! not answer nobody could take over, not even the old primary again.

use crate::ha::Cause;
use crate::types::{Epoch, Instant, Message, NodeId};

use super::super::ReignNote;
use super::super::event::{Answer, Effect, Level};
use super::{Node, Role};

/// An open primary that will hand its reign back when the record has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Releasing {
    pub(crate) ticket: u64,
    pub(crate) to: Option<NodeId>,
    pub(crate) reading: u64,
    pub(crate) until: Instant,
}

/// A standby that an operator chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Awaiting {
    pub(crate) ticket: u64,
    pub(crate) of: NodeId,
    /// The primary is asked when this reading has been answered.
    pub(crate) reading: Option<u64>,
    pub(crate) until: Instant,
}

impl Node {
    pub(crate) fn release(
        &mut self,
        now: Instant,
        ticket: u64,
        to: Option<NodeId>,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(reason) = self.may_release(to) {
            Self::refuse_request(ticket, reason, effects);
            return;
        }
        if !self.automatic() {
            self.begin_release(now, ticket, to, effects);
            return;
        }
        self.number_attempt(now);
        let (reading, until) = (self.attempts, now.after(self.coordinator_timeout() * 2));
        if let Some(reign) = self.reign_mut() {
            reign.releasing = Some(Releasing { ticket, to, reading, until });
        }
        self.read_record(reading, None, effects);
    }

    fn may_release(&self, to: Option<NodeId>) -> Result<(), &'static str> {
        let Role::Primary(reign) = &self.role else {
            return Err("this node is not an open primary");
        };
        let able = |node: NodeId| {
            node != self.me.node
                && reign.record.member(node).is_some_and(|member| reign.sync.requires(member))
        };
        match to {
            _ if !reign.opened => Err("this node is not an open primary"),
            _ if reign.record.enabling.is_some() => {
                Err("automatic mode is being enabled; try again")
            }
            _ if reign.releasing.is_some() => Err("it is being asked for its reign already"),
            Some(node) if !able(node) => Err("that node is not in the in-sync set"),
            Some(_) => Ok(()),
            None if !self.automatic() => {
                Err("in manual mode nobody takes over by itself: name the standby that is to")
            }
            None if self.paused() => {
                Err("takeovers are paused, so that nobody takes over: name the standby that is to")
            }
            None if !reign.record.members.keys().any(|node| able(*node)) => {
                Err("no other node is in the in-sync set")
            }
            None => Ok(()),
        }
    }

    fn begin_release(
        &mut self,
        now: Instant,
        ticket: u64,
        to: Option<NodeId>,
        effects: &mut Vec<Effect>,
    ) {
        let until = now.after(self.settings.release_timeout());
        if let Role::Primary(reign) = &self.role {
            let (reign, ticket) = (reign.clone(), Some(ticket));
            self.role = Role::SteppingDown { reign, to, until, ticket };
            self.finish_release(now, effects);
        }
    }

    /// The coordinator answers, so that the reign may move.
    pub(crate) fn read_before_release(
        &mut self,
        now: Instant,
        number: u64,
        effects: &mut Vec<Effect>,
    ) {
        let asked =
            self.reign_mut().and_then(|reign| reign.releasing.take_if(|r| r.reading == number));
        if let Some(Releasing { ticket, to, .. }) = asked {
            match self.may_release(to) {
                Ok(()) => self.begin_release(now, ticket, to, effects),
                Err(reason) => Self::refuse_request(ticket, reason, effects),
            }
        }
        let awaiting = self.awaiting_release.as_mut().filter(|it| it.reading == Some(number));
        if let Some(Awaiting { ticket, of, reading, .. }) = awaiting {
            *reading = None;
            effects.push(Effect::AskRelease { of: *of, ticket: *ticket });
        }
    }

    pub(crate) fn unread_before_release(
        &mut self,
        number: u64,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let asked =
            self.reign_mut().and_then(|reign| reign.releasing.take_if(|r| r.reading == number));
        let awaiting = self.awaiting_release.take_if(|it| it.reading == Some(number));
        let tickets = asked.map(|it| it.ticket).into_iter().chain(awaiting.map(|it| it.ticket));
        for ticket in tickets {
            let reason = format!("nobody could take over: {reason}");
            Self::refuse_request(ticket, &reason, effects);
        }
    }

    /// Hands the reign back once all that was accepted is committed and applied, or time is up.
    pub(crate) fn finish_release(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Role::SteppingDown { reign, to, until, ticket } = &mut self.role else { return };
        let finished = self.log.applied >= self.log.end;
        if !finished && now < *until {
            return;
        }
        let (epoch, end, to, ticket) = (reign.epoch, self.log.end, *to, ticket.take());
        let stopped_for = self.settings.release_timeout().saturating_sub(until.since(now));
        self.yielded_until = Some(now.after(self.settings.release_timeout()));
        self.open = false;
        let reason = "the reign was handed back".to_owned();
        effects.push(Effect::Close { reason: reason.clone() });
        for node in self.others() {
            let message = Message::Release { epoch, end, to, planned: true, stopped_for };
            effects.push(Effect::Send { to: node, message });
        }
        let text = format!("released epoch={epoch} lsn={end}");
        Self::report(Level::Info, text.clone(), effects);
        if let Some(ticket) = ticket {
            effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
        }
        self.join(now, &reason, effects);
    }

    /// It goes on following meanwhile: what is under way at the primary needs its acks.
    pub(crate) fn await_release(
        &mut self,
        now: Instant,
        ticket: u64,
        of: NodeId,
        effects: &mut Vec<Effect>,
    ) {
        self.number_attempt(now);
        let reading = self.attempts;
        let until = now.after(self.settings.release_timeout() * 2 + self.coordinator_timeout() * 4);
        self.awaiting_release = Some(Awaiting { ticket, of, reading: Some(reading), until });
        self.read_record(reading, Some(Cause::Person { ticket, force: false }), effects);
    }

    /// It has read the record and met the primary by standing.
    pub(crate) fn ask_release(
        &mut self,
        now: Instant,
        ticket: u64,
        of: NodeId,
        effects: &mut Vec<Effect>,
    ) {
        let until = now.after(self.settings.release_timeout() * 2 + self.coordinator_timeout() * 2);
        self.awaiting_release = Some(Awaiting { ticket, of, reading: None, until });
        effects.push(Effect::AskRelease { of, ticket });
    }

    pub(crate) fn not_released(&mut self, ticket: u64, reason: &str, effects: &mut Vec<Effect>) {
        if self.awaiting_release.take_if(|it| it.ticket == ticket).is_some() {
            Self::refuse_request(ticket, reason, effects);
        }
    }

    pub(crate) fn release_overdue(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let asked = self.reign_mut().and_then(|reign| reign.releasing.take_if(|r| now >= r.until));
        if let Some(Releasing { ticket, .. }) = asked {
            Self::refuse_request(ticket, "the coordinator does not answer", effects);
        }
        if let Some(awaiting) = self.awaiting_release.take_if(|it| now >= it.until) {
            let Awaiting { ticket, of, reading, .. } = awaiting;
            match reading {
                Some(_) => Self::refuse_request(ticket, "the coordinator does not answer", effects),
                None => {
                    let reason = format!("node {of} has not handed its reign over in time");
                    Self::leave_open(ticket, &reason, effects);
                }
            }
        }
    }

    /// What the history will say of the reign that begins, and since when nobody has served.
    pub(crate) fn reign_note(&self, epoch: Epoch, cause: Cause) -> (ReignNote, Option<Instant>) {
        let before = self.control.record.as_ref();
        let primary = before.map_or(0, |record| record.primary.get());
        let end = self.log.end;
        let outside = before.is_some_and(|record| !record.is_in_sync(self.me));
        let text = match cause {
            Cause::Restart => "the primary restarted".to_owned(),
            Cause::Again { above } => format!("went on above the promised epoch {above}"),
            Cause::Silence => format!("failover: node {primary} was not heard"),
            Cause::Ended { node, .. } => format!("failover: the process of node {node} ended"),
            Cause::Release { named: true } => format!("switchover from node {primary}"),
            Cause::Release { named: false } => format!("node {primary} handed its reign back"),
            Cause::LetGo => format!("failover: the log device of node {primary} hung"),
            Cause::Person { force: false, .. } if self.handed_back => {
                format!("switchover from node {primary}")
            }
            Cause::Abandon { .. } => {
                "the coordinator was given up for lost: manual mode".to_owned()
            }
            Cause::Person { force: true, .. } if outside => format!(
                "activated by force outside the in-sync set: what node {primary} acknowledged \
                 after {end} is lost"
            ),
            Cause::Person { force: true, .. } => format!("activated by force for node {primary}"),
            Cause::Person { force: false, .. } => format!("activated for node {primary}"),
            Cause::Enable { .. } => "automatic failover was enabled".to_owned(),
            Cause::StayManual { .. } => "manual mode goes on".to_owned(),
            Cause::ForcedRestart { .. } => "opened by force without hearing from others".to_owned(),
        };
        let since = self.unserved_since.or(self.primary_heard);
        let since = since.filter(|_| !cause.from_itself());
        (ReignNote { epoch, start: end, cause: text, gap: None }, since)
    }
}
