//! What is to come in the world, at a time.

use aerie::master::{Control, Event};
use aerie::types::{ClusterState, Epoch, Lsn, Member, Message, Mode, NodeId};

use crate::faults::Fault;
use crate::voters::Voting;

#[derive(Debug)]
pub enum Action {
    Deliver {
        to: NodeId,
        from: Member,
        message: Message,
    },
    Local {
        host: NodeId,
        life: u64,
        event: Event,
    },
    Wake {
        host: NodeId,
        life: u64,
    },
    Flushed {
        host: NodeId,
        life: u64,
        epoch: Epoch,
    },
    Applying {
        host: NodeId,
        life: u64,
        lsn: Lsn,
    },
    Control {
        host: NodeId,
        life: u64,
        ticket: u64,
        control: Box<Control>,
    },
    Read {
        host: NodeId,
        life: u64,
        attempt: u64,
        coordinator: Mode,
    },
    Swap {
        host: NodeId,
        life: u64,
        coordinator: Mode,
        proposed: Box<ClusterState>,
    },
    /// The same for a record that nobody had there before.
    Create {
        host: NodeId,
        life: u64,
        first: Box<ClusterState>,
    },
    /// Somebody enables or disables automatic mode.
    Turn,
    Seed {
        host: NodeId,
        life: u64,
        from: NodeId,
    },
    Client,
    Reader,
    Person,
    Fault,
    Heal(Fault),
    Restart {
        host: NodeId,
    },
    /// A supervisor tells of the end of its process.
    Report {
        to: NodeId,
        member: Member,
        upto: Epoch,
    },
    Voting(Voting),
    /// A segment's agent sends its heartbeat.
    Beat {
        agent: usize,
    },
    Fts {
        host: NodeId,
        life: u64,
        event: aerie::fts::Event,
    },
    FtsWake {
        host: NodeId,
        life: u64,
    },
}
