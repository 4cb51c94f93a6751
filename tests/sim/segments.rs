//! The masters' side of segments: the real fault tolerance machine of each master hears their
//! agents (`agents`) and decides, and what the primary decides is logged.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use aerie::catalog::{Change, Datum, GP_SEGMENT_CONFIGURATION, RowKey, Transaction};
use aerie::fts::{Effect, Event, Machine, SegmentRow, Settings, StoreError, Write};
use aerie::types::{Lsn, NodeId, ProbeOutcome, Reason, SegmentStatus};

use crate::action::Action;
use crate::faults::Way;
use crate::world::World;

pub const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);

pub fn settings() -> Settings {
    Settings::new(INTERVAL, TIMEOUT).expect("the timeout is longer than the interval")
}

/// A write of the machine on its way through the log: whose, and what it is told when it is done.
#[derive(Debug, Clone)]
pub struct Pending {
    pub host: NodeId,
    pub life: u64,
    pub order: NonZeroU32,
    pub generation: u64,
}

/// The row as the log carries it.
fn payload(write: u64, row: &SegmentRow) -> Vec<u8> {
    let key = RowKey::new(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(row.order.get() as i32)]);
    let change = Change { key, row: Some(row.to_string().into_bytes()) };
    let (snapshot, guards) = (Lsn::ZERO, Vec::new());
    Transaction { xid: write, snapshot, changes: vec![change], guards, next_oid: 0 }.encode()
}

/// The segment rows that a transaction leaves.
pub fn rows_of(body: &[u8], rows: &mut BTreeMap<NonZeroU32, SegmentRow>) {
    let Ok(transaction) = Transaction::decode(body) else { return };
    let changes = transaction.changes.iter();
    for change in changes.filter(|change| change.key.relation == GP_SEGMENT_CONFIGURATION) {
        let text = String::from_utf8(change.row.clone().expect("rows are only put")).unwrap();
        let parts: Vec<&str> = text.splitn(7, '|').collect();
        let row = SegmentRow {
            order: parts[0].parse().unwrap(),
            port: parts[3].parse().unwrap(),
            hostname: parts[4].to_owned(),
            address: parts[5].to_owned(),
            status: SegmentRow::status_from_columns(parts[2].chars().next().unwrap(), parts[6])
                .expect("a status that goes with its reasons"),
        };
        rows.insert(row.order, row);
    }
}

impl World {
    pub fn fts_step(&mut self, id: NodeId, life: u64, event: Event) {
        if self.hosts[&id].life != life || self.hosts[&id].node.is_none() {
            return;
        }
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let local = host.clock(now);
        let mut effects = Vec::new();
        host.fts.step(local, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Probe { order, address, attempt, .. } => {
                    self.probe(id, life, (order, attempt), &address);
                }
                Effect::Register(write) | Effect::Change(write) => self.store(id, life, write),
                Effect::Report { text, .. } => self.note(|_| format!("node {id} -> fts {text}")),
            }
        }
        self.arm_fts(id);
    }

    fn arm_fts(&mut self, id: NodeId) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let at = host.fts.deadline().map(|local| host.true_time(local).max(now));
        if at.is_some() && at != host.fts_wake {
            host.fts_wake = at;
            let life = host.life;
            self.after(at.unwrap_or(now).since(now), Action::FtsWake { host: id, life });
        }
    }

    pub fn fts_wake(&mut self, id: NodeId, life: u64) {
        if self.hosts[&id].life != life {
            return;
        }
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        host.fts_wake = None;
        let due = host.fts.deadline().is_some_and(|at| at <= host.clock(now));
        if due {
            self.fts_step(id, life, Event::Deadline);
        } else {
            self.arm_fts(id);
        }
    }

    fn probe(&mut self, id: NodeId, life: u64, (order, attempt): (NonZeroU32, u64), to: &str) {
        let agent = self.agents.iter().position(|agent| agent.address() == to);
        let agent = agent.filter(|agent| self.agents[*agent].alive());
        let cut = |agent, way| self.links.agents.contains(&(id, agent, way));
        let answers = agent.is_some_and(|a| !cut(a, Way::There) && !cut(a, Way::Back));
        let outcome = if answers { ProbeOutcome::Alive } else { ProbeOutcome::CommunicationError };
        let event = Event::ProbeFinished { order, attempt, outcome };
        self.soon(500, 20_000, Action::Fts { host: id, life, event });
    }

    /// The machine wants a row stored: through the log, like everything else.
    fn store(&mut self, id: NodeId, life: u64, write: Write) {
        self.check_verdict(id, &write.row);
        self.note(|_| format!("node {id} -> fts store {}", write.row));
        self.writes += 1;
        self.tickets += 1;
        let (ticket, number) = (self.tickets, self.writes);
        let (order, generation) = (write.row.order, write.generation);
        self.pending.insert(number, Pending { host: id, life, order, generation });
        let host = self.hosts.get_mut(&id).unwrap();
        host.tickets.insert(ticket, number);
        let payload = payload(number, &write.row);
        let event = aerie::master::Event::Propose { ticket, payload };
        self.after(Duration::ZERO, Action::Local { host: id, life, event });
    }

    /// No segment is declared silent while it has been sending for two timeouts (scenario G5).
    fn check_verdict(&self, id: NodeId, row: &SegmentRow) {
        let SegmentStatus::Down(reasons) = &row.status else { return };
        let agent = self.agents.iter().find(|agent| row.hostname == agent.hostname());
        let steady = agent.is_some_and(|a| a.alive() && a.since.after(TIMEOUT * 2) <= self.now);
        let mended = self.links.agents_mended.after(TIMEOUT * 2) <= self.now;
        let steady = steady && mended && self.links.agents.is_empty();
        let awake = self.hosts[&id].woke.after(TIMEOUT * 2) <= self.now;
        let silent = reasons.contains(Reason::HeartbeatTimeout);
        assert!(!(silent && steady && awake), "G5: node {id} takes {row} for silent");
    }

    /// The write of a machine is committed here, or will not be.
    pub fn settle_segment_write(&mut self, number: u64, stored: bool) {
        let Some(pending) = self.pending.remove(&number) else { return };
        let Pending { host, life, order, generation } = pending;
        let event = if stored {
            Event::Stored { order, generation }
        } else {
            Event::StoreFailed { order, generation, error: StoreError::Unknown }
        };
        self.after(Duration::ZERO, Action::Fts { host, life, event });
    }

    /// The catalog of the primary says of every agent what is true.
    pub fn segments_settled(&self, id: NodeId) -> bool {
        let rows = &self.hosts[&id].storage.segments;
        self.agents.iter().all(|agent| {
            let row = rows.values().find(|row| row.hostname == agent.hostname());
            row.is_some_and(|row| (row.status == SegmentStatus::Up) == agent.alive())
        })
    }
}

/// A machine of a starting master.
pub fn machine() -> Machine {
    Machine::new(settings())
}
