//! The transaction of a session: a snapshot with its own writes, and the states that PostgreSQL's
//! transaction block goes through.
//!
//! Outside a block each statement is a transaction; several statements of one message are one
//! too (`implicit`). A failed block only ends. Nothing here decides what is committed: `Commit`
//! does.

use std::sync::{Arc, PoisonError, RwLock};

use crate::catalog::{self, Datum, OpenTransaction, ReadView, Relation, Row};
use crate::types::Lsn;

use super::error::Error;
use super::savepoint::{Savepoint, SavepointVerb};
use super::settings::Settings;
use super::statement::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    Open,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    None,
    Implicit,
    Explicit,
}

/// An open transaction that the planner reads while the session may still write to it.
pub(crate) struct Shared {
    transaction: RwLock<Option<OpenTransaction>>,
}

impl Shared {
    pub(crate) fn new(transaction: OpenTransaction) -> Arc<Shared> {
        Arc::new(Shared { transaction: RwLock::new(Some(transaction)) })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&OpenTransaction) -> Result<T, catalog::Error>,
    ) -> Result<T, catalog::Error> {
        let guard = self.transaction.read().unwrap_or_else(PoisonError::into_inner);
        match guard.as_ref() {
            Some(transaction) => read(transaction),
            None => Err(catalog::Error::Corrupt {
                what: "read in a transaction that has ended".to_owned(),
                source: None,
            }),
        }
    }

    pub(crate) fn write<T>(
        &self,
        write: impl FnOnce(&mut OpenTransaction) -> Result<T, catalog::Error>,
    ) -> Result<T, Error> {
        let mut guard = self.transaction.write().unwrap_or_else(PoisonError::into_inner);
        match guard.as_mut() {
            Some(transaction) => Ok(write(transaction)?),
            None => Err(Error::internal("write in a transaction that has ended")),
        }
    }

    pub(crate) fn xid(&self) -> Result<u64, Error> {
        Ok(self.read(|transaction| Ok(transaction.xid()))?)
    }

    /// Ends it; `None` when it has ended already.
    pub(crate) fn take(&self) -> Option<OpenTransaction> {
        self.transaction.write().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ReadView for Shared {
    fn lsn(&self) -> Lsn {
        self.read(|transaction| Ok(transaction.lsn())).unwrap_or(Lsn::ZERO)
    }

    fn relation(&self, oid: u32) -> Result<Option<Arc<Relation>>, catalog::Error> {
        self.read(|transaction| transaction.relation(oid))
    }

    fn relation_named(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Relation>>, catalog::Error> {
        self.read(|transaction| transaction.relation_named(namespace, name))
    }

    fn relations(&self) -> Result<Vec<Arc<Relation>>, catalog::Error> {
        self.read(ReadView::relations)
    }

    fn get(&self, relation: u32, key: &[Datum]) -> Result<Option<Row>, catalog::Error> {
        self.read(|transaction| transaction.get(relation, key))
    }

    fn scan(&self, relation: u32, prefix: &[Datum]) -> Result<Vec<Row>, catalog::Error> {
        self.read(|transaction| transaction.scan(relation, prefix))
    }
}

pub(crate) struct Block {
    pub kind: BlockKind,
    pub failed: bool,
    pub read_only: bool,
    /// Made by the first statement that needs it, so that `BEGIN` costs nothing.
    pub open: Option<Arc<Shared>>,
    /// Microseconds since 1970 UTC.
    pub started: i64,
    /// Settings to go back to on rollback.
    pub before: Settings,
    /// The newest last.
    pub savepoints: Vec<Savepoint>,
}

impl Block {
    pub(crate) fn none() -> Block {
        Block {
            kind: BlockKind::None,
            failed: false,
            read_only: false,
            open: None,
            started: 0,
            before: Settings::default(),
            savepoints: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> TransactionStatus {
        match (self.kind, self.failed) {
            (_, true) => TransactionStatus::Failed,
            (BlockKind::None | BlockKind::Implicit, false) => TransactionStatus::Idle,
            (BlockKind::Explicit, false) => TransactionStatus::Open,
        }
    }
}

/// What a failed block still takes.
pub(crate) fn ends_failure(kind: &Kind) -> bool {
    let to_savepoint = SavepointVerb::RollBackTo;
    matches!(kind, Kind::Savepoint { verb, .. } if *verb == to_savepoint)
        || matches!(kind, Kind::Commit { .. } | Kind::Rollback { .. })
}
