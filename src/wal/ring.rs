//! The most recent records in memory, so that shipping them to standbys reads no disk.

use std::collections::VecDeque;

use crate::types::Lsn;

/// Whole encoded records, contiguous, the newest last. Bounded by bytes, but what is not yet in
/// the file is never dropped, since it can be read nowhere else.
#[derive(Debug)]
pub(crate) struct Ring {
    records: VecDeque<(Lsn, Vec<u8>)>,
    bytes: usize,
    bytes_max: usize,
}

impl Ring {
    pub(crate) fn new(bytes_max: usize) -> Ring {
        Ring { records: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn push(&mut self, lsn: Lsn, record: Vec<u8>) {
        self.bytes += record.len();
        self.records.push_back((lsn, record));
    }

    /// Drops the oldest records that can also be read from the file, down to the bound.
    pub(crate) fn trim(&mut self, written: Lsn) {
        while self.bytes > self.bytes_max {
            let Some((lsn, record)) = self.records.front() else { return };
            if lsn.advance(record.len() as u64) > written {
                return;
            }
            self.bytes -= record.len();
            self.records.pop_front();
        }
    }

    /// Forgets everything from `at` on.
    pub(crate) fn cut(&mut self, at: Lsn) {
        while self.records.back().is_some_and(|(lsn, _)| *lsn >= at) {
            if let Some((_, record)) = self.records.pop_back() {
                self.bytes -= record.len();
            }
        }
    }

    /// Whole records in `[from, upto)`: at most `max_bytes`, but at least one. `None` when the
    /// ring does not hold `from` as the start of a record.
    pub(crate) fn read(&self, from: Lsn, upto: Lsn, max_bytes: usize) -> Option<Vec<u8>> {
        let start = self.records.binary_search_by_key(&from, |(lsn, _)| *lsn).ok()?;
        let mut out = Vec::new();
        for (lsn, record) in self.records.range(start..) {
            let fits = out.is_empty() || out.len() + record.len() <= max_bytes;
            if !fits || lsn.advance(record.len() as u64) > upto {
                break;
            }
            out.extend_from_slice(record);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_only_here_and_drops_the_oldest_otherwise() {
        let mut ring = Ring::new(32);
        for n in 0..8 {
            ring.push(Lsn(n * 16), vec![n as u8; 16]);
            ring.trim(Lsn(0));
        }
        assert_eq!(ring.read(Lsn(0), Lsn(128), 16), Some(vec![0; 16]));
        ring.trim(Lsn(128));
        assert_eq!(ring.read(Lsn(80), Lsn(128), 16), None);
        assert_eq!(ring.read(Lsn(96), Lsn(128), 1000).map(|bytes| bytes.len()), Some(32));
        assert_eq!(ring.read(Lsn(100), Lsn(128), 1000), None, "not the start of a record");
        assert_eq!(ring.read(Lsn(96), Lsn(120), 1000).map(|bytes| bytes.len()), Some(16));
        ring.cut(Lsn(112));
        assert_eq!(ring.read(Lsn(96), Lsn(128), 1000).map(|bytes| bytes.len()), Some(16));
        assert_eq!(ring.read(Lsn(112), Lsn(128), 1000), None);
    }
}
