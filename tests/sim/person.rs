//! People: they activate standbys, force where nothing else helps, replace voters, end pauses.

use std::time::Duration;

use aerie::master::node::Node;
use aerie::master::{Event, Request};
use aerie::types::{Mode, NodeId, NodeRole};

use crate::action::Action;
use crate::host::Host;
use crate::world::{START, World};

/// So long people try without force when everything works again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ticket of a person's activation of a node; others are lower.
fn ticket_at(node: NodeId) -> u64 {
    (1 << 33) + u64::from(node.get())
}

impl World {
    /// Somebody looks from time to time.
    pub fn person(&mut self) {
        self.soon(500_000, 2_000_000, Action::Person);
        self.force_the_doubtful();
        self.force_past_a_lost_primary();
        self.force_the_last_primary();
        if self.rng.percent(30) {
            self.change_voters();
        }
        if self.record().paused && self.calm {
            // What was asked before may have been lost.
            let id = self.any_node();
            self.hold(id, false);
        }
        if self.options.by_person() && self.acts() {
            self.activate_any();
            // Another one does the same, perhaps elsewhere.
            if self.rng.percent(25) {
                self.activate_any();
            }
        }
    }

    /// A primary that serves is left alone, but for people who act without looking; one that is
    /// cut off may serve somebody, and looks dead to the person all the same.
    fn acts(&mut self) -> bool {
        let chance = match (self.is_served(true), self.is_served(false)) {
            (true, _) if self.calm => 0,
            (true, _) => 10,
            (false, true) => 60,
            (false, false) => 100,
        };
        self.rng.percent(chance)
    }

    fn is_served(&self, reached: bool) -> bool {
        let cut = |id| self.links.cut.iter().any(|(from, to)| *from == id || *to == id);
        let reigns =
            |host: &Host| host.node.as_ref().is_some_and(|n| n.view().role == NodeRole::Primary);
        let serves = |host: &Host| host.open && host.paused_until <= self.now && reigns(host);
        self.hosts.values().any(|host| serves(host) && !(reached && cut(host.id)))
    }

    fn any_node(&mut self) -> NodeId {
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        ids[self.rng.below(ids.len() as u64) as usize]
    }

    fn activate_any(&mut self) {
        let (id, switchover) = (self.any_node(), self.rng.percent(30));
        self.activate(id, switchover);
    }

    pub fn activate(&mut self, id: NodeId, switchover: bool) {
        let (life, ticket) = (self.hosts[&id].life, ticket_at(id));
        let request = Request::Activate { force: false, switchover };
        self.step(id, life, Event::Request { ticket, request });
    }

    /// Whoever was refused reads why and, some of the time, tries once more.
    pub fn activation_refused(&mut self, ticket: u64) {
        let refused = self.hosts.keys().copied().find(|id| ticket_at(*id) == ticket);
        if let Some(host) = refused.filter(|_| self.rng.percent(50) && !self.is_served(false)) {
            self.soon(100_000, 1_000_000, Action::Activate { host });
        }
    }

    /// A lone primary whose log has a damaged tail waits for a person; this one knows that a disk
    /// here never loses what it has flushed.
    fn force_the_doubtful(&mut self) {
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

    /// Everything works again, and still nobody reigns: an activation got half way, so that the
    /// primary of before stays closed and says what would help. Whoever types that had better know
    /// that no standby was activated.
    fn force_the_last_primary(&mut self) {
        let patient = START.after(self.options.stormy + PATIENCE) <= self.now;
        let manual = self.record().mode == Mode::Manual;
        if !manual || !self.calm || !patient || self.is_served(false) {
            return;
        }
        let id = self.record().primary;
        self.forced += 1;
        self.note(|_| format!("a person starts node {id} by force"));
        let life = self.hosts[&id].life;
        self.step(id, life, Event::Request { ticket: 0, request: Request::ForceOpen });
    }

    /// The primary that was about to enable automatic mode has lost its disk. Whoever takes over
    /// from it by force had better know that its record is not on its way any more.
    fn force_past_a_lost_primary(&mut self) {
        let record = self.record();
        let lost = !record.is_in_sync(self.hosts[&record.primary].member());
        let in_flight = self.queue.values().any(|action| matches!(action, Action::Create { .. }));
        if record.enabling.is_none() || !lost || in_flight {
            return;
        }
        let able = self.hosts.values().find(|host| record.is_in_sync(host.member()));
        let Some((id, life)) = able.map(|host| (host.id, host.life)) else { return };
        self.note(|_| format!("a person activates node {id} by force"));
        let request = Request::Activate { force: true, switchover: false };
        self.step(id, life, Event::Request { ticket: 0, request });
    }

    pub fn hold(&mut self, id: NodeId, paused: bool) {
        let life = self.hosts[&id].life;
        let request = Request::Pause { paused };
        self.step(id, life, Event::Request { ticket: 0, request });
    }
}
