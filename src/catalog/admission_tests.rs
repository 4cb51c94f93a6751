//! First committer wins, row by row.

use super::admission::{Admission, BOOTSTRAP_XID, Refusal, WINDOW_KEYS_MAX};
use super::key::RowKey;
use super::transaction::{Change, Transaction};
use crate::types::Lsn;

fn key(name: u8) -> RowKey {
    RowKey { relation: 1259, key: vec![name] }
}

fn transaction(
    admission: &mut Admission,
    snapshot: u64,
    writes: &[u8],
    guards: &[u8],
) -> Transaction {
    let change = |name: &u8| Change { key: key(*name), row: Some(vec![]) };
    Transaction {
        xid: admission.assign_xid(),
        snapshot: Lsn(snapshot),
        changes: writes.iter().map(change).collect(),
        guards: guards.iter().map(|name| key(*name)).collect(),
        next_oid: 0,
    }
}

fn reigning() -> Admission {
    let mut admission = Admission::default();
    admission.begin_reign(3, Lsn(100));
    admission
}

/// Where the first of two transactions stands when the second asks.
#[derive(Clone, Copy, Debug)]
enum First {
    InFlight,
    Logged,
    Applied,
    Abandoned,
}

fn second_after(first: First, mine: (&[u8], &[u8]), theirs: (&[u8], &[u8]), snapshot: u64) -> bool {
    let mut admission = reigning();
    let one = transaction(&mut admission, 100, theirs.0, theirs.1);
    admission.admit(&one).unwrap();
    match first {
        First::InFlight => {}
        First::Logged => admission.admitted_at(one.xid, Lsn(200)),
        First::Applied => {
            admission.admitted_at(one.xid, Lsn(200));
            admission.applied(&one, Lsn(200));
        }
        First::Abandoned => admission.forget(one.xid),
    }
    let two = transaction(&mut admission, snapshot, mine.0, mine.1);
    admission.admit(&two).is_ok()
}

#[test]
fn writes_and_guards_conflict_as_the_table_says() {
    let (a, b): (&[u8], &[u8]) = (b"a", b"b");
    for first in [First::InFlight, First::Logged, First::Applied] {
        let admitted = |mine, theirs| second_after(first, mine, theirs, 100);
        assert!(!admitted((a, &[]), (a, &[])), "write after write, {first:?}");
        assert!(!admitted((a, &[]), (&[], a)), "write after guard, {first:?}");
        assert!(!admitted((&[], a), (a, &[])), "guard after write, {first:?}");
        assert!(admitted((b, a), (&[], a)), "guard after guard, {first:?}");
        assert!(admitted((a, &[]), (b, &[])), "another key, {first:?}");
    }
    assert!(second_after(First::Abandoned, (a, &[]), (a, &[]), 100));
}

#[test]
fn what_the_snapshot_has_seen_is_no_conflict() {
    let a: &[u8] = b"a";
    assert!(second_after(First::Logged, (a, &[]), (a, &[]), 200));
    assert!(second_after(First::Applied, (a, &[]), (a, &[]), 200));
    assert!(!second_after(First::Applied, (a, &[]), (a, &[]), 199));
    assert!(!second_after(First::InFlight, (a, &[]), (a, &[]), 200), "its place is unknown");
}

#[test]
fn another_reign_or_none_is_refused() {
    let mut admission = reigning();
    let old = transaction(&mut admission, 100, b"a", &[]);
    admission.begin_reign(4, Lsn(150));
    assert_eq!(admission.admit(&old), Err(Refusal::NotOfThisReign));
    let stale = transaction(&mut admission, 149, b"a", &[]);
    assert_eq!(admission.admit(&stale), Err(Refusal::Conflict { relation: None }));
    let mut nobody = Admission::default();
    let none = transaction(&mut nobody, 100, b"a", &[]);
    assert_eq!(nobody.admit(&none), Err(Refusal::NobodyReigns));
}

#[test]
fn records_of_the_reign_before_are_noted_when_applied() {
    let mut admission = reigning();
    let mut other = Admission::default();
    other.begin_reign(2, Lsn(0));
    let inherited = transaction(&mut other, 50, b"a", &[]);
    admission.applied(&inherited, Lsn(120));
    let late = transaction(&mut admission, 110, b"a", &[]);
    assert!(admission.admit(&late).is_err());
}

#[test]
fn bootstrap_is_admitted_once() {
    let mut admission = reigning();
    let mut first = transaction(&mut admission, 0, b"a", &[]);
    first.xid = BOOTSTRAP_XID;
    assert_eq!(admission.admit(&first), Ok(()));
    assert!(admission.admit(&first).is_err(), "already in flight");
    admission.applied(&first, Lsn(120));
    assert!(admission.admit(&first).is_err(), "already applied");
}

#[test]
fn a_shortened_window_refuses_what_it_cannot_judge() {
    let mut admission = reigning();
    let old = transaction(&mut admission, 100, b"z", &[]);
    let mut big = transaction(&mut admission, 100, b"", &[]);
    big.changes = (0..WINDOW_KEYS_MAX)
        .map(|n| Change { key: RowKey { relation: 1, key: n.to_be_bytes().to_vec() }, row: None })
        .collect();
    admission.applied(&big, Lsn(200));
    let one_more = transaction(&mut admission, 200, b"y", &[]);
    admission.applied(&one_more, Lsn(300));
    assert_eq!(admission.admit(&old), Err(Refusal::Conflict { relation: None }));
    let fresh = transaction(&mut admission, 300, b"z", &[]);
    assert_eq!(admission.admit(&fresh), Ok(()));
}

#[test]
fn an_id_is_undecided_until_it_is_applied_or_forgotten() {
    let mut admission = reigning();
    let one = transaction(&mut admission, 100, b"a", &[]);
    assert!(admission.is_undecided(one.xid));
    admission.admit(&one).unwrap();
    assert!(admission.is_undecided(one.xid));
    admission.applied(&one, Lsn(200));
    assert!(!admission.is_undecided(one.xid));
    let two = transaction(&mut admission, 200, b"a", &[]);
    admission.forget(two.xid);
    assert!(!admission.is_undecided(two.xid));
    let three = transaction(&mut admission, 100, b"a", &[]);
    assert!(admission.admit(&three).is_err());
    assert!(!admission.is_undecided(three.xid), "refused is decided");
}
