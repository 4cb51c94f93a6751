//! How long a standby has lacked what it lacks, for `pg_stat_replication`: when the log ended
//! where, noted from time to time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::types::{Instant, Lsn};

/// Beyond this every other note goes, so that the older ones lie further apart.
const NOTES_MAX: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Lags {
    notes: Mutex<VecDeque<(Lsn, Instant)>>,
}

impl Lags {
    /// The log ends at `end` now.
    pub(super) fn note(&self, now: Instant, end: Lsn) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.back().is_some_and(|(known, _)| *known >= end) {
            return;
        }
        if notes.len() >= NOTES_MAX {
            let mut keep = false;
            notes.retain(|_| {
                keep = !keep;
                keep
            });
        }
        notes.push_back((end, now));
    }

    /// Since when there has been more of the log than up to `reached`; `None` where there is not.
    pub(super) fn of(&self, now: Instant, reached: Lsn) -> Option<Duration> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let first = notes.partition_point(|(end, _)| *end <= reached);
        notes.get(first).map(|(_, at)| now.since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_counts_from_the_first_thing_lacking() {
        let (lags, at) = (Lags::default(), |seconds: u64| Instant(seconds * 1_000_000_000));
        assert_eq!(lags.of(at(9), Lsn(0)), None);
        for (time, end) in [(1, 10), (2, 20), (3, 20), (4, 30)] {
            lags.note(at(time), Lsn(end));
        }
        let seconds = |lag: Option<Duration>| lag.map(|lag| lag.as_secs());
        assert_eq!(seconds(lags.of(at(9), Lsn(0))), Some(8));
        assert_eq!(seconds(lags.of(at(9), Lsn(10))), Some(7));
        assert_eq!(seconds(lags.of(at(9), Lsn(25))), Some(5));
        assert_eq!(lags.of(at(9), Lsn(30)), None);
        (5..5_000).for_each(|n| lags.note(at(n), Lsn(n * 10)));
        assert!(lags.notes.lock().unwrap().len() <= NOTES_MAX);
        assert_eq!(seconds(lags.of(at(5_000), Lsn(0))), Some(4_999));
    }
}
