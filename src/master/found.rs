//! What is in a data directory when a master starts: identity, control file, log and catalog,
//! opened and compared. It removes what earlier lives and unfinished copies left; it never repairs
//! a log or a catalog that contradict each other.

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{Catalog, RocksStore};
use crate::runtime::FileDisk;
use crate::runtime::config::MasterSettings;
use crate::types::Lsn;
use crate::wal::{Options, Tail, Wal};

use super::data_dir::{DataDir, DirLock, NodeIdentity};
use super::init::{LOG_START, log_identity};
use super::start::StartError;
use super::{ControlFile, LogState};

/// The log's own memory is small: `LogTail` serves the same readers.
const RING_BYTES: usize = 1 << 20;

/// What was found in the data directory.
pub(super) struct Found {
    pub(super) directory: DataDir,
    pub(super) identity: NodeIdentity,
    pub(super) control: ControlFile,
    pub(super) wal: Option<Wal<FileDisk>>,
    pub(super) catalog: Catalog,
    pub(super) log: LogState,
    pub(super) lock: DirLock,
}

impl Found {
    pub(super) fn open(settings: &MasterSettings, root: &Path) -> Result<Found, StartError> {
        let directory = DataDir::open(root)?;
        let lock = directory.lock()?;
        let identity = directory.identity()?;
        if identity.node != settings.node {
            let path = root.display().to_string();
            let (found, expected) = (identity.node.get(), settings.node.get());
            return Err(StartError::OtherNode { path, found, expected });
        }
        let io = |doing: &str| {
            let doing = doing.to_owned();
            move |source| StartError::Io { doing, source }
        };
        let kept = directory.remove_other_lives(identity.incarnation);
        for path in kept.map_err(io("keep the log of an earlier life"))? {
            tracing::warn!("the log before the seed is kept path={}", path.display());
        }
        directory.remove_leftovers().map_err(io("remove unfinished checkpoints"))?;
        let control = ControlFile::open(&directory.control_file())?;
        let catalog_dir = directory.catalog_of(identity.incarnation);
        std::fs::create_dir_all(&catalog_dir).map_err(io("make the catalog's folder"))?;
        let catalog = Catalog::open(Arc::new(RocksStore::open(&catalog_dir)?))?;
        let (wal, log) = open_log(&directory, &identity, catalog.applied_lsn())?;
        Ok(Found { directory, identity, control, wal, catalog, log, lock })
    }
}

/// The log as it was found; none in the directory of a standby that was never seeded.
fn open_log(
    directory: &DataDir,
    identity: &NodeIdentity,
    applied: Lsn,
) -> Result<(Option<Wal<FileDisk>>, LogState), StartError> {
    let path = directory.log_of(identity.incarnation);
    if !path.exists() {
        return Ok((None, no_log(applied, &path)?));
    }
    let options = Options { ring_bytes: RING_BYTES, read_from: applied, ..Options::default() };
    let (wal, recovered) = Wal::open(FileDisk, &path, log_identity(identity), options)?;
    report_tail(&recovered.tail);
    let apply_lsn = applied.max(LOG_START);
    if apply_lsn < recovered.first {
        return Err(StartError::CatalogBehind { applied, first: recovered.first });
    }
    if applied > recovered.end {
        return Err(StartError::LogBehind { applied, end: recovered.end });
    }
    let log = LogState {
        end: recovered.end,
        first: recovered.first,
        commit_lsn: recovered.commit_lsn.max(apply_lsn),
        apply_lsn,
        history: recovered.history,
        doubtful: matches!(recovered.tail, Tail::Doubtful { .. }),
    };
    Ok((Some(wal), log))
}

fn no_log(applied: Lsn, path: &Path) -> Result<LogState, StartError> {
    if applied > Lsn::ZERO {
        let path = path.display().to_string();
        return Err(StartError::LogMissing { applied, path });
    }
    Ok(LogState::default())
}

fn report_tail(tail: &Tail) {
    match tail {
        Tail::Clean => {}
        Tail::Torn { at, bytes } => {
            tracing::warn!("half-written record cut off the log lsn={at} bytes={bytes}");
        }
        Tail::Doubtful { file, offset, why } => {
            let file = file.display();
            tracing::error!("doubtful end of the log file={file} offset={offset}: {why}");
        }
    }
}
