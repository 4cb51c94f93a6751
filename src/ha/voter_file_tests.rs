//! The voter's file on a disk that fails, fills up and loses power.

use std::path::Path;

use super::{FILE_NAME, VoterFile, VoterFileError};
use crate::ha::register::{Acceptor, Ballot};
use crate::proto::test_record;
use crate::runtime::{Disk, FileDisk, SimDisk};
use crate::types::{ClusterId, ClusterState, Incarnation};

const CLUSTER: ClusterId = ClusterId(7);

fn holding(ballot: u64, version: u64) -> Acceptor<ClusterState> {
    let record = ClusterState { version, ..test_record() };
    Acceptor { promised: Ballot(ballot), accepted: Ballot(ballot), record: Some(record) }
}

fn open<D: Disk>(
    disk: &D,
    directory: &Path,
) -> Result<(VoterFile<D>, Acceptor<ClusterState>), VoterFileError> {
    VoterFile::open(disk.clone(), directory, CLUSTER, Incarnation(0xdef))
}

#[test]
fn what_was_stored_is_read_back_and_the_life_stays() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (mut file, found) = VoterFile::open(FileDisk, at, CLUSTER, Incarnation(0xabc)).unwrap();
    assert_eq!((file.incarnation(), found), (Incarnation(0xabc), Acceptor::default()));
    for stored in [holding(5, 1), Acceptor { promised: Ballot(9), ..Acceptor::default() }] {
        file.store(&stored).unwrap();
        let (again, read) = open(&FileDisk, at).unwrap();
        assert_eq!((again.incarnation(), read), (Incarnation(0xabc), stored));
    }
}

#[test]
fn a_damaged_file_is_refused_whatever_byte_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let (mut file, _) = open(&FileDisk, directory.path()).unwrap();
    file.store(&holding(273, 4)).unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    let bad = [
        good.replace("273", "272"),
        good.replace("\"format\": 1", "\"format\": 2"),
        good.replace("\"record\": \"08", "\"record\": \"09"),
        good[..good.len() / 2].to_owned(),
        String::new(),
    ];
    for bad in bad {
        assert_ne!(bad, good);
        std::fs::write(&path, bad).unwrap();
        let error = open(&FileDisk, directory.path()).unwrap_err();
        assert!(matches!(error, VoterFileError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(FILE_NAME), "{error}");
    }
}

#[test]
fn a_file_of_another_cluster_is_refused_with_both_names() {
    let directory = tempfile::tempdir().unwrap();
    open(&FileDisk, directory.path()).unwrap();
    let other = VoterFile::open(FileDisk, directory.path(), ClusterId(8), Incarnation(1));
    let error = other.unwrap_err().to_string();
    for cluster in [CLUSTER, ClusterId(8)] {
        assert!(error.contains(&cluster.to_string()), "{error}");
    }
}

#[test]
fn after_a_crash_at_any_step_either_state_is_there_and_what_was_answered_stays() {
    let at = Path::new("/data");
    for seed in 0..20 {
        for steps in 0..7 {
            let disk = SimDisk::new(seed);
            let (mut file, _) = open(&disk, at).unwrap();
            let (first, second) = (holding(5, 1), holding(9, 2));
            file.store(&first).unwrap();
            disk.power_off_after(steps);
            let answered = file.store(&second).is_ok();
            disk.crash();
            let (_, found) = open(&disk, at).unwrap();
            assert!(found == second || (!answered && found == first), "{steps} steps: {found}");
        }
    }
}

#[test]
fn a_full_disk_passes_and_a_failed_sync_does_not() {
    let at = Path::new("/data");
    let disk = SimDisk::new(3);
    let (mut file, _) = open(&disk, at).unwrap();
    disk.set_capacity(Some(10));
    let error = file.store(&holding(5, 1)).unwrap_err();
    assert!(matches!(error, VoterFileError::Io { action: "write", .. }), "{error}");
    disk.set_capacity(None);
    file.store(&holding(5, 1)).unwrap();
    disk.fail_next_syncs(1);
    assert!(file.store(&holding(6, 2)).is_err());
    let error = file.store(&holding(7, 3)).unwrap_err();
    assert!(matches!(error, VoterFileError::Doubtful { .. }), "{error}");
    let (_, found) = open(&disk, at).unwrap();
    assert!(found == holding(5, 1) || found == holding(6, 2), "{found}");
}
