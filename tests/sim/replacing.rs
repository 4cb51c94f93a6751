//! Other voters of the register, as an operator asks for them. Where one register stands for the
//! coordinator they only show that a node changes them in two steps, whatever goes wrong meanwhile.

use std::collections::BTreeSet;

use aerie::master::{Event, Request};
use aerie::types::{ClusterState, Mode, Voter};

use crate::voters::voter;
use crate::world::World;

/// Who could vote where nobody has to.
const NUMBERS: [u8; 5] = [1, 2, 3, 4, 5];

pub fn voters(numbers: impl IntoIterator<Item = u8>) -> BTreeSet<Voter> {
    numbers.into_iter().map(voter).collect()
}

/// What a wish rests on.
pub fn base(record: &ClusterState) -> BTreeSet<Voter> {
    record.next_voters.as_ref().unwrap_or(&record.voters).clone()
}

impl World {
    /// Any three, asked of a node that takes itself for the primary.
    pub fn change_voters(&mut self) {
        let (mode, from) = (self.record().mode, base(self.record()));
        let open = self.hosts.values().find(|host| host.open);
        let Some((id, life)) = open.map(|host| (host.id, host.life)) else { return };
        if mode != Mode::Embedded {
            return;
        }
        let mut left = if self.options.voters { self.seat_numbers() } else { NUMBERS.to_vec() };
        while left.len() > 3 {
            left.remove(self.rng.below(left.len() as u64) as usize);
        }
        let request = Request::ChangeVoters { from, to: voters(left) };
        self.step(id, life, Event::Request { ticket: 0, request });
    }
}
