//! The nodes of the world, started, stepped and woken as the daemon does it.

use aerie::master::Event;
use aerie::master::node::{Node, NodeSettings, Timeouts};
use aerie::types::NodeId;

use crate::action::Action;
use crate::segments::machine;
use crate::world::{CLUSTER, LEASE, World};

impl World {
    pub fn current(&self, host: NodeId, life: u64) -> bool {
        self.hosts[&host].life == life && self.hosts[&host].node.is_some()
    }

    pub fn step(&mut self, id: NodeId, life: u64, event: Event) {
        if !self.current(id, life) {
            return;
        }
        self.note(|_| format!("node {id} <- {event}"));
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let local = host.clock(now);
        let mut effects = Vec::new();
        let Some(node) = &mut host.node else { return };
        node.step(local, event, &mut effects);
        self.steps += u64::from(self.is_step(&effects));
        self.perform_effects(id, effects);
        self.answer_clients(id);
        self.answer_reader(id);
        self.arm(id);
    }

    pub fn arm(&mut self, id: NodeId) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let deadline = host.node.as_ref().and_then(Node::deadline);
        let at = deadline.map(|local| host.true_time(local).max(now));
        if at.is_some() && at != host.wake {
            host.wake = at;
            let life = host.life;
            let wait = at.unwrap_or(now).since(now);
            self.after(wait, Action::Wake { host: id, life });
        }
    }

    pub fn wake(&mut self, id: NodeId, life: u64) {
        if !self.current(id, life) {
            return;
        }
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        host.wake = None;
        let local = host.clock(now);
        let due = host.node.as_ref().and_then(Node::deadline).is_some_and(|at| at <= local);
        if due {
            self.step(id, life, Event::Deadline);
        } else {
            self.arm(id);
        }
    }

    fn lease_factor(&self, id: NodeId) -> u32 {
        let turn = self.hosts[&id].life + u64::from(id.get());
        if self.options.leases { [2, 3, 1][(turn % 3) as usize] } else { 1 }
    }

    pub fn restart(&mut self, id: NodeId) {
        let lease = LEASE * self.lease_factor(id);
        let settings = NodeSettings {
            lease,
            manual: Timeouts { standby: lease * 2, coordinator: lease * 3 / 10 },
            strict: self.options.strict,
            fences: self.options.fences,
            failovers_max: self.options.failovers_max,
            auto_rejoin: self.options.auto_rejoin,
            lone_stops: self.options.lone_stops,
            ..NodeSettings::default()
        };
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        if host.node.is_some() {
            return;
        }
        host.life += 1;
        host.fts = machine();
        (host.started, host.woke) = (now, now);
        let mut effects = Vec::new();
        let found = host.storage.open(host.incarnation);
        let control = host.storage.control.clone();
        let identity = (CLUSTER, host.member());
        let local = host.clock(now);
        let node = Node::new(settings, identity, control, found, (local, &mut effects));
        host.node = Some(node);
        self.note(|_| format!("node {id} starts"));
        self.perform_effects(id, effects);
        self.arm(id);
    }
}
