//! Reading the record: whom to ask, and what an answer means for who asked. It decides nothing
//! about the reign itself (`attempt`).

use crate::ha::{Authority, Cause, Phase, ReadOutcome};
use crate::types::{Enabling, Instant, Mode};

use super::super::event::Effect;
use super::{Node, Role};

impl Node {
    /// Asks whoever holds the record; an attempt remembers whom it has asked.
    pub(crate) fn read_record(
        &mut self,
        number: u64,
        cause: Option<Cause>,
        effects: &mut Vec<Effect>,
    ) {
        let coordinator = self.asks(cause);
        self.read_from(number, (cause, coordinator), effects);
    }

    /// The primary has not been heard for a lease, and this node will not stand, so that nobody
    /// would tell it what was changed meanwhile: the primary may have died between having it
    /// recorded and saying so, or may have removed it.
    pub(crate) fn looks_again_at(&self) -> Option<Instant> {
        let member = self.control.record.as_ref()?.member(self.me.node) == Some(self.me);
        (member && self.stands_at().is_none()).then(|| self.silent_at().max(self.looks_at))
    }

    pub(crate) fn look_again(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.looks_again_at().is_some_and(|at| now >= at) {
            self.looks_at = now.after(self.settings.lease);
            if self.automatic() {
                self.read_record(0, None, effects);
            } else {
                self.greet_all(effects);
            }
        }
    }

    /// Hello, as a node says it that has just started: whoever is primary answers.
    fn greet_all(&self, effects: &mut Vec<Effect>) {
        let Role::Following(follow) = &self.role else { return };
        if self.persist_done < follow.durable_by || self.log.cutting.is_some() {
            return;
        }
        for to in self.others() {
            effects.push(Effect::Send { to, message: self.hello() });
        }
    }

    fn read_from(
        &mut self,
        attempt: u64,
        (cause, coordinator): (Option<Cause>, Mode),
        effects: &mut Vec<Effect>,
    ) {
        let authority = cause.map_or(Authority::Rules, |cause| cause.authority(self.log.end));
        if let Role::TakingOver(standing) = &mut self.role
            && standing.number == attempt
        {
            standing.asked = coordinator;
        }
        effects.push(Effect::ReadRecord { attempt, authority, coordinator });
    }

    pub(crate) fn record_read(
        &mut self,
        now: Instant,
        number: u64,
        outcome: ReadOutcome,
        effects: &mut Vec<Effect>,
    ) {
        if self.turn_asked(number) {
            self.turn_answered(now, outcome, effects);
            return;
        }
        let reading = match &self.role {
            Role::TakingOver(a) if a.number == number => matches!(a.phase, Phase::Reading { .. }),
            _ => false,
        };
        if reading && self.asked_the_next() {
            self.next_coordinator_read(now, outcome, effects);
            return;
        }
        let record = match outcome {
            ReadOutcome::Record(record) => *record,
            ReadOutcome::Empty => {
                let reason = format!(
                    "the coordinator ({}) holds no record, although this cluster has one: wiped?",
                    self.mode()
                );
                self.record_unavailable(now, number, &reason, effects);
                return;
            }
            ReadOutcome::Unavailable { reason } => {
                self.record_unavailable(now, number, &reason, effects);
                return;
            }
        };
        self.coordinator_answered(now);
        self.adopt(record.clone(), effects);
        if let Some(reign) = self.reign_mut().filter(|reign| reign.change.is_none()) {
            // Somebody else has paused takeovers, or ended that.
            reign.follow_record(&record);
        }
        self.pause_on(now, &record, effects);
        if reading {
            self.judge_record(now, record, effects);
        } else if matches!(self.role, Role::Joining { .. })
            && self.recorded_primary()
            && !self.yields(now)
        {
            self.join_again(now, effects);
        } else {
            self.dethroned_by(now, &record, effects);
        }
        self.read_before_release(now, number, effects);
    }

    /// The attempt has asked the coordinator that the cluster is on its way to.
    fn asked_the_next(&self) -> bool {
        let next = self.enabling().map(Enabling::mode);
        matches!(&self.role, Role::TakingOver(attempt) if Some(attempt.asked) == next)
    }

    fn next_coordinator_read(
        &mut self,
        now: Instant,
        outcome: ReadOutcome,
        effects: &mut Vec<Effect>,
    ) {
        let Role::TakingOver(attempt) = &mut self.role else { return };
        let (number, cause) = (attempt.number, attempt.cause);
        match outcome {
            ReadOutcome::Record(record) if record.mode != Mode::Manual => {
                self.adopt((*record).clone(), effects);
                self.judge_record(now, *record, effects);
            }
            // Whoever forces goes by the copy that is here.
            _ if cause.forced() => self.read_from(number, (Some(cause), Mode::Manual), effects),
            ReadOutcome::Unavailable { reason } => {
                self.record_unavailable(now, number, &reason, effects);
            }
            ReadOutcome::Record(left) => {
                attempt.left_version = left.version;
                self.judge_known(now, effects);
            }
            ReadOutcome::Empty => self.judge_known(now, effects),
        }
    }

    /// The new coordinator does not rule yet, so that our own copy says who may go on.
    fn judge_known(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(record) = self.control.record.clone() {
            self.judge_record(now, record, effects);
        }
    }

    fn record_unavailable(
        &mut self,
        now: Instant,
        number: u64,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let retry = self.coordinator_timeout();
        self.unread_before_release(number, reason, effects);
        let Role::TakingOver(attempt) = &mut self.role else { return };
        if attempt.number != number {
            return;
        }
        if attempt.cause.ticket().is_some() {
            self.give_up(now, reason, effects);
        } else if let Phase::Reading { again_at } = &mut attempt.phase {
            // Stays closed and asks again; who looks at the state is told why.
            *again_at = now.after(retry);
            attempt.waiting_for = Some(reason.to_owned());
        }
    }
}
