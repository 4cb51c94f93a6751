//! The control file's text: JSON that a person can read. The only conversion between it and
//! `types`; it checks every relation that `types` demands and never touches a file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{
    ClusterState, Enabling, Epoch, Incarnation, Lsn, Member, MemberEntry, Mode, NodeId, Nonce,
    TimelineHistory, Unfenced, Voter,
};

use super::Control;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlText {
    followed_epoch: u64,
    promised_epoch: u64,
    record: Option<RecordText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordText {
    version: u64,
    cluster_id: String,
    epoch: u64,
    primary: u8,
    in_sync: Vec<MemberText>,
    members: Vec<EntryText>,
    voters: Vec<VoterText>,
    next_voters: Option<Vec<VoterText>>,
    mode: String,
    enabling: Option<String>,
    nonce: String,
    history: Vec<(u64, String)>,
    not_synchronized_since: Option<String>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    failovers: u32,
    /// Node and epoch.
    #[serde(default)]
    unfenced: Option<(u8, u64)>,
    #[serde(default)]
    lease_us: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberText {
    node: u8,
    incarnation: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryText {
    node: u8,
    incarnation: String,
    host: String,
    rpc_port: u16,
    pg_port: u16,
    priority: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VoterText {
    name: String,
    incarnation: String,
    host: String,
    rpc_port: u16,
}

pub(super) fn encode(control: &Control) -> String {
    let text = ControlText {
        followed_epoch: control.followed.0,
        promised_epoch: control.promised.0,
        record: control.record.as_ref().map(record_text),
    };
    // Strings, numbers and lists only: this cannot fail.
    serde_json::to_string_pretty(&text).unwrap_or_default()
}

fn unfenced_value((node, epoch): (u8, u64)) -> Result<Unfenced, String> {
    let node = NodeId::new(node).ok_or("node number 0")?;
    Ok(Unfenced { node, epoch: Epoch(epoch) })
}

pub(super) fn decode(text: &str) -> Result<Control, String> {
    let text: ControlText = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Control {
        followed: Epoch(text.followed_epoch),
        promised: Epoch(text.promised_epoch),
        record: text.record.map(record_value).transpose()?,
    })
}

fn record_text(record: &ClusterState) -> RecordText {
    let voters = |set: &BTreeSet<Voter>| set.iter().map(voter_text).collect();
    let entry = |(node, entry): (&NodeId, &MemberEntry)| EntryText {
        node: node.get(),
        incarnation: entry.incarnation.to_string(),
        host: entry.host.clone(),
        rpc_port: entry.rpc_port,
        pg_port: entry.pg_port,
        priority: entry.priority,
    };
    let member = |member: &Member| MemberText {
        node: member.node.get(),
        incarnation: member.incarnation.to_string(),
    };
    let history = record.history.entries().iter();
    RecordText {
        version: record.version,
        cluster_id: record.cluster_id.to_string(),
        epoch: record.epoch.0,
        primary: record.primary.get(),
        in_sync: record.in_sync.iter().map(member).collect(),
        members: record.members.iter().map(entry).collect(),
        voters: voters(&record.voters),
        next_voters: record.next_voters.as_ref().map(voters),
        mode: record.mode.to_string(),
        enabling: record.enabling.map(|enabling| enabling.to_string()),
        nonce: format!("{:032x}", record.nonce.0),
        history: history.map(|(epoch, lsn)| (epoch.0, lsn.to_string())).collect(),
        not_synchronized_since: record.not_synchronized_since.map(|lsn| lsn.to_string()),
        paused: record.paused,
        failovers: record.failovers,
        unfenced: record.unfenced.map(|old| (old.node.get(), old.epoch.0)),
        lease_us: u64::try_from(record.lease.as_micros()).unwrap_or(u64::MAX),
    }
}

fn voter_text(voter: &Voter) -> VoterText {
    VoterText {
        name: voter.name.clone(),
        incarnation: voter.incarnation.to_string(),
        host: voter.host.clone(),
        rpc_port: voter.rpc_port,
    }
}

fn record_value(text: RecordText) -> Result<ClusterState, String> {
    let members = text.members.into_iter().map(entry_value);
    let members: BTreeMap<NodeId, MemberEntry> = members.collect::<Result<_, String>>()?;
    let in_sync = text.in_sync.into_iter().map(|member| {
        let node = node_value(member.node)?;
        Ok(Member { node, incarnation: incarnation_value(&member.incarnation)? })
    });
    let in_sync: BTreeSet<Member> = in_sync.collect::<Result<_, String>>()?;
    let history = text.history.iter().map(|(epoch, lsn)| Ok((Epoch(*epoch), lsn_value(lsn)?)));
    let history = TimelineHistory::from_entries(history.collect::<Result<_, String>>()?)
        .ok_or("the timeline history goes backwards")?;
    let record = ClusterState {
        version: text.version,
        cluster_id: text.cluster_id.parse().map_err(|e| format!("{e}"))?,
        epoch: Epoch(text.epoch),
        primary: node_value(text.primary)?,
        in_sync,
        members,
        voters: voters_value(text.voters)?,
        next_voters: text.next_voters.map(voters_value).transpose()?,
        mode: mode_value(&text.mode)?,
        enabling: text.enabling.as_deref().map(enabling_value).transpose()?,
        nonce: Nonce(u128::from_str_radix(&text.nonce, 16).map_err(|e| format!("nonce: {e}"))?),
        history,
        not_synchronized_since: text
            .not_synchronized_since
            .as_deref()
            .map(lsn_value)
            .transpose()?,
        paused: text.paused,
        failovers: text.failovers,
        unfenced: text.unfenced.map(unfenced_value).transpose()?,
        lease: Duration::from_micros(text.lease_us),
    };
    let known = record.in_sync.iter().all(|member| record.member(member.node) == Some(*member));
    let reigns = record.in_sync.iter().any(|member| member.node == record.primary);
    if known && reigns {
        return Ok(record);
    }
    Err("the in-sync set names an unknown member, or not the primary".to_owned())
}

fn entry_value(text: EntryText) -> Result<(NodeId, MemberEntry), String> {
    let entry = MemberEntry {
        incarnation: incarnation_value(&text.incarnation)?,
        host: text.host,
        rpc_port: text.rpc_port,
        pg_port: text.pg_port,
        priority: text.priority,
    };
    Ok((node_value(text.node)?, entry))
}

fn voters_value(texts: Vec<VoterText>) -> Result<BTreeSet<Voter>, String> {
    let voter = |text: VoterText| {
        Ok(Voter {
            incarnation: incarnation_value(&text.incarnation)?,
            name: text.name,
            host: text.host,
            rpc_port: text.rpc_port,
        })
    };
    texts.into_iter().map(voter).collect()
}

fn node_value(number: u8) -> Result<NodeId, String> {
    NodeId::new(number).ok_or_else(|| "node number 0".to_owned())
}

fn incarnation_value(text: &str) -> Result<Incarnation, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn lsn_value(text: &str) -> Result<Lsn, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn mode_value(text: &str) -> Result<Mode, String> {
    let modes = [Mode::Manual, Mode::Embedded, Mode::ZooKeeper];
    let known = modes.into_iter().find(|mode| mode.to_string() == text);
    known.ok_or_else(|| format!("unknown mode \"{text}\""))
}

fn enabling_value(text: &str) -> Result<Enabling, String> {
    match text.split_once(':') {
        Some(("announced", mode)) => Ok(Enabling::Announced(mode_value(mode)?)),
        Some(("decided", mode)) => Ok(Enabling::Decided(mode_value(mode)?)),
        _ => Err(format!("unknown state of enabling \"{text}\"")),
    }
}
