//! Opening a log after whatever happened to it: what to trust, what to cut, what to refuse.
//!
//! Of files that lie wholly below `Options::read_from` only the header is read: whose they are,
//! that none is missing or too short, and that their histories continue each other. Nothing at
//! start asks for their records; each is checked when it is read for a standby, and where one is
//! damaged then, the log up to there counts as recycled.
//!
//! From the file with `read_from` on, reading goes through the files in order, record by record,
//! until something is not the next record. What that means depends on where it is:
//!
//! | where reading stops | meaning |
//! |---|---|
//! | not in the newest file | corruption: a file is flushed before the next one is begun |
//! | a hole between two files, or another history than the one read so far | corruption |
//! | newest file, below its flush mark | corruption: this was durable here once |
//! | nothing but zeros up to the end of the file | the end (`Tail::Clean`) |
//! | half a record, then zeros from a sector border on or the file's end | cut (`Tail::Torn`) |
//! | anything else | `Tail::Doubtful` |
//!
//! The flush mark is written by each flush and says what the flush before had made durable. So
//! doubt concerns the very last flush only. A valid record behind a bad one is no proof of
//! corruption there: devices may store later sectors first. But a flipped bit in the last record
//! that was acknowledged looks the same. So such a tail is neither cut nor served: the log opens
//! with its end before it, takes no record until `cut` has put the tail aside, and the node may
//! not take over until another in-sync member has said where the log ends.
//!
//! A refusal changes nothing on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::error::{Error, io_error};
use super::file::{self, WalFile};
use super::header::Identity;
use super::log::{Options, Wal, new_shared, span_of};
use super::reader::{FileSpan, Frames};
use super::record::{Flaw, Parsed, is_torn};
use crate::runtime::{Disk, DiskFile};
use crate::types::{Lsn, TimelineHistory};

/// How the end of the log was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    Clean,
    /// A half-written record was cut off; it was never flushed.
    Torn {
        at: Lsn,
        bytes: u64,
    },
    /// Something that may hide an acknowledged record follows the end.
    Doubtful {
        file: PathBuf,
        offset: u64,
        why: String,
    },
}

impl Tail {
    /// Whether something that was acknowledged may be missing (rule 12).
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        matches!(self, Tail::Doubtful { .. })
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tail::Clean => f.write_str("clean"),
            Tail::Torn { at, bytes } => write!(f, "torn at={at} bytes={bytes}"),
            Tail::Doubtful { file, offset, why } => {
                write!(f, "doubtful file={} offset={offset} why={why}", file.display())
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    pub first: Lsn,
    pub end: Lsn,
    pub history: TimelineHistory,
    /// The highest commit LSN that a record from `Options::read_from` on carries; replay goes no
    /// further.
    pub commit_lsn: Lsn,
    pub tail: Tail,
}

/// What has been read so far.
struct Scan {
    end: Lsn,
    history: TimelineHistory,
    commit_lsn: Lsn,
}

/// Where and why reading a file came to its end.
struct Stop {
    /// Of the body's first byte that was not read as a record.
    used: usize,
    flaw: Option<Flaw>,
}

enum Ending {
    Clean,
    Torn { bytes: u64 },
    Doubtful { bytes: u64, why: Flaw },
}

impl<D: Disk> Wal<D> {
    /// Opens the log in `directory`, which has to be of this cluster and incarnation.
    pub fn open(
        disk: D,
        directory: &Path,
        identity: Identity,
        options: Options,
    ) -> Result<(Wal<D>, Recovered), Error> {
        let listed = disk.list(directory).map_err(io_error("list directory", directory))?;
        let mut paths: Vec<_> = listed.iter().filter(|path| file::is_finished(path)).collect();
        paths.sort();
        let mut files = BTreeMap::new();
        let (mut scan, mut newest): (Option<Scan>, Option<Newest<D::File>>) = (None, None);
        let mut held: Option<(WalFile<D::File>, Lsn)> = None;
        for path in paths {
            let next = WalFile::open(&disk, path, identity)?;
            let first = next.0.header.first;
            files.insert(first, span_of(&next.0.header));
            match held.replace(next) {
                Some((file, _)) if first <= options.read_from => check_whole(&file, &held)?,
                Some(read) => {
                    let (so_far, last) = read_file(read, scan.take(), newest.as_ref())?;
                    (scan, newest) = (Some(so_far), Some(last));
                }
                None => {}
            }
        }
        if let Some(last) = held {
            let (so_far, last) = read_file(last, scan.take(), newest.as_ref())?;
            (scan, newest) = (Some(so_far), Some(last));
        }
        let (Some(scan), Some(newest)) = (scan, newest) else {
            return Err(Error::Missing { directory: directory.to_owned() });
        };
        let ending = newest.ending(scan.end)?;
        for path in listed.iter().filter(|path| file::is_unfinished(path)) {
            file::remove_if_there(&disk, path)?;
        }
        let options = (identity, options);
        assemble((disk, directory), options, files, scan, (newest, ending))
    }
}

/// The last file read, with what is needed to judge where reading it stopped.
struct Newest<F> {
    file: WalFile<F>,
    mark: Lsn,
    body: Vec<u8>,
    stop: Stop,
}

impl<F: DiskFile> Newest<F> {
    fn offset(&self) -> u64 {
        self.file.header.len() + self.stop.used as u64
    }

    fn corrupt(&self, why: String) -> Error {
        Error::Corrupt { file: self.file.path.clone(), offset: self.offset(), why }
    }

    fn flaw_text(&self) -> String {
        self.stop.flaw.unwrap_or(Flaw::Zeros).to_string()
    }

    fn ending(&self, end: Lsn) -> Result<Ending, Error> {
        if end < self.mark {
            let why = format!("{}, but was flushed up to {}", self.flaw_text(), self.mark);
            return Err(self.corrupt(why));
        }
        let rest = &self.body[self.stop.used..];
        let Some(last) = last_nonzero(rest) else { return Ok(Ending::Clean) };
        let bytes = last as u64 + 1;
        let why = self.stop.flaw.unwrap_or(Flaw::Zeros);
        let is_cut_short = self.file.header.len() + (self.body.len() as u64)
            < self.file.header.capacity
            && matches!(why, Flaw::Short { .. });
        let is_torn = is_cut_short || is_torn(rest, end, self.offset(), last + 1);
        Ok(if is_torn { Ending::Torn { bytes } } else { Ending::Doubtful { bytes, why } })
    }

    /// A file that is not the newest has to be read to where the next one begins.
    fn check_leads_to(&self, end: Lsn, next: Lsn) -> Result<(), Error> {
        if last_nonzero(&self.body[self.stop.used..]).is_some() {
            return Err(self.corrupt(self.flaw_text()));
        }
        if end != next {
            let why = format!("records end at {end}, but the next file begins at {next}");
            return Err(self.corrupt(why));
        }
        Ok(())
    }
}

/// What can be told of a file without reading its records: `next` begins where it ends.
fn check_whole<F: DiskFile>(
    file: &WalFile<F>,
    next: &Option<(WalFile<F>, Lsn)>,
) -> Result<(), Error> {
    let Some((next, _)) = next else { return Ok(()) };
    let corrupt = |path: &Path, why| Err(Error::Corrupt { file: path.into(), offset: 0, why });
    let end = file.offset_of(next.header.first);
    let length = file.file.len().map_err(io_error("read length of", &file.path))?;
    if end > length.min(file.header.capacity) {
        let first = next.header.first;
        let why = format!("file is {length} bytes long, but the next file begins at {first}");
        return corrupt(&file.path, why);
    }
    let (before, after) = (file.header.history.entries(), next.header.history.entries());
    let span = file.header.first..next.header.first;
    let added = after.get(before.len()..).unwrap_or_default();
    if !after.starts_with(before) || !added.iter().all(|(_, start)| span.contains(start)) {
        let why = format!(
            "header says that the history before it is {}, the file before it says {}",
            next.header.history, file.header.history
        );
        return corrupt(&next.path, why);
    }
    Ok(())
}

/// Reads one file to where its records end.
fn read_file<F: DiskFile>(
    (file, mark): (WalFile<F>, Lsn),
    before: Option<Scan>,
    previous: Option<&Newest<F>>,
) -> Result<(Scan, Newest<F>), Error> {
    let scan = begin_scan(&file, before, previous)?;
    let body = file.read_body()?;
    let (scan, stop) = read_records(scan, &body);
    Ok((scan, Newest { file, mark, body, stop }))
}

/// Checks that a file continues what has been read before it.
fn begin_scan<F: DiskFile>(
    file: &WalFile<F>,
    before: Option<Scan>,
    previous: Option<&Newest<F>>,
) -> Result<Scan, Error> {
    let (Some(before), Some(previous)) = (before, previous) else {
        let (end, history) = (file.header.first, file.header.history.clone());
        return Ok(Scan { end, history, commit_lsn: Lsn::ZERO });
    };
    previous.check_leads_to(before.end, file.header.first)?;
    if file.header.history != before.history {
        let why = format!(
            "header says that the history before it is {}, the records say {}",
            file.header.history, before.history
        );
        return Err(Error::Corrupt { file: file.path.clone(), offset: 0, why });
    }
    Ok(before)
}

fn read_records(mut scan: Scan, body: &[u8]) -> (Scan, Stop) {
    let mut used = 0;
    let mut frames = Frames::new(body, scan.end);
    for frame in frames.by_ref() {
        let last = scan.history.last_epoch();
        if frame.epoch < last {
            let flaw = Some(Flaw::EpochWentBack { last, found: frame.epoch });
            return (scan, Stop { used, flaw });
        }
        scan.history.note(frame.epoch, frame.lsn);
        scan.commit_lsn = scan.commit_lsn.max(frame.commit_lsn);
        scan.end = frame.lsn.advance(frame.bytes.len() as u64);
        used += frame.bytes.len();
    }
    let flaw = match frames.stopped {
        Parsed::Incomplete { missing: 0 } | Parsed::Frame(_) | Parsed::Zeros => None,
        Parsed::Incomplete { missing } => Some(Flaw::Short { missing }),
        Parsed::Bad(flaw) => Some(flaw),
    };
    (scan, Stop { used, flaw })
}

/// Builds the open log; only now is anything on disk changed.
fn assemble<D: Disk>(
    (disk, directory): (D, &Path),
    (identity, options): (Identity, Options),
    files: BTreeMap<Lsn, FileSpan>,
    scan: Scan,
    (newest, ending): (Newest<D::File>, Ending),
) -> Result<(Wal<D>, Recovered), Error> {
    let first = files.keys().next().copied().unwrap_or(scan.end);
    let offset = newest.offset();
    let is_short =
        newest.file.header.len() + (newest.body.len() as u64) < newest.file.header.capacity;
    let mut wal = Wal {
        disk,
        directory: directory.to_owned(),
        identity,
        options,
        current: newest.file,
        history: scan.history.clone(),
        pending: Vec::new(),
        doubtful: None,
        poisoned: false,
        shared: Arc::new(Mutex::new(new_shared(files, first, scan.end, options))),
    };
    // What was read may so far be in the page cache only: a process killed before its flush left
    // it there. It counts as flushed from here on.
    wal.current.sync()?;
    let tail = match ending {
        Ending::Doubtful { bytes, why } => {
            wal.doubtful = Some(bytes);
            let file = wal.current.path.clone();
            Tail::Doubtful { file, offset, why: why.to_string() }
        }
        Ending::Torn { bytes } => {
            wal.rewrite_current(scan.end)?;
            Tail::Torn { at: scan.end, bytes }
        }
        Ending::Clean if is_short => {
            wal.rewrite_current(scan.end)?;
            Tail::Clean
        }
        Ending::Clean => {
            wal.flush()?;
            Tail::Clean
        }
    };
    let Scan { end, history, commit_lsn } = scan;
    Ok((wal, Recovered { first, end, history, commit_lsn, tail }))
}

/// Index of the last byte that is not zero. By blocks, since most of a new file is zeros.
fn last_nonzero(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 4096;
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut end = bytes.len();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &bytes[start..end];
        if *block != ZEROS[..block.len()] {
            return block.iter().rposition(|byte| *byte != 0).map(|at| start + at);
        }
        end = start;
    }
    None
}
