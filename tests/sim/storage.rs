//! The disk of one simulated host: the real log on a simulated disk, the real catalog on the
//! in-memory store, the control file; and what a crash leaves of them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use aerie::catalog::{Catalog, Change, Digest, MemoryStore, PG_DESCRIPTION, RowKey};
use aerie::catalog::{Datum, Transaction};
use aerie::fts::SegmentRow;
use aerie::master::{Control, LogState, Payload};
use aerie::runtime::{Disk, DiskFile, SimDisk};
use aerie::types::{Epoch, Incarnation, Lsn, TimelineHistory};
use aerie::wal::record::{Record, decode_payload, encode_payload};
use aerie::wal::{Identity, Options, PayloadKind, Tail, Wal};

use crate::segments::rows_of;
use crate::world::CLUSTER;

const LOG: &str = "/pg_xlog";
const LOST: &str = "/pg_lost_wal";
/// Small files, so that a run begins and recycles many.
const OPTIONS: Options =
    Options { file_bytes: 16 << 10, ring_bytes: 4 << 10, read_from: Lsn::ZERO };

/// A client's write as a transaction of the catalog: one row of a system relation.
pub fn transaction(write: u64) -> Vec<u8> {
    let order = Datum::Int4((write % 50) as i32);
    let change = Change {
        key: RowKey::new(PG_DESCRIPTION, &[order]),
        row: Some(write.to_le_bytes().to_vec()),
    };
    let (snapshot, guards) = (Lsn::ZERO, Vec::new());
    Transaction { xid: write, snapshot, changes: vec![change], guards, next_oid: 0 }.encode()
}

/// What stands at a position: the write's number, or the epoch of an epoch start.
fn content(record: &Record) -> u64 {
    let (kind, body) = decode_payload(&record.payload).expect("a record has a known kind");
    match kind {
        PayloadKind::EpochStart => record.epoch.0 << 32,
        PayloadKind::Transaction => Transaction::decode(body).expect("a transaction").xid,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub epoch: Epoch,
    pub content: u64,
}

fn entry(record: &Record) -> Entry {
    Entry { epoch: record.epoch, content: content(record) }
}

pub struct Storage {
    pub control: Control,
    disk: SimDisk,
    store: MemoryStore,
    catalog: Catalog,
    wal: Option<Wal<SimDisk>>,
    doubtful: bool,
    /// What the log holds, by where each record ends: for the checks.
    index: BTreeMap<Lsn, Entry>,
    commit_found: Lsn,
    /// `gp_segment_configuration` as applied, and as it was when the catalog was last flushed.
    pub segments: Rows,
    segments_durable: Rows,
}

/// Segment rows by registration order.
pub type Rows = BTreeMap<NonZeroU32, SegmentRow>;

fn identity(incarnation: Incarnation) -> Identity {
    Identity { cluster: CLUSTER, incarnation }
}

fn catalog_of(store: &MemoryStore) -> Catalog {
    Catalog::open(Arc::new(store.clone())).expect("a store in memory opens")
}

impl Storage {
    pub fn new(seed: u64, incarnation: Incarnation, control: Control) -> Storage {
        let disk = SimDisk::new(seed);
        let start = (Lsn::ZERO, TimelineHistory::default());
        let wal = Wal::create(disk.clone(), Path::new(LOG), identity(incarnation), OPTIONS, start);
        let store = MemoryStore::new();
        Storage {
            control,
            disk,
            catalog: catalog_of(&store),
            store,
            wal: Some(wal.expect("a new log on an empty disk")),
            doubtful: false,
            index: BTreeMap::new(),
            commit_found: Lsn::ZERO,
            segments: Rows::new(),
            segments_durable: Rows::new(),
        }
    }

    fn wal(&mut self) -> &mut Wal<SimDisk> {
        self.wal.as_mut().expect("the log is open while the node runs")
    }

    /// Its log ends in what a crash may have torn, and nobody has told yet where it ends.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    pub fn end(&self) -> Lsn {
        self.wal.as_ref().map_or(Lsn::ZERO, Wal::end)
    }

    pub fn first(&self) -> Lsn {
        self.wal.as_ref().map_or(Lsn::ZERO, Wal::first)
    }

    pub fn durable(&self) -> Lsn {
        self.wal.as_ref().map_or(Lsn::ZERO, Wal::flushed)
    }

    pub fn applied(&self) -> Lsn {
        self.catalog.applied_lsn()
    }

    pub fn digest(&self) -> Digest {
        self.catalog.digest().expect("a digest in memory").1
    }

    pub fn append(&mut self, epoch: Epoch, lsn: Lsn, commit_lsn: Lsn, payload: &Payload) {
        let payload = match payload {
            Payload::EpochStart => encode_payload(PayloadKind::EpochStart, &[]),
            Payload::Transaction(bytes) => encode_payload(PayloadKind::Transaction, bytes),
        };
        let record = Record { epoch, lsn, commit_lsn, payload };
        self.wal().append(&record).expect("append");
        self.note(&record);
    }

    fn note(&mut self, record: &Record) {
        self.index.insert(record.end(), entry(record));
    }

    /// Whole records from `from`; nothing where the log no longer has them.
    pub fn read(&mut self, from: Lsn, max_bytes: usize) -> Vec<u8> {
        self.wal().read(from, max_bytes).unwrap_or_default()
    }

    pub fn append_encoded(&mut self, from: Lsn, bytes: &[u8]) {
        self.wal().append_encoded(from, bytes).expect("append what was received");
        self.index_from(from);
    }

    fn index_from(&mut self, from: Lsn) {
        let records: Vec<_> = self.wal().records(from).collect();
        for record in records {
            self.note(&record.expect("a record that was just written"));
        }
    }

    pub fn flush(&mut self) -> Lsn {
        self.wal().flush().expect("flush").end()
    }

    pub fn cut(&mut self, at: Lsn) {
        let applied = self.applied();
        assert!(at >= applied, "I4: cut at {at} although {applied} is applied");
        self.wal().cut(at, Path::new(LOST)).expect("cut");
        self.index.split_off(&Lsn(at.0 + 1));
        self.doubtful = false;
    }

    pub fn entry_at(&self, end: Lsn) -> Option<Entry> {
        self.index.get(&end).copied()
    }

    /// Applies what is committed up to `lsn`; returns what that was.
    pub fn apply(&mut self, lsn: Lsn) -> Vec<(Lsn, Entry)> {
        let applied = self.applied();
        let records: Vec<Record> = self
            .wal()
            .records(applied)
            .map(|record| record.expect("a committed record is readable"))
            .take_while(|record| record.end() <= lsn)
            .collect();
        let payloads: Vec<(Lsn, &[u8])> = records
            .iter()
            .map(|record| {
                let (_, body) = decode_payload(&record.payload).expect("a record has a kind");
                (record.end(), body)
            })
            .collect();
        self.catalog.apply(&payloads).expect("apply in memory");
        payloads.iter().for_each(|(_, body)| rows_of(body, &mut self.segments));
        records.iter().map(|record| (record.end(), entry(record))).collect()
    }

    /// Makes the catalog durable and, sometimes, drops the log that it no longer needs.
    pub fn checkpoint(&mut self, recycle: bool) -> Option<Lsn> {
        let durable = self.catalog.flush().expect("flush in memory");
        self.segments_durable = self.segments.clone();
        recycle.then(|| self.wal().recycle(durable).expect("recycle"))
    }

    /// A process that dies leaves all it wrote with the kernel; a machine that dies loses or keeps
    /// what was not synced, sector by sector. RocksDB writes no log of its own, so the catalog is
    /// back at its last flush in both cases.
    pub fn crash(&mut self, power: bool) {
        self.wal = None;
        if power {
            self.disk.crash();
        }
        self.store = self.store.crash();
        self.segments = self.segments_durable.clone();
    }

    /// A bit of what was written last flips, while nobody has the log open.
    pub fn damage_last(&self) {
        let files = self.disk.list(Path::new(LOG)).expect("a log");
        let newest = files.iter().filter(|path| path.extension().is_some_and(|e| e == "wal")).max();
        let newest = newest.expect("a log file");
        let file = self.disk.open(newest).expect("open");
        let mut bytes = vec![0; file.len().expect("length") as usize];
        file.read_at(&mut bytes, 0).expect("read");
        let at = bytes.iter().rposition(|byte| *byte != 0).expect("something was written");
        assert!(self.disk.damage(newest, at as u64, 1));
    }

    /// What a starting process finds.
    pub fn open(&mut self, incarnation: Incarnation) -> LogState {
        if self.wal.is_none() {
            let directory = Path::new(LOG);
            self.catalog = catalog_of(&self.store);
            let options = Options { read_from: self.catalog.applied_lsn(), ..OPTIONS };
            let opened = Wal::open(self.disk.clone(), directory, identity(incarnation), options);
            let (wal, recovered) = opened.expect("a log that was cut off is readable");
            self.doubtful = matches!(recovered.tail, Tail::Doubtful { .. });
            self.commit_found = recovered.commit_lsn;
            self.wal = Some(wal);
            self.index.clear();
            self.index_from(recovered.first);
        }
        self.found()
    }

    fn found(&mut self) -> LogState {
        let (commit_lsn, apply_lsn) = (self.commit_found, self.applied());
        let doubtful = self.doubtful;
        let wal = self.wal();
        LogState {
            end: wal.end(),
            first: wal.first(),
            commit_lsn,
            apply_lsn,
            history: wal.history().clone(),
            doubtful,
        }
    }

    /// Takes over the checkpoint of `source`, as another life.
    pub fn seed(&mut self, source: Seed, incarnation: Incarnation) -> LogState {
        self.store = source.store;
        self.catalog = catalog_of(&self.store);
        let (at, history) = (source.at, source.history);
        self.wal().reset(identity(incarnation), at, history).expect("reset");
        self.index = source.index;
        self.segments = source.segments.clone();
        self.segments_durable = source.segments;
        self.commit_found = at;
        self.doubtful = false;
        self.found()
    }

    pub fn checkpoint_for(&mut self) -> Seed {
        let at = self.applied();
        let mut history = self.wal().history().clone();
        history.cut(at);
        let index = self.index.range(..=at).map(|(end, entry)| (*end, *entry)).collect();
        Seed { store: self.store.image(), at, history, index, segments: self.segments.clone() }
    }
}

/// A checkpoint on its way.
pub struct Seed {
    store: MemoryStore,
    at: Lsn,
    history: TimelineHistory,
    /// What its source had applied, which the catalog in it contains: for the checks.
    index: BTreeMap<Lsn, Entry>,
    segments: Rows,
}
