//! Relations already assembled, for the newest state of the schema that anyone has asked for.
//!
//! Keyed by the LSN of the last schema change: snapshots on either side of a change never share an
//! entry, and changes to rows that describe no relation leave the cache as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::Lsn;

use super::relation::Relation;

/// A client can ask for any number of names that are not there.
const ABSENT_MAX: usize = 1024;

#[derive(Default)]
struct Known {
    schema_lsn: Lsn,
    by_oid: BTreeMap<u32, Arc<Relation>>,
    /// Schema, then name; `None` for a name that is known to be absent.
    by_name: BTreeMap<String, BTreeMap<String, Option<Arc<Relation>>>>,
    absent: usize,
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

    /// `None`: not known; `Some(None)`: there is none.
    pub(crate) fn named(
        &self,
        schema_lsn: Lsn,
        namespace: &str,
        name: &str,
    ) -> Option<Option<Arc<Relation>>> {
        let known = self.lock();
        if known.schema_lsn != schema_lsn {
            return None;
        }
        known.by_name.get(namespace)?.get(name).cloned()
    }

    /// A name alone is looked for in every schema of the search path, most of which lack it.
    pub(crate) fn remember_absent(&self, schema_lsn: Lsn, namespace: &str, name: &str) {
        let Some(mut known) = self.at(schema_lsn) else { return };
        if known.absent >= ABSENT_MAX {
            known.absent = 0;
            for names in known.by_name.values_mut() {
                names.retain(|_, relation| relation.is_some());
            }
            known.by_name.retain(|_, names| !names.is_empty());
        }
        known.absent += 1;
        let names = known.by_name.entry(namespace.to_owned()).or_default();
        names.insert(name.to_owned(), None);
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
            .insert(relation.name.clone(), Some(Arc::clone(relation)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_names_are_remembered_for_one_state_of_the_schema_and_bounded() {
        let cache = RelationCache::default();
        cache.remember_absent(Lsn(1), "public", "x");
        assert_eq!(cache.named(Lsn(1), "public", "x"), Some(None));
        assert_eq!(cache.named(Lsn(1), "public", "y"), None);
        assert_eq!(cache.named(Lsn(2), "public", "x"), None);
        for n in 0..3 * ABSENT_MAX {
            cache.remember_absent(Lsn(2), "public", &n.to_string());
        }
        let held: usize = cache.lock().by_name.values().map(BTreeMap::len).sum();
        assert!(held <= ABSENT_MAX, "{held}");
        assert_eq!(cache.named(Lsn(1), "public", "x"), None, "of an older state");
    }
}
