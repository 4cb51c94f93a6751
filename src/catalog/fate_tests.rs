//! Who may commit beside whom, and what became of a transaction.

use std::sync::Arc;

use super::admission::{BOOTSTRAP_XID, SEQUENCE_BITS};
use super::apply::StatusBound;
use super::catalog_tests::{comment, table};
use super::commit::CommitError;
use super::ddl;
use super::instance::{Catalog, XactStatus};
use super::layout::{FIRST_NORMAL_OID, PG_DESCRIPTION};
use super::memory_store::MemoryStore;
use super::snapshot::ReadView;
use super::test_node::{TestNode, cluster, epoch};

#[test]
fn oids_survive_a_takeover_and_are_never_given_twice() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let first = ddl::create_table(&mut t, &table("a")).unwrap().unwrap();
    assert!(first >= FIRST_NORMAL_OID);
    node.commit(t).unwrap();
    let mut lost = node.catalog.begin();
    let second = lost.allocate_oid();
    assert!(second > first);
    drop(lost);
    let mut next = TestNode::replayed(MemoryStore::new(), &node.log);
    next.catalog.reign(epoch(2));
    let relation = next.catalog.snapshot().relation_named("public", "a").unwrap().unwrap();
    assert_eq!(relation.oid, first);
    let mut t = next.catalog.begin();
    let oid = ddl::create_table(&mut t, &table("b")).unwrap().unwrap();
    assert!(oid > first);
    next.commit(t).unwrap();
}

#[test]
fn concurrent_commits_conflict_by_row() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let (mut one, mut two, mut three) =
        (node.catalog.begin(), node.catalog.begin(), node.catalog.begin());
    one.insert(PG_DESCRIPTION, comment("one", 500)).unwrap();
    two.insert(PG_DESCRIPTION, comment("two", 500)).unwrap();
    three.insert(PG_DESCRIPTION, comment("three", 501)).unwrap();
    node.commit(one).unwrap();
    let refused = node.commit(two);
    let expected = CommitError::Conflict { relation: "pg_description".to_owned() };
    assert_eq!(refused, Err(expected));
    node.commit(three).unwrap();
    let mut again = node.catalog.begin();
    again.update(PG_DESCRIPTION, comment("two", 500)).unwrap();
    node.commit(again).unwrap();
}

#[test]
fn two_makers_of_one_name_conflict() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let (mut one, mut two) = (node.catalog.begin(), node.catalog.begin());
    ddl::create_table(&mut one, &table("same")).unwrap();
    ddl::create_table(&mut two, &table("same")).unwrap();
    let (one, two) = (one.into_transaction(), two.into_transaction());
    node.catalog.admit(&one).unwrap();
    let refused = node.catalog.admit(&two);
    assert_eq!(refused, Err(CommitError::Conflict { relation: "pg_class".to_owned() }));
    node.catalog.abandon(one.xid);
}

#[test]
fn the_fate_of_a_transaction_can_be_told() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let status = |node: &TestNode, xid| node.catalog.xact_status(xid);
    let mut t = node.catalog.begin();
    assert_eq!(t.assigned_xid(), None);
    t.insert(PG_DESCRIPTION, comment("x", 600)).unwrap();
    let xid = t.xid();
    assert_eq!(xid >> SEQUENCE_BITS, 1);
    assert_eq!(status(&node, xid), XactStatus::InProgress);
    node.commit(t).unwrap();
    assert_eq!(status(&node, xid), XactStatus::Committed);
    let rolled_back = node.catalog.begin().xid();
    assert_eq!(status(&node, rolled_back), XactStatus::Aborted);
    assert_eq!(status(&node, BOOTSTRAP_XID), XactStatus::Committed);
    assert_eq!(status(&node, 0), XactStatus::Unknown);
    assert_eq!(status(&node, 5 << SEQUENCE_BITS), XactStatus::Unknown, "a reign to come");

    // In flight when its primary ended: a standby cannot know, the next primary does.
    let mut t = node.catalog.begin();
    t.insert(PG_DESCRIPTION, comment("x", 601)).unwrap();
    let transaction = t.into_transaction();
    node.catalog.admit(&transaction).unwrap();
    assert_eq!(status(&node, transaction.xid), XactStatus::InProgress);
    let standby = TestNode::replayed(MemoryStore::new(), &node.log);
    assert_eq!(status(&standby, xid), XactStatus::Committed);
    assert_eq!(status(&standby, transaction.xid), XactStatus::InProgress);
    standby.catalog.reign(epoch(2));
    assert_eq!(status(&standby, transaction.xid), XactStatus::Aborted);
    assert_eq!(standby.catalog.begin().xid(), 2 << SEQUENCE_BITS | 1);
    let refused = standby.catalog.admit(&transaction);
    assert_eq!(refused, Err(CommitError::NewReign));
}

#[test]
fn a_node_that_never_reigned_admits_nothing() {
    let primary = TestNode::bootstrapped(MemoryStore::new());
    let standby = TestNode::replayed(MemoryStore::new(), &primary.log);
    let mut t = standby.catalog.begin();
    t.insert(PG_DESCRIPTION, comment("x", 700)).unwrap();
    let refused = standby.catalog.admit(&t.into_transaction());
    assert!(matches!(refused, Err(CommitError::NotPrimary { .. })));
}

#[test]
fn old_ids_are_forgotten_and_said_to_be_unknown() {
    let bound = StatusBound { kept: 10, slack: 5 };
    let catalog = Catalog::open_with(Arc::new(MemoryStore::new()), bound).unwrap();
    let mut node = TestNode { catalog, log: Vec::new() };
    node.catalog.reign(epoch(1));
    let first = Catalog::bootstrap(&cluster()).unwrap();
    let payload = node.catalog.admit(&first).unwrap();
    node.append(payload);
    node.apply_from(0);
    let mut xids = Vec::new();
    for object in 1000..1040 {
        let mut t = node.catalog.begin();
        t.insert(PG_DESCRIPTION, comment("x", object)).unwrap();
        xids.push(t.xid());
        node.commit(t).unwrap();
    }
    let statuses: Vec<XactStatus> = xids.iter().map(|xid| node.catalog.xact_status(*xid)).collect();
    let known = statuses.iter().filter(|status| **status == XactStatus::Committed).count();
    assert!((10..=15).contains(&known), "{known} are remembered");
    let (old, recent) = statuses.split_at(40 - known);
    assert!(old.iter().all(|status| *status == XactStatus::Unknown), "{old:?}");
    assert!(recent.iter().all(|status| *status == XactStatus::Committed), "{recent:?}");
    assert_eq!(node.catalog.xact_status(BOOTSTRAP_XID), XactStatus::Unknown);
    let replayed = TestNode::replayed(MemoryStore::new(), &node.log);
    assert_eq!(replayed.catalog.digest().unwrap(), node.catalog.digest().unwrap());
}

#[test]
fn bootstrap_is_refused_where_there_is_a_catalog() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    node.catalog.reign(epoch(2));
    let again = Catalog::bootstrap(&cluster()).unwrap();
    assert!(matches!(node.catalog.admit(&again), Err(CommitError::Conflict { .. })));
}

#[test]
fn a_primary_that_stepped_down_leaves_what_is_in_flight_to_the_next() {
    let mut old = TestNode::bootstrapped(MemoryStore::new());
    let mut t = old.catalog.begin();
    t.insert(PG_DESCRIPTION, comment("cut", 800)).unwrap();
    let cut = t.into_transaction();
    old.catalog.admit(&cut).unwrap();
    let mut next = TestNode::replayed(MemoryStore::new(), &old.log);
    next.catalog.reign(epoch(2));
    old.catalog.step_down();
    assert_eq!(old.catalog.xact_status(cut.xid), XactStatus::InProgress);
    assert!(matches!(old.catalog.admit(&cut), Err(CommitError::NotPrimary { .. })));
    let mut t = next.catalog.begin();
    t.insert(PG_DESCRIPTION, comment("new", 800)).unwrap();
    let new = t.xid();
    next.commit(t).unwrap();
    old.log = next.log.clone();
    old.apply_from(0);
    assert_eq!(old.catalog.xact_status(cut.xid), XactStatus::Aborted);
    assert_eq!(old.catalog.xact_status(new), XactStatus::Committed);
    assert_eq!(old.catalog.digest().unwrap(), next.catalog.digest().unwrap());
}
