//! A record of a few bytes, and the electorates that it can name.

use std::collections::BTreeSet;
use std::fmt;

use aerie::ha::register::{Electorate, Record};
use aerie::types::{ClusterId, Incarnation, Nonce};

/// Three voters, of which no record names others.
pub const STABLE: u8 = 0;
/// The electorates of a change of voters: two old ones, both, two new ones. Two are a majority of
/// two, so that one alone is a minority of either.
pub const OLD: u8 = 1;
pub const BOTH: u8 = 2;
pub const NEW: u8 = 3;
/// From two voters to one that was not among them: their majorities have nobody in common.
pub const OLD_APART: u8 = 4;
pub const BOTH_APART: u8 = 5;
pub const NEW_APART: u8 = 6;

/// A record of a few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tiny {
    pub version: u8,
    pub nonce: u8,
    pub stage: u8,
}

impl fmt::Display for Tiny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} nonce {} stage {}", self.version, self.nonce, self.stage)
    }
}

impl Record for Tiny {
    fn version(&self) -> u64 {
        u64::from(self.version)
    }

    fn nonce(&self) -> Nonce {
        Nonce(u128::from(self.nonce))
    }

    fn cluster(&self) -> ClusterId {
        ClusterId(1)
    }

    fn electorate(&self) -> Electorate {
        let set = |voters: std::ops::Range<u64>| voters.map(Incarnation).collect::<BTreeSet<_>>();
        match self.stage {
            STABLE => Electorate::new(set(0..3), None),
            OLD => Electorate::new(set(0..2), None),
            BOTH => Electorate::new(set(0..2), Some(set(1..3))),
            NEW => Electorate::new(set(1..3), None),
            OLD_APART => Electorate::new(set(0..2), None),
            BOTH_APART => Electorate::new(set(0..2), Some(set(2..3))),
            _ => Electorate::new(set(2..3), None),
        }
    }

    fn ends_register(&self) -> bool {
        false
    }
}
