//! What `hawq state` says after HAWQ's block: each node, its lag, its reasons; segments that are
//! down, and why; and with no primary, why not, node by node.

use std::collections::BTreeMap;

use aerie::proto::v1::{ClusterState, Mode, SegmentRow, StandbyStatus, StatusReply};
use aerie::types::{Epoch, Lsn};

use crate::cluster::{Cluster, NodeView};
use crate::ha_standing;

const DASHES: &str = "-----------------------------------------------------";

/// A line, and whether it tells of something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub attention: bool,
}

fn fine(text: String) -> Line {
    Line { text, attention: false }
}

fn alarming(text: String) -> Line {
    Line { text, attention: true }
}

/// `=` in the column of HAWQ's long labels.
fn pair(label: &str, value: &str) -> String {
    format!("{:<51}= {value}", format!("-   {label}"))
}

pub fn lines(cluster: &Cluster) -> Vec<Line> {
    let mut lines = vec![
        fine(DASHES.to_owned()),
        fine("-   High availability".to_owned()),
        fine(DASHES.to_owned()),
    ];
    let primary = cluster.primary();
    let witness = primary.or_else(|| cluster.nodes.iter().find(|view| view.answer.is_ok()));
    if let Some(reply) = witness.and_then(NodeView::reply) {
        lines.push(fine(pair("Cluster id", &reply.cluster_id)));
    }
    if let Some(record) = cluster.record() {
        let epoch = Epoch(record.epoch).to_string();
        lines.push(fine(pair("Epoch", &epoch)));
        let reply = primary.and_then(NodeView::reply);
        let lacks = reply.and_then(|reply| no_witness(record, reply)).unwrap_or_default();
        lines.push(Line {
            text: pair("Failover mode", &format!("{}{lacks}", failover_mode(record))),
            attention: record.paused,
        });
        lines.extend(order(record).map(|text| fine(pair("Order of standbys", &text))));
    }
    lines.extend(alarms(cluster).into_iter().map(|alarm| alarming(pair("ALARM", &alarm))));
    match primary.and_then(NodeView::reply) {
        Some(reply) => {
            lines.push(mirroring(reply));
            lines.extend(commits_wait(reply));
        }
        None => lines.push(alarming(pair("Primary", "none serves"))),
    }
    lines.extend(coordinator_lost(cluster));
    lines.extend(leases_differ(cluster).map(|text| alarming(pair("Lease", &text))));
    lines.extend(nodes(cluster));
    if let Some(reply) = primary.and_then(NodeView::reply) {
        lines.extend(segments(reply));
    }
    lines
}

/// Who would be primary next (rule 10), where there is anybody else.
fn order(record: &ClusterState) -> Option<String> {
    let order = ha_standing::order_of_standbys(record);
    let nodes: Vec<String> = order.iter().map(|entry| format!("node {}", entry.node)).collect();
    let text = match nodes.as_slice() {
        [] => "none in the in-sync set".to_owned(),
        [first] => format!("{first} first"),
        [first, rest @ ..] => format!("{first} first, then {}", rest.join(", ")),
    };
    (record.members.len() > 1).then_some(text)
}

/// Claims that no rule allows: as nodes have met them, and as their answers show.
pub fn alarms(cluster: &Cluster) -> Vec<String> {
    let replies = || cluster.nodes.iter().filter_map(NodeView::reply);
    let mut alarms: Vec<String> =
        replies().filter(|r| !r.alarm.is_empty()).map(|r| r.alarm.clone()).collect();
    let mut owners: BTreeMap<u64, u32> = BTreeMap::new();
    for view in cluster.nodes.iter().filter(|view| view.is_open_primary()) {
        let epoch = view.reply().map_or(0, |reply| reply.epoch);
        if let Some(other) = owners.insert(epoch, view.node) {
            let (epoch, node) = (Epoch(epoch), view.node);
            alarms.push(format!(
                "node {other} and node {node} both claim epoch {epoch}; stop one of them at once"
            ));
        }
    }
    alarms.sort();
    alarms.dedup();
    alarms
}

/// Masters that are set to different leases: nothing is lost by it, and the longest rules.
pub fn leases_differ(cluster: &Cluster) -> Option<String> {
    let lease = |view: &NodeView| Some((view.node, view.reply()?.lease_ms));
    let leases: Vec<(u32, u64)> = cluster.nodes.iter().filter_map(lease).collect();
    let (_, first) = leases.first()?;
    if leases.iter().all(|(_, lease)| lease == first) {
        return None;
    }
    let each: Vec<String> =
        leases.iter().map(|(node, lease)| format!("{lease} ms on node {node}")).collect();
    Some(format!(
        "ha_lease differs: {}; set it alike in hawq-site.xml of every master, and restart those \
         that differ",
        each.join(", ")
    ))
}

/// A line a node.
pub fn nodes(cluster: &Cluster) -> Vec<Line> {
    let primary = cluster.primary().and_then(NodeView::reply);
    cluster
        .nodes
        .iter()
        .map(|view| {
            let label = format!("Master {} {}:{}", view.node, view.host, view.pg_port);
            let (state, attention) = node_state(view, primary);
            Line { text: pair(&label, &state), attention }
        })
        .collect()
}

fn node_state(view: &NodeView, primary: Option<&StatusReply>) -> (String, bool) {
    let standby = primary.and_then(|reply| {
        reply.standbys.iter().find(|s| s.member.is_some_and(|m| m.node == view.node))
    });
    let reply = match &view.answer {
        Err(problem) => {
            let seen = standby.map(|s| format!("; the primary sees it {}", s.state));
            return (format!("no answer: {problem}{}", seen.unwrap_or_default()), true);
        }
        Ok(reply) => reply,
    };
    let mut state = reply.role.clone();
    let mut attention = false;
    if reply.role == "primary" {
        state.push_str(if reply.open { ", open" } else { ", closed" });
        state.push_str(&format!(", commit {}", Lsn(reply.commit_lsn)));
    } else if let Some(standby) = standby {
        state.push_str(&lag(standby));
        attention = !standby.in_sync;
    } else {
        state.push_str(&format!(", flushed {}", Lsn(reply.flush_lsn)));
        attention = reply.role != "in-sync";
    }
    state.push_str(&format!(", epoch {}", Epoch(reply.epoch)));
    if let (Some(millis), true) = (reply.heard_primary_ago_ms, reply.role != "primary") {
        state.push_str(&format!(", heard the primary {} ago", seconds(millis)));
    }
    let removed = reply.record.as_ref().is_some_and(|record| {
        !record.members.is_empty() && record.members.iter().all(|entry| entry.node != view.node)
    });
    let alone =
        matches!(reply.role.as_str(), "primary" | "joining") || primary.is_none() || removed;
    if !reply.closed_reason.is_empty() && alone {
        state.push_str(&format!("; {}", reply.closed_reason));
        attention = true;
    }
    (state, attention)
}

fn lag(standby: &StandbyStatus) -> String {
    let sync = if standby.in_sync { "synchronized" } else { "not synchronized" };
    format!(
        ", {sync}, {}, lag {} bytes {}",
        standby.state,
        standby.lag_bytes,
        seconds(standby.lag_ms)
    )
}

/// What the primary says of commits that cannot be acknowledged.
pub fn commits_wait(reply: &StatusReply) -> Option<Line> {
    let sentence = &reply.commits_wait;
    (!sentence.is_empty()).then(|| alarming(pair("Commits wait", sentence)))
}

/// Rule 15: what that means for whoever reads it.
fn coordinator_lost(cluster: &Cluster) -> Vec<Line> {
    let answers: Vec<&NodeView> = cluster.nodes.iter().filter(|v| v.answer.is_ok()).collect();
    let trouble = |view: &&NodeView| {
        let reason = &view.reply()?.coordinator_trouble;
        (!reason.is_empty()).then(|| (view.node, view.is_open_primary(), reason.clone()))
    };
    let cut: Vec<(u32, bool, String)> = answers.iter().filter_map(trouble).collect();
    let line = |text: String| alarming(pair("Coordinator", &text));
    if let (Some((node, _, reason)), true) = (cut.first(), cut.len() == answers.len()) {
        return vec![line(format!(
            "cannot be reached, so nobody takes over until it is back (node {node}): {reason}"
        ))];
    }
    let each = cut.into_iter().map(|(node, reigns, reason)| match reigns {
        true => format!("node {node}, the primary, cannot reach it and keeps its set: {reason}"),
        false => format!("node {node} cannot reach it, so it does not take over: {reason}"),
    });
    each.map(line).collect()
}

/// Never "Synchronized" beside a reason why the primary does not serve: it was so once.
fn mirroring(reply: &StatusReply) -> Line {
    let reasons = [&reply.commits_wait, &reply.closed_reason];
    let reason = reasons.into_iter().find(|reason| !reason.is_empty());
    if let (Some(reason), "Synchronized") = (reason, reply.summary_state.as_str()) {
        return alarming(pair("Mirroring", &format!("Unknown: {reason}")));
    }
    let mut state = reply.summary_state.clone();
    for part in [&reply.detail_state, &reply.error_message] {
        if !part.is_empty() && part != "None" {
            state.push_str(": ");
            state.push_str(part);
        }
    }
    let attention = !matches!(reply.summary_state.as_str(), "Synchronized" | "Not Configured");
    Line { text: pair("Mirroring", &state), attention }
}

/// Segments that are down, with their reasons.
pub fn segments(reply: &StatusReply) -> Vec<Line> {
    let down = |row: &&SegmentRow| row.registration_order > 0 && row.status != "u";
    reply
        .segments
        .iter()
        .filter(down)
        .map(|row| {
            let label = format!("Segment {} {}:{}", row.registration_order, row.hostname, row.port);
            alarming(pair(&label, &format!("down: {}{}", reason(row), heard(row))))
        })
        .collect()
}

fn reason(row: &SegmentRow) -> &str {
    if row.description.is_empty() { "no reason recorded" } else { &row.description }
}

fn heard(row: &SegmentRow) -> String {
    if row.has_heard {
        return format!("; last heard {} ago", seconds(row.heard_ago_ms));
    }
    "; not heard by this primary".to_owned()
}

/// Every segment, for `-s`.
pub fn all_segments(reply: &StatusReply) -> Vec<Line> {
    let rows = reply.segments.iter().filter(|row| row.registration_order > 0);
    rows.map(|row| {
        let label = format!("Segment {} {}:{}", row.registration_order, row.hostname, row.port);
        if row.status == "u" {
            return fine(pair(&label, &format!("up{}", heard(row))));
        }
        alarming(pair(&label, &format!("down: {}{}", reason(row), heard(row))))
    })
    .collect()
}

/// Positions and processes, for `-s`.
pub fn node_details(cluster: &Cluster) -> Vec<Line> {
    let mut lines = Vec::new();
    for view in &cluster.nodes {
        let Some(reply) = view.reply() else { continue };
        let mut add = |label: &str, value: String| {
            lines.push(fine(pair(&format!("Master {} {label}", view.node), &value)));
        };
        add("data directory", reply.data_dir.clone());
        add("process", format!("pid {}, gRPC port {}", reply.pid, reply.rpc_port));
        add("sessions", reply.sessions.to_string());
        add("promised epoch", Epoch(reply.promised_epoch).to_string());
        let positions = [reply.write_lsn, reply.flush_lsn, reply.commit_lsn, reply.apply_lsn];
        let positions: Vec<String> = positions.iter().map(|lsn| Lsn(*lsn).to_string()).collect();
        add("write flush commit apply", positions.join(" "));
        if !reply.digest.is_empty() {
            add("catalog digest", format!("{} at {}", reply.digest, Lsn(reply.digest_lsn)));
        }
        add("version", reply.version.clone());
    }
    lines
}

/// The standbys as the primary sees them, with Greenplum's labels, for `-f`.
pub fn standby_details(reply: &StatusReply) -> Vec<Line> {
    if reply.standbys.is_empty() {
        return vec![fine("-Standby master instance not configured".to_owned())];
    }
    let mut lines = Vec::new();
    for standby in &reply.standbys {
        let node = standby.member.map_or(0, |member| member.node);
        let status = match (standby.state.as_str(), standby.in_sync) {
            ("unreachable", _) => "Status could not be determined",
            _ => "Standby host passive",
        };
        let sync = if standby.in_sync { "sync" } else { "async" };
        lines.push(fine(format!("-Standby master details of node {node}")));
        for (label, value) in [
            ("Standby address", standby.host.clone()),
            ("Standby status", status.to_owned()),
            ("WAL Sender State:", standby.state.clone()),
            ("Sync state:", sync.to_owned()),
            ("Sent Location:", Lsn(standby.sent_lsn).to_string()),
            ("Flush Location:", Lsn(standby.flush_lsn).to_string()),
            ("Replay Location:", Lsn(standby.apply_lsn).to_string()),
            ("Bytes left:", standby.lag_bytes.to_string()),
            ("Last heard:", format!("{} ago", seconds(standby.heard_ago_ms))),
        ] {
            let text = pair(label, &value);
            lines.push(Line { text, attention: !standby.in_sync && label == "Sync state:" });
        }
    }
    lines
}

/// Why nobody serves, as far as the answers tell.
pub fn why_no_primary(cluster: &Cluster) -> String {
    let answered = cluster.nodes.iter().filter(|view| view.answer.is_ok()).count();
    let asked = cluster.nodes.len();
    let in_role = |role| cluster.nodes.iter().filter_map(NodeView::reply).find(|r| r.role == role);
    if let Some(reply) = in_role("primary") {
        return format!("node {} is primary and closed: {}", number(reply), reply.closed_reason);
    }
    if let Some(reply) = in_role("taking-over") {
        return format!("node {} is taking over: {}", number(reply), reply.closed_reason);
    }
    let Some(record) = cluster.record() else {
        return format!("no node of {asked} answers; start one with \"hawq start master\"");
    };
    let dead = cluster.node(record.primary).is_none_or(|view| view.answer.is_err());
    let who = record.primary;
    if dead && answered > 0 {
        return format!(
            "node {who}, the primary of epoch {}, does not answer; bring it back, or take over \
             with \"hawq activate standby\"",
            Epoch(record.epoch)
        );
    }
    format!("{answered} of {asked} nodes answer and none of them is primary")
}

fn number(reply: &StatusReply) -> u32 {
    reply.member.map_or(0, |member| member.node)
}

pub fn failover_mode(record: &ClusterState) -> String {
    if record.enabling() != Mode::Unspecified {
        return format!("manual; being enabled: {}", mode(record.enabling()));
    }
    let paused = if record.paused { ", PAUSED (hawq ha resume)" } else { "" };
    format!("{}{paused}", mode(record.mode()))
}

/// Why a manual cluster of two cannot be made automatic without ZooKeeper.
fn no_witness(record: &ClusterState, primary: &StatusReply) -> Option<&'static str> {
    let two = record.mode() == Mode::Manual && record.members.len() == 2;
    let alone = !primary.segments.iter().any(|row| row.registration_order > 0);
    (two && alone).then_some("; no witness: two masters need a segment to be automatic")
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Manual => "manual (hawq activate standby)",
        Mode::Embedded => "automatic, embedded coordinator",
        Mode::Zookeeper => "automatic, ZooKeeper",
        Mode::Unspecified => "unknown",
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
#[path = "state_detail_tests.rs"]
mod tests;
