//! Ballots: the number of one round of one proposer.

use std::fmt;

use crate::types::NodeId;

/// `counter * 256 + node`, so that two proposers never use the same one. Shown as `counter.node`;
/// zero comes before every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot(pub u64);

impl Ballot {
    pub const ZERO: Ballot = Ballot(0);

    /// The smallest ballot of `node` above this one.
    #[must_use]
    pub fn next_for(self, node: NodeId) -> Ballot {
        Ballot((self.0 >> 8).saturating_add(1) << 8 | u64::from(node.get()))
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 8, self.0 & 0xFF)
    }
}
