//! What a simulated host gets from a coordinator: questions and answers may be lost or late. Where
//! a person decides, the driver of manual mode is asked (`manual`).

use aerie::ha::register::Ask;
use aerie::ha::{Authority, ReadOutcome, SwapOutcome};
use aerie::master::Event;
use aerie::types::{ClusterState, Member, Mode, NodeId};

use crate::action::Action;
use crate::proposing::Wanted;
use crate::world::World;

impl World {
    pub fn reaches_coordinator(&mut self, id: NodeId) -> bool {
        let cut = self.links.no_coordinator.contains(&id) || !self.register.up;
        !cut && (self.calm || !self.rng.percent(3))
    }

    pub fn read_record(
        &mut self,
        (id, life): (NodeId, u64),
        attempt: u64,
        (authority, coordinator): (Authority, Mode),
    ) {
        if coordinator == Mode::Manual {
            if self.current(id, life) {
                self.hosts.get_mut(&id).unwrap().manual.read(attempt, authority);
                self.poll_manual(id);
            }
            return;
        }
        if self.options.voters {
            if self.current(id, life) {
                self.ask_voters(id, Wanted::Read { attempt }, Ask::Read);
            }
            return;
        }
        let outcome = if self.reaches_coordinator(id) && self.reaches_coordinator(id) {
            self.register.read()
        } else {
            ReadOutcome::Unavailable { reason: "no answer".to_owned() }
        };
        let answered = !matches!(outcome, ReadOutcome::Unavailable { .. });
        let wait = if answered { 2_000 } else { 100_000 };
        let event = Event::RecordRead { attempt, outcome };
        self.soon(200, wait, Action::Local { host: id, life, event });
    }

    pub fn swap(
        &mut self,
        (id, life): (NodeId, u64),
        (authority, coordinator): (Authority, Mode),
        proposed: &ClusterState,
    ) {
        if coordinator == Mode::Manual {
            if self.current(id, life) {
                self.hosts.get_mut(&id).unwrap().manual.swap(authority, proposed.clone());
                self.poll_manual(id);
            }
            return;
        }
        if self.options.voters {
            if self.current(id, life) {
                let wanted = Wanted::Swap { nonce: proposed.nonce };
                self.ask_voters(id, wanted, Ask::Swap(proposed.clone()));
            }
            return;
        }
        let again = |proposed| Action::Swap { host: id, life, authority, coordinator, proposed };
        self.ask_to_change((id, life), proposed, again, |world, by| {
            world.register.swap(proposed, by)
        });
    }

    pub fn create(&mut self, (id, life): (NodeId, u64), first: &ClusterState) {
        let again = |first| Action::Create { host: id, life, first };
        self.ask_to_change((id, life), first, again, |world, by| world.register.create(first, by));
    }

    fn ask_to_change(
        &mut self,
        (id, life): (NodeId, u64),
        proposed: &ClusterState,
        again: impl Fn(Box<ClusterState>) -> Action,
        change: impl Fn(&mut World, Member) -> SwapOutcome,
    ) {
        let by = Member { node: id, incarnation: self.hosts[&id].incarnation };
        let nonce = proposed.nonce;
        let lost = SwapOutcome::Unknown { reason: "no answer".to_owned() };
        if !self.reaches_coordinator(id) {
            if self.rng.percent(30) {
                // It will arrive all the same, late.
                self.soon(10_000, 2_000_000, again(Box::new(proposed.clone())));
            }
            let event = Event::Swapped { nonce, outcome: lost };
            self.soon(100_000, 150_000, Action::Local { host: id, life, event });
            return;
        }
        let outcome = change(self, by);
        let verdict = match &outcome {
            SwapOutcome::Done => "done",
            SwapOutcome::Failed { reason, .. } | SwapOutcome::Unknown { reason } => reason,
        };
        let verdict = verdict.to_owned();
        self.note(|world| format!("swap by {id}: {verdict}; {}", world.record()));
        let lost_one = self.lose_answers > 0;
        self.lose_answers = self.lose_answers.saturating_sub(1);
        let answered = self.reaches_coordinator(id) && !lost_one;
        let outcome = if answered { outcome } else { lost };
        let event = Event::Swapped { nonce, outcome };
        let wait = if answered { 2_000 } else { 150_000 };
        self.soon(200, wait, Action::Local { host: id, life, event });
    }
}
