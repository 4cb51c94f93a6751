//! The youngest records of the log in memory, shared by those who append, ship and apply.
//!
//! It is filled before the log's file is, so that a record is on its way to the standbys while it
//! is flushed here. What is older is read from the files.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::Lsn;

/// * Contiguous: each record begins where the one before it ends.
/// * Bounded by bytes, but what is not durable yet is never dropped: it is nowhere else.
#[derive(Debug)]
pub(super) struct LogTail {
    tail: Mutex<Tail>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Tail {
    records: VecDeque<(Lsn, Arc<[u8]>)>,
    bytes: usize,
    flushed: Lsn,
}

impl LogTail {
    pub(super) fn new(bytes_max: usize) -> LogTail {
        LogTail { tail: Mutex::new(Tail::default()), bytes_max }
    }

    /// Adds one encoded record that begins at `lsn`.
    pub(super) fn push(&self, lsn: Lsn, record: Arc<[u8]>) {
        let mut tail = self.lock();
        if tail.records.back().is_some_and(|(last, bytes)| after(*last, bytes) != lsn) {
            tail.clear();
        }
        tail.bytes += record.len();
        tail.records.push_back((lsn, record));
        tail.trim(self.bytes_max);
    }

    /// What lies before `end` may now be dropped, since the files have it.
    pub(super) fn flushed(&self, end: Lsn) {
        let mut tail = self.lock();
        tail.flushed = end;
        tail.trim(self.bytes_max);
    }

    /// Forgets everything from `at` on.
    pub(super) fn cut(&self, at: Lsn) {
        let mut tail = self.lock();
        while let Some((lsn, bytes)) = tail.records.back()
            && after(*lsn, bytes) > at
        {
            tail.bytes -= bytes.len();
            tail.records.pop_back();
        }
        tail.flushed = tail.flushed.min(at);
    }

    /// Whole records from `from` on that end at or before `upto`: at most `max_bytes`, but at
    /// least one. `None` where `from` is not the beginning of a record that is held.
    pub(super) fn read(&self, from: Lsn, upto: Lsn, max_bytes: usize) -> Option<Vec<Arc<[u8]>>> {
        let tail = self.lock();
        let start = tail.records.binary_search_by_key(&from, |(lsn, _)| *lsn).ok()?;
        let mut bytes = 0;
        let fits = |(lsn, record): &&(Lsn, Arc<[u8]>)| {
            bytes += record.len();
            let first = bytes == record.len();
            (first || bytes <= max_bytes) && after(*lsn, record) <= upto
        };
        let found: Vec<_> = tail.records.range(start..).take_while(fits).collect();
        (!found.is_empty()).then(|| found.into_iter().map(|(_, b)| Arc::clone(b)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }

    fn trim(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some((lsn, record)) = self.records.front()
            && after(*lsn, record) <= self.flushed
        {
            self.bytes -= record.len();
            self.records.pop_front();
        }
    }
}

fn after(lsn: Lsn, record: &[u8]) -> Lsn {
    lsn.advance(record.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(records: u64, bytes_max: usize) -> LogTail {
        let tail = LogTail::new(bytes_max);
        (0..records).for_each(|n| tail.push(Lsn(n * 16), Arc::from(vec![n as u8; 16])));
        tail
    }

    fn first_bytes(found: Option<Vec<Arc<[u8]>>>) -> Option<Vec<u8>> {
        found.map(|records| records.iter().map(|record| record[0]).collect())
    }

    #[test]
    fn what_is_not_durable_is_kept_whatever_its_size() {
        let tail = filled(8, 32);
        assert_eq!(first_bytes(tail.read(Lsn(0), Lsn::MAX, 48)), Some(vec![0, 1, 2]));
        tail.flushed(Lsn(96));
        assert_eq!(first_bytes(tail.read(Lsn(80), Lsn::MAX, 48)), None);
        assert_eq!(first_bytes(tail.read(Lsn(96), Lsn::MAX, 48)), Some(vec![6, 7]));
    }

    #[test]
    fn reads_whole_records_up_to_a_position_and_at_least_one() {
        let tail = filled(4, 1024);
        assert_eq!(first_bytes(tail.read(Lsn(16), Lsn(48), 1024)), Some(vec![1, 2]));
        assert_eq!(first_bytes(tail.read(Lsn(16), Lsn::MAX, 1)), Some(vec![1]));
        assert_eq!(first_bytes(tail.read(Lsn(16), Lsn(20), 1024)), None);
        assert_eq!(first_bytes(tail.read(Lsn(17), Lsn::MAX, 1024)), None);
        assert_eq!(first_bytes(tail.read(Lsn(64), Lsn::MAX, 1024)), None);
    }

    #[test]
    fn a_cut_or_a_jump_forgets() {
        let tail = filled(4, 1024);
        tail.cut(Lsn(32));
        assert_eq!(first_bytes(tail.read(Lsn(0), Lsn::MAX, 1024)), Some(vec![0, 1]));
        tail.push(Lsn(32), Arc::from(vec![9; 16]));
        assert_eq!(first_bytes(tail.read(Lsn(16), Lsn::MAX, 1024)), Some(vec![1, 9]));
        tail.push(Lsn(320), Arc::from(vec![7; 16]));
        assert_eq!(first_bytes(tail.read(Lsn(16), Lsn::MAX, 1024)), None);
        assert_eq!(first_bytes(tail.read(Lsn(320), Lsn::MAX, 1024)), Some(vec![7]));
    }
}
