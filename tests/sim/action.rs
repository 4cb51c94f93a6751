//! What is to come in the world, at a time.

use aerie::ha::Authority;
use aerie::master::{Control, Event};
use aerie::types::{ClusterState, Epoch, Lsn, Member, Message, Mode, NodeId};

use crate::agents::Calling;
use crate::faults::Fault;
use crate::voters::Voting;
use crate::witnessing::{Asker, Witnessing};

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
        authority: Authority,
        coordinator: Mode,
    },
    Swap {
        host: NodeId,
        life: u64,
        authority: Authority,
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
    /// A person tries once more.
    Activate {
        host: NodeId,
    },
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
    /// To, from and in a segment's agent.
    Calling(Calling),
    /// What a driver of manual mode asks.
    Witnessing(Witnessing),
    /// Its disk is about to have the proposed record in the place of the expected one.
    Replaced {
        asker: Asker,
        expected: Box<ClusterState>,
        proposed: Box<ClusterState>,
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
