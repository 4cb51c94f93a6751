//! A transaction being made: a snapshot with its own writes on top.
//!
//! It reads what it has written, keeps unique indexes in step, and refuses rows that do not fit.
//! Nothing of it is visible to anyone else before it is committed; dropping it is a rollback.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::types::Lsn;

use super::datum::{Datum, Row};
use super::error::Error;
use super::fit;
use super::instance::Catalog;
use super::key::RowKey;
use super::layout::{FIRST_NORMAL_OID, INDEXES, Index, describes_relations};
use super::relation::{Relation, RelationKind};
use super::relation_load;
use super::row::{encode_row, encoded_len};
use super::snapshot::{ReadView, Snapshot, relation_oid};
use super::transaction::{Change, Transaction};

/// A transaction is one record of the log and one message to each standby, so it is bounded.
const TRANSACTION_BYTES_MAX: usize = 16 << 20;

/// * A key in `writes` hides the snapshot's row; `None` is a deletion.
/// * Whoever takes the transaction out with `into_transaction` must have it admitted or abandoned,
///   or its id stays "in progress" for the rest of the reign.
pub struct OpenTransaction {
    catalog: Catalog,
    snapshot: Snapshot,
    xid: OnceLock<u64>,
    writes: BTreeMap<RowKey, Option<Row>>,
    guards: BTreeSet<RowKey>,
    next_oid: u32,
    /// What has been written, overwritten rows included.
    bytes: usize,
    /// It has changed what relations look like, so the shared cache does not speak for it.
    schema_changed: bool,
    /// How to take back what was written since the first mark, the newest last.
    undo: Option<Vec<Undo>>,
}

enum Undo {
    /// What `writes` had under this key before.
    Write(RowKey, Option<Option<Row>>),
    Guard(RowKey),
}

/// A point to which a transaction can go back (`SAVEPOINT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    undo: usize,
    bytes: usize,
    schema_changed: bool,
}

impl OpenTransaction {
    pub(crate) fn new(catalog: Catalog, snapshot: Snapshot) -> OpenTransaction {
        OpenTransaction {
            catalog,
            snapshot,
            xid: OnceLock::new(),
            writes: BTreeMap::new(),
            guards: BTreeSet::new(),
            next_oid: 0,
            bytes: 0,
            schema_changed: false,
            undo: None,
        }
    }

    /// A point to which `roll_back_to` goes back.
    pub fn mark(&mut self) -> Mark {
        let undo = self.undo.get_or_insert_default().len();
        Mark { undo, bytes: self.bytes, schema_changed: self.schema_changed }
    }

    /// Takes back everything written since `mark`, which was made here and not been gone behind
    /// since. Ids that were given out stay so. What was read stays read: the snapshot is the same.
    pub fn roll_back_to(&mut self, mark: Mark) {
        let Some(undo) = &mut self.undo else { return };
        while undo.len() > mark.undo {
            match undo.pop() {
                Some(Undo::Write(key, Some(before))) => drop(self.writes.insert(key, before)),
                Some(Undo::Write(key, None)) => drop(self.writes.remove(&key)),
                Some(Undo::Guard(key)) => drop(self.guards.remove(&key)),
                None => {}
            }
        }
        self.bytes = mark.bytes;
        self.schema_changed = mark.schema_changed;
    }

    /// The id, given out at the first call; zero on a node that does not reign.
    pub fn xid(&self) -> u64 {
        *self.xid.get_or_init(|| self.catalog.assign_xid())
    }

    /// The id if one was given out.
    #[must_use]
    pub fn assigned_xid(&self) -> Option<u64> {
        self.xid.get().copied()
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// An oid that no other relation or schema has, the same on every node once committed.
    pub fn allocate_oid(&mut self) -> u32 {
        let oid = self.catalog.assign_oid();
        self.next_oid = self.next_oid.max(oid.checked_add(1).unwrap_or(FIRST_NORMAL_OID));
        oid
    }

    /// The row must not be changed by others before this one commits.
    pub fn guard(&mut self, relation: u32, key: &[Datum]) {
        let key = RowKey::new(relation, key);
        if self.guards.insert(key.clone())
            && let Some(undo) = &mut self.undo
        {
            undo.push(Undo::Guard(key));
        }
    }

    pub fn insert(&mut self, relation: u32, row: Row) -> Result<(), Error> {
        self.place(relation, row, |before, relation| match before {
            Some(_) => Err(Error::DuplicateKey { relation: relation.name.clone() }),
            None => Ok(()),
        })
    }

    /// Replaces the row that has the same key.
    pub fn update(&mut self, relation: u32, row: Row) -> Result<(), Error> {
        self.place(relation, row, |before, relation| match before {
            Some(_) => Ok(()),
            None => Err(Error::UndefinedRow { relation: relation.name.clone() }),
        })
    }

    /// Inserts the row, or replaces the one with its key.
    pub fn put(&mut self, relation: u32, row: Row) -> Result<(), Error> {
        self.place(relation, row, |_, _| Ok(()))
    }

    /// Writes a row if `allowed` says so of the one with its key.
    fn place(
        &mut self,
        relation: u32,
        row: Row,
        allowed: impl FnOnce(Option<&Row>, &Relation) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let described = self.writable(relation)?;
        let key = fit::check(&described, &row)?;
        let key = RowKey::new(relation, &key);
        let before = self.row(&key)?;
        allowed(before.as_ref(), &described)?;
        self.index(&described.name, relation, before.as_ref(), Some(&row))?;
        self.write(key, Some(row))
    }

    /// Deletes the row with this key; false when there is none.
    pub fn delete(&mut self, relation: u32, key: &[Datum]) -> Result<bool, Error> {
        let described = self.writable(relation)?;
        let key = RowKey::new(relation, key);
        let Some(before) = self.row(&key)? else {
            return Ok(false);
        };
        self.index(&described.name, relation, Some(&before), None)?;
        self.write(key, None)?;
        Ok(true)
    }

    /// Writes a row without looking at its relation: bootstrap, where there is none yet.
    pub(crate) fn insert_unchecked(
        &mut self,
        relation: u32,
        key: &[Datum],
        row: Row,
    ) -> Result<(), Error> {
        let key = RowKey::new(relation, key);
        if self.row(&key)?.is_some() {
            return Err(Error::DuplicateKey { relation: relation.to_string() });
        }
        self.index(&relation.to_string(), relation, None, Some(&row))?;
        self.write(key, Some(row))
    }

    #[must_use]
    pub fn into_transaction(mut self) -> Transaction {
        let xid = self.xid();
        self.take(xid)
    }

    /// The transaction as the first one of a cluster.
    pub(crate) fn into_transaction_with(mut self, xid: u64) -> Transaction {
        self.take(xid)
    }

    fn take(&mut self, xid: u64) -> Transaction {
        // Taken, so that dropping what is left is no rollback.
        self.xid = OnceLock::new();
        let writes = std::mem::take(&mut self.writes).into_iter();
        let changes: Vec<Change> =
            writes.map(|(key, row)| Change { key, row: row.map(|row| encode_row(&row)) }).collect();
        let written = |guard: &RowKey| changes.binary_search_by(|c| c.key.cmp(guard)).is_ok();
        let guards = std::mem::take(&mut self.guards).into_iter();
        let guards = guards.filter(|guard| !written(guard)).collect();
        let (snapshot, next_oid) = (self.snapshot.lsn(), self.next_oid);
        Transaction { xid, snapshot, changes, guards, next_oid }
    }

    /// The relation, if its rows are stored here.
    fn writable(&self, oid: u32) -> Result<Arc<Relation>, Error> {
        let missing = || Error::UndefinedTable { name: oid.to_string() };
        let relation = self.relation(oid)?.ok_or_else(missing)?;
        match relation.kind {
            RelationKind::System => Ok(relation),
            RelationKind::Table | RelationKind::View { .. } => Err(Error::WrongObjectType {
                name: relation.name.clone(),
                expected: "stored catalog table",
            }),
        }
    }

    fn write(&mut self, key: RowKey, row: Option<Row>) -> Result<(), Error> {
        let row_bytes = row.as_ref().map_or(0, |row| encoded_len(row));
        self.bytes = self.bytes.saturating_add(key.key.len() + row_bytes);
        if self.bytes > TRANSACTION_BYTES_MAX {
            return Err(Error::TransactionTooLarge { max: TRANSACTION_BYTES_MAX });
        }
        self.schema_changed |= describes_relations(key.relation);
        match &mut self.undo {
            None => drop(self.writes.insert(key, row)),
            Some(undo) => {
                let before = self.writes.insert(key.clone(), row);
                undo.push(Undo::Write(key, before));
            }
        }
        Ok(())
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>, Error> {
        match self.writes.get(key) {
            Some(own) => Ok(own.clone()),
            None => self.snapshot.row(key),
        }
    }

    /// Moves the rows of a relation's unique indexes from `before` to `after`.
    fn index(
        &mut self,
        name: &str,
        relation: u32,
        before: Option<&Row>,
        after: Option<&Row>,
    ) -> Result<(), Error> {
        for index in INDEXES.iter().filter(|index| index.relation == relation) {
            let old = before.and_then(|row| entry(index, row));
            let new = after.and_then(|row| entry(index, row));
            if old == new {
                continue;
            }
            if let Some((key, _)) = &new
                && self.row(key)?.is_some()
            {
                return Err(Error::DuplicateKey { relation: name.to_owned() });
            }
            if let Some((key, _)) = old {
                self.write(key, None)?;
            }
            if let Some((key, row)) = new {
                self.write(key, Some(row))?;
            }
        }
        Ok(())
    }
}

/// The row of an index for a row of its relation.
fn entry(index: &Index, row: &Row) -> Option<(RowKey, Row)> {
    let columns: Option<Vec<Datum>> =
        index.columns.iter().map(|at| row.get(*at).cloned()).collect();
    Some((RowKey::new(index.oid, &columns?), vec![row.first()?.clone()]))
}

impl ReadView for OpenTransaction {
    fn lsn(&self) -> Lsn {
        self.snapshot.lsn()
    }

    fn relation(&self, oid: u32) -> Result<Option<Arc<Relation>>, Error> {
        // A session never changes what the system's relations look like.
        if (!self.schema_changed || oid < FIRST_NORMAL_OID)
            && let Some(relation) = self.snapshot.relation(oid)?
        {
            return Ok(Some(relation));
        }
        if self.schema_changed {
            return Ok(relation_load::load(self, oid)?.map(Arc::new));
        }
        Ok(None)
    }

    fn relation_named(&self, namespace: &str, name: &str) -> Result<Option<Arc<Relation>>, Error> {
        if !self.schema_changed {
            return self.snapshot.relation_named(namespace, name);
        }
        match relation_oid(self, namespace, name)? {
            Some(oid) => self.relation(oid),
            None => Ok(None),
        }
    }

    fn relations(&self) -> Result<Vec<Arc<Relation>>, Error> {
        if self.schema_changed { relation_load::load_all(self) } else { self.snapshot.relations() }
    }

    fn get(&self, relation: u32, key: &[Datum]) -> Result<Option<Row>, Error> {
        self.row(&RowKey::new(relation, key))
    }

    fn scan(&self, relation: u32, prefix: &[Datum]) -> Result<Vec<Row>, Error> {
        let prefix = RowKey::new(relation, prefix);
        let stored = self.snapshot.entries(&prefix)?;
        let mut own = self
            .writes
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.relation == relation && key.key.starts_with(&prefix.key))
            .peekable();
        if own.peek().is_none() {
            return Ok(stored.into_iter().map(|(_, row)| row).collect());
        }
        let mut merged: BTreeMap<Vec<u8>, Row> = stored.into_iter().collect();
        for (key, row) in own {
            match row {
                Some(row) => merged.insert(key.key.clone(), row.clone()),
                None => merged.remove(&key.key),
            };
        }
        Ok(merged.into_values().collect())
    }
}

impl fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = f.debug_struct("OpenTransaction");
        line.field("lsn", &self.snapshot.lsn()).field("writes", &self.writes.len());
        line.finish_non_exhaustive()
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        if let Some(xid) = self.xid.get() {
            self.catalog.abandon(*xid);
        }
    }
}
