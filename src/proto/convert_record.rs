//! The cluster state on the wire and back. What does not make a valid record is refused by name of
//! the field; nothing is guessed.

use std::collections::BTreeSet;

use crate::types::{
    ClusterState, Epoch, Incarnation, Lsn, Member, MemberEntry, Mode, NodeId, Nonce,
    TimelineHistory, Voter,
};

use super::v1;

/// A field that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad message: {field}: {reason}")]
pub struct BadField {
    pub field: &'static str,
    pub reason: String,
}

impl BadField {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> BadField {
        BadField { field, reason: reason.into() }
    }

    /// The gRPC status of a request with such a field.
    #[must_use]
    pub fn status(&self) -> tonic::Status {
        tonic::Status::invalid_argument(self.to_string())
    }
}

pub(crate) fn port(field: &'static str, value: u32) -> Result<u16, BadField> {
    u16::try_from(value).map_err(|_| BadField::new(field, format!("{value} is not a port")))
}

pub(crate) fn node(field: &'static str, value: u32) -> Result<NodeId, BadField> {
    u8::try_from(value)
        .ok()
        .and_then(NodeId::new)
        .ok_or_else(|| BadField::new(field, format!("{value} is not a node number, 1 to 255")))
}

#[must_use]
pub fn member_to_wire(member: Member) -> v1::Member {
    v1::Member { node: u32::from(member.node.get()), incarnation: member.incarnation.0 }
}

pub fn member_from_wire(wire: &v1::Member) -> Result<Member, BadField> {
    let node = node("Member.node", wire.node)?;
    Ok(Member { node, incarnation: Incarnation(wire.incarnation) })
}

fn voters_to_wire(voters: &BTreeSet<Voter>) -> v1::VoterSet {
    let voters = voters.iter().map(|voter| v1::Voter {
        name: voter.name.clone(),
        incarnation: voter.incarnation.0,
        host: voter.host.clone(),
        rpc_port: u32::from(voter.rpc_port),
    });
    v1::VoterSet { voters: voters.collect() }
}

fn voters_from_wire(wire: v1::VoterSet) -> Result<BTreeSet<Voter>, BadField> {
    wire.voters
        .into_iter()
        .map(|voter| {
            Ok(Voter {
                rpc_port: port("Voter.rpc_port", voter.rpc_port)?,
                name: voter.name,
                incarnation: Incarnation(voter.incarnation),
                host: voter.host,
            })
        })
        .collect()
}

fn mode_to_wire(mode: Mode) -> v1::Mode {
    match mode {
        Mode::Manual => v1::Mode::Manual,
        Mode::Embedded => v1::Mode::Embedded,
        Mode::ZooKeeper => v1::Mode::Zookeeper,
    }
}

fn mode_from_wire(wire: i32) -> Result<Mode, BadField> {
    match v1::Mode::try_from(wire) {
        Ok(v1::Mode::Manual) => Ok(Mode::Manual),
        Ok(v1::Mode::Embedded) => Ok(Mode::Embedded),
        Ok(v1::Mode::Zookeeper) => Ok(Mode::ZooKeeper),
        Ok(v1::Mode::Unspecified) | Err(_) => {
            Err(BadField::new("ClusterState.mode", format!("{wire} is not a mode")))
        }
    }
}

#[must_use]
pub fn record_to_wire(record: &ClusterState) -> v1::ClusterState {
    let members = record.members.iter().map(|(node, entry)| v1::MemberEntry {
        node: u32::from(node.get()),
        incarnation: entry.incarnation.0,
        host: entry.host.clone(),
        rpc_port: u32::from(entry.rpc_port),
        pg_port: u32::from(entry.pg_port),
        priority: entry.priority,
    });
    let history = record.history.entries().iter();
    v1::ClusterState {
        version: record.version,
        cluster_id: record.cluster_id.to_string(),
        epoch: record.epoch.0,
        primary: u32::from(record.primary.get()),
        in_sync: record.in_sync.iter().copied().map(member_to_wire).collect(),
        members: members.collect(),
        voters: Some(voters_to_wire(&record.voters)),
        next_voters: record.next_voters.as_ref().map(voters_to_wire),
        mode: mode_to_wire(record.mode).into(),
        nonce: record.nonce.0.to_be_bytes().to_vec(),
        history: history
            .map(|(epoch, lsn)| v1::TimelineEntry { epoch: epoch.0, start_lsn: lsn.0 })
            .collect(),
        not_synchronized_since_lsn: record.not_synchronized_since.map(|lsn| lsn.0),
    }
}

pub fn record_from_wire(wire: v1::ClusterState) -> Result<ClusterState, BadField> {
    let cluster_id = wire
        .cluster_id
        .parse()
        .map_err(|_| BadField::new("ClusterState.cluster_id", "not a UUID"))?;
    let nonce = <[u8; 16]>::try_from(wire.nonce.as_slice())
        .map_err(|_| BadField::new("ClusterState.nonce", "not 16 bytes"))?;
    let entries = wire.history.iter().map(|e| (Epoch(e.epoch), Lsn(e.start_lsn))).collect();
    let history = TimelineHistory::from_entries(entries)
        .ok_or_else(|| BadField::new("ClusterState.history", "epochs do not increase"))?;
    let members = wire.members.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?;
    let in_sync = wire.in_sync.iter().map(member_from_wire).collect::<Result<_, _>>()?;
    Ok(ClusterState {
        version: wire.version,
        cluster_id,
        epoch: Epoch(wire.epoch),
        primary: node("ClusterState.primary", wire.primary)?,
        in_sync,
        members,
        voters: voters_from_wire(wire.voters.unwrap_or_default())?,
        next_voters: wire.next_voters.map(voters_from_wire).transpose()?,
        mode: mode_from_wire(wire.mode)?,
        nonce: Nonce(u128::from_be_bytes(nonce)),
        history,
        not_synchronized_since: wire.not_synchronized_since_lsn.map(Lsn),
    })
}

fn entry_from_wire(wire: v1::MemberEntry) -> Result<(NodeId, MemberEntry), BadField> {
    let entry = MemberEntry {
        incarnation: Incarnation(wire.incarnation),
        rpc_port: port("MemberEntry.rpc_port", wire.rpc_port)?,
        pg_port: port("MemberEntry.pg_port", wire.pg_port)?,
        host: wire.host,
        priority: wire.priority,
    };
    Ok((node("MemberEntry.node", wire.node)?, entry))
}
