//! A cluster that is turned to automatic mode and back while things go wrong. An operator may act
//! on any node at any time, also on one that has not heard of the latest turn.

use aerie::master::{Event, Request};
use aerie::types::{ClusterState, Incarnation, Mode, NodeId, Voter};

use crate::action::Action;
use crate::world::World;

impl World {
    /// The record that rules: the newest of the copies that the masters go by where a person
    /// decides, or the coordinator's.
    pub fn record(&self) -> &ClusterState {
        let held = &self.register.record;
        if !self.options.by_person() {
            return held;
        }
        let copies = self.hosts.values().filter_map(|host| host.storage.control.record.as_ref());
        copies.fold(held, |newest, copy| {
            let newer = (copy.epoch, copy.version) > (newest.epoch, newest.version);
            if newer { copy } else { newest }
        })
    }

    pub fn turn(&mut self) {
        self.soon(300_000, 3_000_000, Action::Turn);
        if self.calm {
            return;
        }
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        let id = ids[self.rng.below(ids.len() as u64) as usize];
        let request = if self.rng.percent(60) { enable() } else { Request::Disable };
        let life = self.hosts[&id].life;
        self.step(id, life, Event::Request { ticket: 0, request });
    }
}

pub fn enable() -> Request {
    let voter = |number: u64| Voter {
        name: format!("voter{number}"),
        incarnation: Incarnation(number),
        host: "host".to_owned(),
        rpc_port: 1,
    };
    Request::Enable { mode: Mode::Embedded, voters: (1..=3).map(voter).collect() }
}
