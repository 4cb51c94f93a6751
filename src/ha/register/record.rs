//! What the register has to know of the record that it holds.

use std::fmt;

use crate::types::{ClusterId, ClusterState, Mode, Nonce};

use super::Electorate;

/// The model checks the machines with a record of a few bytes; everybody else with the real one.
pub trait Record: Clone + Eq + fmt::Debug + fmt::Display {
    fn version(&self) -> u64;
    fn nonce(&self) -> Nonce;
    fn cluster(&self) -> ClusterId;
    fn electorate(&self) -> Electorate;
    /// Automatic mode was switched off with this record: nothing but a new first record follows.
    fn ends_register(&self) -> bool;
}

impl Record for ClusterState {
    fn version(&self) -> u64 {
        self.version
    }

    fn nonce(&self) -> Nonce {
        self.nonce
    }

    fn cluster(&self) -> ClusterId {
        self.cluster_id
    }

    fn electorate(&self) -> Electorate {
        let lives = |voters: &std::collections::BTreeSet<crate::types::Voter>| {
            voters.iter().map(|voter| voter.incarnation).collect()
        };
        Electorate::new(lives(&self.voters), self.next_voters.as_ref().map(lives))
    }

    fn ends_register(&self) -> bool {
        self.mode == Mode::Manual
    }
}
