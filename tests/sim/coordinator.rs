//! The record, held linearizably by nobody in particular; questions and answers may get lost.

use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::types::{ClusterState, Epoch, Member};

#[derive(Debug)]
pub struct Register {
    pub record: ClusterState,
    /// Every record that there was, for the checks.
    pub past: Vec<ClusterState>,
    pub up: bool,
}

impl Register {
    pub fn new(record: ClusterState) -> Register {
        Register { past: vec![record.clone()], record, up: true }
    }

    pub fn read(&self) -> ReadOutcome {
        ReadOutcome::Record(Box::new(self.record.clone()))
    }

    /// `members` answers who was in the set of the record before (invariant I3).
    pub fn swap(&mut self, proposed: &ClusterState, by: Member) -> SwapOutcome {
        if self.record.nonce == proposed.nonce {
            return SwapOutcome::Done;
        }
        if self.past.iter().any(|record| record.nonce == proposed.nonce) {
            // It took effect and was followed by another.
            let current = Some(Box::new(self.record.clone()));
            return SwapOutcome::Failed {
                current,
                reason: "superseded".to_owned(),
                met: Epoch::ZERO,
            };
        }
        if self.record.version + 1 != proposed.version {
            let current = Some(Box::new(self.record.clone()));
            return SwapOutcome::Failed {
                current,
                reason: "another version".to_owned(),
                met: Epoch::ZERO,
            };
        }
        if proposed.epoch > self.record.epoch {
            assert!(
                self.record.is_in_sync(by),
                "I3: {by} took over although it was not in {}",
                self.record
            );
        } else {
            assert!(proposed.primary == self.record.primary, "an epoch has one primary");
            // Any member may pause takeovers and end that.
            let (version, nonce, paused) = (proposed.version, proposed.nonce, proposed.paused);
            let flag = ClusterState { version, nonce, paused, ..self.record.clone() };
            let allowed = by.node == self.record.primary || *proposed == flag;
            assert!(allowed, "only the primary changes its set");
        }
        self.record = proposed.clone();
        self.past.push(proposed.clone());
        SwapOutcome::Done
    }
}
