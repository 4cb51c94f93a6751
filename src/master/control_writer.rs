//! The thread that writes the control file. Of several versions that wait only the last is
//! written: each contains the one before.

use std::sync::Arc;

use super::fatal::Fatal;
use super::inbox::Inbox;
use super::queue::{Drained, Queue};
use super::{Control, ControlFile, Event};

pub(super) const WRITES_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct ControlWrite {
    pub(super) ticket: u64,
    pub(super) control: Box<Control>,
}

pub(super) struct ControlWriter {
    pub(super) file: ControlFile,
    pub(super) inbox: Arc<Inbox>,
    pub(super) fatal: Fatal,
}

impl ControlWriter {
    pub(super) fn run(self, queue: &Queue<ControlWrite>) {
        let mut batch: Vec<ControlWrite> = Vec::new();
        loop {
            let state = queue.drain(&mut batch);
            if let Some(last) = batch.last()
                && let Err(error) = self.file.persist(&last.control)
            {
                self.fatal.error("control file", &error);
                return;
            }
            for write in batch.drain(..) {
                self.inbox.report(Event::Persisted { ticket: write.ticket });
            }
            if state == Drained::Closed {
                return;
            }
        }
    }
}
