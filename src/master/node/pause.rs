//! Pausing takeovers, and the end of a pause: one flag of the record.
//!
//! Any member may change it, by a swap that changes nothing else: a pause that could not be ended
//! once the primary is gone would be of no use. A standby that hears no primary while takeovers are
//! paused looks at the record once a lease, since nobody else would tell it that the pause is over.

use crate::ha::{Authority, SwapOutcome};
use crate::types::{ClusterState, Instant, Mode, Nonce};

use super::super::event::{Answer, Effect, Level};
use super::{Node, Role};

/// An operator waits so many times for the coordinator when the node is not primary.
const ATTEMPTS_MAX: u32 = 20;

/// A change of the flag on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pausing {
    ticket: u64,
    paused: bool,
    /// When the operator is told that it is not known.
    until: Instant,
    /// When to read, or to issue the same swap, again.
    again_at: Instant,
    proposed: Option<Box<ClusterState>>,
}

impl Pausing {
    pub(crate) fn deadline(&self) -> Instant {
        self.until.min(self.again_at)
    }
}

impl Node {
    pub(crate) fn paused(&self) -> bool {
        self.control.record.as_ref().is_some_and(|record| record.paused)
    }

    pub(crate) fn pause(
        &mut self,
        now: Instant,
        ticket: u64,
        paused: bool,
        effects: &mut Vec<Effect>,
    ) {
        if !self.automatic() {
            let reason = "in manual mode nobody takes over by itself: there is nothing to pause";
            Self::refuse_request(ticket, reason, effects);
            return;
        }
        let changing = matches!(self.role, Role::TakingOver(_) | Role::SteppingDown { .. });
        if changing || self.pausing.is_some() {
            Self::refuse_request(ticket, "this node is busy; try again", effects);
            return;
        }
        let again_at = now.after(self.coordinator_timeout());
        let until = now.after(self.coordinator_timeout() * ATTEMPTS_MAX);
        self.pausing = Some(Pausing { ticket, paused, until, again_at, proposed: None });
        self.read_record(0, None, effects);
    }

    /// The record was read linearizably: it is as wanted, or the swap that makes it so is issued.
    pub(crate) fn pause_on(
        &mut self,
        now: Instant,
        record: &ClusterState,
        effects: &mut Vec<Effect>,
    ) {
        let nonce = self.pause_nonce(now);
        let again_at = now.after(self.coordinator_timeout());
        let Some(pausing) = self.pausing.as_mut().filter(|p| p.proposed.is_none()) else { return };
        if record.mode == Mode::Manual {
            // What was left when automatic mode was last disabled stays as it is.
            let reason = "automatic mode was disabled meanwhile".to_owned();
            self.pause_settled(Answer::Refused { reason }, effects);
            return;
        }
        if record.paused == pausing.paused {
            self.pause_settled(done(), effects);
            return;
        }
        let (version, paused) = (record.version + 1, pausing.paused);
        let proposed = ClusterState { version, paused, nonce, ..record.clone() };
        pausing.again_at = again_at;
        pausing.proposed = Some(Box::new(proposed.clone()));
        self.swap(Authority::Rules, proposed, effects);
    }

    /// The answer to that swap; false when it was another's.
    pub(crate) fn pause_swapped(
        &mut self,
        now: Instant,
        nonce: Nonce,
        outcome: &SwapOutcome,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let again_at = now.after(self.coordinator_timeout() / 2);
        let Some(pausing) = &mut self.pausing else { return false };
        let Some(proposed) = pausing.proposed.as_deref().filter(|p| p.nonce == nonce) else {
            return false;
        };
        match outcome {
            SwapOutcome::Done => {
                let record = proposed.clone();
                Self::report(Level::Info, format!("record changed: {record}"), effects);
                if let Some(reign) = self.reign_mut() {
                    reign.follow_record(&record);
                }
                self.adopt(record, effects);
                self.pause_settled(done(), effects);
            }
            SwapOutcome::Failed { .. } => {
                pausing.proposed = None;
                pausing.again_at = again_at;
            }
            SwapOutcome::Unknown { .. } => pausing.again_at = again_at,
        }
        true
    }

    pub(crate) fn pause_tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let again_at = now.after(self.coordinator_timeout());
        let Some(pausing) = &mut self.pausing else { return };
        if now >= pausing.until {
            let reason = "the coordinator has not answered in time; the change may yet take effect";
            self.pause_settled(Answer::Unknown { reason: reason.to_owned() }, effects);
        } else if now >= pausing.again_at {
            pausing.again_at = again_at;
            match pausing.proposed.as_deref().cloned() {
                Some(proposed) => self.swap(Authority::Rules, proposed, effects),
                None => self.read_record(0, None, effects),
            }
        }
    }

    pub(crate) fn pause_settled(&mut self, answer: Answer, effects: &mut Vec<Effect>) {
        let Some(pausing) = self.pausing.take() else { return };
        effects.push(Effect::Answer { ticket: pausing.ticket, answer });
    }

    /// Unlike those of any epoch, and of any other change of this life of this node.
    fn pause_nonce(&self, now: Instant) -> Nonce {
        Nonce(u128::from(self.me.incarnation.0 | 1 << 63) << 64 | u128::from(now.0))
    }

    /// Nothing was heard from the primary for a lease, or its end was reported.
    pub(crate) fn silence(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.paused() {
            self.looks_at = now.after(self.settings.lease);
            self.read_record(0, None, effects);
        } else {
            self.stand(now, self.own_cause(), effects);
        }
    }
}

fn done() -> Answer {
    Answer::Done { text: "done".to_owned() }
}
