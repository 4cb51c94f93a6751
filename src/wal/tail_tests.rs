//! Damaged logs: torn tails are cut, doubtful ones kept, corruption is refused.

use std::path::{Path, PathBuf};

use super::header::Header;
use super::record::{HEADER_LEN, encoded_len};
use super::wal_tests::{
    DIRECTORY, IDENTITY, KEEP, OPTIONS, append, append_flushed, create, files, open, read_all,
    read_file, refused,
};
use super::{Error, Options, Record, Tail, Wal};
use crate::runtime::{Disk, DiskFile, SimDisk};
use crate::types::{Epoch, Lsn};

/// As a file that was stored so.
fn write_file(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let mut file = disk.create(path, bytes.len() as u64).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIRECTORY)).unwrap();
}

#[test]
fn a_tear_at_every_byte_of_the_last_4_kib_is_cut_to_the_record_before() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let kept = append_flushed(&mut wal, 2, 50);
    let flushed = wal.end();
    let last = append(&mut wal, 1, 4500);
    wal.write_out().unwrap();
    let path = files(&disk).remove(0);
    let whole = read_file(&disk, &path);
    let offset = wal.current.offset_of(last.lsn) as usize;
    let end = wal.current.offset_of(last.end()) as usize;
    for length in end - 4096..end {
        let disk = SimDisk::new(1);
        write_file(&disk, &path, &whole[..length]);
        let (mut wal, recovered) = open(&disk).unwrap();
        let bytes = (length - offset) as u64;
        assert!(
            matches!(recovered.tail, Tail::Torn { at, bytes: b } if at == flushed && b <= bytes),
            "file of {length} bytes: {:?}",
            recovered.tail
        );
        assert_eq!(read_all(&wal), kept);
        append(&mut wal, 1, 10);
        wal.flush().unwrap();
        drop(wal);
        assert_eq!(open(&disk).unwrap().1.tail, Tail::Clean);
    }
}

#[test]
fn sectors_that_never_arrived_are_a_torn_tail() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_flushed(&mut wal, 1, 50);
    let flushed = wal.end();
    let last = append(&mut wal, 1, 4500);
    wal.write_out().unwrap();
    let path = files(&disk).remove(0);
    let whole = read_file(&disk, &path);
    let (from, to) = (wal.current.offset_of(last.lsn), wal.current.offset_of(last.end()));
    let borders = (from.next_multiple_of(512)..to).step_by(512);
    for border in borders {
        let disk = SimDisk::new(1);
        let mut torn = whole.clone();
        torn[border as usize..].fill(0);
        write_file(&disk, &path, &torn);
        let (_, recovered) = open(&disk).unwrap();
        assert!(matches!(recovered.tail, Tail::Torn { at, .. } if at == flushed));
    }
}

#[test]
fn a_flipped_bit_below_the_flush_mark_is_corruption() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let records = append_flushed(&mut wal, 5, 80);
    let offset = wal.current.offset_of(records[2].lsn);
    drop(wal);
    let path = files(&disk).remove(0);
    assert!(disk.damage(&path, offset + HEADER_LEN as u64 + 9, 0x40));
    let before = read_file(&disk, &path);
    match refused(open(&disk)) {
        Error::Corrupt { file, offset: at, .. } => assert_eq!((file, at), (path.clone(), offset)),
        other => panic!("{other}"),
    }
    assert_eq!(read_file(&disk, &path), before, "a refusal changes nothing");
}

#[test]
fn a_flipped_bit_in_the_last_flush_is_doubtful_whichever_it_is() {
    let clean = SimDisk::new(1);
    let mut wal = create(&clean);
    let records = append_flushed(&mut wal, 3, 600);
    let (last, kept) = (records[2].clone(), records[..2].to_vec());
    let offset = wal.current.offset_of(last.lsn);
    let path = files(&clean).remove(0);
    let whole = read_file(&clean, &path);
    for at in 0..encoded_len(last.payload.len()) {
        let disk = SimDisk::new(1);
        write_file(&disk, &path, &whole);
        assert!(disk.damage(&path, offset + at, 1 << (at % 8)));
        let (mut wal, recovered) = open(&disk).unwrap();
        match recovered.tail {
            Tail::Doubtful { offset: found, .. } => assert_eq!(found, offset),
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(recovered.end, last.lsn);
        assert_eq!(read_all(&wal), kept);
        let next = Record { lsn: last.lsn, ..last.clone() };
        assert!(matches!(wal.append(&next), Err(Error::Doubtful { .. })), "not written over");
        wal.cut(last.lsn, Path::new(KEEP)).unwrap();
        let saved = disk.list(Path::new(KEEP)).unwrap().remove(0);
        let damaged = read_file(&disk, &saved);
        let damaged_len = encoded_len(last.payload.len()) as usize;
        assert!(damaged.len() <= damaged_len && damaged.len() > damaged_len - 2);
        wal.append(&next).unwrap();
        wal.flush().unwrap();
        drop(wal);
        let (wal, recovered) = open(&disk).unwrap();
        assert_eq!(recovered.tail, Tail::Clean);
        assert_eq!(read_all(&wal), records);
    }
}

#[test]
fn a_flush_without_news_moves_the_mark() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let records = append_flushed(&mut wal, 2, 80);
    wal.flush().unwrap();
    let offset = wal.current.offset_of(records[1].lsn);
    drop(wal);
    disk.damage(&files(&disk)[0], offset + 40, 1);
    assert!(matches!(refused(open(&disk)), Error::Corrupt { .. }));
}

#[test]
fn flushed_records_that_became_zeros_are_corruption() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_flushed(&mut wal, 3, 600);
    wal.flush().unwrap();
    let path = files(&disk).remove(0);
    disk.truncate(&path, 4096 + 640);
    assert!(matches!(refused(open(&disk)), Error::Corrupt { .. }));
}

#[test]
fn a_missing_or_damaged_file_in_the_middle_is_corruption() {
    for damage_only in [true, false] {
        let disk = SimDisk::new(1);
        let mut wal = create(&disk);
        append_flushed(&mut wal, 60, 900);
        drop(wal);
        let paths = files(&disk);
        assert!(paths.len() >= 4);
        if damage_only {
            disk.damage(&paths[1], 5000, 1);
        } else {
            disk.remove(&paths[1]).unwrap();
        }
        match refused(open(&disk)) {
            Error::Corrupt { file, .. } => assert!(paths[..2].contains(&file)),
            other => panic!("{other}"),
        }
    }
}

fn header_of(file: &[u8]) -> (Header, Lsn) {
    Header::decode(&file[..Header::len_of(file).unwrap()]).unwrap()
}

/// A log of several files; every case damages a copy of it.
struct Several {
    files: Vec<(PathBuf, Vec<u8>)>,
    firsts: Vec<Lsn>,
    records: Vec<Record>,
}

impl Several {
    fn make() -> Several {
        let disk = SimDisk::new(1);
        let mut wal = create(&disk);
        let records = append_flushed(&mut wal, 16, 2_500);
        let files: Vec<_> =
            files(&disk).into_iter().map(|path| (path.clone(), read_file(&disk, &path))).collect();
        assert!(files.len() >= 4, "{} files", files.len());
        let first = |(_, bytes): &(_, Vec<u8>)| header_of(bytes).0.first;
        let firsts = files.iter().map(first).collect();
        Several { files, firsts, records }
    }

    /// Opened with `damage` done to the files, and with what was readable then.
    fn open(
        &self,
        read_from: Lsn,
        damage: impl FnOnce(&mut Vec<(PathBuf, Vec<u8>)>),
    ) -> Result<Wal<SimDisk>, Error> {
        let (disk, mut copy) = (SimDisk::new(1), self.files.clone());
        damage(&mut copy);
        copy.iter().for_each(|(path, bytes)| write_file(&disk, path, bytes));
        let options = Options { read_from, ..OPTIONS };
        Wal::open(disk, Path::new(DIRECTORY), IDENTITY, options).map(|(wal, _)| wal)
    }

    fn check_refused(&self, read_from: Lsn, damage: impl FnOnce(&mut Vec<(PathBuf, Vec<u8>)>)) {
        match self.open(read_from, damage) {
            Err(Error::Corrupt { .. }) => {}
            other => panic!("{:?}", other.map(|wal| wal.end())),
        }
    }
}

const BODY: usize = 5_000;

#[test]
fn records_below_where_reading_starts_are_checked_when_they_are_read() {
    let log = Several::make();
    let flip = |files: &mut Vec<(PathBuf, Vec<u8>)>| files[0].1[BODY] ^= 1;
    log.check_refused(Lsn::ZERO, flip);
    log.check_refused(log.firsts[0].advance(8), flip);
    for read_from in [log.firsts[1], log.firsts[2].advance(8), log.records[15].end()] {
        let wal = log.open(read_from, flip).unwrap();
        assert_eq!((wal.first(), wal.end()), (log.firsts[0], log.records[15].end()));
        let sound: Vec<Record> = wal.records(log.firsts[1]).collect::<Result<_, _>>().unwrap();
        let expected: Vec<Record> =
            log.records.iter().filter(|record| record.lsn >= log.firsts[1]).cloned().collect();
        assert_eq!(sound, expected);
        let damaged = wal.records(log.firsts[0]).find_map(Result::err);
        assert!(matches!(damaged, Some(Error::Corrupt { .. })), "{damaged:?}");
        assert_eq!(wal.reader().next_file(log.firsts[0]), Some(log.firsts[1]));
    }
}

#[test]
fn from_where_reading_starts_on_everything_is_checked_at_start() {
    let log = Several::make();
    let newest = log.files.len() - 1;
    let within = log.firsts[1].advance(8);
    log.check_refused(within, |files| files[1].1[BODY] ^= 1);
    log.check_refused(within, |files| files[2].1[BODY] ^= 1);
    log.check_refused(log.records[15].end(), |files| files[newest].1[BODY] ^= 1);
}

#[test]
fn headers_below_where_reading_starts_are_checked_at_start() {
    let log = Several::make();
    let end = log.records[15].end();
    log.check_refused(end, |files| files[0].1[41] ^= 1);
    log.check_refused(end, |files| drop(files.remove(1)));
    log.check_refused(end, |files| files[0].1.truncate(BODY));
    // A history that the file before does not lead to.
    log.check_refused(end, |files| {
        let (mut header, mark) = header_of(&files[1].1);
        header.history.cut(Lsn::ZERO);
        header.history.note(Epoch(9 << 8 | 1), log.firsts[0]);
        let bytes = header.encode(mark);
        files[1].1[..bytes.len()].copy_from_slice(&bytes);
    });
}
