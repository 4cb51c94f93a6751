//! The catalog as its callers see it: bootstrap, transactions, replay.

use std::sync::Arc;

use super::column_type::ColumnType;
use super::datum::Datum;
use super::ddl::{self, NewTable};
use super::error::Error;
use super::instance::Catalog;
use super::layout::{GP_SEGMENT_CONFIGURATION, PG_CLASS, PG_DATABASE, PG_DESCRIPTION, PG_TYPE};
use super::memory_store::MemoryStore;
use super::relation::{Column, Distribution, RelationKind};
use super::rocks_store::RocksStore;
use super::segments::{self, Mirroring, MirroringState, SegmentRow};
use super::snapshot::ReadView;
use super::store::Store;
use super::test_node::{TestNode, cluster};
use crate::types::Lsn;

pub(super) fn table(name: &str) -> NewTable {
    let column = |name: &str, sql: &str, not_null| {
        let (column_type, typmod) = ColumnType::parse(sql).unwrap();
        Column { name: name.to_owned(), column_type, typmod, not_null }
    };
    NewTable {
        namespace: "public".to_owned(),
        name: name.to_owned(),
        columns: vec![column("id", "bigint", true), column("label", "varchar(20)", false)],
        distribution: Distribution::Columns(vec!["id".to_owned()]),
        if_not_exists: false,
        owner: 10,
    }
}

pub(super) fn comment(text: &str, object: u32) -> Vec<Datum> {
    let key = [Datum::Oid(object), Datum::Oid(PG_CLASS), Datum::Int4(0)];
    let mut row = key.to_vec();
    row.push(Datum::Text(text.to_owned()));
    row
}

fn comment_key(object: u32) -> [Datum; 3] {
    [Datum::Oid(object), Datum::Oid(PG_CLASS), Datum::Int4(0)]
}

#[test]
fn bootstrap_gives_the_same_digest_in_memory_and_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RocksStore::open(&directory.path().join("catalog")).unwrap();
    let (memory, disk) = (TestNode::bootstrapped(MemoryStore::new()), TestNode::bootstrapped(disk));
    let (lsn, digest) = memory.catalog.digest().unwrap();
    assert_eq!(disk.catalog.digest().unwrap(), (lsn, digest));
    assert_eq!(lsn, memory.catalog.applied_lsn());
    let other = Catalog::bootstrap(&super::Bootstrap { master_port: 5433, ..cluster() }).unwrap();
    assert_ne!(other.encode(), memory.log[1].1, "the cluster's own values are in it");
}

#[test]
fn bootstrap_describes_every_relation_with_hawqs_oids() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let snapshot = node.catalog.snapshot();
    for (oid, name, columns) in [
        (5036, "gp_segment_configuration", 7),
        (5006, "gp_configuration_history", 4),
        (5008, "gp_master_mirroring", 4),
        (5000, "gp_configuration", 8),
        (5002, "gp_distribution_policy", 3),
        (5009, "pg_filespace", 5),
        (5033, "pg_filespace_entry", 3),
        (6112, "pg_filesystem", 21),
        (1213, "pg_tablespace", 8),
        (6026, "pg_resqueue", 16),
        (1262, "pg_database", 11),
        (2615, "pg_namespace", 4),
        (1259, "pg_class", 8),
        (1249, "pg_attribute", 7),
        (1247, "pg_type", 23),
        (2609, "pg_description", 4),
        (1260, "pg_authid", 14),
    ] {
        let relation = snapshot.relation(oid).unwrap().unwrap();
        assert_eq!((relation.name.as_str(), relation.columns.len()), (name, columns));
        assert_eq!(relation.kind, RelationKind::System);
        let named = snapshot.relation_named("pg_catalog", name).unwrap().unwrap();
        assert_eq!(named.oid, oid);
    }
    let segments = snapshot.relation(GP_SEGMENT_CONFIGURATION).unwrap().unwrap();
    let types: Vec<String> = segments.columns.iter().map(|c| c.column_type.name()).collect();
    let expected = ["integer", "\"char\"", "\"char\"", "integer", "text", "text", "text"];
    assert_eq!(types, expected);
    assert_eq!((segments.key.as_slice(), segments.shared), ([0].as_slice(), true));
    let all = snapshot.relations().unwrap();
    assert!(all.is_sorted_by_key(|relation| relation.oid));
    assert!(all.iter().any(|relation| relation.oid == GP_SEGMENT_CONFIGURATION));
    let namespaces = snapshot.namespaces().unwrap();
    assert!(namespaces.contains(&(2200, "public".to_owned(), 10)));
    assert!(namespaces.contains(&(11, "pg_catalog".to_owned(), 10)));
}

#[test]
fn types_of_columns_are_rows_of_pg_type() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let snapshot = node.catalog.snapshot();
    let name_of = |oid: u32| {
        let row = snapshot.get(PG_TYPE, &[Datum::Oid(oid)]).unwrap();
        row.and_then(|row| row[1].as_str().map(str::to_owned))
    };
    for scalar in ColumnType::scalars() {
        assert_eq!(name_of(scalar.oid()), Some(scalar.type_name()));
        let array = ColumnType::Array(Box::new(scalar));
        assert_eq!(name_of(array.oid()), Some(array.type_name()));
    }
}

#[test]
fn first_rows_are_there() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let snapshot = node.catalog.snapshot();
    let rows = segments::segment_rows(&snapshot).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].order, rows[0].role), (0, 'm'));
    assert_eq!((rows[0].hostname.as_str(), rows[0].port), ("mdw", 5432));
    assert_eq!(rows[0].description, None);
    let mirroring = segments::mirroring(&snapshot).unwrap().unwrap();
    assert_eq!(mirroring.state, MirroringState::NotConfigured);
    let databases = snapshot.scan(PG_DATABASE, &[]).unwrap();
    let names: Vec<&str> = databases.iter().map(|row| row[1].as_str().unwrap()).collect();
    assert_eq!(names, ["template1", "template0", "postgres"]);
}

#[test]
fn a_transaction_reads_its_own_writes_and_nobody_elses() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let oid = ddl::create_table(&mut t, &table("orders")).unwrap().unwrap();
    let relation = t.relation_named("public", "orders").unwrap().unwrap();
    assert_eq!(relation.oid, oid);
    assert_eq!(relation.columns, table("orders").columns);
    assert_eq!(relation.distribution, Some(Distribution::Columns(vec!["id".to_owned()])));
    assert!(t.relations().unwrap().iter().any(|relation| relation.oid == oid));
    t.insert(PG_DESCRIPTION, comment("one", oid)).unwrap();
    t.update(PG_DESCRIPTION, comment("two", oid)).unwrap();
    let scanned = t.scan(PG_DESCRIPTION, &[Datum::Oid(oid)]).unwrap();
    assert_eq!(scanned, [comment("two", oid)]);

    let before = node.catalog.snapshot();
    assert!(before.relation_named("public", "orders").unwrap().is_none());
    node.commit(t).unwrap();
    assert!(before.relation_named("public", "orders").unwrap().is_none(), "a snapshot stays");
    assert!(before.relation(oid).unwrap().is_none());
    let after = node.catalog.snapshot();
    assert_eq!(*after.relation(oid).unwrap().unwrap(), *relation);
    assert_eq!(after.get(PG_DESCRIPTION, &comment_key(oid)).unwrap(), Some(comment("two", oid)));

    let mut t = node.catalog.begin();
    assert!(t.delete(PG_DESCRIPTION, &comment_key(oid)).unwrap());
    assert!(!t.delete(PG_DESCRIPTION, &comment_key(oid)).unwrap());
    assert_eq!(t.scan(PG_DESCRIPTION, &[Datum::Oid(oid)]).unwrap().len(), 0);
    drop(t);
    let rolled_back = node.catalog.snapshot();
    assert!(rolled_back.get(PG_DESCRIPTION, &comment_key(oid)).unwrap().is_some());
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let refused = |result: Result<(), Error>| result.unwrap_err().to_string();
    let null = vec![Datum::Oid(1), Datum::Oid(2), Datum::Int4(0), Datum::Null];
    let text = refused(t.insert(PG_DESCRIPTION, null));
    assert!(text.contains("null value in column \"description\""), "{text}");
    let wrong = vec![Datum::Oid(1), Datum::Oid(2), Datum::Int8(0), Datum::Text(String::new())];
    let text = refused(t.insert(PG_DESCRIPTION, wrong));
    assert!(text.contains("column \"objsubid\" is of type integer"), "{text}");
    let text = refused(t.insert(PG_DESCRIPTION, vec![Datum::Oid(1)]));
    assert!(text.contains("1 values for 4 columns"), "{text}");
    t.insert(PG_DESCRIPTION, comment("x", 77)).unwrap();
    let again = t.insert(PG_DESCRIPTION, comment("y", 77));
    assert!(matches!(again, Err(Error::DuplicateKey { .. })));
    let missing = t.update(PG_DESCRIPTION, comment("y", 78));
    assert!(matches!(missing, Err(Error::UndefinedRow { .. })));
    assert!(matches!(t.insert(99_999, vec![]), Err(Error::UndefinedTable { .. })));
    let user = ddl::create_table(&mut t, &table("user_table")).unwrap().unwrap();
    assert!(matches!(t.insert(user, vec![]), Err(Error::WrongObjectType { .. })));
}

#[test]
fn statements_of_one_transaction_are_one_record() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let records = node.log.len();
    let mut t = node.catalog.begin();
    ddl::create_schema(&mut t, "sales", 10, false).unwrap();
    let in_sales = NewTable { namespace: "sales".to_owned(), ..table("orders") };
    ddl::create_table(&mut t, &in_sales).unwrap();
    ddl::create_table(&mut t, &table("plain")).unwrap();
    node.commit(t).unwrap();
    assert_eq!(node.log.len(), records + 1);
    // Without the record nothing of it is there, with it everything.
    let without = TestNode::replayed(MemoryStore::new(), &node.log[..records]);
    assert_eq!(without.catalog.snapshot().namespace_named("sales").unwrap(), None);
    assert!(without.catalog.snapshot().relation_named("public", "plain").unwrap().is_none());
    let with = TestNode::replayed(MemoryStore::new(), &node.log);
    assert!(with.catalog.snapshot().relation_named("sales", "orders").unwrap().is_some());
    assert_eq!(with.catalog.digest().unwrap(), node.catalog.digest().unwrap());
}

#[test]
fn a_crash_without_flush_replays_to_the_same_digest() {
    let store = MemoryStore::new();
    let mut node = TestNode::bootstrapped(store.clone());
    for round in 0..6 {
        let mut t = node.catalog.begin();
        let oid = ddl::create_table(&mut t, &table(&format!("t{round}"))).unwrap().unwrap();
        t.insert(PG_DESCRIPTION, comment("x", oid)).unwrap();
        if round > 0 {
            ddl::drop_table(&mut t, "public", &format!("t{}", round - 1), false).unwrap();
        }
        node.commit(t).unwrap();
        if round == 2 {
            assert_eq!(node.catalog.flush().unwrap(), node.catalog.applied_lsn());
        }
        let crashed = store.crash();
        let found = Catalog::open(Arc::new(crashed.clone())).unwrap();
        assert_eq!(found.applied_lsn(), node.catalog.durable_lsn());
        let replayed = TestNode::replayed(crashed, &node.log);
        assert_eq!(replayed.catalog.digest().unwrap(), node.catalog.digest().unwrap());
    }
    assert!(node.catalog.durable_lsn() > Lsn::ZERO);
}

#[test]
fn a_store_on_disk_keeps_what_was_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog");
    let mut node = TestNode::bootstrapped(RocksStore::open(&path).unwrap());
    let mut t = node.catalog.begin();
    ddl::create_table(&mut t, &table("kept")).unwrap();
    let end = node.commit(t).unwrap();
    assert_eq!(node.catalog.flush().unwrap(), end);
    let expected = node.catalog.digest().unwrap();
    drop(node);
    let again = Catalog::open(Arc::new(RocksStore::open(&path).unwrap())).unwrap();
    assert_eq!((again.applied_lsn(), again.durable_lsn()), (end, end));
    assert_eq!(again.digest().unwrap(), expected);
}

#[test]
fn records_are_applied_once_in_order_and_only_when_sound() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    ddl::create_table(&mut t, &table("t")).unwrap();
    node.commit(t).unwrap();
    let digest = node.catalog.digest().unwrap();
    node.apply_from(0);
    assert_eq!(node.catalog.digest().unwrap(), digest, "applied before");
    let next = node.catalog.applied_lsn().advance(10);
    let garbage = node.catalog.apply(&[(next, b"garbage".as_slice())]);
    assert!(matches!(garbage, Err(Error::Corrupt { .. })));
    let backwards: [(Lsn, &[u8]); 2] = [(next.advance(10), &[]), (next, &[])];
    assert!(matches!(node.catalog.apply(&backwards), Err(Error::Corrupt { .. })));
    assert_eq!(node.catalog.digest().unwrap(), digest, "nothing of a bad call is applied");
}

#[test]
fn one_call_or_many_give_the_same_catalog() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    for round in 0..5 {
        let mut t = node.catalog.begin();
        ddl::create_table(&mut t, &table(&format!("t{round}"))).unwrap();
        node.commit(t).unwrap();
    }
    let standby = Catalog::open(Arc::new(MemoryStore::new())).unwrap();
    for (end, payload) in &node.log {
        standby.apply(&[(*end, payload.as_slice())]).unwrap();
    }
    let all = TestNode::replayed(MemoryStore::new(), &node.log);
    assert_eq!(standby.digest().unwrap(), all.catalog.digest().unwrap());
    assert_eq!(standby.digest().unwrap(), node.catalog.digest().unwrap());
}

fn segment(order: i32, role: char, description: Option<&str>) -> SegmentRow {
    SegmentRow {
        order,
        role,
        up: description.is_none_or(str::is_empty),
        port: 40_000,
        hostname: "sdw1".to_owned(),
        address: "192.0.2.11".to_owned(),
        description: description.map(str::to_owned),
    }
}

#[test]
fn a_segments_change_comes_with_its_history() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let (up, down) = (segment(1, 'p', Some("")), segment(1, 'p', Some("heartbeat timeout")));
    let mut t = node.catalog.begin();
    assert!(segments::put_segment(&mut t, &up).unwrap());
    assert!(!segments::put_segment(&mut t, &up).unwrap());
    assert!(segments::put_segment(&mut t, &down).unwrap());
    let lines =
        [(1000, "segment is up"), (3000, "timeout"), (3000, "segment is up"), (3000, "timeout")];
    for (time, text) in lines {
        segments::add_history(&mut t, time, 1, "sdw1", text).unwrap();
    }
    node.commit(t).unwrap();
    let snapshot = node.catalog.snapshot();
    assert_eq!(segments::segment_rows(&snapshot).unwrap()[1], down);
    assert_eq!(segments::segment_row(&snapshot, 1).unwrap(), Some(down));
    assert_eq!(segments::segment_row(&snapshot, 2).unwrap(), None);
    let history = segments::history(&snapshot).unwrap();
    let texts: Vec<(i64, &str)> =
        history.iter().map(|row| (row.time, row.description.as_deref().unwrap())).collect();
    let moved =
        [(1000, "segment is up"), (3000, "segment is up"), (3000, "timeout"), (3001, "timeout")];
    assert_eq!(texts, moved, "an equal line in the same microsecond is moved on");
    let mut t = node.catalog.begin();
    assert_eq!(segments::purge_history(&mut t, 3000).unwrap(), 1);
    assert!(segments::remove_segment(&mut t, 1).unwrap());
    assert!(!segments::remove_segment(&mut t, 1).unwrap());
    node.commit(t).unwrap();
    assert_eq!(segments::segment_rows(&node.catalog.snapshot()).unwrap().len(), 1);
    assert_eq!(segments::history(&node.catalog.snapshot()).unwrap().len(), 3);
}

#[test]
fn masters_standbys_and_mirroring_have_one_row_each() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    for (order, role) in [(-2, 's'), (-1, 's'), (0, 'm')] {
        assert!(segments::put_segment(&mut t, &segment(order, role, None)).unwrap());
    }
    let state = Mirroring {
        state: MirroringState::NotSynchronized,
        detail: Some("Connection error".to_owned()),
        log_time: Some(5),
        error: None,
    };
    segments::set_mirroring(&mut t, &state).unwrap();
    node.commit(t).unwrap();
    let snapshot = node.catalog.snapshot();
    let orders: Vec<i32> =
        segments::segment_rows(&snapshot).unwrap().iter().map(|row| row.order).collect();
    assert_eq!(orders, [-2, -1, 0]);
    assert_eq!(segments::mirroring(&snapshot).unwrap(), Some(state));
    let mut t = node.catalog.begin();
    assert!(!segments::put_segment(&mut t, &segment(0, 'm', None)).unwrap());
    assert!(t.is_empty(), "nothing changed");
}

#[test]
fn a_fresh_store_is_an_empty_catalog() {
    let store = MemoryStore::new();
    store.flush().unwrap();
    let catalog = Catalog::open(Arc::new(store)).unwrap();
    assert!(!catalog.is_bootstrapped().unwrap());
    assert_eq!(catalog.applied_lsn(), Lsn::ZERO);
    assert_eq!(catalog.snapshot().relations().unwrap().len(), 0);
    assert!(catalog.snapshot().relation_named("public", "x").unwrap().is_none());
}
