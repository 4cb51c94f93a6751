//! The thread that applies committed records to the catalog, in order, many at a time.
//!
//! It goes exactly as far as the node says. A committed record that cannot be applied ends the
//! process: the same record was applied elsewhere.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::runtime::{Disk, error_text};
use crate::types::Lsn;
use crate::wal::record::{PayloadKind, decode_payload};
use crate::wal::{Frames, Reader};

use super::Event;
use super::digest_points::DigestPoints;
use super::fatal::Fatal;
use super::inbox::Inbox;
use super::log_tail::LogTail;
use super::queue::{Drained, Queue};
use super::waiters::Waiters;

pub(super) const COMMANDS_MAX: usize = 1 << 20;

/// Bytes of the log applied in one atomic batch.
const BATCH_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy)]
pub(super) struct ApplyTo {
    pub(super) lsn: Lsn,
}

pub(super) struct Applier<D: Disk> {
    pub(super) catalog: Catalog,
    /// Where the log begins for an empty catalog.
    pub(super) start: Lsn,
    pub(super) tail: Arc<LogTail>,
    pub(super) reader: Option<Reader<D>>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) digests: Arc<DigestPoints>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) fatal: Fatal,
}

impl<D: Disk> Applier<D> {
    pub(super) fn run(self, queue: &Queue<ApplyTo>) {
        let mut batch = Vec::new();
        loop {
            let state = queue.drain(&mut batch);
            let target = batch.drain(..).map(|apply: ApplyTo| apply.lsn).max();
            if let Some(target) = target
                && let Err(reason) = self.apply_to(target)
            {
                self.fatal.end(&reason);
                return;
            }
            if state == Drained::Closed {
                return;
            }
        }
    }

    fn apply_to(&self, target: Lsn) -> Result<(), String> {
        loop {
            let from = self.catalog.applied_lsn().max(self.start);
            if from >= target {
                break;
            }
            // A digest is taken at the first end of a record that is not before where it was asked.
            let max_bytes = if self.digests.awaited() { 1 } else { BATCH_BYTES };
            let bytes = self.read(from, target, max_bytes)?;
            self.apply(from, &bytes)?;
            let applied = self.catalog.applied_lsn();
            if applied <= from {
                return Err(format!("cannot apply the log from {from} to {target}"));
            }
            self.waiters.applied(applied);
            self.digests.reached(applied, &self.catalog);
        }
        self.inbox.report(Event::Applied { lsn: self.catalog.applied_lsn() });
        Ok(())
    }

    fn read(&self, from: Lsn, upto: Lsn, max_bytes: usize) -> Result<Vec<u8>, String> {
        if let Some(records) = self.tail.read(from, upto, max_bytes) {
            return Ok(records.concat());
        }
        let Some(reader) = &self.reader else {
            return Err(format!("there is no log to apply from {from} to {upto}"));
        };
        let read = reader.read(from, upto, max_bytes);
        read.map_err(|error| format!("read the log at {from}: {}", error_text(&error)))
    }

    fn apply(&self, from: Lsn, bytes: &[u8]) -> Result<(), String> {
        let mut frames = Frames::new(bytes, from);
        let mut batch = Vec::new();
        for frame in frames.by_ref() {
            let end = frame.lsn.advance(frame.bytes.len() as u64);
            let decoded = decode_payload(frame.payload);
            let (kind, body) =
                decoded.map_err(|flaw| format!("record at {}: {flaw}", frame.lsn))?;
            match kind {
                PayloadKind::EpochStart => batch.push((end, [].as_slice())),
                PayloadKind::Transaction => batch.push((end, body)),
            }
        }
        let applied = self.catalog.apply(&batch);
        applied.map_err(|error| format!("apply the log from {from}: {}", error_text(&error)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use tokio::sync::oneshot;

    use super::super::waiters::Outcome;
    use super::*;
    use crate::catalog::{Batch, Committed, MemoryStore, Store, StoreError, StoreSnapshot};
    use crate::runtime::{BootClock, SimDisk};
    use crate::types::Epoch;
    use crate::wal::record::{Record, encode, encode_payload};

    /// A store that looks, when it is written, whether the client has been answered already.
    #[derive(Clone, Default)]
    struct Watched {
        store: MemoryStore,
        answer: Arc<Mutex<Option<oneshot::Receiver<Outcome>>>>,
    }

    impl Store for Watched {
        fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
            self.store.snapshot()
        }

        fn write(&self, batch: Batch) -> Result<(), StoreError> {
            let answered = self.answer.lock().unwrap().as_mut().map(oneshot::Receiver::try_recv);
            assert!(!matches!(answered, Some(Ok(_))), "answered before it was applied");
            self.store.write(batch)
        }

        fn flush(&self) -> Result<(), StoreError> {
            self.store.flush()
        }

        fn checkpoint(&self, directory: &Path) -> Result<(), StoreError> {
            self.store.checkpoint(directory)
        }
    }

    /// Section 9, "reply after apply".
    #[test]
    fn a_client_is_answered_after_its_record_is_applied() {
        let watched = Watched::default();
        let mut bytes = Vec::new();
        let payload = encode_payload(PayloadKind::EpochStart, &[]);
        let record = Record { epoch: Epoch(257), lsn: Lsn::ZERO, commit_lsn: Lsn::ZERO, payload };
        encode(&record, &mut bytes);
        let (tail, end) = (Arc::new(LogTail::new(1 << 20)), Lsn(bytes.len() as u64));
        tail.push(Lsn::ZERO, Arc::from(bytes));
        let waiters = Arc::new(Waiters::default());
        let (ticket, answer) = waiters.enter(7).unwrap();
        waiters.appended(ticket, end);
        *watched.answer.lock().unwrap() = Some(answer);
        let fatal = Fatal::new(|why| panic!("{why}"));
        let applier = Applier::<SimDisk> {
            catalog: Catalog::open(Arc::new(watched.clone())).unwrap(),
            start: Lsn::ZERO,
            tail,
            reader: None,
            waiters,
            digests: Arc::default(),
            inbox: Arc::new(Inbox::new(Arc::new(BootClock), fatal.clone())),
            fatal,
        };
        applier.apply_to(end).unwrap();
        assert_eq!(applier.catalog.applied_lsn(), end);
        let answer = watched.answer.lock().unwrap().take().map(|mut answer| answer.try_recv());
        assert_eq!(answer, Some(Ok(Ok(Committed { lsn: end }))));
    }
}
