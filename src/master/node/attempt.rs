//! Standing for the reign: join, read the record, ask around, promise, swap.

use std::time::Duration;

use crate::ha::{Attempt, Candidate, Cause, Inquiry, Phase, Refusal};
use crate::types::{ClusterState, Epoch, Instant, Member, Message};

use super::super::event::{Answer, Effect, Level};
use super::{Node, Role};

impl Node {
    /// Becomes nobody in particular: looks at the record and for a primary, again and again.
    pub(crate) fn join(&mut self, now: Instant, closed: &str, effects: &mut Vec<Effect>) {
        self.leave_role(closed, effects);
        self.role = Role::Joining { closed: closed.to_owned(), again_at: now };
        self.join_again(now, effects);
    }

    pub(crate) fn join_again(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let interval = self.settings.hello_interval();
        if let Role::Joining { again_at, .. } = &mut self.role {
            *again_at = now.after(interval);
        }
        if self.recorded_primary() && !self.yields(now) {
            self.stand(now, Cause::Restart, effects);
            return;
        }
        // Who says hello is sent the log.
        let others = if self.kept_out() { Vec::new() } else { self.others() };
        let message = self.hello();
        for to in others {
            effects.push(Effect::Send { to, message: message.clone() });
        }
        let asks = self.control.record.is_none() || self.automatic() || self.enabling().is_some();
        if asks {
            self.read_record(0, None, effects);
        }
    }

    /// It gave its reign away, and leaves the way free to others for a while.
    pub(crate) fn yields(&self, now: Instant) -> bool {
        self.yielded_until.is_some_and(|until| now < until)
    }

    pub(crate) fn recorded_primary(&self) -> bool {
        let record = self.control.record.as_ref();
        record.is_some_and(|r| r.primary == self.me.node && r.is_in_sync(self.me))
    }

    /// Ends what this node was before it becomes something else.
    pub(crate) fn leave_role(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        if self.open {
            self.open = false;
            effects.push(Effect::Close { reason: reason.to_owned() });
        }
        if let Some(reign) = self.reign_mut() {
            let requests = reign.take_requests();
            Self::refuse_requests(requests, reason, effects);
        }
        if let Some(ticket) = self.attempt_cause().and_then(Cause::ticket) {
            Self::refuse_request(ticket, reason, effects);
        }
        if let Role::SteppingDown { ticket, .. } = &mut self.role
            && let Some(ticket) = ticket.take()
        {
            Self::refuse_request(ticket, reason, effects);
        }
    }

    pub(crate) fn stand(&mut self, now: Instant, cause: Cause, effects: &mut Vec<Effect>) {
        if !cause.keeps_sessions() {
            self.leave_role("this node stands for the reign", effects);
        }
        self.number_attempt(now);
        let again_at = now.after(self.reading_timeout());
        self.role = Role::TakingOver(Box::new(Attempt::new(self.attempts, cause, again_at)));
        if !matches!(cause, Cause::Restart) {
            let why = match cause {
                Cause::Ended { node, upto } => format!("node {node} ended, epochs up to {upto}"),
                _ => format!("{cause:?}"),
            };
            Self::report(Level::Info, format!("standing for the reign: {why}"), effects);
        }
        self.read_record(self.attempts, Some(cause), effects);
    }

    /// The driver of manual mode takes the whole timeout where somebody does not answer, and after
    /// a start it first waits for segments to be heard: where it is asked anew before that, nobody
    /// ever hears its answer.
    fn reading_timeout(&self) -> Duration {
        let timeout = self.coordinator_timeout();
        if self.automatic() { timeout } else { timeout * 4 }
    }

    /// The boot clock tells the attempts of this process from those of the one before it: a late
    /// answer to a question of an earlier life must not count in this one.
    pub(crate) fn number_attempt(&mut self, now: Instant) {
        self.attempts = (self.attempts + 1).max(now.0);
    }

    pub(crate) fn attempt_deadline(attempt: &Attempt) -> Option<Instant> {
        match &attempt.phase {
            Phase::Reading { again_at } => Some(*again_at),
            Phase::Inquiring { until, .. } => Some(*until),
            Phase::Promising { .. } => None,
            Phase::Swapping { again_at, .. } => *again_at,
        }
    }

    pub(crate) fn attempt_tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Role::TakingOver(attempt) = &self.role else { return };
        let cause = attempt.cause;
        match &attempt.phase {
            Phase::Reading { again_at } if now >= *again_at => {
                if cause.by_rule() {
                    // Without the coordinator nobody takes over (rule 15); the primary may be back.
                    self.back_off(now, "the coordinator does not answer", effects);
                } else {
                    self.stand_again(now, cause, effects);
                }
            }
            Phase::Inquiring { until, .. } if now >= *until => self.promise_to_stand(now, effects),
            Phase::Swapping { proposed, again_at: Some(at) } if now >= *at => {
                let proposed = proposed.clone();
                let authority = cause.authority(self.log.end);
                self.set_swap_retry(None);
                self.swap(authority, *proposed, effects);
            }
            _ => {}
        }
    }

    pub(crate) fn try_again(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(cause) = self.attempt_cause() {
            self.stand_again(now, cause, effects);
        }
    }

    /// Reads once more in the same attempt's name; sessions and tickets keep waiting.
    fn stand_again(&mut self, now: Instant, cause: Cause, effects: &mut Vec<Effect>) {
        self.number_attempt(now);
        let again_at = now.after(self.reading_timeout());
        self.role = Role::TakingOver(Box::new(Attempt::new(self.attempts, cause, again_at)));
        let message = self.hello();
        for to in self.others() {
            effects.push(Effect::Send { to, message: message.clone() });
        }
        self.read_record(self.attempts, Some(cause), effects);
    }

    pub(crate) fn judge_record(
        &mut self,
        now: Instant,
        record: ClusterState,
        effects: &mut Vec<Effect>,
    ) {
        let until = now.after(self.settings.inquiry_timeout());
        let Role::TakingOver(attempt) = &mut self.role else { return };
        let limit = self.settings.failovers_max;
        let may = attempt.may_stand(self.me, &record).and_then(|()| attempt.within(limit, &record));
        if let Err(refusal) = may {
            if matches!(refusal, Refusal::TooManyFailovers { .. }) {
                self.limited_until = now.after(self.settings.limit_pause());
            }
            self.attempt_refused(now, &refusal, effects);
            return;
        }
        attempt.phase = Phase::Inquiring { record: Box::new(record.clone()), until };
        let message = Message::Inquiry { attempt: attempt.number };
        for to in self.others() {
            effects.push(Effect::Send { to, message: message.clone() });
        }
        self.weigh_answers(now, effects);
    }

    pub(crate) fn inquiry_answered(
        &mut self,
        now: Instant,
        from: Member,
        answer: Message,
        effects: &mut Vec<Effect>,
    ) {
        let Message::InquiryAnswer {
            attempt: number,
            reigning,
            hears_primary,
            followed,
            promised,
            flush_lsn,
            record,
        } = answer
        else {
            return;
        };
        let Role::TakingOver(attempt) = &mut self.role else { return };
        if attempt.number != number || !matches!(attempt.phase, Phase::Inquiring { .. }) {
            return;
        }
        let member = from;
        let inquiry = Inquiry { member, reigning, hears_primary, followed, promised, flush_lsn };
        attempt.answers.insert(from.node, inquiry);
        if record.is_some_and(|record| self.adopt(record, effects)) {
            // A record newer than the one that was read: in manual mode nobody else could tell.
            if let Some(cause) = self.attempt_cause() {
                self.stand_again(now, cause, effects);
            }
            return;
        }
        self.weigh_answers(now, effects);
    }

    pub(crate) fn attempt_cause(&self) -> Option<Cause> {
        match &self.role {
            Role::TakingOver(attempt) => Some(attempt.cause),
            _ => None,
        }
    }

    fn weigh_answers(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Role::TakingOver(attempt) = &self.role else { return };
        let Phase::Inquiring { record, .. } = &attempt.phase else { return };
        let verdict = attempt.weigh(&self.candidate(), record);
        let complete = attempt.complete(self.me, record);
        // Handed back by the primary itself: only those of its set are still waited for.
        let given = self.handed_back
            && matches!(attempt.cause, Cause::Release { .. } | Cause::LetGo | Cause::Person { .. });
        let enough = complete || given && attempt.heard_the_set(self.me, record);
        match verdict {
            // More answers may yet confirm a damaged tail.
            Err(Refusal::Doubtful) if !complete => {}
            Err(refusal) => self.attempt_refused(now, &refusal, effects),
            Ok(()) if enough => self.promise_to_stand(now, effects),
            Ok(()) => {}
        }
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            me: self.me,
            end: self.log.end,
            history: &self.log.history,
            highest: self.highest_epoch().max(self.met),
            doubtful: self.log.doubtful,
        }
    }

    fn promise_to_stand(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Role::TakingOver(attempt) = &self.role else { return };
        let Phase::Inquiring { record, .. } = &attempt.phase else { return };
        let candidate = self.candidate();
        if let Err(refusal) = attempt.weigh(&candidate, record) {
            self.attempt_refused(now, &refusal, effects);
            return;
        }
        if self.automatic() && !attempt.cause.from_itself() && !self.promise.lapsed(now) {
            // The primary may still read under the lease that we gave it (rule 6).
            let lapses = self.promise.until();
            if let Role::TakingOver(attempt) = &mut self.role
                && let Phase::Inquiring { until, .. } = &mut attempt.phase
            {
                *until = lapses;
            }
            return;
        }
        let mut proposed = attempt.proposal(&candidate, record);
        self.note_takeover(attempt.cause, record, &mut proposed);
        if self.log.doubtful {
            // Confirmed, or forced by a person: what follows the end goes before anything is added.
            self.log.cutting = Some(self.log.end);
            effects.push(Effect::Cut { at: self.log.end });
        }
        self.control.promised = proposed.epoch;
        let ticket = self.persist(effects);
        if let Role::TakingOver(attempt) = &mut self.role {
            attempt.phase = Phase::Promising { ticket, proposed: Box::new(proposed) };
        }
    }

    pub(crate) fn promise_persisted(&mut self, effects: &mut Vec<Effect>) {
        let done = self.persist_done;
        let end = self.log.end;
        if self.log.cutting.is_some() {
            return;
        }
        let Role::TakingOver(attempt) = &mut self.role else { return };
        let Phase::Promising { ticket, proposed } = &attempt.phase else { return };
        if done >= *ticket {
            let proposed = proposed.clone();
            let authority = attempt.cause.authority(end);
            attempt.phase = Phase::Swapping { proposed: proposed.clone(), again_at: None };
            self.swap(authority, *proposed, effects);
        }
    }

    pub(crate) fn set_swap_retry(&mut self, at: Option<Instant>) {
        if let Role::TakingOver(attempt) = &mut self.role
            && let Phase::Swapping { again_at, .. } = &mut attempt.phase
        {
            *again_at = at;
        }
    }

    /// An operator asked this node to stand, and the primary of the recorded epoch speaks.
    pub(crate) fn asked_while_it_lives(
        &mut self,
        now: Instant,
        primary: Member,
        epoch: Epoch,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let asked = matches!(self.attempt_cause(), Some(Cause::Person { .. }));
        let alive = asked && epoch == self.control.followed;
        if alive {
            let refusal = Refusal::PrimaryAnswers { node: primary.node, epoch };
            self.attempt_refused(now, &refusal, effects);
        }
        alive
    }

    fn attempt_refused(&mut self, now: Instant, refusal: &Refusal, effects: &mut Vec<Effect>) {
        let Role::TakingOver(attempt) = &self.role else { return };
        let switchover = attempt.switchover;
        if let (Refusal::PrimaryAnswers { node, .. }, Cause::Person { ticket, .. }, true) =
            (refusal, attempt.cause, switchover)
        {
            self.ask_release(now, ticket, *node, effects);
            self.role = Role::Joining { closed: "switchover".to_owned(), again_at: now };
            self.join_again(now, effects);
            return;
        }
        self.give_up(now, &refusal.to_string(), effects);
    }

    /// The attempt is over: a person is told, the node looks for a primary again.
    pub(crate) fn give_up(&mut self, now: Instant, reason: &str, effects: &mut Vec<Effect>) {
        let Role::TakingOver(attempt) = &self.role else { return };
        let cause = attempt.cause;
        if let Some(ticket) = cause.ticket() {
            let answer = Answer::Refused { reason: reason.to_owned() };
            effects.push(Effect::Answer { ticket, answer });
        }
        if !matches!(cause, Cause::Restart) {
            Self::report(Level::Warn, format!("does not take over: {reason}"), effects);
        }
        if self.control.promised > self.control.followed {
            // The swap has definitely failed or was never issued: the promise is void (rule 6).
            self.control.promised = Epoch::ZERO;
            self.persist(effects);
        }
        self.back_off(now, reason, effects);
    }

    fn back_off(&mut self, now: Instant, reason: &str, effects: &mut Vec<Effect>) {
        if self.open {
            self.open = false;
            effects.push(Effect::Close { reason: reason.to_owned() });
        }
        self.promise.renew(now, self.lease() / 2);
        let again_at = now.after(self.settings.hello_interval());
        self.role = Role::Joining { closed: reason.to_owned(), again_at };
        let message = self.hello();
        for to in self.others() {
            effects.push(Effect::Send { to, message: message.clone() });
        }
    }
}
