//! Power failures at every step and at random: nothing flushed is lost, nothing else is invented.

use std::path::Path;

use super::wal_tests::{KEEP, append, create, open, read_all};
use super::{Record, Tail, Wal};
use crate::runtime::{Disk, SimDisk};
use crate::types::Lsn;

/// What is on disk has to be a prefix of what was appended, at least up to `flushed`.
fn check_prefix(wal: &Wal<SimDisk>, appended: &[Record], flushed: Lsn, context: &str) {
    let found = read_all(wal);
    assert!(found.len() <= appended.len(), "{context}: more records than were appended");
    assert_eq!(found, &appended[..found.len()], "{context}");
    assert!(wal.end() >= flushed, "{context}: {} < {flushed}", wal.end());
    let end = found.last().map_or(wal.first(), Record::end);
    assert_eq!(end, wal.end(), "{context}");
}

#[test]
fn a_crash_at_each_step_of_a_cut_leaves_a_log_that_opens() {
    let mut completed = false;
    for steps in 0..200 {
        let disk = SimDisk::new(steps);
        let mut wal = create(&disk);
        let records: Vec<Record> = (0..50).map(|_| append(&mut wal, 1, 900)).collect();
        wal.flush().unwrap();
        let at = records[18].lsn;
        disk.power_off_after(steps);
        completed = wal.cut(at, Path::new(KEEP)).is_ok();
        drop(wal);
        disk.crash();
        let context = format!("power off after {steps} steps");
        let (mut wal, recovered) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(recovered.tail, Tail::Clean, "{context}");
        check_prefix(&wal, &records, at, &context);
        let shortened = wal.end() < records[49].end();
        if shortened {
            assert!(!disk.list(Path::new(KEEP)).unwrap().is_empty(), "{context}: kept before cut");
        }
        wal.cut(at, Path::new(KEEP)).unwrap();
        assert_eq!(read_all(&wal), &records[..18], "{context}");
        if completed {
            break;
        }
    }
    assert!(completed, "the cut was tried at every step");
}

#[test]
fn a_crash_at_each_step_of_recycling_leaves_a_log_that_opens() {
    for steps in 0..10 {
        let disk = SimDisk::new(steps);
        let mut wal = create(&disk);
        let records: Vec<Record> = (0..60).map(|_| append(&mut wal, 1, 900)).collect();
        wal.flush().unwrap();
        disk.power_off_after(steps);
        let recycled = wal.recycle(records[40].lsn);
        drop(wal);
        disk.crash();
        let (wal, recovered) = open(&disk).unwrap();
        let kept = read_all(&wal);
        assert_eq!(kept, &records[records.len() - kept.len()..]);
        assert!(recovered.first <= records[40].lsn);
        if let Ok(first) = recycled {
            assert_eq!(recovered.first, first);
        }
    }
}

#[test]
fn a_killed_process_leaves_unsynced_bytes_that_reopening_makes_durable() {
    for seed in 0..40 {
        for steps in 0..6 {
            let disk = SimDisk::new(seed);
            let mut wal = create(&disk);
            let records: Vec<Record> = (0..5).map(|_| append(&mut wal, 1, 900)).collect();
            wal.write_out().unwrap();
            drop(wal);
            disk.power_off_after(steps);
            let promised = open(&disk).map(|(_, recovered)| recovered.end).unwrap_or_default();
            disk.crash();
            let context = format!("seed {seed}, power off after {steps} steps");
            let (wal, _) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            check_prefix(&wal, &records, promised, &context);
        }
    }
}

#[test]
fn nothing_flushed_is_ever_lost_and_nothing_corrupt_is_ever_returned() {
    let mut seen = [0; 3];
    for seed in 1..=150 {
        live_through_crashes(seed, &mut seen);
    }
    let [clean, torn, doubtful] = seen;
    assert!(clean > 0 && torn > 0 && doubtful > 0, "{seen:?}");
}

fn live_through_crashes(seed: u64, seen: &mut [u32; 3]) {
    let disk = SimDisk::new(seed);
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut wal = create(&disk);
    let mut appended: Vec<Record> = Vec::new();
    for life in 0..8 {
        let flushed = live(&mut wal, &disk, &mut random, &mut appended);
        drop(wal);
        disk.crash();
        let context = format!("seed {seed} life {life}");
        let (reopened, recovered) =
            open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        wal = reopened;
        let expected: Vec<Record> =
            appended.iter().filter(|record| record.lsn >= wal.first()).cloned().collect();
        check_prefix(&wal, &expected, flushed, &context);
        appended.retain(|record| record.lsn < wal.end());
        match recovered.tail {
            Tail::Clean => seen[0] += 1,
            Tail::Torn { .. } => seen[1] += 1,
            Tail::Doubtful { .. } => {
                seen[2] += 1;
                wal.cut(wal.end(), Path::new(KEEP)).unwrap();
            }
        }
    }
}

/// Works on the log until the power fails; says what had been flushed by then.
fn live(
    wal: &mut Wal<SimDisk>,
    disk: &SimDisk,
    random: &mut u64,
    appended: &mut Vec<Record>,
) -> Lsn {
    let mut next = |bound: u64| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random % bound
    };
    let mut flushed = wal.flushed();
    let counter = wal.history().last_epoch().counter() + next(2);
    for _ in 0..next(30) {
        match next(12) {
            0..=7 => appended.push(append(wal, counter.max(1), 1 + next(2500) as usize)),
            8 => wal.write_out().unwrap(),
            9 if appended.len() > 4 => {
                wal.recycle(appended[appended.len() - 4].lsn).unwrap();
            }
            10 if appended.last().is_some_and(|record| record.lsn >= wal.first()) => {
                let last = appended.pop().unwrap();
                wal.cut(last.lsn, Path::new(KEEP)).unwrap();
                flushed = last.lsn;
            }
            _ => flushed = wal.flush().unwrap().end(),
        }
    }
    wal.write_out().unwrap();
    if next(3) == 0 {
        disk.power_off_after(next(6));
        let _ = wal.flush();
    }
    flushed
}
