//! What comes from outside: clients, readers, operators, and what goes wrong.

use std::time::Duration;

use aerie::master::node::Node;
use aerie::master::{Event, Request};
use aerie::types::{ClusterState, Incarnation, Lsn, NodeId};

use crate::action::Action;
use crate::faults::{Fault, draw};
use crate::host::Host;
use crate::proposing::Asking;
use crate::storage::{Storage, transaction};
use crate::world::{LEASE, World, control};

impl World {
    pub fn client(&mut self) {
        self.soon(2_000, 40_000, Action::Client);
        let open: Vec<NodeId> = self.hosts.values().filter(|h| h.open).map(|h| h.id).collect();
        if open.is_empty() {
            return;
        }
        let id = open[self.rng.below(open.len() as u64) as usize];
        self.writes += 1;
        self.tickets += 1;
        let (ticket, write) = (self.tickets, self.writes);
        let host = self.hosts.get_mut(&id).unwrap();
        host.tickets.insert(ticket, write);
        let life = host.life;
        let event = Event::Propose { ticket, payload: transaction(write) };
        self.after(Duration::ZERO, Action::Local { host: id, life, event });
    }

    pub fn reader(&mut self) {
        self.soon(5_000, 30_000, Action::Reader);
        if self.options.manual || self.options.turns {
            return; // An old primary cut off from all but its readers serves old rows there.
        }
        if self.options.confirm {
            self.confirmed_reader();
            return;
        }
        for (id, applied) in self.readable() {
            self.checker.read(id, applied);
        }
    }

    /// Who would serve a read now, and what it would show.
    pub fn readable(&self) -> Vec<(NodeId, Lsn)> {
        let now = self.now;
        let readable = self.hosts.values().filter(|host| {
            let until = host.node.as_ref().and_then(Node::readable_until);
            host.paused_until <= now && until.is_some_and(|until| host.clock(now) < until)
        });
        readable.map(|host| (host.id, host.storage.applied())).collect()
    }

    /// A read begins on every node that takes itself for an open primary, and waits there.
    fn confirmed_reader(&mut self) {
        let (now, acked) = (self.now, self.checker.highest_acked);
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            let host = self.hosts.get_mut(&id).unwrap();
            if host.open && host.reading.is_none() && host.paused_until <= now {
                host.reading = Some((host.clock(now), acked));
                let life = host.life;
                self.step(id, life, Event::ConfirmReads);
            }
        }
    }

    /// As the daemon's door decides it.
    pub fn answer_reader(&mut self, id: NodeId) {
        let host = self.hosts.get_mut(&id).unwrap();
        let Some((came, acked)) = host.reading else { return };
        let until = host.node.as_ref().and_then(Node::readable_until);
        if !host.open {
            host.reading = None;
        } else if until.is_some_and(|until| until > came.after(LEASE * 9 / 10)) {
            host.reading = None;
            let applied = host.storage.applied();
            self.checker.read_since(id, applied, acked);
        }
    }

    /// Manual mode: somebody looks from time to time and activates a standby.
    pub fn person(&mut self) {
        self.soon(500_000, 2_000_000, Action::Person);
        self.force_the_doubtful();
        self.force_past_a_lost_primary();
        if self.rng.percent(30) {
            self.change_voters();
        }
        if self.record().paused && self.calm {
            // What was asked before may have been lost.
            let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
            let id = ids[self.rng.below(ids.len() as u64) as usize];
            self.hold(id, false);
        }
        let open = self.hosts.values().any(|host| host.open && host.paused_until <= self.now);
        if !(self.options.manual || self.options.turns) || open {
            return;
        }
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        let id = ids[self.rng.below(ids.len() as u64) as usize];
        let life = self.hosts[&id].life;
        let request = Request::Activate { force: false, switchover: self.rng.percent(30) };
        self.step(id, life, Event::Request { ticket: 0, request });
    }

    /// A lone primary whose log has a damaged tail waits for a person; this one knows that a disk
    /// here never loses what it has flushed.
    pub fn force_the_doubtful(&mut self) {
        let record = self.record();
        let host = &self.hosts[&record.primary];
        let alone = record.in_sync.len() == 1 && record.is_in_sync(host.member());
        let waits = host.node.as_ref().map(Node::view);
        let doubtful = waits.is_some_and(|view| view.closed_reason.contains("damaged"));
        if alone && doubtful {
            let (id, life) = (host.id, host.life);
            self.note(|_| format!("a person forces node {id}"));
            self.step(id, life, Event::Request { ticket: 0, request: Request::ForceOpen });
        }
    }

    pub fn fault(&mut self) {
        if self.calm {
            return;
        }
        self.soon(50_000, 3_000_000, Action::Fault);
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        let fault = draw(&mut self.rng, &ids, self.options.manual);
        self.note(|_| format!("fault {fault:?}"));
        self.checker.faults += 1;
        match fault.clone() {
            Fault::Crash { node, power, down } => {
                self.crash(node, power);
                if !power {
                    self.report_end(node);
                }
                self.after(down, Action::Restart { host: node });
            }
            Fault::CrashAll { power } => {
                for id in ids {
                    self.crash(id, power);
                    self.soon(10_000, 1_000_000, Action::Restart { host: id });
                }
            }
            Fault::Pause { node, span } => {
                self.hosts.get_mut(&node).unwrap().pause(self.now, span);
            }
            Fault::Cut { from, to, both, span } => {
                self.links.cut.insert((from, to));
                if both {
                    self.links.cut.insert((to, from));
                }
                self.after(span, Action::Heal(fault));
            }
            Fault::CoordinatorDown { span } => {
                self.register.up = false;
                self.after(span, Action::Heal(fault));
            }
            Fault::CoordinatorCut { node, span } => {
                self.links.no_coordinator.insert(node);
                self.after(span, Action::Heal(fault));
            }
            Fault::SlowDisk { node, span } => {
                self.hosts.get_mut(&node).unwrap().flush_slow = true;
                self.after(span, Action::Heal(fault));
            }
            Fault::Hold { node, span } => {
                self.hold(node, true);
                self.after(span, Action::Heal(fault));
            }
            Fault::Wipe { node } => self.wipe(node),
            Fault::Segment { agent } => self.turn_agent(agent as usize % self.agents.len()),
            Fault::Release { node } => {
                let life = self.hosts[&node].life;
                let request = Request::Release { to: None };
                self.step(node, life, Event::Request { ticket: 0, request });
            }
        }
    }

    pub fn heal(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { from, to, .. } => {
                self.links.cut.remove(&(from, to));
                self.links.cut.remove(&(to, from));
            }
            Fault::CoordinatorDown { .. } => self.register.up = true,
            Fault::CoordinatorCut { node, .. } => {
                self.links.no_coordinator.remove(&node);
            }
            Fault::SlowDisk { node, .. } => {
                self.hosts.get_mut(&node).unwrap().flush_slow = false;
            }
            Fault::Hold { node, .. } => self.hold(node, false),
            _ => {}
        }
    }

    fn hold(&mut self, id: NodeId, paused: bool) {
        let life = self.hosts[&id].life;
        let request = Request::Pause { paused };
        self.step(id, life, Event::Request { ticket: 0, request });
    }

    pub fn crash(&mut self, id: NodeId, power: bool) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        if host.node.take().is_none() {
            return;
        }
        host.life += 1;
        host.open = false;
        host.waiting.clear();
        host.reading = None;
        host.tickets.clear();
        host.wake = None;
        host.asking = Asking::new(id);
        host.fts_wake = None;
        host.resume(now);
        host.storage.crash(power);
    }

    /// Only where another member of the recorded set still has its data, and stays in it whatever
    /// is on its way to the coordinator: no rule helps otherwise.
    pub fn wipe(&mut self, id: NodeId) {
        let on_their_way = self.records_on_their_way();
        let records: Vec<&ClusterState> = on_their_way.chain([self.record()]).collect();
        let keeps_it = |host: &Host| records.iter().all(|record| record.is_in_sync(host.member()));
        if !self.hosts.values().any(|host| host.id != id && keeps_it(host)) {
            return;
        }
        self.crash(id, true);
        self.lives += 1;
        let lives = self.lives;
        let host = self.hosts.get_mut(&id).unwrap();
        host.incarnation = Incarnation(u64::from(id.get()) << 32 | lives);
        host.storage = Storage::new(self.rng.next(), host.incarnation, control(None));
        self.soon(10_000, 1_000_000, Action::Restart { host: id });
    }
}
