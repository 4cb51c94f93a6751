//! What a simulated host does with the effects of its node: disk, network and coordinator.

use std::time::Duration;

use aerie::master::{Answer, Effect, Event, Request};
use aerie::types::{Epoch, Incarnation, Instant, Lsn, Message, NodeId, NodeRole};

use crate::action::Action;
use crate::world::World;

/// The ticket of a standby's request to the primary to hand its reign over; others are lower.
fn asked_by(standby: NodeId) -> u64 {
    (1 << 32) + u64::from(standby.get())
}

impl World {
    pub fn perform_effects(&mut self, id: NodeId, effects: Vec<Effect>) {
        let life = self.hosts[&id].life;
        for effect in effects {
            self.note(|_| format!("node {id} -> {effect}"));
            match effect {
                Effect::Append { epoch, lsn, commit_lsn, payload } => {
                    let storage = &mut self.hosts.get_mut(&id).unwrap().storage;
                    storage.append(epoch, lsn, commit_lsn, &payload);
                }
                Effect::AppendEncoded { from, records, .. } => {
                    self.hosts.get_mut(&id).unwrap().storage.append_encoded(from, &records);
                }
                Effect::Flush { epoch } => {
                    let slow = self.hosts[&id].flush_slow;
                    let (low, high) = if slow { (100_000, 3_000_000) } else { (100, 3_000) };
                    self.soon(low, high, Action::Flushed { host: id, life, epoch });
                }
                Effect::Cut { at } => {
                    self.hosts.get_mut(&id).unwrap().storage.cut(at);
                    let event = Event::Cut { end: at };
                    self.soon(100, 3_000, Action::Local { host: id, life, event });
                }
                Effect::Ship { to, epoch, from, max_bytes, commit_lsn, sent_at } => {
                    let storage = &mut self.hosts.get_mut(&id).unwrap().storage;
                    let records = storage.read(from, max_bytes.min(400) as usize);
                    let end = from.advance(records.len() as u64);
                    if !records.is_empty() {
                        let message = Message::Append { epoch, from, records, commit_lsn, sent_at };
                        self.send(id, to, message);
                    }
                    let event = Event::Shipped { to, epoch, end };
                    self.after(Duration::ZERO, Action::Local { host: id, life, event });
                }
                Effect::FenceOld { old, reign } => self.fence_old(id, old, reign),
                Effect::Send { to, message } => {
                    if let Message::Release { epoch, .. } = &message {
                        self.released(*epoch);
                    }
                    self.send(id, to, message);
                }
                Effect::Apply { lsn } => {
                    // Much at once, as after a start, takes its time.
                    let behind = lsn.bytes_since(self.hosts[&id].storage.applied());
                    self.soon(50, 2_000 + behind, Action::Applying { host: id, life, lsn });
                }
                Effect::Persist { ticket, control } => {
                    // One file, written in order.
                    let wait = Duration::from_micros(800);
                    self.after(wait, Action::Control { host: id, life, ticket, control });
                }
                Effect::ReadRecord { attempt, authority, coordinator } => {
                    let read = Action::Read { host: id, life, attempt, authority, coordinator };
                    self.soon(200, 5_000, read);
                }
                Effect::Swap { proposed, authority, coordinator } => {
                    let late = self.delay_swaps.as_micros() as u64;
                    let swap = Action::Swap { host: id, life, authority, coordinator, proposed };
                    self.soon(200 + late, 5_000 + late, swap);
                }
                Effect::Create { first, .. } => {
                    let late = self.delay_swaps.as_micros() as u64;
                    self.soon(200 + late, 5_000 + late, Action::Create { host: id, life, first });
                }
                Effect::Seed { from, .. } => {
                    self.soon(5_000, 400_000, Action::Seed { host: id, life, from });
                }
                Effect::AskRelease { of, ticket } => {
                    self.hosts.get_mut(&id).unwrap().asks_release = ticket;
                    let (ticket, request) = (asked_by(id), Request::Release { to: Some(id) });
                    let event = Event::Request { ticket, request };
                    let life = self.hosts[&of].life;
                    self.soon(200, 5_000, Action::Local { host: of, life, event });
                }
                Effect::Open { .. } => self.opened(id),
                Effect::Close { reason } => {
                    let lone = reason.contains("ha_lone_primary = stop");
                    self.checker.lone_stops += u64::from(lone);
                    let host = self.hosts.get_mut(&id).unwrap();
                    host.open = false;
                    let lost: Vec<u64> = std::mem::take(&mut host.waiting).into_values().collect();
                    lost.into_iter().for_each(|write| self.settle_segment_write(write, false));
                    let event = aerie::fts::Event::ReignEnded;
                    self.after(Duration::ZERO, Action::Fts { host: id, life, event });
                }
                Effect::Proposed { ticket, end } => {
                    let host = self.hosts.get_mut(&id).unwrap();
                    if let Some(write) = host.tickets.remove(&ticket) {
                        host.waiting.insert(end, write);
                    }
                }
                Effect::Rejected { ticket, .. } => {
                    let write = self.hosts.get_mut(&id).unwrap().tickets.remove(&ticket);
                    if let Some(write) = write {
                        self.settle_segment_write(write, false);
                    }
                }
                Effect::Answer { ticket, answer: Answer::Refused { reason } } => {
                    self.release_refused(ticket, reason);
                    self.activation_refused(ticket);
                }
                Effect::Answer { .. } | Effect::Report { .. } => {}
                Effect::Fatal { reason } => panic!("node {id} gave up: {reason}"),
            }
        }
    }

    fn release_refused(&mut self, ticket: u64, reason: String) {
        let asking = self.hosts.iter().find(|(id, _)| asked_by(**id) == ticket);
        if let Some((host, life)) = asking.map(|(id, host)| (*id, host.life)) {
            let event = Event::NotReleased { ticket: self.hosts[&host].asks_release, reason };
            self.soon(200, 5_000, Action::Local { host, life, event });
        }
    }

    pub fn opened(&mut self, id: NodeId) {
        let epoch = self.hosts[&id].node.as_ref().map_or(Epoch::ZERO, |node| node.view().epoch);
        self.opened_after(id, epoch);
        let storage = &self.hosts[&id].storage;
        let first = storage.first();
        self.checker
            .opened((id, epoch), first, |end| storage.entry_at(end).map(|entry| entry.content));
        let host = self.hosts.get_mut(&id).unwrap();
        let life = host.life;
        let rows = host.storage.segments.values().cloned().collect();
        if !host.open {
            host.open = true;
            for event in [aerie::fts::Event::ReignBegan, aerie::fts::Event::Loaded { rows }] {
                self.after(Duration::ZERO, Action::Fts { host: id, life, event });
            }
        }
        self.announce(id);
    }

    pub fn answer_clients(&mut self, id: NodeId) {
        loop {
            let host = self.hosts.get_mut(&id).unwrap();
            let applied = host.storage.applied();
            let due = host.waiting.first_key_value().filter(|(end, _)| **end <= applied);
            let Some((end, write)) = due.map(|(end, write)| (*end, *write)) else { return };
            if !host.open {
                return;
            }
            host.waiting.pop_first();
            let entry = host.storage.entry_at(end).expect("an acked write is in the log");
            let epoch = entry.epoch;
            let alone = self.checker.several_lines && self.is_alone(id);
            self.checker.acknowledged((id, epoch), end, write, alone);
            self.note(|_| format!("node {id} acked write {write} at {end}"));
            self.settle_segment_write(write, true);
        }
    }

    fn is_alone(&self, id: NodeId) -> bool {
        let record = self.hosts[&id].node.as_ref().and_then(|node| node.view().record);
        record.is_some_and(|record| record.in_sync.len() == 1)
    }

    pub fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let lossy = !self.calm;
        if !self.hosts.contains_key(&to) || self.links.loses((from, to), &message) {
            return;
        }
        if lossy && self.rng.percent(1) {
            return;
        }
        let member = self.hosts[&from].member();
        if lossy && self.rng.percent(1) {
            let message = message.clone();
            self.soon(1_000, 400_000, Action::Deliver { to, from: member, message });
        }
        let late = lossy && self.rng.percent(1);
        if late {
            self.soon(100, 200_000, Action::Deliver { to, from: member, message });
            return;
        }
        // A connection keeps its order; what is late or repeated came by another one.
        let wait = self.rng.between(Duration::from_micros(100), Duration::from_micros(3_000));
        let before = self.links.delivered.get(&(from, to)).copied().unwrap_or(Instant(0));
        let at = self.now.after(wait).max(Instant(before.0 + 1));
        self.links.delivered.insert((from, to), at);
        self.after(at.since(self.now), Action::Deliver { to, from: member, message });
    }

    pub fn flushed(&mut self, id: NodeId, life: u64, epoch: Epoch) {
        if !self.current(id, life) {
            return;
        }
        let end = self.hosts.get_mut(&id).unwrap().storage.flush();
        self.step(id, life, Event::Flushed { epoch, end });
    }

    pub fn apply(&mut self, id: NodeId, life: u64, lsn: Lsn) {
        if !self.current(id, life) {
            return;
        }
        let (checkpoint, recycle) = (self.rng.percent(10), self.rng.percent(5));
        let storage = &mut self.hosts.get_mut(&id).unwrap().storage;
        let durable = storage.durable();
        assert!(lsn <= durable, "node {id} applies {lsn}, flushed here is {durable}");
        let mut start = storage.applied();
        for (end, entry) in storage.apply(lsn) {
            self.checker.applied(id, start..end, entry);
            start = end;
        }
        let first = if checkpoint { storage.checkpoint(recycle) } else { None };
        let lsn = storage.applied();
        if let Some(first) = first {
            self.step(id, life, Event::Recycled { first });
        }
        self.step(id, life, Event::Applied { lsn });
    }

    pub fn seed(&mut self, id: NodeId, life: u64, from: NodeId) {
        if !self.current(id, life) {
            return;
        }
        let source = &self.hosts[&from];
        let cut = self.links.cut.contains(&(from, id)) || self.links.cut.contains(&(id, from));
        let reigns = source.node.as_ref().is_some_and(|node| node.view().role == NodeRole::Primary);
        if cut || !reigns {
            let event = Event::SeedFailed { reason: "no primary there".to_owned() };
            self.step(id, life, event);
            return;
        }
        let checkpoint = self.hosts.get_mut(&from).unwrap().storage.checkpoint_for();
        self.lives += 1;
        let incarnation = Incarnation(u64::from(id.get()) << 32 | self.lives);
        let host = self.hosts.get_mut(&id).unwrap();
        host.incarnation = incarnation;
        let log = host.storage.seed(checkpoint, incarnation);
        self.step(id, life, Event::Seeded { incarnation, log });
    }
}
