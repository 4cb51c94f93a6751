//! The turns of the modelled nodes: an event comes, what the node asks for is done or on its way.

use std::collections::VecDeque;
use std::sync::Arc;

use aerie::ha::ReadOutcome;
use aerie::master::node::Node;
use aerie::master::{Effect, Event};
use aerie::shape::facts;
use aerie::types::{Epoch, Lsn, Member, Message, NodeId};

use crate::cluster::{Acked, CLUSTER, Cluster, Item, index, member, settings};
use crate::disk::{Crash, Disk};

impl Cluster {
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
    pub fn come(&mut self, item: Item) {
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
}
