//! Scripts that fence old primaries: they take their time, and fail. Nobody who took over by itself
//! opens before the last one that was open is fenced, or has handed its reign back.

use std::collections::BTreeSet;

use aerie::master::Event;
use aerie::types::{Epoch, Member, NodeId, Unfenced};

use crate::action::Action;
use crate::world::World;

#[derive(Debug, Default)]
pub struct Fenced {
    done: BTreeSet<Unfenced>,
    released: BTreeSet<Epoch>,
    last_open: Option<(Member, Epoch)>,
    pub successes: u64,
    pub failures: u64,
}

impl World {
    pub fn fence_old(&mut self, id: NodeId, old: Unfenced, reign: Epoch) {
        let fails = !self.calm && self.rng.percent(40);
        let outcome = if fails {
            self.fenced.failures += 1;
            Err("no answer".to_owned())
        } else {
            self.fenced.successes += 1;
            self.fenced.done.insert(old);
            Ok("script".to_owned())
        };
        let life = self.hosts[&id].life;
        let event = Event::Fenced { reign, outcome };
        self.soon(5_000, 900_000, Action::Local { host: id, life, event });
    }

    pub fn released(&mut self, epoch: Epoch) {
        self.fenced.released.insert(epoch);
    }

    pub fn opened_after(&mut self, id: NodeId, epoch: Epoch) {
        let before = self.fenced.last_open.replace((self.hosts[&id].member(), epoch));
        let Some((member, reign)) = before.filter(|(member, _)| member.node != id) else { return };
        let node = member.node;
        let fenced = self.fenced.done.iter().any(|old| old.node == node && old.epoch >= reign);
        let released = self.fenced.released.contains(&reign);
        // Who follows a later epoch on disk is primary no more, nor is who has lost that disk.
        let host = &self.hosts[&node];
        let follows = host.storage.control.followed > reign || host.member() != member;
        let needed = self.options.fences && !released && !follows;
        assert!(
            !needed || fenced,
            "node {id} opened in {epoch}, node {node} of {reign} not fenced"
        );
    }
}
