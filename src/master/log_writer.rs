//! The thread that writes the log: it takes whatever has gathered, appends all of it, and flushes
//! once (group commit). It owns the log; a failure ends the process, nothing is tried again.

use std::path::PathBuf;
use std::sync::Arc;

use crate::runtime::Disk;
use crate::types::{Epoch, Lsn};
use crate::wal::{Error, Wal};

use super::Event;
use super::fatal::Fatal;
use super::inbox::Inbox;
use super::log_tail::LogTail;
use super::queue::{Drained, Queue};

/// Far more than the node's backlog of bytes lets be under way.
pub(super) const COMMANDS_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) enum LogCommand {
    /// One encoded record.
    Append {
        lsn: Lsn,
        record: Arc<[u8]>,
    },
    Flush {
        epoch: Epoch,
    },
    Cut {
        at: Lsn,
    },
    Recycle {
        below: Lsn,
    },
}

pub(super) struct LogWriter<D: Disk> {
    /// Absent in the directory of a standby that was never seeded.
    pub(super) wal: Option<Wal<D>>,
    pub(super) tail: Arc<LogTail>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) lost_wal: PathBuf,
    pub(super) fatal: Fatal,
}

impl<D: Disk> LogWriter<D> {
    pub(super) fn run(mut self, queue: &Queue<LogCommand>) {
        let mut batch = Vec::new();
        loop {
            let state = queue.drain(&mut batch);
            if let Err(error) = self.work(&mut batch) {
                self.fatal.error("write-ahead log", &error);
                return;
            }
            if state == Drained::Closed {
                return;
            }
        }
    }

    fn work(&mut self, batch: &mut Vec<LogCommand>) -> Result<(), Error> {
        let mut flush = None;
        for command in batch.drain(..) {
            match command {
                LogCommand::Append { lsn, record } => {
                    if let Some(wal) = &mut self.wal {
                        wal.append_encoded(lsn, &record)?;
                    }
                }
                LogCommand::Flush { epoch } => flush = Some(epoch),
                LogCommand::Cut { at } => {
                    self.flush(flush.take())?;
                    self.cut(at)?;
                }
                LogCommand::Recycle { below } => self.recycle(below)?,
            }
        }
        self.flush(flush)
    }

    fn flush(&mut self, epoch: Option<Epoch>) -> Result<(), Error> {
        let Some(epoch) = epoch else { return Ok(()) };
        let end = match &mut self.wal {
            Some(wal) => wal.flush()?.end(),
            None => Lsn::ZERO,
        };
        self.tail.flushed(end);
        self.inbox.report(Event::Flushed { epoch, end });
        Ok(())
    }

    fn cut(&mut self, at: Lsn) -> Result<(), Error> {
        let Some(wal) = &mut self.wal else { return Ok(()) };
        wal.cut(at, &self.lost_wal)?;
        self.tail.cut(at);
        self.inbox.report(Event::Cut { end: at });
        Ok(())
    }

    fn recycle(&mut self, below: Lsn) -> Result<(), Error> {
        let Some(wal) = &mut self.wal else { return Ok(()) };
        let first = wal.recycle(below)?;
        self.inbox.report(Event::Recycled { first });
        Ok(())
    }
}
