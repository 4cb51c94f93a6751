//! The disk of one simulated host: control file, log and catalog, and what a crash leaves of them.

use std::collections::BTreeMap;

use aerie::master::{Control, LogState, Payload};
use aerie::types::{Epoch, Lsn, TimelineHistory};
use aerie::wal::record::encoded_len;

use crate::rng::Rng;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub epoch: Epoch,
    pub lsn: Lsn,
    pub commit: Lsn,
    pub end: Lsn,
    /// 0 for an epoch start, otherwise the number of the write; with the epoch it is the content.
    pub write: u64,
}

impl Entry {
    pub fn content(&self) -> u64 {
        if self.write == 0 { self.epoch.0 << 32 } else { self.write }
    }
}

#[derive(Debug, Clone)]
pub struct Storage {
    pub control: Control,
    pub log: Vec<Entry>,
    pub first: Lsn,
    /// History of what lies before `log` (after a seed).
    pub base_history: TimelineHistory,
    pub durable: Lsn,
    pub applied: Lsn,
    pub applied_durable: Lsn,
}

impl Storage {
    pub fn end(&self) -> Lsn {
        self.log.last().map_or(self.first, |entry| entry.end)
    }

    pub fn append(&mut self, epoch: Epoch, lsn: Lsn, commit: Lsn, payload: &Payload) {
        assert!(lsn == self.end(), "append at {lsn}, the log ends at {}", self.end());
        let (write, bytes) = match payload {
            Payload::EpochStart => (0, 0),
            Payload::Transaction(bytes) => {
                (u64::from_le_bytes(bytes[..8].try_into().unwrap()), bytes.len())
            }
        };
        let end = lsn.advance(encoded_len(1 + bytes));
        self.log.push(Entry { epoch, lsn, commit, end, write });
    }

    /// Whole records from `from`, in the form in which they travel.
    pub fn read(&self, from: Lsn, max_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in self.log.iter().skip_while(|entry| entry.lsn < from) {
            if from < self.first || (!bytes.is_empty() && bytes.len() >= max_bytes) {
                break;
            }
            encode(entry, &mut bytes);
        }
        bytes
    }

    pub fn append_encoded(&mut self, from: Lsn, mut bytes: &[u8]) {
        assert!(from == self.end(), "append at {from}, the log ends at {}", self.end());
        while !bytes.is_empty() {
            let (entry, rest) = decode(bytes, self.end());
            assert!(self.log.last().is_none_or(|last| last.epoch <= entry.epoch));
            self.log.push(entry);
            bytes = rest;
        }
    }

    pub fn cut(&mut self, at: Lsn) {
        assert!(at >= self.applied, "I4: cut at {at} although {} is applied", self.applied);
        self.log.retain(|entry| entry.end <= at);
        assert!(self.end() == at, "cut at {at} is not a record's border");
        self.durable = at;
    }

    pub fn content_at(&self, end: Lsn) -> Option<u64> {
        let at = self.log.binary_search_by_key(&end, |entry| entry.end).ok()?;
        Some(self.log[at].content())
    }

    pub fn history(&self) -> TimelineHistory {
        let mut history = self.base_history.clone();
        self.log.iter().for_each(|entry| history.note(entry.epoch, entry.lsn));
        history
    }

    /// What is found after a crash. A process that dies leaves all it wrote with the kernel; a
    /// machine that dies loses a random part of what was not flushed. RocksDB writes no log of its
    /// own, so the catalog is back at its last flush in both cases.
    pub fn crash(&mut self, power: bool, rng: &mut Rng) {
        if power {
            let keep = rng.below(4);
            let durable = self.durable;
            let mut unsynced = 0;
            self.log.retain(|entry| {
                unsynced += u64::from(entry.end > durable);
                entry.end <= durable || unsynced <= keep
            });
        }
        self.applied = self.applied_durable;
    }

    pub fn found(&self) -> LogState {
        let commits = self.log.iter().map(|entry| entry.commit);
        LogState {
            end: self.end(),
            first: self.first,
            commit_lsn: commits.max().unwrap_or(self.applied).min(self.end()),
            apply_lsn: self.applied,
            history: self.history(),
            doubtful: false,
        }
    }

    /// What lies between the applied position and `upto`.
    pub fn between(&self, upto: Lsn) -> BTreeMap<Lsn, u64> {
        let fresh = self.log.iter().filter(|e| e.end > self.applied && e.end <= upto);
        fresh.map(|entry| (entry.end, entry.content())).collect()
    }
}

/// The real layout's header fields, without a checksum: length, epoch, LSN, commit LSN, write.
fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    let payload: u32 = if entry.write == 0 { 1 } else { 9 };
    out.extend(payload.to_le_bytes());
    out.extend(0u32.to_le_bytes());
    out.extend(entry.epoch.0.to_le_bytes());
    out.extend(entry.lsn.0.to_le_bytes());
    out.extend(entry.commit.0.to_le_bytes());
    out.push(if entry.write == 0 { 1 } else { 2 });
    if entry.write != 0 {
        out.extend(entry.write.to_le_bytes());
    }
    out.resize(start + encoded_len(payload as usize) as usize, 0);
}

fn decode(bytes: &[u8], at: Lsn) -> (Entry, &[u8]) {
    let word = |from: usize| u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap());
    let payload = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let length = encoded_len(payload as usize);
    let write = if payload == 1 { 0 } else { word(33) };
    let (epoch, lsn, commit) = (Epoch(word(8)), Lsn(word(16)), Lsn(word(24)));
    assert!(lsn == at, "a record of {lsn} was sent for {at}");
    let entry = Entry { epoch, lsn, commit, end: lsn.advance(length), write };
    (entry, &bytes[length as usize..])
}
