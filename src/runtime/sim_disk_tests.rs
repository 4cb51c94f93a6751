//! The simulated disk is as unkind as it says, and no more.

use std::collections::BTreeSet;

use super::*;

const DIRECTORY: &str = "d";

fn synced_file(disk: &SimDisk) -> SimFile {
    let mut file = disk.create(Path::new("d/f"), 4096).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIRECTORY)).unwrap();
    file
}

fn read(disk: &SimDisk) -> Vec<u8> {
    let mut bytes = vec![7; 5000];
    let length = disk.open(Path::new("d/f")).unwrap().read_at(&mut bytes, 0).unwrap();
    bytes.truncate(length);
    bytes
}

#[test]
fn synced_bytes_survive_and_unsynced_sectors_are_torn() {
    let mut kept = BTreeSet::new();
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let mut file = synced_file(&disk);
        file.write_all_at(&[1; 1024], 0).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&[2; 2048], 512).unwrap();
        assert_eq!(read(&disk)[512], 2, "readable before it is durable");
        disk.crash();
        let bytes = read(&disk);
        assert_eq!(bytes[..512], [1; 512]);
        assert!(bytes[512..1024] == [1; 512] || bytes[512..1024] == [2; 512]);
        kept.insert([bytes[512], bytes[1024], bytes[1536], bytes[2048]]);
        assert!(file.write_all_at(&[3], 0).is_err(), "an old handle is dead");
    }
    assert!(kept.len() > 4, "sectors are kept one by one: {kept:?}");
}

#[test]
fn names_are_durable_only_after_sync_dir() {
    let mut survived = 0;
    for seed in 0..32 {
        let disk = SimDisk::new(seed);
        synced_file(&disk);
        disk.rename(Path::new("d/f"), Path::new("d/g")).unwrap();
        disk.crash();
        let names = disk.list(Path::new(DIRECTORY)).unwrap();
        assert_eq!(names.len(), 1);
        survived += usize::from(names[0] == Path::new("d/g"));
    }
    assert!((1..32).contains(&survived));
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next() {
    let mut lost = 0;
    for seed in 0..32 {
        let disk = SimDisk::new(seed);
        let mut file = synced_file(&disk);
        file.write_all_at(&[5; 512], 0).unwrap();
        disk.fail_next_syncs(1);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        disk.crash();
        lost += usize::from(read(&disk)[0] == 0);
    }
    assert!((1..32).contains(&lost));
}

#[test]
fn space_and_power_run_out() {
    let disk = SimDisk::new(1);
    let mut file = synced_file(&disk);
    disk.set_capacity(Some(6000));
    let full = disk.create(Path::new("d/g"), 2000).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert!(file.write_all_at(&[1; 100], 5950).is_err());
    disk.power_off_after(1);
    file.write_all_at(&[1], 0).unwrap();
    assert!(file.write_all_at(&[1], 1).is_err());
    assert!(disk.open(Path::new("d/f")).is_err());
    disk.crash();
    assert_eq!(read(&disk).len(), 4096);
}

#[test]
fn a_seed_replays_bit_equal() {
    let run = || {
        let disk = SimDisk::new(99);
        let mut file = synced_file(&disk);
        file.write_all_at(&[9; 4000], 0).unwrap();
        disk.crash();
        read(&disk)
    };
    assert_eq!(run(), run());
}
