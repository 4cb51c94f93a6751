//! A cluster that is turned to automatic mode and back while things go wrong.
//!
//! In manual mode each host goes by the copy in its own control file, as the real driver does; what
//! the real one hears from segments and masters is known here without asking. An operator may act
//! on any node at any time, also on one that has not heard of the latest turn.

use std::collections::BTreeSet;

use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::master::{Event, Request};
use aerie::types::{ClusterState, Epoch, Incarnation, Member, Mode, NodeId, Voter};

use crate::action::Action;
use crate::world::World;

impl World {
    /// The record that rules, or the newer one where it is being handed over.
    pub fn record(&self) -> &ClusterState {
        let held = &self.register.record;
        let rank = |record: &ClusterState| (record.epoch, record.version);
        let by_hand = self.options.turns && rank(&self.by_hand) > rank(held);
        if by_hand { &self.by_hand } else { held }
    }

    pub fn by_hand_in(&self, coordinator: Mode) -> bool {
        self.options.turns && coordinator == Mode::Manual
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

    /// The primary that was about to enable automatic mode has lost its disk. Whoever takes over
    /// from it by force had better know that its record is not on its way any more.
    pub fn force_past_a_lost_primary(&mut self) {
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

    fn own_copy(&self, id: NodeId) -> Option<ClusterState> {
        self.hosts[&id].storage.control.record.clone()
    }

    /// What has been written on any host's disk is known to the omniscient person: a cluster that
    /// was turned back goes on from what its primary has.
    fn catch_up_by_hand(&mut self) {
        let copies: BTreeSet<NodeId> = self.hosts.keys().copied().collect();
        for id in copies {
            let Some(copy) = self.own_copy(id) else { continue };
            let newer = (copy.epoch, copy.version) > (self.by_hand.epoch, self.by_hand.version);
            if copy.mode == Mode::Manual && newer {
                self.by_hand = copy;
            }
        }
    }

    pub fn read_by_hand(&mut self, id: NodeId) -> ReadOutcome {
        self.catch_up_by_hand();
        let Some(mine) = self.own_copy(id) else {
            return ReadOutcome::Unavailable { reason: "not learned yet".to_owned() };
        };
        if self.by_hand.epoch > mine.epoch {
            return ReadOutcome::Record(Box::new(self.by_hand.clone()));
        }
        ReadOutcome::Record(Box::new(mine))
    }

    pub fn swap_by_hand(&mut self, proposed: &ClusterState, by: Member) -> SwapOutcome {
        self.catch_up_by_hand();
        let Some(mine) = self.own_copy(by.node) else {
            return refused(None, "not learned yet");
        };
        if mine.nonce == proposed.nonce {
            return SwapOutcome::Done;
        }
        if mine.version + 1 != proposed.version || mine.epoch > proposed.epoch {
            return refused(Some(mine), "another version");
        }
        if self.by_hand.epoch > mine.epoch {
            return refused(Some(self.by_hand.clone()), "a higher epoch is followed");
        }
        if proposed.primary != mine.primary && !self.by_hand.is_in_sync(by) {
            return refused(None, "out of sync");
        }
        self.by_hand = proposed.clone();
        let storage = &mut self.hosts.get_mut(&by.node).unwrap().storage;
        storage.control.record = Some(proposed.clone());
        SwapOutcome::Done
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

fn refused(current: Option<ClusterState>, reason: &str) -> SwapOutcome {
    let (current, reason) = (current.map(Box::new), reason.to_owned());
    SwapOutcome::Failed { current, reason, met: Epoch::ZERO }
}
