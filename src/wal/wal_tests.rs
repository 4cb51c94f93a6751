//! The log on a simulated disk: what it takes, gives back, cuts and keeps.

use std::path::{Path, PathBuf};

use super::record::{PayloadKind, encode_payload, encoded_len};
use super::{Error, Identity, Options, Reader, Record, Recovered, Tail, Wal};
use crate::runtime::{Disk, DiskFile, SimDisk};
use crate::types::{ClusterId, Epoch, Incarnation, Lsn, TimelineHistory};

pub(crate) const DIRECTORY: &str = "wal";
pub(crate) const KEEP: &str = "lost";
pub(crate) const IDENTITY: Identity =
    Identity { cluster: ClusterId(0xC1), incarnation: Incarnation(0xA1) };
pub(crate) const OPTIONS: Options =
    Options { file_bytes: 16 << 10, ring_bytes: 2 << 10, read_from: Lsn::ZERO };
const START: Lsn = Lsn(0x100);

pub(crate) fn create(disk: &SimDisk) -> Wal<SimDisk> {
    let begin = (START, TimelineHistory::default());
    Wal::create(disk.clone(), Path::new(DIRECTORY), IDENTITY, OPTIONS, begin).unwrap()
}

pub(crate) fn open(disk: &SimDisk) -> Result<(Wal<SimDisk>, Recovered), Error> {
    Wal::open(disk.clone(), Path::new(DIRECTORY), IDENTITY, OPTIONS)
}

fn epoch(counter: u64) -> Epoch {
    Epoch(counter << 8 | 1)
}

pub(crate) fn append(wal: &mut Wal<SimDisk>, counter: u64, body_len: usize) -> Record {
    let lsn = wal.end();
    let body: Vec<u8> = (0..body_len).map(|i| (lsn.0 as usize + i) as u8).collect();
    let payload = encode_payload(PayloadKind::Transaction, &body);
    let record = Record { epoch: epoch(counter), lsn, commit_lsn: wal.flushed(), payload };
    wal.append(&record).unwrap();
    record
}

pub(crate) fn append_flushed(wal: &mut Wal<SimDisk>, count: usize, body_len: usize) -> Vec<Record> {
    (0..count)
        .map(|_| {
            let record = append(wal, 1, body_len);
            wal.flush().unwrap();
            record
        })
        .collect()
}

pub(crate) fn read_all(wal: &Wal<SimDisk>) -> Vec<Record> {
    wal.records(wal.first()).collect::<Result<_, _>>().unwrap()
}

pub(crate) fn files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.list(Path::new(DIRECTORY)).unwrap()
}

pub(crate) fn read_file(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    let length = file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(length, bytes.len());
    bytes
}

/// The error, where success has no `Debug`.
pub(crate) fn refused<T>(result: Result<T, Error>) -> Error {
    result.err().expect("it is refused")
}

#[test]
fn what_was_appended_is_read_back_after_reopening() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let mut written = Vec::new();
    for (counter, length) in [(1, 1), (1, 5000), (2, 300), (2, 11_000), (7, 20_000), (7, 4)] {
        written.push(append(&mut wal, counter, length));
    }
    assert_eq!(read_all(&wal), written, "readable before it is flushed");
    let flushed = wal.flush().unwrap();
    assert_eq!((flushed.end(), flushed.epoch()), (wal.end(), epoch(7)));
    let (history, end) = (wal.history().clone(), wal.end());
    drop(wal);
    disk.crash();
    let (wal, recovered) = open(&disk).unwrap();
    let commit_lsn = written.iter().map(|record| record.commit_lsn).max().unwrap();
    let expected = Recovered { first: START, end, history, commit_lsn, tail: Tail::Clean };
    assert_eq!(recovered, expected);
    assert_eq!(read_all(&wal), written);
    assert!(files(&disk).len() > 2, "several files, one of them of its own size");
    assert!(wal.size_bytes() > 3 * OPTIONS.file_bytes);
}

#[test]
fn shipped_bytes_make_the_same_log_elsewhere() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_flushed(&mut wal, 40, 700);
    let copy_disk = SimDisk::new(2);
    let mut copy = create(&copy_disk);
    let reader: Reader<SimDisk> = wal.reader();
    while copy.end() < wal.end() {
        let bytes = reader.read(copy.end(), wal.end(), 1500).unwrap();
        assert!(!bytes.is_empty() && bytes.len() <= 1500);
        copy.append_encoded(copy.end(), &bytes).unwrap();
    }
    copy.flush().unwrap();
    assert_eq!(read_all(&copy), read_all(&wal));
    assert_eq!(reader.read(wal.end(), wal.end(), 100).unwrap(), Vec::<u8>::new());
    let beyond = wal.end().advance(8);
    assert!(matches!(reader.read(beyond, Lsn::MAX, 1), Err(Error::BeyondEnd { .. })));
    let first = reader.read(START, Lsn::MAX, 1).unwrap();
    assert_eq!(first.len() as u64, encoded_len(701), "at least one record, from disk");
}

#[test]
fn bad_batches_are_refused_whole() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_flushed(&mut wal, 3, 100);
    let bytes = wal.read(START, 10_000).unwrap();
    let copy_disk = SimDisk::new(2);
    let mut copy = create(&copy_disk);
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let short = &bytes[..bytes.len() - 8];
    for bad in [flipped.as_slice(), short] {
        assert!(matches!(copy.append_encoded(START, bad), Err(Error::BadRecord { .. })));
    }
    let elsewhere = copy.append_encoded(Lsn(0x108), &bytes);
    assert!(matches!(elsewhere, Err(Error::NotContiguous { .. })));
    assert_eq!(copy.end(), START, "nothing of a bad batch is taken");
    append(&mut copy, 9, 10);
    let old = Record { epoch: epoch(1), lsn: copy.end(), commit_lsn: START, payload: vec![2] };
    assert!(matches!(copy.append(&old), Err(Error::EpochWentBack { .. })));
    let rash = Record { epoch: epoch(9), commit_lsn: Lsn(1 << 40), ..old.clone() };
    assert!(matches!(copy.append(&rash), Err(Error::BadRecord { .. })));
    let long = Record { epoch: epoch(9), payload: vec![2; 64 << 20], ..old };
    assert!(matches!(copy.append(&long), Err(Error::TooLong { .. })));
}

#[test]
fn a_foreign_log_is_refused_with_both_values() {
    let disk = SimDisk::new(1);
    drop(create(&disk));
    let other = Identity { incarnation: Incarnation(0xB2), ..IDENTITY };
    let error = refused(Wal::open(disk.clone(), Path::new(DIRECTORY), other, OPTIONS));
    let text = error.to_string();
    assert!(matches!(error, Error::Foreign { what: "incarnation", .. }));
    assert!(text.contains("00000000000000a1") && text.contains("00000000000000b2"), "{text}");
    let other = Identity { cluster: ClusterId(0xC2), ..IDENTITY };
    let error = refused(Wal::open(disk, Path::new(DIRECTORY), other, OPTIONS));
    assert!(matches!(error, Error::Foreign { what: "cluster", .. }));
}

#[test]
fn an_empty_or_used_directory_is_refused() {
    let disk = SimDisk::new(1);
    assert!(matches!(refused(open(&disk)), Error::Missing { .. }));
    drop(create(&disk));
    let begin = (START, TimelineHistory::default());
    let again = Wal::create(disk, Path::new(DIRECTORY), IDENTITY, OPTIONS, begin);
    assert!(matches!(refused(again), Error::Exists { .. }));
}

#[test]
fn a_failed_flush_is_final() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let record = append(&mut wal, 1, 10);
    disk.fail_next_syncs(1);
    assert!(matches!(wal.flush(), Err(Error::Io { .. })));
    assert_eq!(wal.flushed(), START);
    let next = Record { lsn: record.end(), ..record };
    assert!(matches!(wal.flush(), Err(Error::Poisoned)));
    assert!(matches!(wal.append(&next), Err(Error::Poisoned)));
    assert!(matches!(wal.append_encoded(next.lsn, &[]), Err(Error::Poisoned)));
    assert!(matches!(wal.cut(START, Path::new(KEEP)), Err(Error::Poisoned)));
    assert!(matches!(wal.recycle(START), Err(Error::Poisoned)));
}

#[test]
fn a_full_disk_refuses_a_new_file_and_breaks_nothing() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let mut records = append_flushed(&mut wal, 2, 5000);
    disk.set_capacity(Some(20 << 10));
    let payload = vec![2; 9000];
    let (lsn, commit_lsn) = (wal.end(), START);
    let record = Record { epoch: epoch(1), lsn, commit_lsn, payload };
    assert!(matches!(wal.append(&record), Err(Error::Io { .. })));
    assert_eq!(wal.end(), lsn);
    disk.set_capacity(None);
    wal.append(&record).unwrap();
    records.push(record);
    wal.flush().unwrap();
    drop(wal);
    assert_eq!(read_all(&open(&disk).unwrap().0), records);
}

#[test]
fn history_survives_recycling() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    for counter in 1..40 {
        append(&mut wal, counter, 900);
    }
    wal.flush().unwrap();
    let (history, end) = (wal.history().clone(), wal.end());
    assert_eq!(history.entries().len(), 39);
    let reader = wal.reader();
    let first = wal.recycle(end).unwrap();
    assert_eq!(files(&disk).len(), 1, "the newest file is never removed");
    assert_eq!((wal.first(), reader.first()), (first, first));
    match reader.read(START, Lsn::MAX, 100) {
        Err(Error::Recycled { first: told }) => assert_eq!(told, first),
        other => panic!("{other:?}"),
    }
    drop(wal);
    let (wal, recovered) = open(&disk).unwrap();
    assert_eq!((recovered.first, recovered.end, &recovered.history), (first, end, &history));
    assert_eq!(wal.history(), &history);
}

#[test]
fn recycling_keeps_the_file_that_the_limit_lies_in() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_flushed(&mut wal, 60, 900);
    let firsts: Vec<Lsn> = wal.shared().files.keys().copied().collect();
    assert_eq!(wal.recycle(firsts[2].advance(8)).unwrap(), firsts[2]);
    assert_eq!(wal.recycle(firsts[2]).unwrap(), firsts[2]);
    assert_eq!(wal.records(firsts[2]).count(), wal.records(wal.first()).count());
}

#[test]
fn a_cut_keeps_what_it_takes_and_the_log_goes_on_elsewhere() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let records = append_flushed(&mut wal, 60, 900);
    let (at, end) = (records[20].lsn, wal.end());
    let cut_bytes = wal.read(at, usize::MAX).unwrap();
    assert!(matches!(wal.cut(at.advance(8), Path::new(KEEP)), Err(Error::NotARecord { .. })));
    assert!(matches!(wal.cut(end.advance(8), Path::new(KEEP)), Err(Error::BeyondEnd { .. })));
    wal.cut(at, Path::new(KEEP)).unwrap();
    assert_eq!((wal.end(), wal.flushed()), (at, at));
    let kept = disk.list(Path::new(KEEP)).unwrap();
    assert_eq!(kept, [Path::new(KEEP).join(format!("{:016X}-{:016X}.wal", at.0, end.0))]);
    let saved = read_file(&disk, &kept[0]);
    assert_eq!(saved.len() as u64, end.bytes_since(at));
    assert_eq!(saved[..cut_bytes.len()], cut_bytes);
    let next = append(&mut wal, 2, 1000);
    assert_eq!(next.lsn, at);
    wal.flush().unwrap();
    disk.crash();
    let (wal, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.history.entries(), [(epoch(1), START), (epoch(2), at)]);
    let mut expected = records[..20].to_vec();
    expected.push(next);
    assert_eq!(read_all(&wal), expected);
}

#[test]
fn reset_begins_another_life() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_flushed(&mut wal, 60, 900);
    let identity = Identity { incarnation: Incarnation(0xD4), ..IDENTITY };
    let history = TimelineHistory::from_entries(vec![(epoch(3), Lsn(64))]).unwrap();
    wal.reset(identity, Lsn(1 << 20), history.clone()).unwrap();
    assert!(read_all(&wal).is_empty());
    append(&mut wal, 4, 10);
    wal.flush().unwrap();
    drop(wal);
    let opened = Wal::open(disk.clone(), Path::new(DIRECTORY), identity, OPTIONS).unwrap();
    assert_eq!(opened.1.first, Lsn(1 << 20));
    assert_eq!(opened.1.history.entries().len(), 2);
    assert!(matches!(refused(open(&disk)), Error::Foreign { .. }));
}
