//! Carries out the node's effects: hands each to the thread or task that does such things. Nothing
//! here waits for a disk or a peer, and nothing here decides. What one turn of the node asks of the
//! log, the applier and the standbys is handed on together at its end: one message, one wake-up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use crate::catalog::Catalog;
use crate::runtime::{Disk, Net};
use crate::types::{
    ClusterId, Envelope, Epoch, Instant, Lsn, Member, Message, NodeId, TimelineHistory,
};
use crate::wal::record::{PayloadKind, Record, encode, encode_payload};
use crate::wal::{Error, Frames, Reader};

use super::answers::Answers;
use super::applier::ApplyTo;
use super::control_writer::ControlWrite;
use super::coordinators::Coordinators;
use super::door::{Door, Standing};
use super::fatal::Fatal;
use super::inbox::Inbox;
use super::lags::Lags;
use super::log_tail::LogTail;
use super::log_writer::LogCommand;
use super::node::NodeView;
use super::node_loop::World;
use super::old_primary::OldPrimary;
use super::queue::Queue;
use super::waiters::{Waiters, rejection_error};
use super::{ControlFile, Effect, Event, Level, Payload};

/// What the loop needs of the rest of the process for things that are done elsewhere.
pub(super) trait Errands: Send + Sync + 'static {
    /// Fetch a checkpoint from `from` and become another life of this node.
    fn seed(&self, from: NodeId);
    /// Ask `of`, as an operator would, to release its reign to this node.
    fn ask_release(&self, of: NodeId, ticket: u64);
}

pub(super) struct Performer<D: Disk> {
    pub(super) cluster: ClusterId,
    pub(super) me: Member,
    pub(super) tasks: Handle,
    pub(super) coordinators: Arc<Coordinators>,
    pub(super) errands: Box<dyn Errands>,
    pub(super) net: Arc<dyn Net>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) tail: Arc<LogTail>,
    pub(super) reader: Option<Reader<D>>,
    pub(super) log: Arc<Queue<LogCommand>>,
    pub(super) apply: Arc<Queue<ApplyTo>>,
    pub(super) writes: Arc<Queue<ControlWrite>>,
    pub(super) control: ControlFile,
    pub(super) catalog: Catalog,
    pub(super) waiters: Arc<Waiters>,
    pub(super) answers: Arc<Answers>,
    pub(super) door: Arc<Door>,
    /// Of this node's log, for those who are seeded from here.
    pub(super) history: Arc<Mutex<TimelineHistory>>,
    pub(super) old_primary: OldPrimary,
    pub(super) fatal: Fatal,
    pub(super) gathered: Gathered,
    pub(super) lags: Arc<Lags>,
}

/// What was asked for in this turn, in its order.
#[derive(Default)]
pub(super) struct Gathered {
    ships: Vec<Stretch>,
    log: Vec<LogCommand>,
    apply: Option<Lsn>,
}

/// A stretch of the log for a standby.
struct Stretch {
    to: NodeId,
    epoch: Epoch,
    from: Lsn,
    max_bytes: usize,
    commit_lsn: Lsn,
    sent_at: Instant,
}

impl<D: Disk> World for Performer<D> {
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Append { epoch, lsn, commit_lsn, payload } => {
                self.append(epoch, lsn, commit_lsn, &payload);
            }
            Effect::AppendEncoded { from, records, .. } => self.append_encoded(from, &records),
            Effect::Flush { epoch } => self.log(LogCommand::Flush { epoch }),
            Effect::Cut { at } => {
                self.tail.cut(at);
                self.history().cut(at);
                self.log(LogCommand::Cut { at });
            }
            Effect::Ship { to, epoch, from, max_bytes, commit_lsn, sent_at } => {
                let max_bytes = max_bytes as usize;
                let stretch = Stretch { to, epoch, from, max_bytes, commit_lsn, sent_at };
                self.gathered.ships.push(stretch);
            }
            Effect::Send { to, message } => self.send(to, message),
            Effect::AskRelease { of, ticket } => self.errands.ask_release(of, ticket),
            Effect::Apply { lsn } => self.gathered.apply = self.gathered.apply.max(Some(lsn)),
            Effect::Persist { ticket, control } => {
                let write = ControlWrite { ticket, control };
                self.taken(self.writes.push(write).is_ok(), "control file");
            }
            Effect::ReadRecord { .. } | Effect::Swap { .. } | Effect::Create { .. } => {
                self.ask_coordinator(effect);
            }
            Effect::FenceOld { old, reign } => self.old_primary.fence(old, reign),
            Effect::Seed { from, .. } => self.errands.seed(from),
            other => self.answer(other),
        }
    }

    fn narrow(&mut self, readable_until: Option<Instant>) {
        self.door.narrow(readable_until);
    }

    /// The standbys first: their flush runs beside ours.
    fn settle(&mut self, done: &mut Vec<Event>) {
        for stretch in std::mem::take(&mut self.gathered.ships) {
            self.ship(stretch, done);
        }
        let is_taken = self.log.push_all(&mut self.gathered.log).is_ok();
        self.taken(is_taken, "log");
        if let Some(lsn) = self.gathered.apply.take() {
            self.taken(self.apply.push(ApplyTo { lsn }).is_ok(), "apply");
        }
    }

    fn published(&mut self, now: Instant, view: &NodeView) {
        self.lags.note(now, view.write_lsn);
        self.door.set_readable(view.readable_until);
        if !view.open {
            let reason = view.closed_reason.clone();
            self.door.set(Standing::Closed { reason, primary: self.other_primary() });
        }
    }
}

impl<D: Disk> Performer<D> {
    fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Open { fence } => {
                self.catalog.reign(fence.epoch());
                self.door.set(Standing::Open { fence });
            }
            Effect::Close { reason } => {
                self.door.set_readable(None);
                let primary = self.other_primary();
                self.door.set(Standing::Closed { reason: reason.clone(), primary });
                self.waiters.close(&reason);
                self.catalog.step_down();
            }
            Effect::Proposed { ticket, end } => {
                if let Some(xid) = self.waiters.appended(ticket, end) {
                    self.catalog.admitted_at(xid, end);
                }
            }
            Effect::Rejected { ticket, reason } => {
                let error = rejection_error(&reason, |node| self.address(node));
                if let Some(xid) = self.waiters.rejected(ticket, error) {
                    self.catalog.abandon(xid);
                }
            }
            Effect::Answer { ticket, answer } => self.answers.give(ticket, answer),
            Effect::Report { level, text } => match level {
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
            Effect::Fatal { reason } => self.fatal.end(&reason),
            _ => {}
        }
    }

    fn append(&mut self, epoch: Epoch, lsn: Lsn, commit_lsn: Lsn, payload: &Payload) {
        let payload = match payload {
            Payload::EpochStart => encode_payload(PayloadKind::EpochStart, &[]),
            Payload::Transaction(body) => encode_payload(PayloadKind::Transaction, body),
        };
        let mut bytes = Vec::new();
        encode(&Record { epoch, lsn, commit_lsn, payload }, &mut bytes);
        self.history().note(epoch, lsn);
        self.log_record(lsn, Arc::from(bytes));
    }

    fn append_encoded(&mut self, from: Lsn, records: &[u8]) {
        let mut frames = Frames::new(records, from);
        let mut end = from;
        for frame in frames.by_ref() {
            end = frame.lsn.advance(frame.bytes.len() as u64);
            self.history().note(frame.epoch, frame.lsn);
            self.log_record(frame.lsn, Arc::from(frame.bytes));
        }
        if end.bytes_since(from) != records.len() as u64 {
            self.fatal.end(&format!("damaged records received for {end}"));
        }
    }

    fn history(&self) -> MutexGuard<'_, TimelineHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_record(&mut self, lsn: Lsn, record: Arc<[u8]>) {
        self.tail.push(lsn, Arc::clone(&record));
        self.log(LogCommand::Append { lsn, record });
    }

    fn log(&mut self, command: LogCommand) {
        self.gathered.log.push(command);
    }

    /// A worker's queue never fills up, since the node bounds what is under way.
    fn taken(&self, taken: bool, queue: &str) {
        if !taken {
            self.fatal.end(&format!("the {queue} queue takes no more"));
        }
    }

    /// From memory at once; what is older is read from the files by another thread.
    fn ship(&self, stretch: Stretch, done: &mut Vec<Event>) {
        let (from, to, epoch) = (stretch.from, stretch.to, stretch.epoch);
        if let Some(records) = self.tail.read(from, Lsn::MAX, stretch.max_bytes) {
            let records = records.concat();
            let end = from.advance(records.len() as u64);
            self.send_stretch(&stretch, records);
            done.push(Event::Shipped { to, epoch, end });
            return;
        }
        let Some(reader) = self.reader.clone() else {
            done.push(Event::Shipped { to, epoch, end: from });
            return;
        };
        let (net, inbox) = (Arc::clone(&self.net), Arc::clone(&self.inbox));
        let (cluster, me) = (self.cluster, self.me);
        self.tasks.spawn_blocking(move || {
            let records = match reader.read(from, reader.end(), stretch.max_bytes) {
                Ok(records) => records,
                Err(error) => {
                    tracing::warn!("cannot read the log for node {to} from {from}: {error}");
                    // A damaged stretch is of no more use than a recycled one: whoever needs it is
                    // to be seeded.
                    if let Error::Corrupt { .. } = error
                        && let Some(first) = reader.next_file(from)
                    {
                        inbox.report(Event::Recycled { first });
                    }
                    Vec::new()
                }
            };
            let end = from.advance(records.len() as u64);
            if end > from {
                let message = append_message(&stretch, records);
                net.send(Envelope { cluster, from: me, to, message });
            }
            inbox.report(Event::Shipped { to, epoch, end });
        });
    }

    fn send_stretch(&self, stretch: &Stretch, records: Vec<u8>) {
        self.send(stretch.to, append_message(stretch, records));
    }

    fn send(&self, to: NodeId, message: Message) {
        let (cluster, from) = (self.cluster, self.me);
        self.net.send(Envelope { cluster, from, to, message });
    }

    fn ask_coordinator(&self, effect: Effect) {
        let (coordinators, inbox) = (Arc::clone(&self.coordinators), Arc::clone(&self.inbox));
        match effect {
            Effect::ReadRecord { attempt, authority, coordinator } => {
                self.tasks.spawn(async move {
                    let outcome = coordinators.read(coordinator, authority).await;
                    inbox.report(Event::RecordRead { attempt, outcome });
                });
            }
            Effect::Swap { authority, coordinator, proposed } => {
                self.tasks.spawn(async move {
                    let nonce = proposed.nonce;
                    let outcome = coordinators.swap(coordinator, authority, *proposed).await;
                    inbox.report(Event::Swapped { nonce, outcome });
                });
            }
            Effect::Create { coordinator, first } => {
                self.tasks.spawn(async move {
                    let nonce = first.nonce;
                    let outcome = coordinators.create(coordinator, *first).await;
                    inbox.report(Event::Swapped { nonce, outcome });
                });
            }
            _ => {}
        }
    }

    fn other_primary(&self) -> Option<NodeId> {
        let primary = self.control.content().record.map(|record| record.primary);
        primary.filter(|node| *node != self.me.node)
    }

    fn address(&self, node: NodeId) -> Option<String> {
        let record = self.control.content().record?;
        let entry = record.members.get(&node)?;
        Some(format!("{}:{}", entry.host, entry.pg_port))
    }
}

fn append_message(stretch: &Stretch, records: Vec<u8>) -> Message {
    Message::Append {
        epoch: stretch.epoch,
        from: stretch.from,
        records,
        commit_lsn: stretch.commit_lsn,
        sent_at: stretch.sent_at,
    }
}
