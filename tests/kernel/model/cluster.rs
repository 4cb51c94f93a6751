//! The modelled cluster: three real nodes, their disks, what is under way between them, and the
//! coordinator's record. `turns` has what a node makes of an event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aerie::ha::SwapOutcome;
use aerie::master::node::{Node, NodeSettings, Timeouts};
use aerie::master::{Control, Event, Request};
use aerie::shape::{Shape, facts};
use aerie::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Instant, Lsn, Member, Message, NodeId, Nonce,
};

use crate::disk::Disk;

pub const CLUSTER: ClusterId = ClusterId(1);
pub const LEASE: Duration = Duration::from_nanos(1000);

pub fn settings() -> NodeSettings {
    NodeSettings {
        lease: LEASE,
        embedded: Timeouts { standby: LEASE / 2, coordinator: LEASE * 3 / 10 },
        disk_timeout: Duration::MAX,
        ..NodeSettings::default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub node: Option<Arc<Node>>,
    pub disk: Arc<Disk>,
    pub open: bool,
    /// Stopped: what comes for it waits.
    pub stalled: bool,
    /// Control files asked for and not yet written.
    pub writing: Vec<(u64, Control)>,
    /// Writes that a client waits for, by where they end.
    pub waiting: Vec<(Lsn, u64)>,
}

/// Something that will happen, to a host or at the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Message { from: Member, to: NodeId, message: Arc<Message> },
    Flush { at: usize },
    Persist { at: usize },
    Deadline { at: usize },
    Swap { by: usize, proposed: Arc<ClusterState>, awaited: bool },
}

impl Item {
    /// Whose turn it is when this happens; the coordinator's is nobody's.
    pub fn host(&self) -> Option<usize> {
        match self {
            Item::Message { to, .. } => Some(index(*to)),
            Item::Flush { at } | Item::Persist { at } | Item::Deadline { at } => Some(*at),
            Item::Swap { .. } => None,
        }
    }
}

/// What may yet go wrong, or be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    pub faults: u8,
    /// Of the faults, at most so many crashes.
    pub crashes: u8,
    pub writes: u8,
    pub releases: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acked {
    pub end: Lsn,
    pub content: u64,
    pub epoch: Epoch,
    pub by: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub now: Instant,
    pub hosts: Vec<Host>,
    /// What happens next, in order, unless something goes wrong.
    pub queue: VecDeque<Item>,
    /// What was held up; it may happen whenever, or never.
    pub late: Vec<Item>,
    /// Nothing gets from the first to the second.
    pub cut: BTreeSet<(usize, usize)>,
    pub record: Arc<ClusterState>,
    pub nonces: Arc<BTreeSet<Nonce>>,
    pub left: Budget,
    pub written: u64,
    pub acked: Vec<Acked>,
    /// What was applied at each position, by whoever came first.
    pub applied: Arc<BTreeMap<Lsn, u64>>,
    /// Who acted last: only there a crash or a request makes a difference now.
    pub touched: Option<usize>,
    pub violated: Option<&'static str>,
    /// A node asked for a checkpoint, which nobody has here.
    pub seeds: bool,
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.left, &self.cut, &self.record, &self.nonces, self.touched).hash(hasher);
        (self.written, &self.acked, &self.applied, self.violated, self.seeds).hash(hasher);
        let settings = settings();
        let mut shape = Shape { now: self.now, settings: &settings, hasher };
        for host in &self.hosts {
            (&host.disk, host.open, host.stalled).hash(shape.hasher);
            (host.writing.len(), &host.waiting).hash(shape.hasher);
            host.writing.iter().for_each(|(_, control)| control.hash(shape.hasher));
            host.node.is_some().hash(shape.hasher);
            if let Some(node) = &host.node {
                shape.node(node);
            }
        }
        self.queue.len().hash(shape.hasher);
        for item in self.queue.iter().chain(&self.late) {
            self.hash_item(item, &mut shape);
        }
    }
}

pub fn id(index: usize) -> NodeId {
    NodeId::new(index as u8 + 1).expect("nodes are numbered from one")
}

pub fn member(index: usize) -> Member {
    Member { node: id(index), incarnation: Incarnation(index as u64 + 1) }
}

pub fn index(node: NodeId) -> usize {
    usize::from(node.get()) - 1
}

impl Cluster {
    pub fn new(record: ClusterState) -> Cluster {
        let control =
            Control { followed: Epoch::ZERO, promised: Epoch::ZERO, record: Some(record.clone()) };
        let host = Host {
            node: None,
            disk: Arc::new(Disk::new(control)),
            open: false,
            stalled: false,
            writing: Vec::new(),
            waiting: Vec::new(),
        };
        Cluster {
            now: Instant(1 << 40),
            hosts: vec![host; record.members.len()],
            queue: VecDeque::new(),
            late: Vec::new(),
            cut: BTreeSet::new(),
            nonces: Arc::new(BTreeSet::from([record.nonce])),
            record: Arc::new(record),
            left: Budget::default(),
            written: 0,
            acked: Vec::new(),
            applied: Arc::default(),
            touched: None,
            violated: None,
            seeds: false,
        }
    }

    fn hash_item<H: Hasher>(&self, item: &Item, shape: &mut Shape<'_, H>) {
        match item {
            Item::Message { from, to, message } => {
                (0, from, to).hash(shape.hasher);
                shape.message(message, self.is_live(*from, *to, message));
            }
            Item::Flush { at } => (1, at).hash(shape.hasher),
            Item::Persist { at } => (2, at).hash(shape.hasher),
            Item::Deadline { at } => (3, at).hash(shape.hasher),
            Item::Swap { by, proposed, awaited } => {
                (4, by, proposed, awaited).hash(shape.hasher);
            }
        }
    }

    fn attempt_of(&self, node: NodeId) -> Option<u64> {
        self.hosts[index(node)].node.as_ref().map(|node| facts(node).attempt)
    }

    fn is_live(&self, from: Member, to: NodeId, message: &Message) -> bool {
        match message {
            Message::Inquiry { attempt } => self.attempt_of(from.node) == Some(*attempt),
            Message::InquiryAnswer { attempt, .. } => self.attempt_of(to) == Some(*attempt),
            _ => true,
        }
    }

    pub fn violate(&mut self, holds: bool, which: &'static str) {
        if !holds && self.violated.is_none() {
            self.violated = Some(which);
        }
    }

    /// What was due happens now.
    pub fn happen(&mut self, item: Item) {
        self.touched = item.host();
        match item {
            Item::Message { from, to, message } => {
                let message = Arc::unwrap_or_clone(message);
                self.step(index(to), Event::Received { from, message });
            }
            Item::Flush { at } => {
                let disk = Arc::make_mut(&mut self.hosts[at].disk);
                disk.flushed = disk.end();
                let epoch = disk.entries.last().map_or(Epoch::ZERO, |entry| entry.epoch);
                let end = disk.flushed;
                self.step(at, Event::Flushed { epoch, end });
            }
            Item::Persist { at } => {
                let host = &mut self.hosts[at];
                // One file, written as a whole: the newest stands for all before it.
                let Some((ticket, control)) = host.writing.pop() else { return };
                host.writing.clear();
                Arc::make_mut(&mut host.disk).control = control;
                self.step(at, Event::Persisted { ticket });
            }
            Item::Deadline { at } => {
                let due = self.hosts[at].node.as_ref().and_then(|node| node.deadline());
                if due.is_some_and(|due| due <= self.now) {
                    self.step(at, Event::Deadline);
                }
            }
            Item::Swap { by, proposed, awaited } => {
                let outcome = self.register(&proposed, by);
                if awaited {
                    self.answer_swap(by, &proposed, outcome);
                }
            }
        }
    }

    pub fn answer_swap(&mut self, by: usize, proposed: &ClusterState, outcome: SwapOutcome) {
        self.touched = Some(by);
        self.step(by, Event::Swapped { nonce: proposed.nonce, outcome });
    }

    /// A swap reaches the coordinator.
    pub fn register(&mut self, proposed: &Arc<ClusterState>, by: usize) -> SwapOutcome {
        if self.record.nonce == proposed.nonce {
            return SwapOutcome::Done;
        }
        let past = self.nonces.contains(&proposed.nonce);
        if past || self.record.version + 1 != proposed.version {
            let current = Some(Box::new((*self.record).clone()));
            let reason = "superseded".to_owned();
            return SwapOutcome::Failed { current, reason, met: Epoch::ZERO };
        }
        let recorded = self.record.is_in_sync(member(by));
        self.violate(proposed.epoch == self.record.epoch || recorded, "I3");
        Arc::make_mut(&mut self.nonces).insert(proposed.nonce);
        self.record = proposed.clone();
        SwapOutcome::Done
    }

    pub fn propose(&mut self, at: usize) {
        self.written += 1;
        let write = self.written;
        self.step(at, Event::Propose { ticket: write, payload: vec![write as u8] });
    }

    pub fn release(&mut self, at: usize) {
        self.step(at, Event::Request { ticket: 0, request: Request::Release { to: None } });
    }

    /// Time goes on; every node that has something to do about that will.
    pub fn tick(&mut self, tick: Duration) {
        self.now = self.now.after(tick);
        self.touched = None;
        for at in 0..self.hosts.len() {
            let due = self.hosts[at].node.as_ref().and_then(|node| node.deadline());
            if due.is_some_and(|due| due <= self.now) {
                self.come(Item::Deadline { at });
            }
        }
    }

    /// Forgets of what is late all that can have no effect any more.
    pub fn tidy(&mut self) {
        let all: Vec<_> =
            self.hosts.iter().map(|host| host.node.as_ref().map(|node| facts(node))).collect();
        let reigns = |node: NodeId| all[index(node)].and_then(|facts| facts.reigning);
        let highest = |node: NodeId| all[index(node)].map(|facts| facts.highest);
        let late = std::mem::take(&mut self.late);
        let keeps = |item: &Item| match item {
            Item::Message { from, to, message } => match &**message {
                Message::Ack { epoch, .. } => reigns(*to) == Some(*epoch),
                Message::Align { epoch, .. }
                | Message::SeedRequired { epoch, .. }
                | Message::Append { epoch, .. }
                | Message::Heartbeat { epoch, .. } => {
                    reigns(from.node) == Some(*epoch) || highest(*to).is_none_or(|h| h <= *epoch)
                }
                Message::Refuse { higher, .. } => reigns(*to).is_none_or(|epoch| epoch < *higher),
                Message::Release { epoch, .. } => highest(*to).is_none_or(|h| h <= *epoch),
                Message::Hello { .. } => true,
                Message::Inquiry { .. } | Message::InquiryAnswer { .. } => {
                    self.is_live(*from, *to, message)
                }
            },
            Item::Swap { proposed, awaited, .. } => {
                *awaited || proposed.version > self.record.version
            }
            Item::Flush { .. } | Item::Persist { .. } | Item::Deadline { .. } => true,
        };
        self.late = late.into_iter().filter(keeps).collect();
    }

    /// I5: whoever would serve a read now has applied what was acknowledged.
    pub fn reads_are_fresh(&self) -> bool {
        let newest = self.acked.iter().map(|acked| acked.end).max().unwrap_or(Lsn::ZERO);
        self.hosts.iter().all(|host| {
            let until = host.node.as_ref().and_then(|node| node.readable_until());
            let readable = host.open && until.is_some_and(|until| self.now < until);
            !readable || host.disk.applied >= newest
        })
    }
}
