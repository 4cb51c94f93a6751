//! The cluster state: the one small record that a coordinator holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::{ClusterId, Epoch, Incarnation, Lsn, Member, NodeId, TimelineHistory};

/// Number of one attempt to change the record, so that a repeated swap is recognised as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nonce(pub u128);

/// Who decides on a takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A person (`enable_master_auto_ha = off`).
    Manual,
    /// The masters and a witness hold the record themselves.
    Embedded,
    ZooKeeper,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Manual => "manual",
            Mode::Embedded => "embedded",
            Mode::ZooKeeper => "zookeeper",
        })
    }
}

/// A manual cluster on its way to automatic mode: what `mode` is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Enabling {
    /// Every member has to know of it first. A person still decides, but nobody takes over from
    /// another node any more (unless forced).
    Announced(Mode),
    /// Every member knows. The primary puts the record into the new coordinator, again and again
    /// until it is there, and changes nothing before.
    Decided(Mode),
}

impl Enabling {
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Enabling::Announced(mode) | Enabling::Decided(mode) => mode,
        }
    }
}

impl fmt::Display for Enabling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Enabling::Announced(mode) => write!(f, "announced:{mode}"),
            Enabling::Decided(mode) => write!(f, "decided:{mode}"),
        }
    }
}

/// What the cluster knows of one master-capable node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberEntry {
    pub incarnation: Incarnation,
    pub host: String,
    pub rpc_port: u16,
    pub pg_port: u16,
    /// Order among candidates, the highest first; 0 never stands.
    pub priority: u32,
}

/// A holder of the embedded register: a master, or a witness that a segment agent hosts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    pub name: String,
    pub incarnation: Incarnation,
    pub host: String,
    pub rpc_port: u16,
}

/// A primary that was taken over from, and the epoch of its reign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unfenced {
    pub node: NodeId,
    pub epoch: Epoch,
}

/// The cluster state, changed only by compare-and-swap on `version`.
///
/// * `in_sync` contains the primary and only nodes of `members`, at their recorded incarnation.
/// * `epoch` never decreases and is greater in each reign; `version` grows by one a change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterState {
    pub version: u64,
    pub cluster_id: ClusterId,
    pub epoch: Epoch,
    pub primary: NodeId,
    pub in_sync: BTreeSet<Member>,
    pub members: BTreeMap<NodeId, MemberEntry>,
    pub voters: BTreeSet<Voter>,
    /// While voters are being changed: the set that will replace `voters`.
    pub next_voters: Option<BTreeSet<Voter>>,
    pub mode: Mode,
    /// Manual mode only.
    pub enabling: Option<Enabling>,
    pub nonce: Nonce,
    pub history: TimelineHistory,
    /// Manual mode: the primary goes on alone since this position.
    pub not_synchronized_since: Option<Lsn>,
    /// A person works on the cluster: nobody takes over by itself.
    pub paused: bool,
    /// Takeovers by itself that followed each other, less those that time has forgiven.
    pub failovers: u32,
    /// Nobody opens before this old primary is fenced (`ha_fencing_methods`).
    pub unfenced: Option<Unfenced>,
    /// `ha_lease` of the primary: what its members promise at least. Zero before the first reign.
    pub lease: Duration,
}

impl ClusterState {
    /// The first record of a cluster: a person decides, `primary` alone is in the set, and nobody
    /// has reigned yet.
    #[must_use]
    pub fn first(
        cluster_id: ClusterId,
        primary: Member,
        members: BTreeMap<NodeId, MemberEntry>,
    ) -> ClusterState {
        ClusterState {
            version: 1,
            cluster_id,
            epoch: Epoch::ZERO,
            primary: primary.node,
            in_sync: BTreeSet::from([primary]),
            members,
            voters: BTreeSet::new(),
            next_voters: None,
            mode: Mode::Manual,
            enabling: None,
            nonce: Nonce::default(),
            history: TimelineHistory::default(),
            not_synchronized_since: None,
            paused: false,
            failovers: 0,
            unfenced: None,
            lease: Duration::ZERO,
        }
    }

    /// The recorded member with this node number, whatever life it is in.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<Member> {
        self.members.get(&node).map(|entry| Member { node, incarnation: entry.incarnation })
    }

    #[must_use]
    pub fn is_in_sync(&self, member: Member) -> bool {
        self.in_sync.contains(&member)
    }
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<String> = self.in_sync.iter().map(|m| m.node.to_string()).collect();
        write!(
            f,
            "v{} epoch={} primary={} in_sync={{{}}} mode={}",
            self.version,
            self.epoch,
            self.primary,
            set.join(","),
            self.mode
        )?;
        f.write_str(if self.paused { " paused" } else { "" })?;
        if let Some(old) = self.unfenced {
            write!(f, " unfenced={}", old.node)?;
        }
        self.enabling.map_or(Ok(()), |enabling| write!(f, " enabling={enabling}"))
    }
}
