//! What can go wrong with the log.

use std::io;
use std::path::{Path, PathBuf};

use super::record::Flaw;
use crate::types::{Epoch, Lsn};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// An earlier write, flush or cut failed: nothing may be assumed of the files any more.
    #[error("the log failed earlier and takes nothing more before a restart")]
    Poisoned,
    #[error("WAL file {} is of {what} {found}, expected {expected}", file.display())]
    Foreign { file: PathBuf, what: &'static str, expected: String, found: String },
    #[error("corrupt WAL file {} at offset {offset}: {why}", file.display())]
    Corrupt { file: PathBuf, offset: u64, why: String },
    #[error("no WAL files in {}", directory.display())]
    Missing { directory: PathBuf },
    #[error("there are WAL files in {} already", directory.display())]
    Exists { directory: PathBuf },
    #[error("the log before {first} has been recycled")]
    Recycled { first: Lsn },
    #[error("the log ends at {end}, and {at} was asked for")]
    BeyondEnd { at: Lsn, end: Lsn },
    #[error("no record begins at {at}")]
    NotARecord { at: Lsn },
    /// The tail must be cut, which keeps a copy of it, before anything is written over it.
    #[error("the log's tail at {at} is doubtful and has to be cut first")]
    Doubtful { at: Lsn },
    #[error("record at {found} does not continue the log, which ends at {end}")]
    NotContiguous { end: Lsn, found: Lsn },
    #[error("record of epoch {found} after epoch {last}")]
    EpochWentBack { last: Epoch, found: Epoch },
    #[error("record of {bytes} bytes is longer than the log takes")]
    TooLong { bytes: u64 },
    #[error("bad record at {at}")]
    BadRecord {
        at: Lsn,
        #[source]
        why: Flaw,
    },
}

/// For `map_err`: says what was being done to which path.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
