//! The log on disk: records, files, flush.
//!
//! Everything that a cluster decides is in the log before it is anywhere else. A log is a directory
//! of preallocated files, each named by the LSN of its first record (16 hexadecimal digits) and
//! each with a header that says whose it is. LSNs count the bytes of records alone, not headers,
//! so they are the same on every node whatever its files are like; no record spans two files.
//!
//! What this module never does: decide what is committed, retry after a failed flush, or cut
//! anything that could have been acknowledged without being told to (`recovery` says how those
//! cases are told apart).

pub mod record;

mod error;

mod file;
mod header;
mod ring;

mod cut;
mod log;
mod reader;
mod recovery;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tail_tests;
#[cfg(test)]
mod wal_tests;

pub use error::Error;
pub use header::Identity;
pub use log::{Flushed, Options, Wal};
pub use reader::{Frames, Reader, Records};
pub use record::{PayloadKind, Record};
pub use recovery::{Recovered, Tail};
