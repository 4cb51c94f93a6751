//! Reading the log while another thread writes it: for shipping, and for replay.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{Error, io_error};
use super::file::{path_of, read_at_most};
use super::record::{self, Frame, HEADER_LEN, Parsed, Record};
use super::ring::Ring;
use crate::runtime::Disk;
use crate::types::Lsn;

/// How much one step of `Records` reads at a time.
const REPLAY_BYTES: usize = 1 << 20;

/// What the writer tells its readers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub first: Lsn,
    pub end: Lsn,
    /// Up to here the records are in the files; the rest is in the ring alone.
    pub written: Lsn,
    pub flushed: Lsn,
    pub files: BTreeMap<Lsn, FileSpan>,
    pub ring: Ring,
    /// Grows with every cut, so that a reader can tell bytes that changed under it.
    pub cuts: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSpan {
    pub header_len: u64,
    pub capacity: u64,
}

/// Reads whole records; opens files itself, so any thread may have one.
#[derive(Debug, Clone)]
pub struct Reader<D: Disk> {
    pub(crate) disk: D,
    pub(crate) directory: PathBuf,
    pub(crate) shared: Arc<Mutex<Shared>>,
}

/// Where in which file bytes are to be found.
struct Place {
    file: Lsn,
    offset: u64,
    length: u64,
    cuts: u64,
}

impl<D: Disk> Reader<D> {
    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Oldest position that can be read.
    #[must_use]
    pub fn first(&self) -> Lsn {
        self.shared().first
    }

    /// Position after the last record appended; it need not be durable.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.shared().end
    }

    #[must_use]
    pub fn flushed(&self) -> Lsn {
        self.shared().flushed
    }

    /// Where the file after that of `at` begins; `None` for the newest.
    #[must_use]
    pub fn next_file(&self, at: Lsn) -> Option<Lsn> {
        self.shared().files.range(at.advance(1)..).next().map(|(first, _)| *first)
    }

    /// Whole encoded records from `from`, none of them beyond `upto`: at most `max_bytes`, but at
    /// least one; empty at the end of the log, or when the log was cut meanwhile.
    pub fn read(&self, from: Lsn, upto: Lsn, max_bytes: usize) -> Result<Vec<u8>, Error> {
        let Some(place) = (match self.locate(from, upto, max_bytes)? {
            Located::InMemory(bytes) => return Ok(bytes),
            Located::Nothing => None,
            Located::OnDisk(place) => Some(place),
        }) else {
            return Ok(Vec::new());
        };
        let result = self.read_file(from, &place, max_bytes);
        let shared = self.shared();
        if from < shared.first {
            return Err(Error::Recycled { first: shared.first });
        }
        if shared.cuts != place.cuts {
            return Ok(Vec::new());
        }
        result
    }

    fn locate(&self, from: Lsn, upto: Lsn, max_bytes: usize) -> Result<Located, Error> {
        let shared = self.shared();
        if from < shared.first {
            return Err(Error::Recycled { first: shared.first });
        }
        if from > shared.end {
            return Err(Error::BeyondEnd { at: from, end: shared.end });
        }
        let upto = upto.min(shared.end);
        if from >= upto {
            return Ok(Located::Nothing);
        }
        if let Some(bytes) = shared.ring.read(from, upto, max_bytes) {
            return Ok(Located::InMemory(bytes));
        }
        let Some((file, span)) = shared.files.range(..=from).next_back() else {
            return Err(Error::NotARecord { at: from });
        };
        let next = shared.files.range(from.advance(1)..).next().map(|(first, _)| *first);
        let limit = upto.min(shared.written).min(next.unwrap_or(Lsn::MAX));
        let offset = span.header_len + from.bytes_since(*file);
        let length = limit.bytes_since(from);
        Ok(Located::OnDisk(Place { file: *file, offset, length, cuts: shared.cuts }))
    }

    fn read_file(&self, from: Lsn, place: &Place, max_bytes: usize) -> Result<Vec<u8>, Error> {
        let path = path_of(&self.directory, place.file);
        let file = match self.disk.open(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Recycled { first: self.first() });
            }
            opened => opened.map_err(io_error("open WAL file", &path))?,
        };
        let wanted = max_bytes.max(HEADER_LEN).min(place.length as usize);
        let mut bytes = read_at_most(&file, &path, place.offset, wanted)?;
        if let Parsed::Incomplete { missing } = record::parse(&bytes, from) {
            let whole = (bytes.len() as u64 + missing).max(HEADER_LEN as u64);
            bytes = read_at_most(&file, &path, place.offset, whole.min(place.length) as usize)?;
            // The first reading may have ended inside the header, and not told the length.
            if let Parsed::Incomplete { missing } = record::parse(&bytes, from) {
                let whole = (bytes.len() as u64 + missing).min(place.length);
                bytes = read_at_most(&file, &path, place.offset, whole as usize)?;
            }
        }
        let mut length = 0;
        let mut frames = Frames::new(&bytes, from);
        for frame in frames.by_ref() {
            length += frame.bytes.len();
        }
        match (length, frames.stopped) {
            (0, Parsed::Incomplete { .. }) => Ok(Vec::new()),
            (_, Parsed::Bad(flaw)) => Err(Error::Corrupt {
                file: path,
                offset: place.offset + length as u64,
                why: flaw.to_string(),
            }),
            (_, Parsed::Zeros) => Err(Error::Corrupt {
                file: path,
                offset: place.offset + length as u64,
                why: record::Flaw::Zeros.to_string(),
            }),
            _ => {
                bytes.truncate(length);
                Ok(bytes)
            }
        }
    }

    /// The records from `from` to the end that the log has now.
    #[must_use]
    pub fn records(&self, from: Lsn) -> Records<D> {
        let upto = self.end();
        Records { reader: self.clone(), next: from, upto, bytes: Vec::new(), used: 0, over: false }
    }
}

enum Located {
    InMemory(Vec<u8>),
    Nothing,
    OnDisk(Place),
}

/// The records of the log one by one, up to where it ended when this was made.
#[derive(Debug)]
pub struct Records<D: Disk> {
    reader: Reader<D>,
    next: Lsn,
    upto: Lsn,
    bytes: Vec<u8>,
    used: usize,
    over: bool,
}

impl<D: Disk> Records<D> {
    fn step(&mut self) -> Result<Option<Record>, Error> {
        if self.used == self.bytes.len() {
            self.bytes = self.reader.read(self.next, self.upto, REPLAY_BYTES)?;
            self.used = 0;
        }
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let Parsed::Frame(frame) = record::parse(&self.bytes[self.used..], self.next) else {
            return Err(Error::NotARecord { at: self.next });
        };
        self.used += frame.bytes.len();
        self.next = self.next.advance(frame.bytes.len() as u64);
        Ok(Some(frame.to_record()))
    }
}

impl<D: Disk> Iterator for Records<D> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step().transpose();
        self.over = !matches!(step, Some(Ok(_)));
        step
    }
}

/// Walks contiguous encoded records; `stopped` says why it came to an end.
#[derive(Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    next: Lsn,
    pub stopped: Parsed<'a>,
}

impl<'a> Frames<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8], from: Lsn) -> Frames<'a> {
        Frames { rest: bytes, next: from, stopped: Parsed::Incomplete { missing: 0 } }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        if self.rest.is_empty() {
            self.stopped = Parsed::Incomplete { missing: 0 };
            return None;
        }
        match record::parse(self.rest, self.next) {
            Parsed::Frame(frame) => {
                self.rest = &self.rest[frame.bytes.len()..];
                self.next = self.next.advance(frame.bytes.len() as u64);
                Some(frame)
            }
            stopped => {
                self.stopped = stopped;
                None
            }
        }
    }
}
