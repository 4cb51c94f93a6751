//! Who could take over, by which rule another could not, and what would be lost with it: as each
//! node's own answer and the newest record among the answers have it. Nothing is tried here; the
//! nodes decide.

use std::cmp::Reverse;

use aerie::proto::v1::{ClusterState, MemberEntry, Mode, StatusReply};
use aerie::types::Lsn;

use crate::cluster::{Cluster, NodeView};

/// Members of the in-sync set that may stand by themselves, the first to do so first (rule 10).
pub fn order_of_standbys(record: &ClusterState) -> Vec<&MemberEntry> {
    let in_sync = |entry: &MemberEntry| record.in_sync.iter().any(|m| m.node == entry.node);
    let mut standbys: Vec<&MemberEntry> = record
        .members
        .iter()
        .filter(|entry| entry.node != record.primary && entry.priority > 0 && in_sync(entry))
        .collect();
    standbys.sort_by_key(|entry| (Reverse(entry.priority), entry.node));
    standbys
}

/// Why this standby could not take over now without losing anything, even at a person's word.
pub fn cannot(cluster: &Cluster, view: &NodeView) -> Vec<String> {
    let reply = match &view.answer {
        Ok(reply) => reply,
        Err(problem) => return vec![format!("it does not answer: {problem}")],
    };
    let mut reasons = lacks(cluster, reply);
    if !reply.coordinator_trouble.is_empty() {
        let trouble = &reply.coordinator_trouble;
        reasons.push(format!("rule 15: it does not reach the coordinator: {trouble}"));
    }
    reasons
}

/// The member that answered stands in this record's in-sync set.
pub fn is_recorded(record: &ClusterState, reply: &StatusReply) -> bool {
    record.in_sync.iter().any(|member| Some(*member) == reply.member)
}

/// Why acknowledged rows could be missing there.
fn lacks(cluster: &Cluster, reply: &StatusReply) -> Vec<String> {
    let mut reasons = reply.cannot_stand.clone();
    let missing = cluster.record().is_some_and(|record| !is_recorded(record, reply));
    if reasons.is_empty() && missing {
        let newest = "rule 6: it is not in the in-sync set of the newest record that a node knows";
        reasons.push(newest.to_owned());
    }
    reasons
}

/// What could be lost with `target` as primary; `None`: nothing, since it is in the recorded set.
pub fn loss(cluster: &Cluster, target: &NodeView) -> Option<String> {
    let reply = target.reply()?;
    let reasons = lacks(cluster, reply);
    if reasons.is_empty() {
        return None;
    }
    let others = cluster.nodes.iter().filter_map(NodeView::reply);
    let known = others.map(|other| other.commit_lsn).max().unwrap_or_default();
    let flushed = Lsn(reply.flush_lsn);
    let missing = Lsn(known).bytes_since(flushed);
    let known = match missing {
        0 => String::new(),
        bytes => format!(" ({bytes} bytes of it are known of)"),
    };
    let reasons = reasons.join("; ");
    Some(format!(
        "node {}: {reasons}; its log ends at {flushed}, and whatever was acknowledged after that \
         would be lost{known}",
        target.node
    ))
}

/// What whoever asks has agreed to lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// To be told before anything is asked of the node.
    pub loss: Option<String>,
    /// What the node may be told. Where the record rules, and nothing would be lost by it, the node
    /// is to refuse if that is no longer so: nobody was told of a loss then.
    pub allow_data_loss: bool,
}

/// What goes with `target`, where whoever asks accepts a loss by `flag`.
///
/// # Errors
/// It was not accepted, or need not be: another standby loses nothing.
pub fn agreed(
    cluster: &Cluster,
    target: &NodeView,
    (flag, accepted): (&str, bool),
) -> Result<Agreed, String> {
    let Some(loss) = loss(cluster, target) else {
        let allow_data_loss = accepted && !cluster.record().is_some_and(is_automatic);
        return Ok(Agreed { loss: None, allow_data_loss });
    };
    let able = |view: &&NodeView| view.node != target.node && cannot(cluster, view).is_empty();
    if let Some(other) = standbys(cluster).find(able) {
        let node = other.node;
        return Err(format!(
            "{loss}; node {node} could take over and lose nothing: name that one, or stop it first"
        ));
    }
    match accepted {
        true => Ok(Agreed { loss: Some(loss), allow_data_loss: true }),
        false => Err(format!("{loss}; {flag} accepts that")),
    }
}

fn is_automatic(record: &ClusterState) -> bool {
    matches!(record.mode(), Mode::Embedded | Mode::Zookeeper)
}

/// Who could take over by itself if the primary handed its reign back to nobody by name.
///
/// # Errors
/// Why nobody would, so that the old primary would open again.
pub fn successor(cluster: &Cluster) -> Result<&NodeView, String> {
    let record = cluster.record().ok_or("no node knows the cluster state")?;
    if !is_automatic(record) {
        return Err("in manual mode nobody takes over by itself".to_owned());
    }
    if record.paused {
        return Err("takeovers are paused (hawq ha resume)".to_owned());
    }
    let mut problems = Vec::new();
    for entry in order_of_standbys(record) {
        let Some(view) = cluster.node(entry.node) else { continue };
        match cannot(cluster, view).as_slice() {
            [] => return Ok(view),
            reasons => problems.push(format!("node {}: {}", view.node, reasons.join("; "))),
        }
    }
    if problems.is_empty() {
        problems.push("no other node that may stand is in the in-sync set".to_owned());
    }
    Err(problems.join("; "))
}

/// The standby of that number, if it answers.
pub fn named(cluster: &Cluster, number: u32) -> Result<&NodeView, String> {
    let view = cluster.node(number).ok_or_else(|| format!("there is no node {number}"))?;
    match &view.answer {
        _ if view.is_open_primary() => Err(format!("node {number} is the primary already")),
        Ok(_) => Ok(view),
        Err(problem) => Err(format!("node {number} does not answer: {problem}")),
    }
}

/// The standby with which nothing is lost, the furthest of several; this host's own only where they
/// are alike.
pub fn best(cluster: &Cluster, own: u32) -> Result<&NodeView, String> {
    standbys(cluster)
        .filter_map(|view| Some((view, view.reply()?)))
        .max_by_key(|(view, reply)| {
            let whole = lacks(cluster, reply).is_empty();
            let free = reply.coordinator_trouble.is_empty();
            (whole, free, reply.flush_lsn, view.node == own, Reverse(view.node))
        })
        .map(|(view, _)| view)
        .ok_or_else(|| "no standby answers; start one with \"hawq start standby\"".to_owned())
}

/// Nodes that are not primary, open or closed.
fn standbys(cluster: &Cluster) -> impl Iterator<Item = &NodeView> {
    let reigns = |reply: &StatusReply| matches!(reply.role.as_str(), "primary" | "stepping-down");
    cluster.nodes.iter().filter(move |view| !view.reply().is_some_and(reigns))
}

#[cfg(test)]
#[path = "ha_standing_tests.rs"]
pub(crate) mod tests;
