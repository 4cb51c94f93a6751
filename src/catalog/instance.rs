//! The catalog of one node: a store, and what is known of transactions that are not in it yet.
//!
//! Committed records come in through `apply`, in LSN order, on every node alike. On the primary
//! `admit` says which transactions may be logged. Nothing becomes visible before it is applied.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::types::{Epoch, Lsn};

use super::admission::{Admission, BOOTSTRAP_XID, Refusal, SEQUENCE_BITS};
use super::apply::{Numbers, StatusBound};
use super::commit::CommitError;
use super::digest::{Digest, digest_of};
use super::error::Error;
use super::layout::{FIRST_NORMAL_OID, PG_CLASS, relation_of};
use super::open_transaction::OpenTransaction;
use super::relation_cache::RelationCache;
use super::snapshot::{ReadView, Snapshot};
use super::store::{Family, Store};
use super::transaction::Transaction;
use super::{apply, meta};

/// What became of a transaction (rule 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XactStatus {
    Committed,
    Aborted,
    /// Not decided, or this node cannot know yet.
    InProgress,
    /// Too old, or never given out.
    Unknown,
}

/// Cheap to clone: all clones are the same catalog.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("applied", &self.applied_lsn()).finish_non_exhaustive()
    }
}

struct Inner {
    store: Arc<dyn Store>,
    cache: Arc<RelationCache>,
    /// The newest view, replaced after each write: readers neither wait for a writer nor fail.
    newest: RwLock<Snapshot>,
    applied: AtomicU64,
    durable: AtomicU64,
    next_oid: AtomicU32,
    admission: Mutex<Admission>,
    /// What the store holds. Locked while it is written, so that a checkpoint is exact.
    writing: Mutex<Numbers>,
    bound: StatusBound,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Catalog {
    /// An empty store is fine: it holds nothing until bootstrap is applied.
    pub fn open(store: Arc<dyn Store>) -> Result<Catalog, Error> {
        Catalog::open_with(store, StatusBound::DEFAULT)
    }

    pub(crate) fn open_with(store: Arc<dyn Store>, bound: StatusBound) -> Result<Catalog, Error> {
        let cache = Arc::new(RelationCache::default());
        let snapshot = store.snapshot();
        let numbers = Numbers::read(snapshot.as_ref())?;
        let found = Snapshot::new(snapshot, Arc::clone(&cache), &numbers);
        let applied = numbers.applied.0;
        let inner = Inner {
            store,
            cache,
            newest: RwLock::new(found),
            applied: AtomicU64::new(applied),
            durable: AtomicU64::new(applied),
            next_oid: AtomicU32::new(numbers.next_oid),
            admission: Mutex::new(Admission::default()),
            writing: Mutex::new(numbers),
            bound,
        };
        Ok(Catalog { inner: Arc::new(inner) })
    }

    /// A view at the applied LSN.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.inner.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn applied_lsn(&self) -> Lsn {
        Lsn(self.inner.applied.load(Ordering::Acquire))
    }

    /// What the store would hold after a crash, at least.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        Lsn(self.inner.durable.load(Ordering::Acquire))
    }

    /// Whether bootstrap has been applied.
    pub fn is_bootstrapped(&self) -> Result<bool, Error> {
        Ok(self.snapshot().relation(PG_CLASS)?.is_some())
    }

    /// A transaction over a new snapshot. Its id is given out when it is first needed.
    #[must_use]
    pub fn begin(&self) -> OpenTransaction {
        OpenTransaction::new(self.clone(), self.snapshot())
    }

    /// A reign of this node begins: ids carry its number, nothing of before is in flight.
    pub fn reign(&self, epoch: Epoch) {
        locked(&self.inner.admission).begin_reign(epoch.counter(), self.applied_lsn());
    }

    /// The reign of this node is over: it admits nothing more, and what is in flight is decided by
    /// whoever reigns next.
    pub fn step_down(&self) {
        locked(&self.inner.admission).end_reign();
    }

    /// Checks a transaction against what was committed since its snapshot and what is in flight;
    /// then counts it as in flight. Gives the payload to be logged.
    pub fn admit(&self, transaction: &Transaction) -> Result<Vec<u8>, CommitError> {
        if transaction.xid == BOOTSTRAP_XID {
            self.check_empty()?;
        }
        let refused = match locked(&self.inner.admission).admit(transaction) {
            Ok(()) => return Ok(transaction.encode()),
            Err(refused) => refused,
        };
        Err(match refused {
            Refusal::NobodyReigns => CommitError::NotPrimary { primary: None },
            Refusal::NotOfThisReign => CommitError::NewReign,
            Refusal::Conflict { relation } => {
                CommitError::Conflict { relation: self.relation_text(relation) }
            }
        })
    }

    /// The first transaction of a cluster has no second.
    fn check_empty(&self) -> Result<(), CommitError> {
        match self.is_bootstrapped() {
            Ok(false) => Ok(()),
            Ok(true) => Err(CommitError::Conflict { relation: "pg_class".to_owned() }),
            Err(error) => Err(CommitError::NotNow { reason: error.to_string() }),
        }
    }

    fn relation_text(&self, oid: Option<u32>) -> String {
        let Some(oid) = oid.map(relation_of) else {
            return "unknown: the transaction is too old".to_owned();
        };
        self.snapshot()
            .relation(oid)
            .ok()
            .flatten()
            .map_or_else(|| oid.to_string(), |relation| relation.name.clone())
    }

    /// An admitted transaction stands in the log and ends at `end`.
    pub fn admitted_at(&self, xid: u64, end: Lsn) {
        locked(&self.inner.admission).admitted_at(xid, end);
    }

    /// A transaction was certainly not logged, and will not be.
    pub fn abandon(&self, xid: u64) {
        locked(&self.inner.admission).forget(xid);
    }

    /// Applies committed records: the end of each and its payload (empty for an epoch start).
    /// Records already applied are passed over. An error is fatal to the node.
    pub fn apply(&self, records: &[(Lsn, &[u8])]) -> Result<(), Error> {
        let mut writing = locked(&self.inner.writing);
        let (view, bound) = (self.snapshot(), self.inner.bound);
        let Some(applied) = apply::prepare(view.store(), &writing, records, bound)? else {
            return Ok(());
        };
        self.inner.store.write(applied.batch)?;
        *writing = applied.numbers;
        let cache = Arc::clone(&self.inner.cache);
        let newest = Snapshot::new(self.inner.store.snapshot(), cache, &applied.numbers);
        *self.inner.newest.write().unwrap_or_else(PoisonError::into_inner) = newest;
        self.inner.next_oid.fetch_max(applied.numbers.next_oid, Ordering::AcqRel);
        self.inner.applied.store(applied.numbers.applied.0, Ordering::Release);
        let mut admission = locked(&self.inner.admission);
        for (end, transaction) in &applied.transactions {
            admission.applied(transaction, *end);
        }
        Ok(())
    }

    /// Makes everything applied durable; the log is needed only beyond what this returns.
    pub fn flush(&self) -> Result<Lsn, Error> {
        let applied = self.applied_lsn();
        if applied > self.durable_lsn() {
            self.inner.store.flush()?;
            self.inner.durable.fetch_max(applied.0, Ordering::AcqRel);
        }
        Ok(self.durable_lsn())
    }

    /// The digest of the whole catalog and the LSN at which it holds.
    pub fn digest(&self) -> Result<(Lsn, Digest), Error> {
        let snapshot = self.snapshot();
        Ok((snapshot.lsn(), digest_of(&snapshot)?))
    }

    /// Makes a catalog of its own in `directory`, which must not exist, holding exactly
    /// everything up to the returned LSN.
    pub fn checkpoint(&self, directory: &Path) -> Result<Lsn, Error> {
        let _writing = locked(&self.inner.writing);
        let applied = self.applied_lsn();
        self.inner.store.checkpoint(directory)?;
        self.inner.durable.fetch_max(applied.0, Ordering::AcqRel);
        Ok(applied)
    }

    /// What became of a transaction id, as far as this node can know.
    ///
    /// * On a primary every id of an earlier reign is decided once the reign is open.
    /// * On a standby an id of the latest reign that it has seen may still be in flight.
    /// * A store that cannot be read cannot tell: unknown.
    #[must_use]
    pub fn xact_status(&self, xid: u64) -> XactStatus {
        self.status_of(xid).unwrap_or(XactStatus::Unknown)
    }

    fn status_of(&self, xid: u64) -> Result<XactStatus, Error> {
        // Before the store is read: what is then not in flight is in the store or aborted.
        let (undecided, reign) = {
            let admission = locked(&self.inner.admission);
            (admission.is_undecided(xid), admission.reign())
        };
        let snapshot = self.snapshot();
        let store = snapshot.store();
        if store.get(Family::Status, &xid.to_be_bytes())?.is_some() {
            return Ok(XactStatus::Committed);
        }
        if undecided {
            return Ok(XactStatus::InProgress);
        }
        let never = xid == 0 || (xid >> SEQUENCE_BITS == 0 && xid != BOOTSTRAP_XID);
        if never || xid < meta::read(store, meta::OLDEST_XID)? {
            return Ok(XactStatus::Unknown);
        }
        let of = xid >> SEQUENCE_BITS;
        let last = meta::read(store, meta::LAST_XID)? >> SEQUENCE_BITS;
        Ok(match reign {
            Some(reign) if of > reign => XactStatus::Unknown,
            Some(_) => XactStatus::Aborted,
            None if of < last => XactStatus::Aborted,
            None => XactStatus::InProgress,
        })
    }

    pub(crate) fn assign_xid(&self) -> u64 {
        locked(&self.inner.admission).assign_xid()
    }

    /// The next oid of the counter. Where it would pass its end it begins again above the system's
    /// oids, and an oid in use is then refused as a duplicate key.
    pub(crate) fn assign_oid(&self) -> u32 {
        let next = |oid: u32| Some(oid.checked_add(1).unwrap_or(FIRST_NORMAL_OID));
        let counter = &self.inner.next_oid;
        let taken = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        taken.unwrap_or(FIRST_NORMAL_OID)
    }
}
