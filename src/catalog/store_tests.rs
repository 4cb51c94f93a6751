//! What both stores promise.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalog_tests::table;
use super::ddl;
use super::instance::Catalog;
use super::memory_store::MemoryStore;
use super::rocks_store::RocksStore;
use super::snapshot::ReadView;
use super::store::{Batch, Family, Store, StoreSnapshot};
use super::test_node::TestNode;
use crate::types::Lsn;
use std::sync::Arc;

fn batch(pairs: &[(Family, &str, Option<&str>)]) -> Batch {
    let mut batch = Batch::default();
    for (family, key, value) in pairs {
        let key = key.as_bytes().to_vec();
        match value {
            Some(value) => batch.put(*family, key, value.as_bytes().to_vec()),
            None => batch.delete(*family, key),
        }
    }
    batch
}

fn keys(snapshot: &dyn StoreSnapshot, prefix: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    snapshot
        .scan(Family::Rows, prefix.as_bytes(), &mut |key, _| {
            found.push(String::from_utf8(key.to_vec()).unwrap());
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    found
}

fn check(store: &dyn Store) {
    let empty = store.snapshot();
    let rows = [("a", "1"), ("ab", "2"), ("ac", "3"), ("b", "4")];
    let mut first = batch(&rows.map(|(key, value)| (Family::Rows, key, Some(value))));
    first.put(Family::Meta, b"ad".to_vec(), b"other family".to_vec());
    store.write(first).unwrap();
    let before = store.snapshot();
    store.write(batch(&[(Family::Rows, "ab", None), (Family::Rows, "a", Some("9"))])).unwrap();
    let after = store.snapshot();
    assert_eq!(keys(empty.as_ref(), "", 9), [""; 0]);
    assert_eq!(keys(before.as_ref(), "a", 9), ["a", "ab", "ac"]);
    assert_eq!(keys(before.as_ref(), "a", 2), ["a", "ab"]);
    assert_eq!(keys(after.as_ref(), "a", 9), ["a", "ac"]);
    assert_eq!(keys(after.as_ref(), "", 9), ["a", "ac", "b"]);
    assert_eq!(before.get(Family::Rows, b"a").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(after.get(Family::Rows, b"a").unwrap().as_deref(), Some(b"9".as_slice()));
    assert_eq!(after.get(Family::Rows, b"ab").unwrap(), None);
}

#[test]
fn both_stores_read_and_write_alike() {
    check(&MemoryStore::new());
    let directory = tempfile::tempdir().unwrap();
    check(&RocksStore::open(&directory.path().join("catalog")).unwrap());
}

#[test]
fn memory_keeps_scanning_across_chunks() {
    let store = MemoryStore::new();
    let names: Vec<String> = (0..1000).map(|n| format!("k{n:04}")).collect();
    let mut all = Batch::default();
    for name in &names {
        all.put(Family::Rows, name.as_bytes().to_vec(), Vec::new());
    }
    store.write(all).unwrap();
    assert_eq!(keys(store.snapshot().as_ref(), "k", 5000), names);
}

#[test]
fn memory_forgets_in_a_crash_what_was_not_flushed() {
    let store = MemoryStore::new();
    store.write(batch(&[(Family::Rows, "a", Some("1")), (Family::Meta, "m", Some("1"))])).unwrap();
    store.flush().unwrap();
    store.write(batch(&[(Family::Rows, "a", None), (Family::Meta, "m", Some("2"))])).unwrap();
    let (crashed, image) = (store.crash().snapshot(), store.image().snapshot());
    assert_eq!(keys(crashed.as_ref(), "", 9), ["a"]);
    assert_eq!(crashed.get(Family::Meta, b"m").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(keys(image.as_ref(), "", 9), [""; 0]);
    assert_eq!(image.get(Family::Meta, b"m").unwrap().as_deref(), Some(b"2".as_slice()));
}

#[test]
fn a_snapshot_on_disk_outlives_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = RocksStore::open(&directory.path().join("catalog")).unwrap();
    store.write(batch(&[(Family::Rows, "a", Some("1"))])).unwrap();
    let snapshot = store.snapshot();
    drop(store);
    assert_eq!(keys(snapshot.as_ref(), "", 9), ["a"]);
}

#[test]
fn a_directory_that_is_no_catalog_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"not a directory").unwrap();
    assert!(RocksStore::open(&file).is_err());
    let path = directory.path().join("catalog");
    let _held = RocksStore::open(&path).unwrap();
    assert!(RocksStore::open(&path).is_err(), "opened twice");
}

#[test]
fn a_checkpoint_opens_at_exactly_its_position() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut node = TestNode::bootstrapped(RocksStore::open(&at("catalog")).unwrap());
    let mut t = node.catalog.begin();
    ddl::create_table(&mut t, &table("before")).unwrap();
    node.commit(t).unwrap();
    let expected = node.catalog.digest().unwrap();
    let lsn = node.catalog.checkpoint(&at("copy")).unwrap();
    assert!(node.catalog.checkpoint(&at("copy")).is_err(), "it exists");
    let mut t = node.catalog.begin();
    ddl::create_table(&mut t, &table("after")).unwrap();
    node.commit(t).unwrap();

    let copy = Catalog::open(Arc::new(RocksStore::open(&at("copy")).unwrap())).unwrap();
    assert_eq!(copy.applied_lsn(), lsn);
    assert_eq!(copy.durable_lsn(), lsn);
    assert_eq!(copy.digest().unwrap(), expected);
    assert!(copy.snapshot().relation_named("public", "before").unwrap().is_some());
    assert!(copy.snapshot().relation_named("public", "after").unwrap().is_none());
    drop(copy);
    let followed = TestNode::replayed(RocksStore::open(&at("copy")).unwrap(), &node.log);
    assert_eq!(followed.catalog.digest().unwrap(), node.catalog.digest().unwrap());
}

/// The files as a killed process would leave them. One may be removed while they are copied.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[test]
fn a_kill_leaves_on_disk_exactly_what_was_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut node = TestNode::bootstrapped(RocksStore::open(&at("catalog")).unwrap());
    copy_files(&at("catalog"), &at("before")).unwrap();
    let flushed = node.catalog.flush().unwrap();
    for name in ["a", "b", "c"] {
        let mut t = node.catalog.begin();
        ddl::create_table(&mut t, &table(name)).unwrap();
        node.commit(t).unwrap();
    }
    copy_files(&at("catalog"), &at("after")).unwrap();
    for (name, expected) in [("before", Lsn::ZERO), ("after", flushed)] {
        let found = Catalog::open(Arc::new(RocksStore::open(&at(name)).unwrap())).unwrap();
        assert_eq!(found.applied_lsn(), expected, "{name}");
        drop(found);
        let replayed = TestNode::replayed(RocksStore::open(&at(name)).unwrap(), &node.log);
        assert_eq!(replayed.catalog.digest().unwrap(), node.catalog.digest().unwrap(), "{name}");
    }
}

/// The files and how long they are: the same before and after a copy, it is of one moment.
fn listed(directory: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let files = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let sized = files.filter_map(|file| Some((file.file_name(), file.metadata().ok()?.len())));
    let mut found: Vec<_> = sized.collect();
    found.sort();
    found
}

fn holds_tables(files: &[(std::ffi::OsString, u64)]) -> bool {
    files.iter().any(|(name, _)| Path::new(name).extension().is_some_and(|part| part == "sst"))
}

/// A copy of one moment after a flush that nobody asked for.
fn eventually_copied(directory: &Path, name: &str) -> PathBuf {
    for n in 0..1000 {
        let (from, to) = (directory.join(name), directory.join(format!("copy{n}")));
        let before = listed(&from);
        std::thread::sleep(Duration::from_millis(10));
        let copied = copy_files(&from, &to).is_ok();
        if copied && holds_tables(&before) && listed(&from) == before {
            return to;
        }
    }
    panic!("it does not flush by itself");
}

/// Section 9, "atomic flush": RocksDB flushes by itself when a family has filled its memory. The
/// rows that the applied LSN speaks of go with it, although they are few.
#[test]
fn no_family_is_flushed_without_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = RocksStore::open(&at("catalog")).unwrap();
    let number = |n: u32| n.to_be_bytes().to_vec();
    for n in 1..=200 {
        let mut both = Batch::default();
        both.put(Family::Rows, number(n), Vec::new());
        both.put(Family::Meta, b"applied".to_vec(), number(n));
        both.put(Family::Meta, b"filler".to_vec(), vec![n as u8; 64 << 10]);
        store.write(both).unwrap();
    }
    let kept = eventually_copied(directory.path(), "catalog");
    let kept = RocksStore::open(&kept).unwrap().snapshot();
    let applied = kept.get(Family::Meta, b"applied").unwrap().expect("it was flushed");
    let applied = u32::from_be_bytes(applied.try_into().unwrap());
    for n in 1..=applied {
        assert!(kept.get(Family::Rows, &number(n)).unwrap().is_some(), "row {n} of {applied}");
    }
}
