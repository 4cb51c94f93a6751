//! Handing the reign back: at an operator's word the primary finishes what it has accepted and
//! tells the others, of whom the named one takes over at once.

use crate::ha::Cause;
use crate::types::{Epoch, Instant, Message, NodeId};

use super::super::ReignNote;
use super::super::event::{Answer, Effect, Level};
use super::{Node, Role};

impl Node {
    pub(crate) fn release(
        &mut self,
        now: Instant,
        ticket: u64,
        to: Option<NodeId>,
        effects: &mut Vec<Effect>,
    ) {
        let until = now.after(self.settings.release_timeout());
        match &self.role {
            Role::Primary(reign) if reign.record.enabling.is_some() => {
                Self::refuse_request(ticket, "automatic mode is being enabled; try again", effects);
            }
            Role::Primary(reign) if reign.opened => {
                let able = |node: &NodeId| {
                    reign.record.member(*node).is_some_and(|member| reign.sync.requires(member))
                };
                if to.is_some_and(|node| !able(&node)) {
                    Self::refuse_request(ticket, "that node is not in the in-sync set", effects);
                    return;
                }
                let reign = reign.clone();
                let ticket = Some(ticket);
                self.role = Role::SteppingDown { reign, to, until, ticket };
                self.finish_release(now, effects);
            }
            _ => Self::refuse_request(ticket, "this node is not an open primary", effects),
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
            let message = Message::Release { epoch, end, to, stopped_for };
            effects.push(Effect::Send { to: node, message });
        }
        let text = format!("released epoch={epoch} lsn={end}");
        Self::report(Level::Info, text.clone(), effects);
        if let Some(ticket) = ticket {
            effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
        }
        self.join(now, &reason, effects);
    }

    /// The other side of it: a standby that an operator chose.
    pub(crate) fn ask_release(
        &mut self,
        now: Instant,
        ticket: u64,
        of: NodeId,
        effects: &mut Vec<Effect>,
    ) {
        let until = now.after(self.settings.release_timeout() * 2);
        self.awaiting_release = Some((ticket, until));
        effects.push(Effect::AskRelease { of });
    }

    pub(crate) fn not_released(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        if let Some((ticket, _)) = self.awaiting_release.take() {
            Self::refuse_request(ticket, reason, effects);
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
            Cause::Person { force: false, .. } if self.handed_back => {
                format!("switchover from node {primary}")
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
