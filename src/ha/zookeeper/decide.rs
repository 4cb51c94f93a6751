//! What the record that lies in ZooKeeper means for a proposed one. It asks nobody and writes
//! nothing; that the record is still the same when it is replaced is the znode version's business.

use crate::types::{ClusterId, ClusterState, Mode};

/// A record that somebody wants to put there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proposal<'a> {
    /// In place of its predecessor.
    Swap(&'a ClusterState),
    /// As the first one under this coordinator.
    First(&'a ClusterState),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there already, by its nonce.
    Done,
    /// The predecessor is there.
    Replace,
    /// Nothing is there, and something may be.
    Create,
    /// Another record stands there, and the proposed one never will.
    Moved,
    /// Nothing is there although a record must be: the tree was wiped.
    Empty,
    Foreign(ClusterId),
    /// Older than the proposed one's predecessor: the tree was put back.
    Older(u64),
}

impl<'a> Proposal<'a> {
    pub(super) fn record(self) -> &'a ClusterState {
        match self {
            Proposal::Swap(record) | Proposal::First(record) => record,
        }
    }

    pub(super) fn weigh(self, found: Option<&ClusterState>) -> Verdict {
        let proposed = self.record();
        let Some(found) = found else {
            let first = matches!(self, Proposal::First(_));
            return if first { Verdict::Create } else { Verdict::Empty };
        };
        if found.cluster_id != proposed.cluster_id {
            return Verdict::Foreign(found.cluster_id);
        }
        if found.version == proposed.version && found.nonce == proposed.nonce {
            return Verdict::Done;
        }
        if found.version >= proposed.version || found.epoch > proposed.epoch {
            return Verdict::Moved;
        }
        match self {
            // What was left when automatic mode was switched off.
            Proposal::First(_) if found.mode == Mode::Manual => Verdict::Replace,
            Proposal::First(_) => Verdict::Moved,
            Proposal::Swap(_) if found.version.checked_add(1) == Some(proposed.version) => {
                // Nothing but a new first record follows that one.
                if found.mode == Mode::Manual { Verdict::Moved } else { Verdict::Replace }
            }
            Proposal::Swap(_) => Verdict::Older(found.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::test_record;
    use crate::types::{Epoch, Nonce};

    fn record(version: u64, nonce: u128, change: impl Fn(&mut ClusterState)) -> ClusterState {
        let mode = Mode::ZooKeeper;
        let mut record = ClusterState { version, nonce: Nonce(nonce), mode, ..test_record() };
        change(&mut record);
        record
    }

    #[test]
    fn what_is_found_decides_row_by_row() {
        let same = |_: &mut ClusterState| {};
        let manual = |record: &mut ClusterState| record.mode = Mode::Manual;
        let foreign = |record: &mut ClusterState| record.cluster_id = ClusterId(99);
        let above = |record: &mut ClusterState| record.epoch = Epoch(0x0901);
        let proposed = record(5, 50, same);
        let rows = [
            (None, Verdict::Empty, Verdict::Create),
            (Some(record(5, 50, same)), Verdict::Done, Verdict::Done),
            (Some(record(4, 40, same)), Verdict::Replace, Verdict::Moved),
            (Some(record(4, 40, manual)), Verdict::Moved, Verdict::Replace),
            (Some(record(3, 30, same)), Verdict::Older(3), Verdict::Moved),
            (Some(record(3, 30, manual)), Verdict::Older(3), Verdict::Replace),
            (Some(record(5, 51, same)), Verdict::Moved, Verdict::Moved),
            (Some(record(5, 51, manual)), Verdict::Moved, Verdict::Moved),
            (Some(record(6, 60, same)), Verdict::Moved, Verdict::Moved),
            (Some(record(4, 40, above)), Verdict::Moved, Verdict::Moved),
            (Some(record(4, 40, foreign)), Verdict::Foreign(ClusterId(99)), {
                Verdict::Foreign(ClusterId(99))
            }),
        ];
        for (found, swap, first) in rows {
            let found = found.as_ref();
            assert_eq!(Proposal::Swap(&proposed).weigh(found), swap, "swap over {found:?}");
            assert_eq!(Proposal::First(&proposed).weigh(found), first, "first over {found:?}");
        }
    }
}
