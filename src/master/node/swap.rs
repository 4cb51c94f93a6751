//! Answers of the coordinator: to an attempt, or to a change that the primary proposed.
//!
//! An unknown outcome stays unknown until the very same swap has been answered; no read resolves
//! it (rule 8).

use crate::ha::{Authority, Phase, SwapOutcome};
use crate::types::{ClusterState, Epoch, Instant, Mode, Nonce};

use super::super::event::{Effect, Level};
use super::{Node, Role};

impl Node {
    /// Its own proposal, seen by others already: the answer to the swap is still to come, and makes
    /// it a reign. To follow one's own epoch before would leave no reign to begin.
    pub(crate) fn proposes(&self, record: &ClusterState) -> bool {
        let Role::TakingOver(attempt) = &self.role else { return false };
        matches!(&attempt.phase, Phase::Swapping { proposed, .. } if **proposed == *record)
    }

    pub(crate) fn repeat_change(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(reign) = self.reign_mut() else { return };
        let Some(change) = &mut reign.change else { return };
        if change.again_at.is_some_and(|at| now >= at) {
            change.again_at = None;
            let proposed = change.proposed.clone();
            self.swap(Authority::Rules, proposed, effects);
        }
    }

    pub(crate) fn swapped(
        &mut self,
        now: Instant,
        nonce: Nonce,
        outcome: SwapOutcome,
        effects: &mut Vec<Effect>,
    ) {
        if self.pause_swapped(now, nonce, &outcome, effects) {
            return;
        }
        match &self.role {
            Role::TakingOver(attempt) => {
                let Phase::Swapping { proposed, .. } = &attempt.phase else { return };
                if proposed.nonce == nonce {
                    let proposed = (**proposed).clone();
                    self.attempt_swapped(now, proposed, outcome, effects);
                }
            }
            Role::Primary(_) | Role::SteppingDown { .. } => {
                self.change_swapped(now, nonce, outcome, effects);
            }
            Role::Joining { .. } | Role::Following(_) => {}
        }
    }

    fn attempt_swapped(
        &mut self,
        now: Instant,
        proposed: ClusterState,
        outcome: SwapOutcome,
        effects: &mut Vec<Effect>,
    ) {
        match outcome {
            SwapOutcome::Done => self.begin_reign(now, proposed, effects),
            SwapOutcome::Unknown { reason } => {
                self.create_in_doubt |= self.decided().is_some();
                Self::report(Level::Warn, format!("takeover in doubt: {reason}"), effects);
                self.set_swap_retry(Some(now.after(self.coordinator_timeout())));
            }
            SwapOutcome::Failed { current: Some(current), met, .. }
                if self.still_ours(&current) || self.was_left(&current) =>
            {
                // A change of our own came in between; the record names us as it did before.
                self.met = self.met.max(met);
                self.adopt(*current, effects);
                self.try_again(now, effects);
            }
            SwapOutcome::Failed { current: None, reason, met } if self.may_stay_manual() => {
                self.met = self.met.max(met);
                self.stay_manual(now, &reason, effects);
            }
            SwapOutcome::Failed { current, reason, met } => {
                self.met = self.met.max(met);
                let reason = self.lost_to(current.as_deref(), &proposed).unwrap_or(reason);
                self.give_up(now, &reason, effects);
                if let Some(current) = current {
                    self.adopt(*current, effects);
                }
            }
        }
    }

    /// Who was quicker, in words: a reign that the proposed one does not come after. This node may
    /// have met it already.
    fn lost_to(&self, current: Option<&ClusterState>, proposed: &ClusterState) -> Option<String> {
        let before = proposed.history.entries();
        let comes_after = |epoch| before.iter().any(|(known, _)| *known == epoch);
        let winner = current.filter(|record| !comes_after(record.epoch))?;
        let (node, epoch) = (winner.primary, winner.epoch);
        (node != self.me.node).then(|| format!("node {node} took over first, at epoch {epoch}"))
    }

    /// The primary takes over from itself, and the record that stood in the way still names it.
    fn still_ours(&self, current: &ClusterState) -> bool {
        let from_itself =
            matches!(&self.role, Role::TakingOver(attempt) if attempt.cause.from_itself());
        from_itself && current.primary == self.me.node && current.is_in_sync(self.me)
    }

    /// What was left in the new coordinator when it was last disabled is newer than was thought.
    fn was_left(&self, current: &ClusterState) -> bool {
        self.decided().is_some() && current.mode == Mode::Manual
    }

    fn change_swapped(
        &mut self,
        now: Instant,
        nonce: Nonce,
        outcome: SwapOutcome,
        effects: &mut Vec<Effect>,
    ) {
        let (retry_at, commit) = (now.after(self.coordinator_timeout()), self.log.commit);
        let Some(reign) = self.reign_mut() else { return };
        let Some(change) = &mut reign.change else { return };
        if change.proposed.nonce != nonce {
            return;
        }
        match outcome {
            SwapOutcome::Unknown { reason } => {
                change.again_at = Some(retry_at);
                let first = change.doubt.replace(reason.clone()).is_none();
                if first {
                    let text = format!("change of the record in doubt: {reason}");
                    Self::report(Level::Warn, text, effects);
                }
                self.change_if_due(now, effects);
            }
            SwapOutcome::Done => {
                let change = reign.accept_change();
                reign.failed = None;
                let record = change.proposed;
                let text = format!("record changed: {record}; {}", change.why);
                Self::report(Level::Info, text, effects);
                self.know(record, effects);
                let ticket = self.keep_for_turn(now, change.ticket, effects);
                self.change_settled(Ok(()), ticket, effects);
                if self.decided().is_some() {
                    self.put_record(now, effects);
                } else {
                    self.after_change(now, effects);
                }
            }
            SwapOutcome::Failed { current, reason, .. } => {
                let change = reign.reject_change(retry_at);
                if let Some(current) = &current {
                    reign.follow_record(current);
                }
                let failed = Some((commit, reason.clone()));
                if std::mem::replace(&mut reign.failed, failed.clone()) != failed {
                    Self::report(Level::Warn, format!("record not changed: {reason}"), effects);
                }
                self.change_settled(Err(reason), change.ticket, effects);
                match current {
                    Some(current) => {
                        self.adopt((*current).clone(), effects);
                        self.dethroned_by(now, &current, effects);
                    }
                    None => self.read_record(0, None, effects),
                }
                self.after_change(now, effects);
            }
        }
    }

    /// A record of a higher epoch ends this reign at once (rule 7).
    pub(crate) fn dethroned_by(
        &mut self,
        now: Instant,
        record: &ClusterState,
        effects: &mut Vec<Effect>,
    ) {
        let epoch = self.reign().map_or(Epoch(u64::MAX), |reign| reign.epoch);
        if record.epoch > epoch {
            let (primary, above) = (record.primary, record.epoch);
            self.step_down(now, &format!("node {primary} is primary at epoch {above}"), effects);
        }
    }

    pub(crate) fn step_down(&mut self, now: Instant, reason: &str, effects: &mut Vec<Effect>) {
        let Some(reign) = self.reign() else { return };
        let text = format!("stepping down epoch={} lsn={}: {reason}", reign.epoch, self.log.end);
        Self::report(Level::Warn, text, effects);
        self.join(now, reason, effects);
    }
}
