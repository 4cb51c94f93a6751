//! Storm, then calm: what the cluster must have come to when everything works again.

use std::collections::BTreeSet;
use std::time::Duration;

use aerie::master::node::Node;
use aerie::types::{Lsn, Mode, NodeId};

use crate::action::Action;
use crate::faults::Links;
use crate::world::World;

impl World {
    /// Storm, then calm: everything works again and the cluster must come to rest.
    pub fn run(&mut self) {
        let storm_ends = self.now.after(self.options.stormy);
        self.run_until(storm_ends, |_| false);
        self.calm = true;
        self.heal_everything();
        self.come_to_rest();
    }

    pub fn come_to_rest(&mut self) {
        let bound = self.now.after(self.options.calm);
        let settled = self.run_until(bound, World::settled);
        assert!(settled, "I6: not settled in {:?}: {}", self.options.calm, self.picture());
        let writes = self.checker.acked.len();
        let bound = self.now.after(Duration::from_secs(5));
        let goes_on = self.run_until(bound, |world| world.checker.acked.len() > writes + 3);
        assert!(goes_on, "I6: no write is acknowledged after the storm: {}", self.picture());
    }

    /// One open primary, everybody in the set, everybody at the same position, and no change of the
    /// voters left half done.
    pub fn settled(&self) -> bool {
        let open = self.hosts.values().filter(|host| host.open).count();
        let all = self.record().in_sync.len() == self.hosts.len();
        let alive = self.hosts.values().all(|host| host.node.is_some());
        let applied: BTreeSet<Lsn> = self.hosts.values().map(|h| h.storage.applied()).collect();
        // Without a register nobody goes on with that.
        let changing = self.record().mode == Mode::Embedded && self.record().next_voters.is_some();
        if open != 1 || !all || !alive || changing || applied.len() != 1 {
            return false;
        }
        let primary = self.hosts.values().find(|host| host.open).map(|host| host.id);
        if !primary.is_some_and(|id| self.segments_settled(id)) {
            return false;
        }
        let digests: BTreeSet<_> = self.hosts.values().map(|h| h.storage.digest()).collect();
        assert!(digests.len() == 1, "I7: catalogs differ at {applied:?}");
        true
    }

    pub fn picture(&self) -> String {
        let mut text = format!("{}", self.record());
        if let Some(next) = &self.record().next_voters {
            text += &format!("; on the way to {} voters", next.len());
        }
        for agent in &self.agents {
            let (name, alive) = (agent.hostname(), agent.alive());
            text += &format!("; {name} lives={alive}");
        }
        for host in self.hosts.values() {
            let view = host.node.as_ref().map(Node::view);
            let role = view.as_ref().map_or("dead", |view| view.role.as_str());
            let why = view.map_or(String::new(), |view| view.closed_reason);
            let (end, applied) = (host.storage.end(), host.storage.applied());
            for row in host.storage.segments.values() {
                text += &format!("; node {} has {} {:?}", host.id, row.hostname, row.status);
            }
            let open = if host.open { "open" } else { "closed" };
            text += &format!("; node {} {role} {open} end={end} applied={applied} {why}", host.id);
        }
        text
    }

    pub fn heal_everything(&mut self) {
        self.links = Links { agents_mended: self.now, ..Links::default() };
        self.register.up = true;
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            let host = self.hosts.get_mut(&id).unwrap();
            host.resume(self.now);
            host.flush_slow = false;
            if host.node.is_none() {
                self.after(Duration::from_millis(1), Action::Restart { host: id });
            }
        }
        if self.options.by_person() {
            // Most segments have to be there: they are the witnesses.
            (0..self.agents.len()).for_each(|agent| self.start_agent(agent));
        }
    }
}
