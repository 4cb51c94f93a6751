//! Cutting the log's end off (rule 14), and beginning again after seeding.
//!
//! A cut goes in steps, each durable before the next, so that a crash between any two leaves a log
//! that opens and that only has to be cut once more:
//!
//! 1. Everything appended is flushed, then what will be cut is copied to `keep`.
//! 2. Files that begin after the cut are removed, the newest first: never a hole.
//! 3. The file that the cut falls into is replaced at once, by rename, by a copy that ends at the
//!    cut. There is no moment at which half of the old tail stands in a file.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{Error, io_error};
use super::file::{self, WalFile, path_of, read_at_most};
use super::header::{Header, Identity};
use super::log::{Wal, new_header, new_shared, span_of};
use super::reader::Frames;
use crate::runtime::{Disk, DiskFile};
use crate::types::{Lsn, TimelineHistory};

const COPY_BYTES: u64 = 1 << 20;

impl<D: Disk> Wal<D> {
    /// Cuts the log at `at`, the start of a record or the end; durable on return. What is cut is
    /// first copied to `keep/<at>-<end>.wal`: encoded records, no header, and whatever followed
    /// them where the tail was doubtful.
    pub fn cut(&mut self, at: Lsn, keep: &Path) -> Result<(), Error> {
        self.check_sound()?;
        let (first, end) = (self.first(), self.end());
        if at < first {
            return Err(Error::Recycled { first });
        }
        if at > end {
            return Err(Error::BeyondEnd { at, end });
        }
        self.flush()?;
        if at == end && self.doubtful.is_none() {
            return Ok(());
        }
        let target = self.file_before(at);
        self.check_boundary(target, at)?;
        let saved = self.save_tail(at, keep);
        self.poison_on_error(saved)?;
        let result = self.drop_tail(target, at);
        self.poison_on_error(result)
    }

    /// Removes everything and begins at `start`, as another life of this node. For a node that was
    /// seeded and has left the in-sync set before: a crash on the way leaves no log at all
    /// (`Error::Missing`).
    pub fn reset(
        &mut self,
        identity: Identity,
        start: Lsn,
        mut history: TimelineHistory,
    ) -> Result<(), Error> {
        self.check_sound()?;
        let firsts: Vec<Lsn> = self.shared().files.keys().rev().copied().collect();
        let removed = firsts.into_iter().try_for_each(|first| self.remove_file(first));
        self.poison_on_error(removed)?;
        history.cut(start);
        let header = new_header(identity, self.options, start, history.clone(), 0);
        let made = WalFile::make(&self.disk, &self.directory, header, &[], start);
        self.current = self.poison_on_error(made)?;
        self.identity = identity;
        self.history = history;
        self.pending.clear();
        self.doubtful = None;
        let files = BTreeMap::from([(start, span_of(&self.current.header))]);
        let mut fresh = new_shared(files, start, start, self.options);
        let mut shared = self.shared();
        fresh.cuts = shared.cuts + 1;
        *shared = fresh;
        Ok(())
    }

    /// First LSN of the file that `at` falls into, an empty newest file included.
    fn file_before(&self, at: Lsn) -> Lsn {
        let shared = self.shared();
        shared.files.range(..=at).next_back().map_or(shared.first, |(first, _)| *first)
    }

    fn check_boundary(&self, target: Lsn, at: Lsn) -> Result<(), Error> {
        let body = self.read_records(target, at)?;
        let mut reached = target;
        for frame in Frames::new(&body, target) {
            reached = frame.lsn.advance(frame.bytes.len() as u64);
        }
        if reached == at { Ok(()) } else { Err(Error::NotARecord { at }) }
    }

    /// The bytes of one file from its first record up to `at`.
    fn read_records(&self, target: Lsn, at: Lsn) -> Result<Vec<u8>, Error> {
        let path = path_of(&self.directory, target);
        let header_len = self.shared().files.get(&target).map_or(0, |span| span.header_len);
        let file = self.disk.open(&path).map_err(io_error("open WAL file", &path))?;
        read_at_most(&file, &path, header_len, at.bytes_since(target) as usize)
    }

    /// Copies `[at, end)` and a doubtful rest to `keep`.
    fn save_tail(&self, at: Lsn, keep: &Path) -> Result<(), Error> {
        let end = self.end().advance(self.doubtful.unwrap_or(0));
        let path = keep.join(format!("{:016X}-{:016X}.wal", at.0, end.0));
        let unfinished = path.with_extension("wal.new");
        self.disk.create_dir(keep).map_err(io_error("create directory", keep))?;
        file::remove_if_there(&self.disk, &unfinished)?;
        let created = self.disk.create(&unfinished, end.bytes_since(at));
        let mut copy = created.map_err(io_error("create", &unfinished))?;
        let spans: Vec<_> = self.shared().files.iter().map(|(lsn, span)| (*lsn, *span)).collect();
        for (index, (first, span)) in spans.iter().enumerate() {
            let upto = spans.get(index + 1).map_or(end, |(next, _)| *next);
            let mut from = at.max(*first);
            if from >= upto {
                continue;
            }
            let source_path = path_of(&self.directory, *first);
            let opened = self.disk.open(&source_path);
            let source = opened.map_err(io_error("open WAL file", &source_path))?;
            while from < upto {
                let length = upto.bytes_since(from).min(COPY_BYTES);
                let offset = span.header_len + from.bytes_since(*first);
                let bytes = read_at_most(&source, &source_path, offset, length as usize)?;
                let written = copy.write_all_at(&bytes, from.bytes_since(at));
                written.map_err(io_error("write", &unfinished))?;
                from = from.advance(length);
            }
        }
        copy.sync_data().map_err(io_error("flush", &unfinished))?;
        self.disk.rename(&unfinished, &path).map_err(io_error("rename to", &path))?;
        self.disk.sync_dir(keep).map_err(io_error("sync directory", keep))?;
        if let Some(parent) = keep.parent() {
            self.disk.sync_dir(parent).map_err(io_error("sync directory", parent))?;
        }
        Ok(())
    }

    fn drop_tail(&mut self, target: Lsn, at: Lsn) -> Result<(), Error> {
        let later: Vec<Lsn> =
            self.shared().files.range(target.advance(1)..).rev().map(|(lsn, _)| *lsn).collect();
        for first in later {
            self.remove_file(first)?;
            self.shared().files.remove(&first);
        }
        let path = path_of(&self.directory, target);
        self.current = WalFile::open(&self.disk, &path, self.identity)?.0;
        self.rewrite_current(at)?;
        self.doubtful = None;
        Ok(())
    }

    fn remove_file(&self, first: Lsn) -> Result<(), Error> {
        file::remove_if_there(&self.disk, &path_of(&self.directory, first))?;
        let synced = self.disk.sync_dir(&self.directory);
        synced.map_err(io_error("sync directory", &self.directory))
    }

    /// Replaces the newest file by one that ends at `at`, with zeros after it.
    pub(crate) fn rewrite_current(&mut self, at: Lsn) -> Result<(), Error> {
        let first = self.current.header.first;
        let body = self.read_records(first, at)?;
        let Header { history, .. } = self.current.header.clone();
        let header = new_header(self.identity, self.options, first, history, body.len() as u64);
        self.current = WalFile::make(&self.disk, &self.directory, header, &body, at)?;
        self.history.cut(at);
        let span = span_of(&self.current.header);
        let mut shared = self.shared();
        shared.files.insert(first, span);
        shared.end = at;
        shared.written = at;
        shared.flushed = at;
        shared.ring.cut(at);
        shared.cuts += 1;
        Ok(())
    }
}
