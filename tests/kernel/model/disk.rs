//! The disk of one node: log, control file, catalog; what is flushed survives, the rest may not.

use aerie::master::{Control, LogState, Payload};
use aerie::types::{Epoch, Lsn, TimelineHistory};
use aerie::wal::PayloadKind;
use aerie::wal::record::{Parsed, Record, decode_payload, encode, encode_payload, parse};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    pub start: Lsn,
    pub end: Lsn,
    pub epoch: Epoch,
    pub commit: Lsn,
    /// Number of a write, or the epoch that an epoch-start record begins.
    pub content: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Disk {
    pub control: Control,
    pub log: Vec<u8>,
    pub entries: Vec<Entry>,
    pub flushed: Lsn,
    pub applied: Lsn,
}

/// What a crash leaves of what was not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process: the system has the log, the catalog is back at its last flush, here none.
    Process,
    /// The machine: the log ends where it was flushed; the catalog was flushed just before.
    Machine,
}

impl Disk {
    pub fn new(control: Control) -> Disk {
        let (log, entries) = (Vec::new(), Vec::new());
        Disk { control, log, entries, flushed: Lsn::ZERO, applied: Lsn::ZERO }
    }

    pub fn end(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    pub fn append(&mut self, (epoch, lsn, commit_lsn): (Epoch, Lsn, Lsn), payload: &Payload) {
        let payload = match payload {
            Payload::EpochStart => encode_payload(PayloadKind::EpochStart, &[]),
            Payload::Transaction(bytes) => encode_payload(PayloadKind::Transaction, bytes),
        };
        let mut bytes = Vec::new();
        encode(&Record { epoch, lsn, commit_lsn, payload }, &mut bytes);
        self.append_encoded(lsn, &bytes);
    }

    pub fn append_encoded(&mut self, from: Lsn, mut bytes: &[u8]) {
        assert!(from == self.end(), "appended at {from}, the log ends at {}", self.end());
        while let Parsed::Frame(frame) = parse(bytes, self.end()) {
            let (kind, body) = decode_payload(frame.payload).expect("a known kind");
            let content = match kind {
                PayloadKind::EpochStart => frame.epoch.0 << 32,
                PayloadKind::Transaction => u64::from(body[0]),
            };
            let (start, end) = (frame.lsn, frame.lsn.advance(frame.bytes.len() as u64));
            let (epoch, commit) = (frame.epoch, frame.commit_lsn);
            self.entries.push(Entry { start, end, epoch, commit, content });
            self.log.extend_from_slice(frame.bytes);
            bytes = &bytes[frame.bytes.len()..];
        }
        assert!(bytes.is_empty(), "only whole records are appended");
    }

    pub fn read(&self, from: Lsn) -> Vec<u8> {
        self.log.get(from.0 as usize..).unwrap_or_default().to_vec()
    }

    pub fn cut(&mut self, at: Lsn) {
        self.log.truncate(at.0 as usize);
        self.entries.retain(|entry| entry.end <= at);
        assert!(self.entries.last().map_or(Lsn::ZERO, |e| e.end) == at, "cut inside a record");
        self.flushed = at;
    }

    pub fn holds(&self, end: Lsn, content: u64) -> bool {
        self.entries.iter().any(|entry| entry.end == end && entry.content == content)
    }

    pub fn crash(&mut self, crash: Crash) {
        match crash {
            Crash::Process => self.applied = Lsn::ZERO,
            Crash::Machine => {
                let flushed = self.flushed;
                self.log.truncate(flushed.0 as usize);
                self.entries.retain(|entry| entry.end <= flushed);
            }
        }
    }

    pub fn found(&self) -> LogState {
        let mut history = TimelineHistory::default();
        self.entries.iter().for_each(|entry| history.note(entry.epoch, entry.start));
        let commit_lsn = self.entries.iter().map(|entry| entry.commit).max().unwrap_or(Lsn::ZERO);
        let (end, first, apply_lsn) = (self.end(), Lsn::ZERO, self.applied);
        LogState { end, first, commit_lsn, apply_lsn, history, doubtful: false }
    }
}
