//! Reading: the catalog as it was at one LSN.
//!
//! A snapshot sees exactly the transactions applied up to its LSN, whatever is applied later. It
//! never waits and never takes a lock that a writer holds.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::types::Lsn;

use super::apply::Numbers;
use super::datum::{Datum, Row};
use super::error::Error;
use super::key::RowKey;
use super::layout::{PG_CLASS_NAME_INDEX, PG_NAMESPACE, PG_NAMESPACE_NAME_INDEX};
use super::relation::Relation;
use super::relation_cache::RelationCache;
use super::relation_load;
use super::row::decode_row;
use super::store::{Family, StoreSnapshot};

/// What `Snapshot` and `OpenTransaction` have in common.
pub trait ReadView: Send + Sync {
    fn lsn(&self) -> Lsn;

    fn relation(&self, oid: u32) -> Result<Option<Arc<Relation>>, Error>;

    fn relation_named(&self, namespace: &str, name: &str) -> Result<Option<Arc<Relation>>, Error>;

    /// All relations, in the order of their oids.
    fn relations(&self) -> Result<Vec<Arc<Relation>>, Error>;

    /// The row with exactly this key.
    fn get(&self, relation: u32, key: &[Datum]) -> Result<Option<Row>, Error>;

    /// The rows whose key begins with `prefix`, in key order.
    fn scan(&self, relation: u32, prefix: &[Datum]) -> Result<Vec<Row>, Error>;

    /// Oid, name and owner of every schema, in the order of their oids.
    fn namespaces(&self) -> Result<Vec<(u32, String, u32)>, Error> {
        let rows = self.scan(PG_NAMESPACE, &[])?;
        rows.iter()
            .map(|row| match row.as_slice() {
                [Datum::Oid(oid), name, Datum::Oid(owner), ..] => {
                    let name = name.as_str().map(str::to_owned);
                    name.map(|name| (*oid, name, *owner))
                }
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::corrupt("row of pg_namespace"))
    }

    /// The oid of a schema.
    fn namespace_named(&self, name: &str) -> Result<Option<u32>, Error> {
        let key = [Datum::Name(name.to_owned())];
        oid_in(self.get(PG_NAMESPACE_NAME_INDEX, &key)?)
    }
}

/// The oid that a row of an index points to.
pub(crate) fn oid_in(row: Option<Row>) -> Result<Option<u32>, Error> {
    match row {
        None => Ok(None),
        Some(row) => match row.as_slice() {
            [Datum::Oid(oid)] => Ok(Some(*oid)),
            _ => Err(Error::corrupt("row of an index")),
        },
    }
}

/// The oid of a relation by its name, through the index.
pub(crate) fn relation_oid<V: ReadView + ?Sized>(
    view: &V,
    namespace: &str,
    name: &str,
) -> Result<Option<u32>, Error> {
    let Some(namespace) = view.namespace_named(namespace)? else {
        return Ok(None);
    };
    let key = [Datum::Oid(namespace), Datum::Name(name.to_owned())];
    oid_in(view.get(PG_CLASS_NAME_INDEX, &key)?)
}

#[derive(Clone)]
pub struct Snapshot {
    store: Arc<dyn StoreSnapshot>,
    lsn: Lsn,
    /// The LSN of the last change to what relations look like.
    schema_lsn: Lsn,
    cache: Arc<RelationCache>,
}

impl Snapshot {
    /// Of a store that holds these numbers.
    pub(crate) fn new(
        store: Arc<dyn StoreSnapshot>,
        cache: Arc<RelationCache>,
        numbers: &Numbers,
    ) -> Snapshot {
        Snapshot { store, lsn: numbers.applied, schema_lsn: numbers.schema, cache }
    }

    pub(crate) fn store(&self) -> &dyn StoreSnapshot {
        self.store.as_ref()
    }

    /// Encoded keys and rows whose key begins with `prefix`, in key order.
    pub(crate) fn entries(&self, prefix: &RowKey) -> Result<Vec<(Vec<u8>, Row)>, Error> {
        let mut entries = Vec::new();
        let mut failed = None;
        self.store.scan(Family::Rows, &prefix.stored(), &mut |key, value| match decode_stored(
            value,
        ) {
            Ok((_, row)) => {
                entries.push((key.get(4..).unwrap_or_default().to_vec(), row));
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(entries), Err)
    }

    pub(crate) fn row(&self, key: &RowKey) -> Result<Option<Row>, Error> {
        match self.store.get(Family::Rows, &key.stored())? {
            None => Ok(None),
            Some(value) => decode_stored(&value).map(|(_, row)| Some(row)),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("lsn", &self.lsn).finish_non_exhaustive()
    }
}

/// A stored value: the LSN of the last change, then the row.
pub(crate) fn decode_stored(value: &[u8]) -> Result<(Lsn, Row), Error> {
    let (lsn, row) = value.split_first_chunk::<8>().ok_or_else(|| Error::corrupt("short row"))?;
    Ok((Lsn(u64::from_be_bytes(*lsn)), decode_row(row)?))
}

impl ReadView for Snapshot {
    fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn relation(&self, oid: u32) -> Result<Option<Arc<Relation>>, Error> {
        if let Some(known) = self.cache.relation(self.schema_lsn, oid) {
            return Ok(Some(known));
        }
        let loaded = relation_load::load(self, oid)?.map(Arc::new);
        if let Some(relation) = &loaded {
            self.cache.remember(self.schema_lsn, relation);
        }
        Ok(loaded)
    }

    fn relation_named(&self, namespace: &str, name: &str) -> Result<Option<Arc<Relation>>, Error> {
        if let Some(known) = self.cache.named(self.schema_lsn, namespace, name) {
            return Ok(known);
        }
        match relation_oid(self, namespace, name)? {
            Some(oid) => self.relation(oid),
            None => {
                self.cache.remember_absent(self.schema_lsn, namespace, name);
                Ok(None)
            }
        }
    }

    fn relations(&self) -> Result<Vec<Arc<Relation>>, Error> {
        if let Some(known) = self.cache.all(self.schema_lsn) {
            return Ok(known.as_ref().clone());
        }
        let loaded = Arc::new(relation_load::load_all(self)?);
        self.cache.remember_all(self.schema_lsn, &loaded);
        Ok(loaded.as_ref().clone())
    }

    fn get(&self, relation: u32, key: &[Datum]) -> Result<Option<Row>, Error> {
        self.row(&RowKey::new(relation, key))
    }

    fn scan(&self, relation: u32, prefix: &[Datum]) -> Result<Vec<Row>, Error> {
        let entries = self.entries(&RowKey::new(relation, prefix))?;
        Ok(entries.into_iter().map(|(_, row)| row).collect())
    }
}
