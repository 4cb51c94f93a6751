//! What becomes of the folders of other lives.

use std::time::{Duration, SystemTime};

use super::*;

fn made(temp: &tempfile::TempDir) -> DataDir {
    DataDir::create(&temp.path().join("node")).unwrap()
}

/// A life with one file of log, last written `age` seconds after 1970.
fn live(directory: &DataDir, life: Incarnation, age: u64) {
    fs::create_dir_all(directory.log_of(life)).unwrap();
    fs::create_dir_all(directory.catalog_of(life)).unwrap();
    let path = directory.log_of(life).join("0000000000000001.wal");
    fs::write(&path, format!("records of {life}")).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age)).unwrap();
}

fn text_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("0000000000000001.wal")).unwrap()
}

#[test]
fn the_log_of_an_earlier_life_is_kept_and_its_catalog_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let made = made(&temp);
    let (old, new) = (Incarnation(1), Incarnation(2));
    live(&made, old, 10);
    live(&made, new, 20);
    let letter = made.log_dir().join("letter");
    fs::write(&letter, "dear").unwrap();
    let kept = made.remove_other_lives(new).unwrap();
    assert_eq!(kept, [made.lost_log_of(old)]);
    assert_eq!(text_of(&made.lost_log_of(old)), format!("records of {old}"));
    assert!(made.log_of(new).exists() && made.catalog_of(new).exists() && letter.exists());
    assert!(!made.log_of(old).exists() && !made.catalog_of(old).exists());
    assert!(made.remove_other_lives(new).unwrap().is_empty());
    assert!(made.lost_log_of(old).exists());
}

#[test]
fn a_seed_that_never_became_a_life_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let made = made(&temp);
    let (present, unborn) = (Incarnation(1), Incarnation(2));
    live(&made, present, 10);
    made.announce_life(unborn).unwrap();
    live(&made, unborn, 20);
    assert!(made.remove_other_lives(present).unwrap().is_empty());
    assert!(made.log_of(present).exists() && made.catalog_of(present).exists());
    assert!(!made.log_of(unborn).exists() && !made.catalog_of(unborn).exists());
    assert!(!made.lost_log_of(unborn).exists());
}

#[test]
fn a_life_that_began_by_a_seed_is_kept_when_the_next_one_follows() {
    let temp = tempfile::tempdir().unwrap();
    let made = made(&temp);
    let (second, third) = (Incarnation(2), Incarnation(3));
    made.announce_life(second).unwrap();
    live(&made, second, 20);
    made.remove_other_lives(second).unwrap();
    made.announce_life(third).unwrap();
    live(&made, third, 30);
    let kept = made.remove_other_lives(third).unwrap();
    assert_eq!(kept, [made.lost_log_of(second)]);
}

#[test]
fn only_the_newest_lost_logs_are_kept_and_foreign_files_stay() {
    let temp = tempfile::tempdir().unwrap();
    let made = made(&temp);
    let cut = made.lost_wal_dir().join("0000000000000001-0000000000000002.wal");
    fs::write(&cut, "cut").unwrap();
    let lives = u64::try_from(LOST_LIVES_MAX).unwrap() + 2;
    // The names fall while time goes on: age counts, not the name.
    let life = |age: u64| Incarnation(100 - age);
    live(&made, life(1), 1);
    for age in 2..=lives {
        live(&made, life(age), age);
        made.remove_other_lives(life(age)).unwrap();
    }
    let is_kept = |age: &u64| made.lost_log_of(life(*age)).exists();
    let kept: Vec<u64> = (1..lives).filter(is_kept).collect();
    assert_eq!(kept, [2, 3, 4]);
    assert!(cut.exists());
}

#[test]
fn a_copy_to_another_device_is_whole_and_remembers_its_age() {
    let temp = tempfile::tempdir().unwrap();
    let made = made(&temp);
    let old = Incarnation(1);
    live(&made, old, 10);
    let keep = made.lost_log_of(old);
    // What a copy that was interrupted has left.
    fs::create_dir(made.lost_wal_dir().join(format!("{old}{COPY_SUFFIX}"))).unwrap();
    copy_log(&made.log_of(old), &keep).unwrap();
    assert_eq!(text_of(&keep), format!("records of {old}"));
    assert_eq!(newest_change(&keep).unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(10));
    assert_eq!(lives(&made.lost_wal_dir()).unwrap().len(), 1);
}
