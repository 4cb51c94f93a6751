//! Files as the log sees them. The simulation's twin loses what was not synced, tears writes and
//! fails on demand.

use std::io;
use std::path::{Path, PathBuf};

#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait DiskFile: Send + 'static {
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`; not durable before `sync_data`.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// fdatasync. After an error nothing may be assumed of what was written before.
    fn sync_data(&mut self) -> io::Result<()>;
}

pub trait Disk: Clone + Send + Sync + 'static {
    type File: DiskFile;

    /// Makes a new file of `len` zero bytes (space allocated); fails if it exists.
    fn create(&self, path: &Path, len: u64) -> io::Result<Self::File>;
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Paths of the files in a directory, sorted; a missing directory is an empty one.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    fn create_dir(&self, directory: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the directory durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
}
