//! Timeline history: which epochs a log contains and where each begins.

use std::fmt;

use super::{Epoch, Lsn};

/// The list of `(epoch, first LSN of that epoch)` that a log contains.
///
/// * Epochs strictly increase; start positions never decrease.
/// * A log's content up to a position is determined by its history up to that position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TimelineHistory {
    entries: Vec<(Epoch, Lsn)>,
}

impl TimelineHistory {
    #[must_use]
    pub fn entries(&self) -> &[(Epoch, Lsn)] {
        &self.entries
    }

    /// `None` when the entries break an invariant (a bad message or file).
    #[must_use]
    pub fn from_entries(entries: Vec<(Epoch, Lsn)>) -> Option<TimelineHistory> {
        let ordered = entries.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
        ordered.then_some(TimelineHistory { entries })
    }

    /// The epoch of the last record, zero in an empty log.
    #[must_use]
    pub fn last_epoch(&self) -> Epoch {
        self.entries.last().map_or(Epoch::ZERO, |(epoch, _)| *epoch)
    }

    /// Notes that a record of `epoch` begins at `lsn`.
    pub fn note(&mut self, epoch: Epoch, lsn: Lsn) {
        let last = self.last_epoch();
        assert!(epoch >= last, "a log never goes back to an earlier epoch: {epoch} after {last}");
        if epoch > last {
            self.entries.push((epoch, lsn));
        }
    }

    /// Forgets what begins at or after `lsn`, as when the log is cut there.
    pub fn cut(&mut self, lsn: Lsn) {
        self.entries.retain(|(_, start)| *start < lsn);
    }

    /// How far a log with this history that ends at `end` is the same as another.
    ///
    /// Walks both lists from the start: as long as the entries agree the logs agree, up to where
    /// the first of the two leaves the last common epoch.
    #[must_use]
    pub fn common_point(&self, end: Lsn, other: &TimelineHistory, other_end: Lsn) -> Lsn {
        let shared =
            self.entries.iter().zip(&other.entries).take_while(|(mine, theirs)| mine == theirs);
        let shared = shared.count();
        let leaves = |history: &TimelineHistory, end: Lsn| {
            history.entries.get(shared).map_or(end, |(_, start)| (*start).min(end))
        };
        leaves(self, end).min(leaves(other, other_end))
    }
}

impl fmt::Display for TimelineHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.entries.iter().map(|(e, l)| format!("{e}@{l}")).collect();
        f.write_str(&list.join(","))
    }
}
