//! The log on the machine's own file system, and read by one thread while another writes.

use std::path::Path;
use std::thread;

use super::record::{PayloadKind, encode_payload};
use super::{Error, Frames, Identity, Options, Record, Tail, Wal};
use crate::runtime::FileDisk;
use crate::types::{ClusterId, Epoch, Incarnation, Lsn, TimelineHistory};

const IDENTITY: Identity = Identity { cluster: ClusterId(1), incarnation: Incarnation(2) };
const OPTIONS: Options =
    Options { file_bytes: 64 << 10, ring_bytes: 4 << 10, read_from: Lsn::ZERO };

fn create(directory: &Path) -> Wal<FileDisk> {
    let begin = (Lsn(8), TimelineHistory::default());
    Wal::create(FileDisk, directory, IDENTITY, OPTIONS, begin).unwrap()
}

fn append(wal: &mut Wal<FileDisk>, number: usize) -> Record {
    let body = vec![number as u8; number * 37 % 3000];
    let payload = encode_payload(PayloadKind::Transaction, &body);
    let (lsn, commit_lsn) = (wal.end(), wal.flushed());
    let record = Record { epoch: Epoch(257), lsn, commit_lsn, payload };
    wal.append(&record).unwrap();
    record
}

#[test]
fn real_files_are_written_cut_recycled_and_reopened() {
    let home = tempfile::tempdir().unwrap();
    let (directory, keep) = (home.path().join("wal"), home.path().join("pg_lost_wal"));
    let mut wal = create(&directory);
    let records: Vec<Record> = (0..200).map(|number| append(&mut wal, number)).collect();
    wal.flush().unwrap();
    let at = records[150].lsn;
    wal.cut(at, &keep).unwrap();
    assert_eq!(std::fs::read_dir(&keep).unwrap().count(), 1);
    let first = wal.recycle(records[60].lsn).unwrap();
    assert!(first > Lsn(8) && first <= records[60].lsn);
    assert!(wal.size_bytes() >= at.bytes_since(first));
    drop(wal);
    let (wal, recovered) = Wal::open(FileDisk, &directory, IDENTITY, OPTIONS).unwrap();
    assert_eq!((recovered.first, recovered.end, recovered.tail), (first, at, Tail::Clean));
    let read: Vec<Record> = wal.records(first).collect::<Result<_, _>>().unwrap();
    let kept: Vec<Record> =
        records[..150].iter().filter(|record| record.lsn >= first).cloned().collect();
    assert_eq!(read, kept);
}

#[test]
fn a_reader_on_another_thread_sees_whole_records_in_order_while_they_are_written() {
    let home = tempfile::tempdir().unwrap();
    let mut wal = create(&home.path().join("wal"));
    let reader = wal.reader();
    let count = 3000;
    let reading = thread::spawn(move || {
        let (mut next, mut seen) = (Lsn(8), 0);
        while seen < count {
            let bytes = reader.read(next, Lsn::MAX, 10_000).unwrap();
            let mut frames = Frames::new(&bytes, next);
            for frame in frames.by_ref() {
                assert_eq!(frame.payload.len(), 1 + seen * 37 % 3000);
                next = next.advance(frame.bytes.len() as u64);
                seen += 1;
            }
            thread::yield_now();
        }
        next
    });
    for number in 0..count {
        append(&mut wal, number);
        if number % 100 == 0 {
            wal.flush().unwrap();
        }
    }
    assert_eq!(reading.join().unwrap(), wal.end());
}

#[test]
fn a_reader_that_is_overtaken_by_recycling_is_told_so() {
    let home = tempfile::tempdir().unwrap();
    let mut wal = create(&home.path().join("wal"));
    let reader = wal.reader();
    let reading = thread::spawn(move || {
        let mut next = Lsn(8);
        loop {
            match reader.read(next, Lsn::MAX, 3000) {
                Ok(bytes) => next = next.advance(bytes.len() as u64),
                Err(Error::Recycled { first }) => next = first,
                Err(other) => panic!("{other}"),
            }
            if next == reader.end() && next > Lsn(1 << 20) {
                return;
            }
        }
    });
    let mut number = 0;
    while wal.end() < Lsn(1 << 20).advance(1) {
        append(&mut wal, number);
        number += 1;
        if number % 50 == 0 {
            wal.flush().unwrap();
            wal.recycle(wal.end()).unwrap();
        }
    }
    reading.join().unwrap();
}
