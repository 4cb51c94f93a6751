//! Relations already assembled, for the newest state of the schema that anyone has asked for.
//!
//! Keyed by the LSN of the last schema change: snapshots on either side of a change never share an
//! entry, and changes to rows that describe no relation leave the cache as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::Lsn;

use super::relation::Relation;

#[derive(Default)]
struct Known {
    schema_lsn: Lsn,
    by_oid: BTreeMap<u32, Arc<Relation>>,
    /// Schema, then name. Absent names are not remembered: a client could ask for any number.
    by_name: BTreeMap<String, BTreeMap<String, Arc<Relation>>>,
    all: Option<Arc<Vec<Arc<Relation>>>>,
}

#[derive(Default)]
pub(crate) struct RelationCache {
    known: Mutex<Known>,
}

impl RelationCache {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn relation(&self, schema_lsn: Lsn, oid: u32) -> Option<Arc<Relation>> {
        let known = self.lock();
        (known.schema_lsn == schema_lsn).then(|| known.by_oid.get(&oid).cloned()).flatten()
    }

    pub(crate) fn named(
        &self,
        schema_lsn: Lsn,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Relation>> {
        let known = self.lock();
        if known.schema_lsn != schema_lsn {
            return None;
        }
        known.by_name.get(namespace)?.get(name).cloned()
    }

    pub(crate) fn all(&self, schema_lsn: Lsn) -> Option<Arc<Vec<Arc<Relation>>>> {
        let known = self.lock();
        (known.schema_lsn == schema_lsn).then(|| known.all.clone()).flatten()
    }

    pub(crate) fn remember(&self, schema_lsn: Lsn, relation: &Arc<Relation>) {
        if let Some(mut known) = self.at(schema_lsn) {
            known.insert(relation);
        }
    }

    pub(crate) fn remember_all(&self, schema_lsn: Lsn, all: &Arc<Vec<Arc<Relation>>>) {
        if let Some(mut known) = self.at(schema_lsn) {
            for relation in all.iter() {
                known.insert(relation);
            }
            known.all = Some(Arc::clone(all));
        }
    }

    /// The entries of this state of the schema, emptied first when it is newer; `None` when older.
    fn at(&self, schema_lsn: Lsn) -> Option<MutexGuard<'_, Known>> {
        let mut known = self.lock();
        if schema_lsn > known.schema_lsn {
            *known = Known { schema_lsn, ..Known::default() };
        }
        (known.schema_lsn == schema_lsn).then_some(known)
    }
}

impl Known {
    fn insert(&mut self, relation: &Arc<Relation>) {
        self.by_oid.insert(relation.oid, Arc::clone(relation));
        self.by_name
            .entry(relation.namespace_name.clone())
            .or_default()
            .insert(relation.name.clone(), Arc::clone(relation));
    }
}
