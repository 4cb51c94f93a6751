//! The coordinators that a node can ask, by the mode that its kernel names. It decides nothing:
//! which of them holds the record is the kernel's knowledge (`node::enabling`).

use crate::ha::{Authority, Coordinator, ReadOutcome, SwapOutcome};
use crate::types::{ClusterState, Mode};

pub(super) struct Coordinators<M> {
    pub(super) manual: M,
}

impl<M: Coordinator> Coordinators<M> {
    pub(super) async fn read(&self, of: Mode, authority: Authority) -> ReadOutcome {
        match of {
            Mode::Manual => self.manual.read(authority).await,
            Mode::Embedded | Mode::ZooKeeper => ReadOutcome::Unavailable { reason: missing(of) },
        }
    }

    pub(super) async fn swap(
        &self,
        of: Mode,
        authority: Authority,
        proposed: ClusterState,
    ) -> SwapOutcome {
        match of {
            Mode::Manual => self.manual.compare_and_swap(authority, proposed).await,
            Mode::Embedded | Mode::ZooKeeper => SwapOutcome::Unknown { reason: missing(of) },
        }
    }

    pub(super) async fn create(&self, of: Mode, first: ClusterState) -> SwapOutcome {
        match of {
            Mode::Manual => self.manual.create(first).await,
            Mode::Embedded | Mode::ZooKeeper => SwapOutcome::Unknown { reason: missing(of) },
        }
    }
}

/// Nothing was asked, so nothing is known either.
fn missing(mode: Mode) -> String {
    format!("this node has no {mode} coordinator")
}
