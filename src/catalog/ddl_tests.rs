//! What each statement does, refuses, and excludes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::catalog_tests::table;
use super::commit::CommitError;
use super::datum::Datum;
use super::ddl::{self, CommentTarget, NewTable};
use super::error::Error;
use super::layout::{
    COLUMNS_MAX, GP_DISTRIBUTION_POLICY, PG_ATTRIBUTE, PG_CLASS, PG_DESCRIPTION, PG_NAMESPACE,
};
use super::memory_store::MemoryStore;
use super::open_transaction::OpenTransaction;
use super::relation::Distribution;
use super::snapshot::ReadView;
use super::store::{Batch, Family, Store, StoreError, StoreSnapshot, Visit};
use super::test_node::TestNode;

fn named(name: &str) -> CommentTarget {
    CommentTarget::Table { namespace: "public".to_owned(), name: name.to_owned() }
}

fn in_schema(namespace: &str, name: &str) -> NewTable {
    NewTable { namespace: namespace.to_owned(), ..table(name) }
}

#[test]
fn bad_schemas_are_refused() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let make = |t: &mut OpenTransaction, name: &str| ddl::create_schema(t, name, 10, false);
    assert!(matches!(make(&mut t, "pg_mine"), Err(Error::ReservedName { .. })));
    assert!(matches!(make(&mut t, ""), Err(Error::InvalidName { .. })));
    assert!(matches!(make(&mut t, &"x".repeat(64)), Err(Error::InvalidName { .. })));
    assert!(matches!(make(&mut t, "public"), Err(Error::DuplicateSchema { .. })));
    assert!(make(&mut t, &"x".repeat(63)).unwrap());
    assert!(make(&mut t, "sales").unwrap());
    assert!(matches!(make(&mut t, "sales"), Err(Error::DuplicateSchema { .. })));
    assert!(!ddl::create_schema(&mut t, "sales", 10, true).unwrap());
    let drop = |t: &mut OpenTransaction, name| ddl::drop_schema(t, name, false, false);
    assert!(matches!(drop(&mut t, "nosuch"), Err(Error::UndefinedSchema { .. })));
    assert!(!ddl::drop_schema(&mut t, "nosuch", true, false).unwrap());
    assert!(matches!(drop(&mut t, "pg_catalog"), Err(Error::SystemObject { .. })));
    ddl::create_table(&mut t, &in_schema("sales", "orders")).unwrap();
    assert!(matches!(drop(&mut t, "sales"), Err(Error::SchemaNotEmpty { objects: 1, .. })));
}

#[test]
fn bad_tables_are_refused() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let mut refused = |table: &NewTable| ddl::create_table(&mut t, table).unwrap_err();
    let good = table("good");
    assert!(matches!(refused(&in_schema("nosuch", "t")), Error::UndefinedSchema { .. }));
    assert!(matches!(refused(&in_schema("pg_catalog", "t")), Error::SystemObject { .. }));
    assert!(matches!(refused(&table("")), Error::InvalidName { .. }));
    let mut twice = good.clone();
    twice.columns[1].name = "id".to_owned();
    assert!(matches!(refused(&twice), Error::DuplicateColumn { .. }));
    let mut system = good.clone();
    system.columns[1].name = "ctid".to_owned();
    assert!(matches!(refused(&system), Error::InvalidName { .. }));
    let mut wide = good.clone();
    wide.columns = vec![good.columns[0].clone(); COLUMNS_MAX + 1];
    assert!(matches!(refused(&wide), Error::TooManyColumns { count: 1601, .. }));
    let by = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        NewTable { distribution: Distribution::Columns(names), ..good.clone() }
    };
    assert!(matches!(refused(&by(&["nosuch"])), Error::UndefinedColumn { .. }));
    assert!(matches!(refused(&by(&["id", "id"])), Error::DuplicateColumn { .. }));
    assert!(ddl::create_table(&mut t, &good).unwrap().is_some());
    assert!(matches!(ddl::create_table(&mut t, &good), Err(Error::DuplicateTable { .. })));
    let allowed = NewTable { if_not_exists: true, ..good };
    assert_eq!(ddl::create_table(&mut t, &allowed).unwrap(), None);
}

#[test]
fn a_table_without_columns_and_one_distributed_randomly_are_fine() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let randomly = Distribution::Randomly;
    let bare = NewTable { columns: vec![], distribution: randomly.clone(), ..table("bare") };
    ddl::create_table(&mut t, &bare).unwrap();
    node.commit(t).unwrap();
    let relation = node.catalog.snapshot().relation_named("public", "bare").unwrap().unwrap();
    assert_eq!(relation.distribution, Some(randomly));
    assert!(relation.columns.is_empty());
}

#[test]
fn dropping_leaves_nothing_behind() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let sizes = |node: &TestNode| {
        [PG_CLASS, PG_ATTRIBUTE, GP_DISTRIBUTION_POLICY, PG_DESCRIPTION, PG_NAMESPACE, 2663, 2684]
            .map(|relation| node.catalog.snapshot().scan(relation, &[]).unwrap().len())
    };
    let before = sizes(&node);
    let mut t = node.catalog.begin();
    ddl::create_schema(&mut t, "sales", 10, false).unwrap();
    ddl::create_table(&mut t, &in_schema("sales", "a")).unwrap();
    ddl::create_table(&mut t, &in_schema("sales", "b")).unwrap();
    ddl::create_table(&mut t, &table("c")).unwrap();
    let schema = CommentTarget::Schema { name: "sales".to_owned() };
    ddl::comment_on(&mut t, &schema, Some("of the shop")).unwrap();
    ddl::comment_on(&mut t, &named("c"), Some("table")).unwrap();
    let column = CommentTarget::Column {
        namespace: "public".to_owned(),
        relation: "c".to_owned(),
        column: "label".to_owned(),
    };
    ddl::comment_on(&mut t, &column, Some("column")).unwrap();
    node.commit(t).unwrap();
    assert_ne!(sizes(&node), before);
    let mut t = node.catalog.begin();
    assert!(ddl::drop_schema(&mut t, "sales", false, true).unwrap());
    assert!(ddl::drop_table(&mut t, "public", "c", false).unwrap());
    node.commit(t).unwrap();
    assert_eq!(sizes(&node), before);
    let mut t = node.catalog.begin();
    ddl::create_schema(&mut t, "sales", 10, false).unwrap();
    node.commit(t).unwrap();
}

#[test]
fn only_tables_are_dropped() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let mut drop = |namespace, name| ddl::drop_table(&mut t, namespace, name, false).unwrap_err();
    assert!(matches!(drop("public", "nosuch"), Error::UndefinedTable { .. }));
    assert!(matches!(drop("nosuch", "t"), Error::UndefinedSchema { .. }));
    assert!(matches!(drop("pg_catalog", "pg_class"), Error::SystemObject { .. }));
    assert!(!ddl::drop_table(&mut t, "public", "nosuch", true).unwrap());
    assert!(t.is_empty());
}

#[test]
fn a_comment_is_set_replaced_and_removed() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    let oid = ddl::create_table(&mut t, &table("c")).unwrap().unwrap();
    node.commit(t).unwrap();
    let key = [Datum::Oid(oid), Datum::Oid(PG_CLASS), Datum::Int4(0)];
    for (text, expected) in [
        (Some("one"), Some("one")),
        (Some("two"), Some("two")),
        (Some(""), None),
        (None, None),
        (Some("three"), Some("three")),
        (None, None),
    ] {
        let mut t = node.catalog.begin();
        ddl::comment_on(&mut t, &named("c"), text).unwrap();
        node.commit(t).unwrap();
        let row = node.catalog.snapshot().get(PG_DESCRIPTION, &key).unwrap();
        let found = row.map(|row| row[3].as_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), expected);
    }
    let mut t = node.catalog.begin();
    let missing = ddl::comment_on(&mut t, &named("nosuch"), Some("x"));
    assert!(matches!(missing, Err(Error::UndefinedTable { .. })));
    let view = CommentTarget::View { namespace: "public".to_owned(), name: "c".to_owned() };
    let wrong = ddl::comment_on(&mut t, &view, Some("x"));
    assert!(matches!(wrong, Err(Error::WrongObjectType { .. })));
}

/// Runs two statements on one snapshot; the second must be refused at commit.
fn check_excluded(
    first: impl FnOnce(&mut OpenTransaction),
    second: impl FnOnce(&mut OpenTransaction),
) {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    ddl::create_schema(&mut t, "sales", 10, false).unwrap();
    ddl::create_table(&mut t, &table("c")).unwrap();
    node.commit(t).unwrap();
    let (mut one, mut two) = (node.catalog.begin(), node.catalog.begin());
    first(&mut one);
    second(&mut two);
    node.commit(one).unwrap();
    assert!(matches!(node.commit(two), Err(CommitError::Conflict { .. })));
}

#[test]
fn statements_that_exclude_each_other_do_not_both_commit() {
    let create = |t: &mut OpenTransaction| {
        ddl::create_table(t, &in_schema("sales", "new")).unwrap();
    };
    let drop_schema = |t: &mut OpenTransaction| {
        ddl::drop_schema(t, "sales", false, false).unwrap();
    };
    let comment = |t: &mut OpenTransaction| {
        ddl::comment_on(t, &named("c"), Some("x")).unwrap();
    };
    let drop_table = |t: &mut OpenTransaction| {
        ddl::drop_table(t, "public", "c", false).unwrap();
    };
    check_excluded(create, drop_schema);
    check_excluded(drop_schema, create);
    check_excluded(comment, drop_table);
    check_excluded(drop_table, comment);
    check_excluded(drop_table, drop_table);
    check_excluded(comment, comment);
}

#[test]
fn tables_of_one_schema_are_made_at_the_same_time() {
    let mut node = TestNode::bootstrapped(MemoryStore::new());
    let (mut one, mut two) = (node.catalog.begin(), node.catalog.begin());
    ddl::create_table(&mut one, &table("a")).unwrap();
    ddl::create_table(&mut two, &table("b")).unwrap();
    node.commit(one).unwrap();
    node.commit(two).unwrap();
}

#[test]
fn a_transaction_is_bounded() {
    let node = TestNode::bootstrapped(MemoryStore::new());
    let mut t = node.catalog.begin();
    ddl::create_table(&mut t, &table("c")).unwrap();
    let text = "x".repeat(1 << 20);
    let write = |t: &mut OpenTransaction| ddl::comment_on(t, &named("c"), Some(&text));
    let refused = (0..20).find_map(|_| write(&mut t).err());
    assert!(matches!(refused, Some(Error::TransactionTooLarge { .. })), "{refused:?}");
    let longer = "x".repeat((1 << 20) + 1);
    let mut t = node.catalog.begin();
    ddl::create_table(&mut t, &table("c")).unwrap();
    let refused = ddl::comment_on(&mut t, &named("c"), Some(&longer));
    assert!(matches!(refused, Err(Error::WrongRow { .. })), "{refused:?}");
}

/// Counts the entries that scans visit and the keys that are read.
struct CountingStore {
    store: MemoryStore,
    touched: Arc<AtomicUsize>,
}

struct CountingSnapshot {
    snapshot: Arc<dyn StoreSnapshot>,
    touched: Arc<AtomicUsize>,
}

impl Store for CountingStore {
    fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
        let touched = Arc::clone(&self.touched);
        Arc::new(CountingSnapshot { snapshot: self.store.snapshot(), touched })
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.store.write(batch)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }

    fn checkpoint(&self, directory: &std::path::Path) -> Result<(), StoreError> {
        self.store.checkpoint(directory)
    }
}

impl StoreSnapshot for CountingSnapshot {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.touched.fetch_add(1, Ordering::Relaxed);
        self.snapshot.get(family, key)
    }

    fn scan(&self, family: Family, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.snapshot.scan(family, prefix, &mut |key, value| {
            self.touched.fetch_add(1, Ordering::Relaxed);
            visit(key, value)
        })
    }
}

#[test]
fn a_lookup_among_ten_thousand_tables_touches_only_its_own_rows() {
    let touched = Arc::new(AtomicUsize::new(0));
    let store = CountingStore { store: MemoryStore::new(), touched: Arc::clone(&touched) };
    let mut node = TestNode::bootstrapped(store);
    let mut t = node.catalog.begin();
    for number in 0..10_000 {
        ddl::create_table(&mut t, &table(&format!("t{number}"))).unwrap();
    }
    node.commit(t).unwrap();
    let counted = |act: &dyn Fn()| {
        let before = touched.load(Ordering::Relaxed);
        act();
        touched.load(Ordering::Relaxed) - before
    };
    let snapshot = node.catalog.snapshot();
    let look = || {
        let relation = snapshot.relation_named("public", "t7777").unwrap().unwrap();
        assert_eq!(relation.columns.len(), 2);
    };
    let first = counted(&look);
    assert!((1..=12).contains(&first), "touched {first}");
    assert_eq!(counted(&look), 0, "remembered");
    let oid = snapshot.relation_named("public", "t7777").unwrap().unwrap().oid;
    let scanned = counted(&|| {
        assert_eq!(snapshot.scan(PG_ATTRIBUTE, &[Datum::Oid(oid)]).unwrap().len(), 2);
    });
    assert_eq!(scanned, 2);

    // A comment is no change of the schema: what is remembered stays.
    let mut t = node.catalog.begin();
    ddl::comment_on(&mut t, &named("t7777"), Some("x")).unwrap();
    node.commit(t).unwrap();
    let after = node.catalog.snapshot();
    assert_eq!(counted(&|| drop(after.relation_named("public", "t7777").unwrap().unwrap())), 0);
}
