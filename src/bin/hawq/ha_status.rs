//! `hawq ha status`: one page on who reigns, who would be next, and what is wrong.
//!
//! Exits 0 when an open primary answered, 1 when only others did, 2 when nobody did.

use aerie::proto::v1::{ClusterState, Mode, StandbyStatus, StatusReply};
use aerie::types::{Epoch, Lsn};
use clap::Args;
use serde_json::{Value, json};

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_standing::order_of_standbys;
use crate::report;
use crate::state_detail;
use crate::{ha_history, ha_nodes};

#[derive(Debug, Args)]
pub struct HaStatusOptions {
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

pub async fn run_in(environment: &Environment, options: &HaStatusOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    if options.json {
        report::print(&serde_json::to_string_pretty(&object(&cluster))?);
    } else {
        for (label, value) in lines(&cluster) {
            report::print(&format!("{label:<14}{value}"));
        }
    }
    Ok(match cluster.primary() {
        Some(_) => Done::Well,
        None if ha_nodes::answers(&cluster) => Done::Badly,
        None => Done::Unknown,
    })
}

fn lines(cluster: &Cluster) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut add = |label: &str, value: String| lines.push((label.to_owned(), value));
    match cluster.primary() {
        Some(view) => add("primary", primary(view)),
        None => add("primary", format!("none: {}", state_detail::why_no_primary(cluster))),
    }
    for alarm in state_detail::alarms(cluster) {
        add("ALARM", alarm);
    }
    let Some(record) = cluster.record() else { return lines };
    add("mode", state_detail::failover_mode(record));
    add("epoch", format!("{}, record version {}", Epoch(record.epoch), record.version));
    add("in-sync set", node_list(record.in_sync.iter().map(|member| member.node)));
    let order = order_of_standbys(record);
    add("next", node_list(order.iter().map(|entry| entry.node)));
    let reply = cluster.primary().and_then(NodeView::reply);
    add("lease", lease(reply));
    if let Some(differs) = state_detail::leases_differ(cluster) {
        add("LEASE", differs);
    }
    add("coordinator", coordinator(cluster, record));
    if let Some(reign) = reply.and_then(|reply| reply.reign.as_ref()) {
        add("last change", ha_history::cause(reign));
    }
    for view in cluster.nodes.iter().filter(|view| view.node != record.primary) {
        add(&format!("standby {}", view.node), standby(view, reply));
    }
    if let Some(sentence) = reply.map(|r| &r.commits_wait).filter(|s| !s.is_empty()) {
        add("commits wait", sentence.clone());
    }
    lines
}

fn lease(primary: Option<&StatusReply>) -> String {
    let Some(reply) = primary else { return "no primary".to_owned() };
    match reply.lease_left_ms {
        Some(left) => format!("{} ms, {left} ms left for reads", reply.lease_ms),
        None => format!("{} ms, not needed now", reply.lease_ms),
    }
}

/// Who holds the record, and what went wrong with it last.
fn coordinator(cluster: &Cluster, record: &ClusterState) -> String {
    let problem = cluster.nodes.iter().find_map(|view| {
        let problem = &view.reply()?.coordinator_trouble;
        (!problem.is_empty()).then(|| format!("node {}: {problem}", view.node))
    });
    let voters = record.voters.iter().flat_map(|set| &set.voters);
    let names: Vec<&str> = voters.map(|voter| voter.name.as_str()).collect();
    let who = match record.mode() {
        Mode::Embedded => format!("voters {}", names.join(", ")),
        Mode::Zookeeper => "ZooKeeper".to_owned(),
        Mode::Manual | Mode::Unspecified => "a person".to_owned(),
    };
    match problem {
        Some(problem) => format!("{who}; {problem}"),
        None => who,
    }
}

fn primary(view: &NodeView) -> String {
    let commit = view.reply().map_or(0, |reply| reply.commit_lsn);
    let (node, host, port) = (view.node, &view.host, view.pg_port);
    format!("node {node} ({host}:{port}), open, commit {}", Lsn(commit))
}

fn standby(view: &NodeView, primary: Option<&StatusReply>) -> String {
    let place = format!("{}:{}", view.host, view.pg_port);
    let reply = match &view.answer {
        Ok(reply) => reply,
        Err(problem) => return format!("{place}, no answer: {problem}"),
    };
    let seen = primary.and_then(|reply| seen_by_primary(reply, view.node));
    let lag = seen.map_or_else(
        || format!("flushed {}", Lsn(reply.flush_lsn)),
        |standby| format!("lag {} bytes", standby.lag_bytes),
    );
    format!("{place}, {}, {lag}", reply.role)
}

fn seen_by_primary(primary: &StatusReply, node: u32) -> Option<&StandbyStatus> {
    primary.standbys.iter().find(|s| s.member.is_some_and(|member| member.node == node))
}

fn node_list(nodes: impl Iterator<Item = u32>) -> String {
    let nodes: Vec<String> = nodes.map(|node| node.to_string()).collect();
    if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") }
}

/// The mode as `docs/protocol.md` calls it.
fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Manual => "manual",
        Mode::Embedded => "embedded",
        Mode::Zookeeper => "zookeeper",
        Mode::Unspecified => "unknown",
    }
}

fn object(cluster: &Cluster) -> Value {
    let record = cluster.record();
    let primary = cluster.primary();
    let reign = primary.and_then(|view| view.reply()?.reign.as_ref());
    json!({
        "primary": primary.map(|view| view.node),
        "no_primary_reason": primary.is_none().then(|| state_detail::why_no_primary(cluster)),
        "mode": record.map(|record| mode_word(record.mode())),
        "epoch": record.map(|record| Epoch(record.epoch).to_string()),
        "paused": record.map(|record| record.paused),
        "record_version": record.map(|record| record.version),
        "in_sync": record.map(|r| r.in_sync.iter().map(|member| member.node).collect::<Vec<_>>()),
        "next": record.map(|record| {
            order_of_standbys(record).iter().map(|entry| entry.node).collect::<Vec<_>>()
        }),
        "alarms": state_detail::alarms(cluster),
        "coordinator": record.map(|record| coordinator(cluster, record)),
        "last_change": reign.map(ha_history::object),
        "lease_ms": primary.and_then(|view| Some(view.reply()?.lease_ms)),
        "leases_differ": state_detail::leases_differ(cluster),
        "commits_wait": primary.and_then(NodeView::reply).map(|reply| reply.commits_wait.clone()),
    })
}

#[cfg(test)]
mod tests {
    use aerie::proto::v1::{Member, MemberEntry};

    use super::*;

    fn entry(node: u32, priority: u32) -> MemberEntry {
        MemberEntry { node, priority, host: "h".to_owned(), ..MemberEntry::default() }
    }

    fn record() -> ClusterState {
        let in_sync = [1, 2, 3, 4].map(|node| Member { node, incarnation: 1 });
        ClusterState {
            epoch: 3 << 8 | 1,
            primary: 1,
            in_sync: in_sync.to_vec(),
            members: vec![entry(1, 9), entry(2, 1), entry(3, 5), entry(4, 0), entry(5, 9)],
            ..ClusterState::default()
        }
    }

    #[test]
    fn a_silent_cluster_is_explained() {
        let reply = StatusReply { record: Some(record()), ..StatusReply::default() };
        let view = |node: u32, answer| NodeView {
            node,
            host: "h".to_owned(),
            rpc_port: 1,
            pg_port: 5000 + node,
            answer,
        };
        let dead = view(1, Err("connection refused".to_owned()));
        let nodes = vec![dead, view(2, Ok(Box::new(reply)))];
        let lines = lines(&Cluster { nodes });
        assert!(lines[0].1.starts_with("none: node 1, the primary of epoch 3.1, does not"));
        assert_eq!(lines[4], ("next".to_owned(), "3, 2".to_owned()));
    }
}
