//! The only conversion between messages on the wire and `types`.
//!
//! Outward it cannot fail. Inward every field is checked, and an error names the one that is bad by
//! its path (`align.record.members[1].rpc_port`), so that the peer that sent it can be found out.
//! Nothing here decides what a valid message means.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::v1;
use crate::types::{
    ClusterId, ClusterState, Enabling, Epoch, Incarnation, Lsn, Member, MemberEntry, Mode, NodeId,
    Nonce, TimelineHistory, Unfenced, Voter,
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad field {field}: {why}")]
pub struct BadField {
    pub field: String,
    pub why: String,
}

impl BadField {
    pub(super) fn new(field: &str, why: impl Into<String>) -> BadField {
        BadField { field: field.to_owned(), why: why.into() }
    }

    pub(super) fn missing(field: &str) -> BadField {
        BadField::new(field, "missing")
    }

    /// The same field, seen from the message around it.
    pub(super) fn within(self, outer: &str) -> BadField {
        BadField { field: format!("{outer}.{}", self.field), why: self.why }
    }
}

pub(super) fn node_id(field: &str, value: u32) -> Result<NodeId, BadField> {
    u8::try_from(value)
        .ok()
        .and_then(NodeId::new)
        .ok_or_else(|| BadField::new(field, format!("node number {value}, expected 1 to 255")))
}

fn port(field: &str, value: u32) -> Result<u16, BadField> {
    match u16::try_from(value) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(BadField::new(field, format!("port {value}, expected 1 to 65535"))),
    }
}

pub(super) fn cluster_id(field: &str, text: &str) -> Result<ClusterId, BadField> {
    text.parse().map_err(|error| BadField::new(field, format!("{error}")))
}

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, BadField> {
    value.ok_or_else(|| BadField::missing(field))
}

/// Converts a message field, and names it in errors from inside.
pub(super) fn nested<T, U>(field: &str, value: T) -> Result<U, BadField>
where
    U: TryFrom<T, Error = BadField>,
{
    U::try_from(value).map_err(|bad| bad.within(field))
}

pub(super) fn nested_option<T, U>(field: &str, value: Option<T>) -> Result<Option<U>, BadField>
where
    U: TryFrom<T, Error = BadField>,
{
    value.map(|value| nested(field, value)).transpose()
}

impl From<Member> for v1::Member {
    fn from(member: Member) -> v1::Member {
        v1::Member { node: u32::from(member.node.get()), incarnation: member.incarnation.0 }
    }
}

impl TryFrom<v1::Member> for Member {
    type Error = BadField;

    fn try_from(member: v1::Member) -> Result<Member, BadField> {
        let node = node_id("node", member.node)?;
        Ok(Member { node, incarnation: Incarnation(member.incarnation) })
    }
}

#[must_use]
pub fn history_to_wire(history: &TimelineHistory) -> Vec<v1::TimelineEntry> {
    let entries = history.entries().iter();
    entries.map(|(epoch, start)| v1::TimelineEntry { epoch: epoch.0, start_lsn: start.0 }).collect()
}

pub fn history_from_wire(
    field: &str,
    entries: &[v1::TimelineEntry],
) -> Result<TimelineHistory, BadField> {
    let pairs = entries.iter().map(|entry| (Epoch(entry.epoch), Lsn(entry.start_lsn))).collect();
    TimelineHistory::from_entries(pairs)
        .ok_or_else(|| BadField::new(field, "epochs or positions out of order"))
}

/// The entry of one node as the wire has it.
#[must_use]
pub fn entry_to_wire(node: NodeId, entry: &MemberEntry) -> v1::MemberEntry {
    v1::MemberEntry {
        node: u32::from(node.get()),
        incarnation: entry.incarnation.0,
        host: entry.host.clone(),
        rpc_port: u32::from(entry.rpc_port),
        pg_port: u32::from(entry.pg_port),
        priority: entry.priority,
    }
}

pub fn entry_from_wire(entry: v1::MemberEntry) -> Result<(NodeId, MemberEntry), BadField> {
    let node = node_id("node", entry.node)?;
    if entry.host.is_empty() {
        return Err(BadField::new("host", "empty"));
    }
    let entry = MemberEntry {
        incarnation: Incarnation(entry.incarnation),
        rpc_port: port("rpc_port", entry.rpc_port)?,
        pg_port: port("pg_port", entry.pg_port)?,
        host: entry.host,
        priority: entry.priority,
    };
    Ok((node, entry))
}

#[must_use]
pub fn voters_to_wire(voters: &BTreeSet<Voter>) -> v1::VoterSet {
    v1::VoterSet { voters: voters.iter().map(voter_to_wire).collect() }
}

#[must_use]
pub fn voter_to_wire(voter: &Voter) -> v1::Voter {
    v1::Voter {
        name: voter.name.clone(),
        incarnation: voter.incarnation.0,
        host: voter.host.clone(),
        rpc_port: u32::from(voter.rpc_port),
    }
}

pub fn voters_from_wire(field: &str, set: v1::VoterSet) -> Result<BTreeSet<Voter>, BadField> {
    let voters = set.voters.into_iter().enumerate().map(|(index, voter)| {
        let within = format!("{field}.voters[{index}]");
        if voter.name.is_empty() {
            return Err(BadField::new("name", "empty").within(&within));
        }
        Ok(Voter {
            name: voter.name,
            incarnation: Incarnation(voter.incarnation),
            host: voter.host,
            rpc_port: port("rpc_port", voter.rpc_port).map_err(|bad| bad.within(&within))?,
        })
    });
    voters.collect()
}

#[must_use]
pub fn mode_to_wire(mode: Mode) -> v1::Mode {
    match mode {
        Mode::Manual => v1::Mode::Manual,
        Mode::Embedded => v1::Mode::Embedded,
        Mode::ZooKeeper => v1::Mode::Zookeeper,
    }
}

pub fn mode_from_wire(value: i32) -> Result<Mode, BadField> {
    match v1::Mode::try_from(value) {
        Ok(v1::Mode::Manual) => Ok(Mode::Manual),
        Ok(v1::Mode::Embedded) => Ok(Mode::Embedded),
        Ok(v1::Mode::Zookeeper) => Ok(Mode::ZooKeeper),
        Ok(v1::Mode::Unspecified) => Err(BadField::missing("mode")),
        Err(_) => Err(BadField::new("mode", format!("unknown value {value}"))),
    }
}

fn enabling_from_wire(mode: i32, decided: bool) -> Result<Option<Enabling>, BadField> {
    if mode == i32::from(v1::Mode::Unspecified) {
        return Ok(None);
    }
    let mode = mode_from_wire(mode).map_err(|bad| BadField::new("enabling", bad.to_string()))?;
    Ok(Some(if decided { Enabling::Decided(mode) } else { Enabling::Announced(mode) }))
}

impl From<ClusterState> for v1::ClusterState {
    fn from(state: ClusterState) -> v1::ClusterState {
        v1::ClusterState {
            version: state.version,
            cluster_id: state.cluster_id.to_string(),
            epoch: state.epoch.0,
            primary: u32::from(state.primary.get()),
            in_sync: state.in_sync.into_iter().map(v1::Member::from).collect(),
            members: state.members.iter().map(|(node, e)| entry_to_wire(*node, e)).collect(),
            voters: Some(voters_to_wire(&state.voters)),
            next_voters: state.next_voters.as_ref().map(voters_to_wire),
            mode: mode_to_wire(state.mode).into(),
            enabling: state.enabling.map_or(0, |enabling| mode_to_wire(enabling.mode()).into()),
            enabling_decided: matches!(state.enabling, Some(Enabling::Decided(_))),
            nonce: state.nonce.0.to_be_bytes().to_vec(),
            history: history_to_wire(&state.history),
            not_synchronized_since_lsn: state.not_synchronized_since.map(|lsn| lsn.0),
            paused: state.paused,
            failovers: state.failovers,
            unfenced: state
                .unfenced
                .map(|old| v1::Unfenced { node: u32::from(old.node.get()), epoch: old.epoch.0 }),
            lease_us: u64::try_from(state.lease.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn unfenced_from_wire(old: v1::Unfenced) -> Result<Unfenced, BadField> {
    Ok(Unfenced { node: node_id("unfenced.node", old.node)?, epoch: Epoch(old.epoch) })
}

impl TryFrom<v1::ClusterState> for ClusterState {
    type Error = BadField;

    fn try_from(state: v1::ClusterState) -> Result<ClusterState, BadField> {
        let in_sync = state.in_sync.into_iter().enumerate();
        let in_sync = in_sync.map(|(index, m)| nested(&format!("in_sync[{index}]"), m));
        let mut members = BTreeMap::new();
        for (index, entry) in state.members.into_iter().enumerate() {
            let within = format!("members[{index}]");
            let (node, entry) = entry_from_wire(entry).map_err(|bad| bad.within(&within))?;
            if members.insert(node, entry).is_some() {
                return Err(BadField::new(&within, format!("node {node} twice")));
            }
        }
        let nonce: [u8; 16] = state.nonce.as_slice().try_into().map_err(|_| {
            BadField::new("nonce", format!("{} bytes, expected 16", state.nonce.len()))
        })?;
        let next_voters =
            state.next_voters.map(|set| voters_from_wire("next_voters", set)).transpose()?;
        Ok(ClusterState {
            version: state.version,
            cluster_id: cluster_id("cluster_id", &state.cluster_id)?,
            epoch: Epoch(state.epoch),
            primary: node_id("primary", state.primary)?,
            in_sync: in_sync.collect::<Result<_, _>>()?,
            members,
            voters: voters_from_wire("voters", state.voters.unwrap_or_default())?,
            next_voters,
            mode: mode_from_wire(state.mode)?,
            enabling: enabling_from_wire(state.enabling, state.enabling_decided)?,
            nonce: Nonce(u128::from_be_bytes(nonce)),
            history: history_from_wire("history", &state.history)?,
            not_synchronized_since: state.not_synchronized_since_lsn.map(Lsn),
            paused: state.paused,
            failovers: state.failovers,
            unfenced: state.unfenced.map(unfenced_from_wire).transpose()?,
            lease: Duration::from_micros(state.lease_us),
        })
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
