//! What comes from outside: clients, readers, and what goes wrong.

use std::time::Duration;

use aerie::master::node::Node;
use aerie::master::{Event, Request};
use aerie::types::{ClusterState, Incarnation, Lsn, NodeId, NodeRole};

use crate::action::Action;
use crate::agents::Calling;
use crate::faults::{Fault, Way, draw, draw_by_hand};
use crate::host::Host;
use crate::manual::Manual;
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
        if self.options.by_person() {
            self.newest_reader();
            return;
        }
        if self.options.confirm {
            self.confirmed_reader();
            return;
        }
        for (id, applied) in self.readable() {
            self.checker.read(id, applied);
        }
    }

    /// An old primary cut off from all but its readers serves old rows in manual mode; the newest
    /// one never does.
    fn newest_reader(&mut self) {
        let newest = self.checker.newest;
        for (id, applied) in self.readable() {
            let node = self.hosts[&id].node.as_ref();
            let is_newest = node.is_some_and(|node| node.view().epoch >= newest);
            if is_newest && !self.options.unwitnessed() {
                self.checker.read(id, applied);
            }
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

    pub fn fault(&mut self) {
        if self.calm {
            return;
        }
        let seldom = if self.options.manual { 1_200_000 } else { 3_000_000 };
        self.soon(50_000, seldom, Action::Fault);
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        let draw = if self.options.manual { draw_by_hand } else { draw };
        let fault = draw(&mut self.rng, &ids);
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
                if self.options.manual && power {
                    (0..self.agents.len()).for_each(|agent| self.strike_agent(agent));
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
            Fault::Segment { agent } => {
                if let Some(agent) = self.agent_of(agent) {
                    self.turn_agent(agent);
                }
            }
            Fault::SegmentCrash { agent, down } => {
                if let Some(agent) = self.agent_of(agent) {
                    self.stop_agent(agent);
                    self.after(down, Action::Calling(Calling::Start { agent }));
                }
            }
            Fault::SegmentCut { node, agent, way, span } => {
                if let Some(agent) = self.agent_of(agent) {
                    self.links.agents.insert((node, agent, way));
                    self.after(span, Action::Heal(fault));
                }
            }
            Fault::Isolation { node, span } => {
                self.isolate(node);
                self.after(span, Action::Heal(fault));
            }
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
            Fault::SegmentCut { node, agent, way, .. } => {
                if let Some(agent) = self.agent_of(agent) {
                    self.links.agents.remove(&(node, agent, way));
                    self.links.agents_mended = self.now;
                }
            }
            Fault::Isolation { node, .. } => {
                self.links.cut.retain(|(from, to)| *from != node && *to != node);
                self.links.agents.retain(|(master, _, _)| *master != node);
                self.links.agents_mended = self.now;
            }
            _ => {}
        }
    }

    /// Whom a drawn number names, where there are segments.
    fn agent_of(&self, drawn: u64) -> Option<usize> {
        let count = self.agents.len() as u64;
        (count > 0).then(|| (drawn % count) as usize)
    }

    fn strike_agent(&mut self, agent: usize) {
        self.stop_agent(agent);
        self.soon(10_000, 1_000_000, Action::Calling(Calling::Start { agent }));
    }

    fn isolate(&mut self, node: NodeId) {
        let others = self.hosts.keys().copied().filter(|other| *other != node);
        self.links.cut.extend(others.flat_map(|other| [(node, other), (other, node)]));
        let ways = |agent| [Way::There, Way::Back].map(|way| (node, agent, way));
        self.links.agents.extend((0..self.agents.len()).flat_map(ways));
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
        host.manual = Manual::new(id, host.shrink);
        host.gathered.clear();
        host.announced = None;
        host.fts_wake = None;
        host.resume(now);
        host.storage.crash(power);
    }

    /// Only where another member of the recorded set still has its data, and stays in it whatever
    /// is on its way to the coordinator: no rule helps otherwise.
    pub fn wipe(&mut self, id: NodeId) {
        // Nor where an activation of this node is half done: who took what only it knew for lost
        // would have to use force.
        let taking_over = self.hosts[&id].node.as_ref().map(|node| node.view().role);
        let begun = self.agents.iter().any(|agent| agent.follows() > self.record().epoch);
        if self.options.by_person() && (begun || taking_over == Some(NodeRole::TakingOver)) {
            return;
        }
        let on_their_way = self.records_on_their_way();
        let records: Vec<&ClusterState> = on_their_way.chain([self.record()]).collect();
        // One that is down may come up with a doubtful tail, and waits for this disk then.
        let sound = |host: &Host| host.node.is_some() && !host.storage.is_doubtful();
        let keeps_it = |host: &Host| {
            sound(host) && records.iter().all(|record| record.is_in_sync(host.member()))
        };
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
