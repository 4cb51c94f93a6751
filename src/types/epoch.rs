//! Epochs: the number of a reign and the fencing token of everything written in it.

use std::fmt;

use super::NodeId;

/// Number of a reign: `counter * 256 + node`, so that two nodes never choose the same one and no
/// one has to be asked. Shown as `counter.node`. Zero means "before the first reign".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    pub const ZERO: Epoch = Epoch(0);

    #[must_use]
    pub fn new(counter: u64, node: NodeId) -> Epoch {
        Epoch(counter << 8 | u64::from(node.get()))
    }

    #[must_use]
    pub fn counter(self) -> u64 {
        self.0 >> 8
    }

    /// The node that reigns in this epoch; `None` for epoch zero.
    #[must_use]
    pub fn node(self) -> Option<NodeId> {
        NodeId::new((self.0 & 0xFF) as u8)
    }

    /// The smallest epoch of `node` that is greater than this one.
    #[must_use]
    pub fn next_for(self, node: NodeId) -> Epoch {
        Epoch::new(self.counter() + 1, node)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.counter(), self.0 & 0xFF)
    }
}

/// The right to change something in one reign. Only `ha` mints one, and only while the primary may
/// act; whoever receives a write compares its epoch with the highest that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    epoch: Epoch,
}

impl Fence {
    /// Called by `ha` alone (`tests/tidy.rs` checks it).
    #[must_use]
    pub fn mint(epoch: Epoch) -> Fence {
        Fence { epoch }
    }

    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }
}
