//! The modelled cluster: three real nodes, their disks, what is under way between them, and the
//! coordinator's record; and what each of them makes of an event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::master::node::{Node, NodeSettings, Timeouts};
use aerie::master::{Control, Effect, Event, Request};
use aerie::shape::{Shape, facts};
use aerie::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Instant, Lsn, Member, Message, NodeId, Nonce,
};

use crate::disk::{Crash, Disk};

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

fn index(node: NodeId) -> usize {
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

    pub fn start(&mut self, at: usize) {
        let host = &self.hosts[at];
        let (found, control) = (host.disk.found(), host.disk.control.clone());
        let mut effects = Vec::new();
        let identity = (CLUSTER, member(at));
        let settings = settings();
        let node = Node::new(settings, identity, control, found, (self.now, &mut effects));
        self.hosts[at].node = Some(Arc::new(node));
        self.perform(at, effects);
    }

    /// As if seeded long ago: the log and catalog of the first node, a control file of its own.
    pub fn seed(&mut self, at: usize) {
        let control = self.hosts[at].disk.control.clone();
        let disk = Disk { control, ..(*self.hosts[0].disk).clone() };
        self.hosts[at].disk = Arc::new(disk);
    }

    pub fn crash(&mut self, at: usize, crash: Crash) {
        let host = &mut self.hosts[at];
        host.node = None;
        host.open = false;
        host.stalled = false;
        host.writing.clear();
        host.waiting.clear();
        Arc::make_mut(&mut host.disk).crash(crash);
        let stays = |item: &Item| match item {
            Item::Flush { at: host } | Item::Persist { at: host } | Item::Deadline { at: host } => {
                *host != at
            }
            Item::Message { .. } | Item::Swap { .. } => true,
        };
        self.queue.retain(stays);
        self.late.retain(stays);
        for item in self.queue.iter_mut().chain(&mut self.late) {
            if let Item::Swap { by, awaited, .. } = item {
                *awaited &= *by != at;
            }
        }
    }

    pub fn step(&mut self, at: usize, event: Event) {
        let Some(node) = &mut self.hosts[at].node else { return };
        let mut effects = Vec::new();
        Arc::make_mut(node).step(self.now, event, &mut effects);
        let alarmed = facts(node).alarmed;
        self.violate(!alarmed, "I3");
        self.perform(at, effects);
    }

    /// Performs effects; what is done at once is reported at once.
    fn perform(&mut self, at: usize, effects: Vec<Effect>) {
        let mut events = VecDeque::new();
        for effect in effects {
            if let Some(event) = self.effect(at, effect) {
                events.push_back(event);
            }
        }
        for event in events {
            self.step(at, event);
        }
        self.answer_clients(at);
    }

    fn effect(&mut self, at: usize, effect: Effect) -> Option<Event> {
        let host = &mut self.hosts[at];
        match effect {
            Effect::Append { epoch, lsn, commit_lsn, payload } => {
                Arc::make_mut(&mut host.disk).append((epoch, lsn, commit_lsn), &payload);
            }
            Effect::AppendEncoded { from, records, .. } => {
                Arc::make_mut(&mut host.disk).append_encoded(from, &records);
            }
            Effect::Flush { epoch } => {
                let end = host.disk.end();
                // A log without anything new is flushed in no time.
                if host.disk.flushed == end {
                    return Some(Event::Flushed { epoch, end });
                }
                self.come(Item::Flush { at });
            }
            Effect::Cut { at: end } => {
                let applied = host.disk.applied;
                Arc::make_mut(&mut host.disk).cut(end);
                self.violate(end >= applied, "I4");
                return Some(Event::Cut { end });
            }
            Effect::Ship { to, epoch, from, commit_lsn, sent_at, .. } => {
                let records = host.disk.read(from);
                let end = from.advance(records.len() as u64);
                if !records.is_empty() {
                    let message = Message::Append { epoch, from, records, commit_lsn, sent_at };
                    self.send(at, to, message);
                }
                return Some(Event::Shipped { to, epoch, end });
            }
            Effect::Send { to, message } => self.send(at, to, message),
            Effect::Apply { lsn } => {
                self.apply(at, lsn);
                return Some(Event::Applied { lsn });
            }
            Effect::Persist { ticket, control } => {
                host.writing.push((ticket, *control));
                self.come(Item::Persist { at });
            }
            Effect::ReadRecord { attempt, .. } => {
                let outcome = ReadOutcome::Record(Box::new((*self.record).clone()));
                return Some(Event::RecordRead { attempt, outcome });
            }
            Effect::Swap { proposed, .. } => {
                // Issued again, it is another message, and the first may still arrive.
                for item in self.queue.iter_mut().chain(&mut self.late) {
                    if let Item::Swap { by, awaited, .. } = item {
                        *awaited &= *by != at;
                    }
                }
                let proposed = Arc::from(proposed);
                self.queue.push_back(Item::Swap { by: at, proposed, awaited: true });
            }
            Effect::Open { fence } => {
                host.open = true;
                let disk = host.disk.clone();
                // One that was stopped may still open in an epoch of the past, for nobody.
                let earlier = self.acked.iter().filter(|acked| acked.epoch <= fence.epoch());
                let all = earlier.into_iter().all(|acked| disk.holds(acked.end, acked.content));
                self.violate(all, "I1");
            }
            Effect::Close { .. } => {
                host.open = false;
                host.waiting.clear();
            }
            Effect::Proposed { end, ticket } => host.waiting.push((end, ticket)),
            Effect::Fatal { .. } => self.crash(at, Crash::Process),
            Effect::Seed { .. } => self.seeds = true,
            Effect::Create { .. } => unreachable!("nobody changes the mode in the model"),
            Effect::FenceOld { .. } => unreachable!("the model names no ha_fencing_methods"),
            Effect::AskRelease { .. }
            | Effect::Rejected { .. }
            | Effect::Answer { .. }
            | Effect::Report { .. } => {}
        }
        None
    }

    /// Flushes and writes of the control file that wait already cover what is asked for now.
    fn come(&mut self, item: Item) {
        if !self.queue.contains(&item) && !self.late.contains(&item) {
            self.queue.push_back(item);
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: Message) {
        if !self.cut.contains(&(from, index(to))) {
            let (from, message) = (member(from), Arc::new(message));
            if self.hosts[index(to)].stalled {
                self.displace(from, to, &message);
            }
            self.queue.push_back(Item::Message { from, to, message });
        }
    }

    /// While a host is stopped only the newest message of a kind waits for it on each link: the
    /// older ones get lost, or else it would be another state with every heartbeat.
    fn displace(&mut self, sender: Member, receiver: NodeId, newer: &Message) {
        let kind = std::mem::discriminant(newer);
        self.queue.retain(|item| match item {
            Item::Message { from, to, message } => {
                *from != sender || *to != receiver || std::mem::discriminant(&**message) != kind
            }
            _ => true,
        });
    }

    fn apply(&mut self, at: usize, lsn: Lsn) {
        let disk = Arc::make_mut(&mut self.hosts[at].disk);
        let from = std::mem::replace(&mut disk.applied, lsn);
        let flushed = lsn <= disk.flushed;
        let fresh = disk.entries.iter().filter(|entry| entry.end > from && entry.end <= lsn);
        let fresh: Vec<(Lsn, u64)> = fresh.map(|entry| (entry.end, entry.content)).collect();
        self.violate(flushed, "I4");
        for (end, content) in fresh {
            let known = self.applied.get(&end).copied();
            if known.is_none() {
                Arc::make_mut(&mut self.applied).insert(end, content);
            }
            self.violate(known.is_none_or(|known| known == content), "I4");
        }
    }

    fn answer_clients(&mut self, at: usize) {
        let applied = self.hosts[at].disk.applied;
        let due = self.hosts[at].waiting.iter().position(|(end, _)| *end <= applied);
        let Some(position) = due else { return };
        let (end, content) = self.hosts[at].waiting.remove(position);
        let entry = self.hosts[at].disk.entries.iter().find(|entry| entry.end == end);
        let epoch = entry.map_or(Epoch::ZERO, |entry| entry.epoch);
        let apart = self.acked.iter().all(|other| match other.epoch.cmp(&epoch) {
            std::cmp::Ordering::Less => other.end < end,
            std::cmp::Ordering::Equal => other.by == at && other.end != end,
            std::cmp::Ordering::Greater => other.end > end,
        });
        self.violate(apart, "I2");
        self.acked.push(Acked { end, content, epoch, by: at });
        self.answer_clients(at);
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
