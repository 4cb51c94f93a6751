//! The node's threads: the loop itself, and those that wait for disks in its stead.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::runtime::Disk;

use super::applier::{self, Applier, ApplyTo};
use super::control_writer::{self, ControlWrite, ControlWriter};
use super::inbox::Inbox;
use super::log_writer::{self, LogCommand, LogWriter};
use super::queue::Queue;

/// What the loop hands to the other threads.
pub(super) struct Queues {
    pub(super) log: Arc<Queue<LogCommand>>,
    pub(super) apply: Arc<Queue<ApplyTo>>,
    pub(super) writes: Arc<Queue<ControlWrite>>,
}

impl Default for Queues {
    fn default() -> Queues {
        Queues {
            log: Arc::new(Queue::new(log_writer::COMMANDS_MAX)),
            apply: Arc::new(Queue::new(applier::COMMANDS_MAX)),
            writes: Arc::new(Queue::new(control_writer::WRITES_MAX)),
        }
    }
}

pub(super) struct Threads {
    inbox: Arc<Inbox>,
    queues: Queues,
    node: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start<D: Disk>(
        inbox: Arc<Inbox>,
        queues: Queues,
        (log_writer, applier, control_writer): (LogWriter<D>, Applier<D>, ControlWriter),
        drive: impl FnOnce(&Inbox) + Send + 'static,
    ) -> io::Result<Threads> {
        let (log, apply, writes) =
            (Arc::clone(&queues.log), Arc::clone(&queues.apply), Arc::clone(&queues.writes));
        let workers = vec![
            spawn("log-writer", move || log_writer.run(&log))?,
            spawn("applier", move || applier.run(&apply))?,
            spawn("control-writer", move || control_writer.run(&writes))?,
        ];
        let driven = Arc::clone(&inbox);
        let node = spawn("node", move || drive(&driven))?;
        Ok(Threads { inbox, queues, node, workers })
    }

    /// Lets everything that was asked for be done, then ends the threads. Blocks.
    pub(super) fn stop(self) {
        self.inbox.close();
        // A thread that panicked has said so; there is nothing left to do about it here.
        let _ = self.node.join();
        self.queues.log.close();
        self.queues.apply.close();
        self.queues.writes.close();
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

/// A panic in one of these threads is a broken invariant: the process must not go on without it.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let thread = name.to_owned();
    Builder::new().name(name.to_owned()).spawn(move || {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        if ended.is_err() {
            super::fatal::Fatal::process().end(&format!("thread {thread} panicked"));
        }
    })
}
