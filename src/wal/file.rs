//! One WAL file: made whole or not at all, opened with its identity checked.

use std::path::{Path, PathBuf};

use super::error::{Error, io_error};
use super::header::{FIXED_LEN, Header, Identity, MARK_OFFSET, encode_mark};
use crate::runtime::{Disk, DiskFile};
use crate::types::Lsn;

const SUFFIX: &str = ".wal";
/// A file under this name is still being made and means nothing.
const UNFINISHED_SUFFIX: &str = ".wal.new";

#[derive(Debug)]
pub(crate) struct WalFile<F> {
    pub file: F,
    pub path: PathBuf,
    pub header: Header,
}

pub(crate) fn path_of(directory: &Path, first: Lsn) -> PathBuf {
    directory.join(format!("{:016X}{SUFFIX}", first.0))
}

pub(crate) fn unfinished_path_of(directory: &Path, first: Lsn) -> PathBuf {
    directory.join(format!("{:016X}{UNFINISHED_SUFFIX}", first.0))
}

pub(crate) fn is_finished(path: &Path) -> bool {
    name_of(path).ends_with(SUFFIX)
}

pub(crate) fn is_unfinished(path: &Path) -> bool {
    name_of(path).ends_with(UNFINISHED_SUFFIX)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl<F: DiskFile> WalFile<F> {
    /// Makes a file with these records in it, durably. It appears under its name complete or not
    /// at all, in place of an older one where there is one.
    pub(crate) fn make<D: Disk<File = F>>(
        disk: &D,
        directory: &Path,
        header: Header,
        records: &[u8],
        mark: Lsn,
    ) -> Result<WalFile<F>, Error> {
        let path = path_of(directory, header.first);
        let unfinished = unfinished_path_of(directory, header.first);
        remove_if_there(disk, &unfinished)?;
        let mut file = match disk.create(&unfinished, header.capacity) {
            Ok(file) => file,
            Err(source) => {
                // Best effort: a half-made file would only take space that is already short.
                let _ = disk.remove(&unfinished);
                return Err(io_error("create WAL file", &unfinished)(source));
            }
        };
        let write = |file: &mut F| {
            file.write_all_at(&header.encode(mark), 0)?;
            file.write_all_at(records, header.len())?;
            file.sync_data()
        };
        write(&mut file).map_err(io_error("write new WAL file", &unfinished))?;
        disk.rename(&unfinished, &path).map_err(io_error("rename WAL file to", &path))?;
        disk.sync_dir(directory).map_err(io_error("sync directory", directory))?;
        Ok(WalFile { file, path, header })
    }

    /// Opens a file, and says up to where it knows itself to have been flushed.
    pub(crate) fn open<D: Disk<File = F>>(
        disk: &D,
        path: &Path,
        identity: Identity,
    ) -> Result<(WalFile<F>, Lsn), Error> {
        let corrupt = |offset, why| Error::Corrupt { file: path.to_owned(), offset, why };
        let file = disk.open(path).map_err(io_error("open WAL file", path))?;
        let front = read_at_most(&file, path, 0, FIXED_LEN)?;
        let length = Header::len_of(&front).map_err(|bad| corrupt(bad.offset, bad.why))?;
        let bytes = read_at_most(&file, path, 0, length)?;
        if bytes.len() < length {
            return Err(corrupt(bytes.len() as u64, "file ends inside its header".to_owned()));
        }
        let (header, mark) = Header::decode(&bytes).map_err(|bad| corrupt(bad.offset, bad.why))?;
        check_identity(path, identity, header.identity)?;
        let named = path_of(path.parent().unwrap_or(Path::new("")), header.first);
        if named != path {
            let why = format!("file begins at {}, which is not its name", header.first);
            return Err(corrupt(40, why));
        }
        Ok((WalFile { file, path: path.to_owned(), header }, mark))
    }

    pub(crate) fn offset_of(&self, lsn: Lsn) -> u64 {
        self.header.len() + lsn.bytes_since(self.header.first)
    }

    /// Everything after the header.
    pub(crate) fn read_body(&self) -> Result<Vec<u8>, Error> {
        let length = self.file.len().map_err(io_error("read length of", &self.path))?;
        let body = length.min(self.header.capacity).saturating_sub(self.header.len());
        read_at_most(&self.file, &self.path, self.header.len(), body as usize)
    }

    pub(crate) fn write_mark(&mut self, mark: Lsn) -> Result<(), Error> {
        let bytes = encode_mark(self.header.first, mark);
        let written = self.file.write_all_at(&bytes, MARK_OFFSET);
        written.map_err(io_error("write flush mark of", &self.path))
    }

    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(io_error("flush WAL file", &self.path))
    }
}

fn check_identity(path: &Path, expected: Identity, found: Identity) -> Result<(), Error> {
    let foreign = |what, expected, found| {
        Err(Error::Foreign { file: path.to_owned(), what, expected, found })
    };
    if expected.cluster != found.cluster {
        return foreign("cluster", expected.cluster.to_string(), found.cluster.to_string());
    }
    if expected.incarnation != found.incarnation {
        let (expected, found) = (expected.incarnation.to_string(), found.incarnation.to_string());
        return foreign("incarnation", expected, found);
    }
    Ok(())
}

pub(crate) fn remove_if_there<D: Disk>(disk: &D, path: &Path) -> Result<(), Error> {
    match disk.remove(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// Up to `length` bytes; fewer only at the end of the file.
pub(crate) fn read_at_most<F: DiskFile>(
    file: &F,
    path: &Path,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let read = file
            .read_at(&mut bytes[filled..], offset + filled as u64)
            .map_err(io_error("read WAL file", path))?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(bytes)
}
