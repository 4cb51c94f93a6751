//! What a segment remembers of the reigns: its part in fencing, and its testimony as a witness.
//!
//! An epoch below the highest that is followed or promised is refused, whoever comes with it: a
//! primary of such an epoch has lost its reign, or is about to, and finds out here. The same epoch
//! is fine, epochs are unique to a node and a reign.
//!
//! * `followed` and `promised` never decrease.
//! * The record is replaced only by one of a higher epoch, or of a higher version in the same.

use crate::types::{ClusterState, Epoch, Member};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FenceState {
    pub followed: Epoch,
    pub promised: Epoch,
    /// The highest cluster state that was learned or handed over for safe keeping.
    pub record: Option<ClusterState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Refused,
    /// Accepted, and already so.
    Unchanged,
    Changed,
}

impl FenceState {
    /// Nothing lower is obeyed.
    #[must_use]
    pub fn highest(&self) -> Epoch {
        self.followed.max(self.promised)
    }

    pub(crate) fn follow(&mut self, epoch: Epoch, record: Option<ClusterState>) -> Verdict {
        if epoch < self.highest() || epoch.node().is_none() {
            return Verdict::Refused;
        }
        let before = self.followed;
        self.followed = epoch;
        let stored = record.is_some_and(|record| self.keep(record));
        if stored || before != epoch { Verdict::Changed } else { Verdict::Unchanged }
    }

    pub(crate) fn promise(&mut self, epoch: Epoch, candidate: Member) -> Verdict {
        if epoch < self.highest() || epoch.node() != Some(candidate.node) {
            return Verdict::Refused;
        }
        if self.promised == epoch {
            return Verdict::Unchanged;
        }
        self.promised = epoch;
        Verdict::Changed
    }

    /// Accepted means stored: an older record than the stored one is refused.
    pub(crate) fn store(&mut self, epoch: Epoch, version: u64, record: ClusterState) -> Verdict {
        let matches = record.version == version && record.epoch <= epoch;
        if epoch < self.highest() || epoch.node().is_none() || !matches {
            return Verdict::Refused;
        }
        if self.record.as_ref() != Some(&record) && !self.is_newer(&record) {
            return Verdict::Refused;
        }
        let before = self.followed;
        self.followed = epoch;
        let stored = self.keep(record);
        if stored || before != epoch { Verdict::Changed } else { Verdict::Unchanged }
    }

    /// What a master mentions in passing. A record of an epoch below a promise is not taken: that
    /// would let a fenced primary leave its word here by another door.
    pub(crate) fn learn(&mut self, record: ClusterState) -> bool {
        if record.epoch < self.highest() {
            return false;
        }
        let epoch = record.epoch;
        let stored = self.keep(record);
        if stored {
            self.followed = self.followed.max(epoch);
        }
        stored
    }

    fn is_newer(&self, record: &ClusterState) -> bool {
        let place = |record: &ClusterState| (record.epoch, record.version);
        self.record.as_ref().is_none_or(|known| place(record) > place(known))
    }

    fn keep(&mut self, record: ClusterState) -> bool {
        let newer = self.is_newer(&record);
        if newer {
            self.record = Some(record);
        }
        newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::test_record;
    use crate::types::{Incarnation, NodeId};

    fn epoch(counter: u64, node: u8) -> Epoch {
        Epoch::new(counter, NodeId::new(node).unwrap())
    }

    fn member(node: u8) -> Member {
        Member { node: NodeId::new(node).unwrap(), incarnation: Incarnation(1) }
    }

    fn record(epoch: Epoch, version: u64) -> ClusterState {
        ClusterState { epoch, version, ..test_record() }
    }

    fn state(followed: Epoch, promised: Epoch) -> FenceState {
        FenceState { followed, promised, record: None }
    }

    #[test]
    fn lower_epochs_are_refused_in_every_call() {
        for (followed, promised) in [(epoch(5, 1), Epoch::ZERO), (epoch(3, 1), epoch(5, 1))] {
            for lower in [epoch(4, 9), epoch(1, 1), Epoch::ZERO] {
                let mut fence = state(followed, promised);
                assert_eq!(fence.follow(lower, None), Verdict::Refused);
                let candidate = member(lower.node().map_or(1, NodeId::get));
                assert_eq!(fence.promise(lower, candidate), Verdict::Refused);
                assert_eq!(fence.store(lower, 9, record(lower, 9)), Verdict::Refused);
                assert!(!fence.learn(record(lower, 9)));
                assert_eq!(fence, state(followed, promised), "nothing changes");
            }
        }
    }

    #[test]
    fn the_same_epoch_is_fine_again_and_again() {
        let mut fence = state(epoch(5, 1), Epoch::ZERO);
        assert_eq!(fence.follow(epoch(5, 1), None), Verdict::Unchanged);
        assert_eq!(fence.promise(epoch(6, 2), member(2)), Verdict::Changed);
        assert_eq!(fence.promise(epoch(6, 2), member(2)), Verdict::Unchanged);
        assert_eq!(fence.follow(epoch(6, 2), None), Verdict::Changed);
        assert_eq!(fence.store(epoch(6, 2), 1, record(epoch(6, 2), 1)), Verdict::Changed);
        assert_eq!(fence.store(epoch(6, 2), 1, record(epoch(6, 2), 1)), Verdict::Unchanged);
    }

    #[test]
    fn an_epoch_is_promised_only_to_the_node_in_it() {
        let mut fence = FenceState::default();
        assert_eq!(fence.promise(epoch(6, 2), member(3)), Verdict::Refused);
        assert_eq!(fence, FenceState::default());
    }

    #[test]
    fn after_a_promise_the_old_primary_can_store_nothing() {
        let old = epoch(5, 1);
        let mut fence = state(old, Epoch::ZERO);
        assert_eq!(fence.store(old, 3, record(old, 3)), Verdict::Changed);
        assert_eq!(fence.promise(epoch(6, 2), member(2)), Verdict::Changed);
        assert_eq!(fence.store(old, 4, record(old, 4)), Verdict::Refused);
        assert!(!fence.learn(record(old, 4)));
        assert_eq!(fence.record.as_ref().map(|record| record.version), Some(3));
    }

    #[test]
    fn an_older_record_is_refused_and_another_of_the_same_version_too() {
        let now = epoch(5, 1);
        let mut fence = FenceState::default();
        assert_eq!(fence.store(now, 4, record(now, 4)), Verdict::Changed);
        assert_eq!(fence.store(now, 3, record(now, 3)), Verdict::Refused);
        let other =
            ClusterState { not_synchronized_since: Some(crate::types::Lsn(1)), ..record(now, 4) };
        assert_eq!(fence.store(now, 4, other), Verdict::Refused);
        assert_eq!(fence.store(now, 5, record(now, 6)), Verdict::Refused, "version differs");
        assert_eq!(fence.store(now, 5, record(epoch(9, 1), 5)), Verdict::Refused, "epoch differs");
    }

    #[test]
    fn a_learned_record_raises_what_is_followed_but_never_lowers_it() {
        let mut fence = state(epoch(5, 1), Epoch::ZERO);
        assert!(fence.learn(record(epoch(6, 2), 1)));
        assert_eq!(fence.followed, epoch(6, 2));
        assert!(!fence.learn(record(epoch(6, 2), 1)));
        assert!(fence.learn(record(epoch(6, 2), 2)));
    }
}
