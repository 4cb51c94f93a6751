//! The store on disk: RocksDB without its own log.
//!
//! Every write goes around RocksDB's log (`disable_wal`), since the write-ahead log of the cluster
//! is the only one; all families are flushed at one point (`atomic_flush`), so that the applied LSN
//! never survives without the rows that it speaks of. Buffers are small: the catalog is a few
//! megabytes and an idle master should be small too.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, LogLevel,
    Options, ReadOptions, Snapshot, WriteBatch, WriteOptions,
};

use super::store::{Batch, Family, Operation, Store, StoreError, StoreSnapshot, Visit};

const WRITE_BUFFER_BYTES: usize = 4 << 20;
const BLOCK_CACHE_BYTES: usize = 8 << 20;
const OPEN_FILES_MAX: i32 = 128;
const BACKGROUND_JOBS_MAX: i32 = 2;
const INFO_LOGS_KEPT: usize = 2;
const INFO_LOG_BYTES: usize = 1 << 20;

/// The database and where it is, shared by the store and its snapshots.
struct Database {
    db: DB,
    path: PathBuf,
}

impl Database {
    fn family(&self, family: Family) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(family.name()).ok_or_else(|| StoreError::MissingFamily {
            family: family.name(),
            path: self.path.clone(),
        })
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(rocksdb::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Rocks { action, path, source }
    }
}

pub struct RocksStore {
    database: Arc<Database>,
    unlogged: WriteOptions,
}

impl RocksStore {
    /// Opens the catalog in `directory`, making it where there is none.
    pub fn open(directory: &Path) -> Result<RocksStore, StoreError> {
        let options = options();
        let families = Family::ALL.map(|f| ColumnFamilyDescriptor::new(f.name(), options.clone()));
        let db = DB::open_cf_descriptors(&options, directory, families).map_err(|source| {
            StoreError::Rocks { action: "open catalog", path: directory.to_owned(), source }
        })?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let database = Arc::new(Database { db, path: directory.to_owned() });
        Ok(RocksStore { database, unlogged })
    }
}

fn options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_paranoid_checks(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_block_based_table_factory(&table);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    options.set_keep_log_file_num(INFO_LOGS_KEPT);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options
}

impl Store for RocksStore {
    fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
        Arc::new(RocksSnapshot::take(Arc::clone(&self.database)))
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        for operation in &batch.operations {
            match operation {
                Operation::Put { family, key, value } => {
                    writes.put_cf(self.database.family(*family)?, key, value);
                }
                Operation::Delete { family, key } => {
                    writes.delete_cf(self.database.family(*family)?, key);
                }
            }
        }
        let failed = self.database.failed("write catalog");
        self.database.db.write_opt(writes, &self.unlogged).map_err(failed)
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut families = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            families.push(self.database.family(family)?);
        }
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        let failed = self.database.failed("flush catalog");
        self.database.db.flush_cfs_opt(&families, &wait).map_err(failed)
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), StoreError> {
        self.flush()?;
        let failed = || self.database.failed("make checkpoint of catalog");
        Checkpoint::new(&self.database.db)
            .map_err(failed())?
            .create_checkpoint(directory)
            .map_err(failed())
    }
}

/// A consistent view that keeps its database open.
struct RocksSnapshot {
    /// Declared, and so dropped, before the database that it points into.
    snapshot: Snapshot<'static>,
    database: Arc<Database>,
}

impl RocksSnapshot {
    fn take(database: Arc<Database>) -> RocksSnapshot {
        let snapshot: Snapshot<'_> = database.db.snapshot();
        // SAFETY: the snapshot borrows the `DB` inside the `Arc`, which does not move, is never
        // handed out mutably, and is kept alive by the field beside it, dropped after it. The
        // lengthened lifetime never leaves this private struct.
        let snapshot = unsafe { std::mem::transmute::<Snapshot<'_>, Snapshot<'static>>(snapshot) };
        RocksSnapshot { snapshot, database }
    }
}

impl StoreSnapshot for RocksSnapshot {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let handle = self.database.family(family)?;
        self.snapshot.get_cf(handle, key).map_err(self.database.failed("read catalog"))
    }

    fn scan(&self, family: Family, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let handle = self.database.family(family)?;
        let mut bounds = ReadOptions::default();
        if let Some(end) = end_of_prefix(prefix) {
            bounds.set_iterate_upper_bound(end);
        }
        let mut entries = self.snapshot.raw_iterator_cf_opt(handle, bounds);
        entries.seek(prefix);
        while let Some((key, value)) = entries.item() {
            if let ControlFlow::Break(()) = visit(key, value) {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(self.database.failed("scan catalog"))
    }
}

/// The first key after all that begin with `prefix`; `None` when there is none.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}
