//! Where the catalog's bytes are: a trait with two families of implementations.
//!
//! A store keeps ordered keys and values in three families, writes a batch atomically, gives
//! consistent snapshots, and makes everything written so far durable at once when asked to. It has
//! no log of its own: what was written and not flushed is lost in a crash, and the catalog writes
//! it again from the write-ahead log.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Relation and key to the LSN of the last change and the row.
    Rows,
    /// Transaction id to the LSN at which it was committed.
    Status,
    /// Applied LSN, counters.
    Meta,
}

impl Family {
    pub const ALL: [Family; 3] = [Family::Rows, Family::Status, Family::Meta];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Rows => "rows",
            Family::Status => "status",
            Family::Meta => "meta",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{action} in {}", path.display())]
    Rocks {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: rocksdb::Error,
    },
    #[error("family \"{family}\" is missing in {}", path.display())]
    MissingFamily { family: &'static str, path: PathBuf },
    #[error("a catalog in memory cannot {action}")]
    InMemory { action: &'static str },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Put { family: Family, key: Vec<u8>, value: Vec<u8> },
    Delete { family: Family, key: Vec<u8> },
}

/// Changes that become visible, and durable, together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    pub operations: Vec<Operation>,
}

impl Batch {
    pub fn put(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.operations.push(Operation::Put { family, key, value });
    }

    pub fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.operations.push(Operation::Delete { family, key });
    }
}

/// Called for each key and value in order, until it breaks.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

pub trait StoreSnapshot: Send + Sync {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the keys that begin with `prefix`, in order.
    fn scan(&self, family: Family, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;
}

pub trait Store: Send + Sync + 'static {
    fn snapshot(&self) -> Arc<dyn StoreSnapshot>;

    /// Writes all of the batch or nothing. Not durable before `flush`.
    fn write(&self, batch: Batch) -> Result<(), StoreError>;

    /// Makes everything written so far durable, in all families at one point.
    fn flush(&self) -> Result<(), StoreError>;

    /// Makes a store of its own in `directory`, which must not exist, holding what is written now.
    fn checkpoint(&self, directory: &Path) -> Result<(), StoreError>;
}
