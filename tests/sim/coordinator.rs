//! The record, held linearizably by nobody in particular; questions and answers may get lost.

use aerie::ha::register::Record as _;
use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::types::{ClusterState, Epoch, Member, Mode, Nonce};

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

    /// Nobody has put a record here; what an earlier time left would have a lower version.
    pub fn empty(like: &ClusterState) -> Register {
        Register::new(ClusterState { version: 0, nonce: Nonce(u128::MAX), ..like.clone() })
    }

    pub fn read(&self) -> ReadOutcome {
        if self.record.version == 0 {
            return ReadOutcome::Empty;
        }
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
        if self.record.version + 1 != proposed.version || self.record.version == 0 {
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
        let step = self.record.electorate().may_become(&proposed.electorate());
        assert!(step, "voters change by way of old and next together: {proposed}");
        assert!(proposed.enabling.is_none(), "what is held here is decided: {proposed}");
        self.record = proposed.clone();
        self.past.push(proposed.clone());
        SwapOutcome::Done
    }

    pub fn create(&mut self, first: &ClusterState, by: Member) -> SwapOutcome {
        if self.record.nonce == first.nonce {
            return SwapOutcome::Done;
        }
        if self.record.mode != Mode::Manual || self.record.version >= first.version {
            let current = (self.record.version > 0).then(|| Box::new(self.record.clone()));
            let reason = "another record is there".to_owned();
            return SwapOutcome::Failed { current, reason, met: Epoch::ZERO };
        }
        assert!(by.node == first.primary && first.mode != Mode::Manual, "{by} creates {first}");
        self.record = first.clone();
        self.past.push(first.clone());
        SwapOutcome::Done
    }
}
