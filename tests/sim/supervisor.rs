//! The parent of each node's process: it sees the process die and tells the others, soon, late,
//! twice, or not at all.

use aerie::master::{Event, Request};
use aerie::types::{Epoch, Member, NodeId};

use crate::action::Action;
use crate::world::World;

impl World {
    /// What a supervisor reads in the directory of its dead process.
    pub fn end_of(&self, id: NodeId) -> (Member, Epoch) {
        let host = &self.hosts[&id];
        let control = &host.storage.control;
        (host.member(), control.followed.max(control.promised))
    }

    /// After a crash of the process alone.
    pub fn report_end(&mut self, id: NodeId) {
        let (member, upto) = self.end_of(id);
        let others: Vec<NodeId> = self.hosts.keys().copied().filter(|to| *to != id).collect();
        for to in others {
            if self.rng.percent(70) {
                self.soon(500, 40_000, Action::Report { to, member, upto });
            }
            if self.rng.percent(30) {
                self.soon(40_000, 4_000_000, Action::Report { to, member, upto });
            }
        }
    }

    pub fn hear_of_end(&mut self, to: NodeId, member: Member, upto: Epoch) {
        let life = self.hosts[&to].life;
        let request = Request::Ended { member, upto };
        self.step(to, life, Event::Request { ticket: 0, request });
    }
}
