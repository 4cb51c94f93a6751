//! The writer's side of the log: append, flush, recycle.
//!
//! `Wal` belongs to one thread. What it appended is at first in memory only (and readable there,
//! so that shipping to standbys runs beside the local flush), then in the file, then flushed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::error::{Error, io_error};
use super::file::{self, WalFile};
use super::header::{Header, Identity};
use super::reader::{FileSpan, Frames, Reader, Records, Shared};
use super::record::{self, Flaw, Parsed, RECORD_LEN_MAX, Record};
use super::ring::Ring;
use crate::runtime::{Disk, DiskFile};
use crate::types::{Epoch, Lsn, TimelineHistory};

/// Appended bytes that are handed to the file before a flush asks for it.
const PENDING_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Length of a WAL file; a record that does not fit into one gets a file of its own size.
    pub file_bytes: u64,
    /// How much of the newest log is kept in memory for shipping.
    pub ring_bytes: usize,
    /// Opening the log reads the records from the file with this position on: what the catalog
    /// holds durably needs none before it.
    pub read_from: Lsn,
}

impl Default for Options {
    fn default() -> Options {
        Options { file_bytes: 16 << 20, ring_bytes: 8 << 20, read_from: Lsn::ZERO }
    }
}

/// Proof that the log is durable up to `end`; only `Wal::flush` makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    end: Lsn,
    epoch: Epoch,
}

impl Flushed {
    #[must_use]
    pub fn end(self) -> Lsn {
        self.end
    }

    /// Of the last record.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }
}

/// The log.
///
/// * `first <= flushed <= written <= end`; `pending` holds the bytes of `[written, end)`.
/// * Only the newest file can hold bytes that are not flushed: a new one is begun after the old
///   one has been flushed. So at most one file needs fdatasync.
/// * Bytes after the last record of a file are zero, always.
/// * After a failed write or flush nothing is tried again (`Error::Poisoned`).
pub struct Wal<D: Disk> {
    pub(crate) disk: D,
    pub(crate) directory: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    pub(crate) current: WalFile<D::File>,
    pub(crate) history: TimelineHistory,
    pub(crate) pending: Vec<u8>,
    /// Length of what follows the end and is not a plainly torn record (rule 12).
    pub(crate) doubtful: Option<u64>,
    pub(crate) poisoned: bool,
    pub(crate) shared: Arc<Mutex<Shared>>,
}

impl<D: Disk> Wal<D> {
    /// Makes a new log that begins at `start`; `history` says which epochs lie before it.
    pub fn create(
        disk: D,
        directory: &Path,
        identity: Identity,
        options: Options,
        (start, mut history): (Lsn, TimelineHistory),
    ) -> Result<Wal<D>, Error> {
        disk.create_dir(directory).map_err(io_error("create directory", directory))?;
        let paths = disk.list(directory).map_err(io_error("list directory", directory))?;
        if paths.iter().any(|path| file::is_finished(path)) {
            return Err(Error::Exists { directory: directory.to_owned() });
        }
        history.cut(start);
        let header = new_header(identity, options, start, history.clone(), 0);
        let current = WalFile::make(&disk, directory, header, &[], start)?;
        if let Some(parent) = directory.parent() {
            disk.sync_dir(parent).map_err(io_error("sync directory", parent))?;
        }
        let files = BTreeMap::from([(start, span_of(&current.header))]);
        let shared = new_shared(files, start, start, options);
        let directory = directory.to_owned();
        Ok(Wal {
            disk,
            directory,
            identity,
            options,
            current,
            history,
            pending: Vec::new(),
            doubtful: None,
            poisoned: false,
            shared: Arc::new(Mutex::new(shared)),
        })
    }

    /// Oldest position that is still on disk.
    #[must_use]
    pub fn first(&self) -> Lsn {
        self.shared().first
    }

    /// Position after the last record appended.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.shared().end
    }

    #[must_use]
    pub fn flushed(&self) -> Lsn {
        self.shared().flushed
    }

    /// Of everything appended, whether it is still on disk or has been recycled.
    #[must_use]
    pub fn history(&self) -> &TimelineHistory {
        &self.history
    }

    /// What the files take on disk.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.shared().files.values().map(|span| span.capacity).sum()
    }

    #[must_use]
    pub fn reader(&self) -> Reader<D> {
        let (disk, directory) = (self.disk.clone(), self.directory.clone());
        Reader { disk, directory, shared: Arc::clone(&self.shared) }
    }

    /// Whole encoded records from `from`: at most `max_bytes`, but at least one.
    pub fn read(&self, from: Lsn, max_bytes: usize) -> Result<Vec<u8>, Error> {
        self.reader().read(from, self.end(), max_bytes)
    }

    /// The records from `from` to the present end.
    #[must_use]
    pub fn records(&self, from: Lsn) -> Records<D> {
        self.reader().records(from)
    }

    /// Appends one record; durable only after a later `flush`.
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        self.check_writable()?;
        let at = record.lsn;
        if record.payload.is_empty() {
            return Err(Error::BadRecord { at, why: Flaw::EmptyPayload });
        }
        let bytes = record::encoded_len(record.payload.len());
        if bytes > RECORD_LEN_MAX {
            return Err(Error::TooLong { bytes });
        }
        if record.commit_lsn > at {
            let why = Flaw::CommitBeyondItself { lsn: at, commit_lsn: record.commit_lsn };
            return Err(Error::BadRecord { at, why });
        }
        self.check_continues(at, record.epoch)?;
        let mut encoded = Vec::with_capacity(bytes as usize);
        record::encode(record, &mut encoded);
        self.place(record.epoch, at, encoded)
    }

    /// Appends whole encoded records, each checked first: nothing is taken of a bad batch.
    ///
    /// When a new file cannot be made half way, `end()` says how far it came.
    pub fn append_encoded(&mut self, from: Lsn, bytes: &[u8]) -> Result<(), Error> {
        self.check_writable()?;
        let mut epoch = self.history.last_epoch();
        self.check_continues(from, epoch)?;
        let mut frames = Frames::new(bytes, from);
        let mut at = from;
        for frame in frames.by_ref() {
            if frame.epoch < epoch {
                return Err(Error::EpochWentBack { last: epoch, found: frame.epoch });
            }
            epoch = frame.epoch;
            at = at.advance(frame.bytes.len() as u64);
        }
        match frames.stopped {
            Parsed::Incomplete { missing: 0 } => {}
            Parsed::Incomplete { missing } => {
                return Err(Error::BadRecord { at, why: Flaw::Short { missing } });
            }
            Parsed::Bad(why) => return Err(Error::BadRecord { at, why }),
            Parsed::Zeros | Parsed::Frame(_) => {
                return Err(Error::BadRecord { at, why: Flaw::Zeros });
            }
        }
        for frame in Frames::new(bytes, from) {
            self.place(frame.epoch, frame.lsn, frame.bytes.to_vec())?;
        }
        Ok(())
    }

    /// Makes everything appended durable. Also without anything new it writes and flushes a few
    /// bytes, so that it proves that the device still answers.
    pub fn flush(&mut self) -> Result<Flushed, Error> {
        self.check_sound()?;
        let flushed = self.flushed();
        self.write_out()?;
        let result = self.current.write_mark(flushed).and_then(|()| self.current.sync());
        self.poison_on_error(result)?;
        let mut shared = self.shared();
        shared.flushed = shared.end;
        Ok(Flushed { end: shared.end, epoch: self.history.last_epoch() })
    }

    /// Removes files that lie wholly below `below`; says where the log begins now.
    pub fn recycle(&mut self, below: Lsn) -> Result<Lsn, Error> {
        self.check_sound()?;
        loop {
            let (oldest, next) = {
                let shared = self.shared();
                let mut firsts = shared.files.keys().copied();
                match (firsts.next(), firsts.next()) {
                    (Some(oldest), Some(next)) if next <= below => (oldest, next),
                    _ => return Ok(shared.first),
                }
            };
            // Readers learn first, so that they report `Recycled` rather than a missing file.
            let mut shared = self.shared();
            shared.first = next;
            shared.files.remove(&oldest);
            drop(shared);
            let path = file::path_of(&self.directory, oldest);
            file::remove_if_there(&self.disk, &path)?;
            // One at a time and durably: what is left has no hole whenever this is interrupted.
            let synced = self.disk.sync_dir(&self.directory);
            synced.map_err(io_error("sync directory", &self.directory))?;
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn check_sound(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<(), Error> {
        self.check_sound()?;
        match self.doubtful {
            Some(_) => Err(Error::Doubtful { at: self.end() }),
            None => Ok(()),
        }
    }

    fn check_continues(&self, at: Lsn, epoch: Epoch) -> Result<(), Error> {
        let (end, last) = (self.end(), self.history.last_epoch());
        if at != end {
            return Err(Error::NotContiguous { end, found: at });
        }
        if epoch < last {
            return Err(Error::EpochWentBack { last, found: epoch });
        }
        Ok(())
    }

    pub(crate) fn poison_on_error<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.poisoned |= result.is_err();
        result
    }

    /// Takes one checked record at the end of the log.
    fn place(&mut self, epoch: Epoch, lsn: Lsn, encoded: Vec<u8>) -> Result<(), Error> {
        let length = encoded.len() as u64;
        if self.current.offset_of(lsn) + length > self.current.header.capacity {
            self.begin_file(lsn, length)?;
        }
        self.history.note(epoch, lsn);
        self.pending.extend_from_slice(&encoded);
        let mut shared = self.shared();
        shared.ring.push(lsn, encoded);
        shared.end = lsn.advance(length);
        drop(shared);
        if self.pending.len() >= PENDING_BYTES_MAX {
            self.write_out()?;
        }
        Ok(())
    }

    /// Hands what is pending to the file. A failure is final: how much arrived is unknown.
    pub(crate) fn write_out(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let offset = self.current.offset_of(self.shared().written);
        let written = self.current.file.write_all_at(&self.pending, offset);
        let result = written.map_err(io_error("write WAL file", &self.current.path));
        self.poison_on_error(result)?;
        self.pending.clear();
        let mut shared = self.shared();
        shared.written = shared.end;
        let written = shared.written;
        shared.ring.trim(written);
        Ok(())
    }

    /// Flushes the current file and begins the next. Where the disk is full nothing is broken: the
    /// record is refused and the log stays as it is.
    fn begin_file(&mut self, first: Lsn, record_bytes: u64) -> Result<(), Error> {
        self.flush()?;
        let history = self.history.clone();
        let header = new_header(self.identity, self.options, first, history, record_bytes);
        if self.current.header.first == first {
            // An empty file too small for this record gives way to a larger one of its name.
            let made = WalFile::make(&self.disk, &self.directory, header, &[], first);
            self.current = self.poison_on_error(made)?;
        } else {
            self.current = WalFile::make(&self.disk, &self.directory, header, &[], first)?;
        }
        let span = span_of(&self.current.header);
        self.shared().files.insert(first, span);
        Ok(())
    }
}

/// The header of a file that can take at least one record of `record_bytes`.
pub(crate) fn new_header(
    identity: Identity,
    options: Options,
    first: Lsn,
    history: TimelineHistory,
    record_bytes: u64,
) -> Header {
    let mut header = Header { identity, first, capacity: 0, history };
    header.capacity = options.file_bytes.max(header.len() + record_bytes);
    header
}

pub(crate) fn span_of(header: &Header) -> FileSpan {
    FileSpan { header_len: header.len(), capacity: header.capacity }
}

pub(crate) fn new_shared(
    files: BTreeMap<Lsn, FileSpan>,
    first: Lsn,
    end: Lsn,
    options: Options,
) -> Shared {
    let ring = Ring::new(options.ring_bytes);
    Shared { first, end, written: end, flushed: end, files, ring, cuts: 0 }
}
