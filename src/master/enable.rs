//! Out of manual mode and back, as an operator or a setting asks for it: what must be known before
//! the node is asked (who is to vote, and whether every master could take over), and the answer as
//! a sentence. The node decides.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::ha::Voters;
use crate::runtime::config::MasterSettings;
use crate::types::{MemberEntry, Mode, NodeId, Voter};

use super::node::NodeView;
use super::parts::Parts;
use super::voter_choice::{self, Candidates};
use super::{Answer, Request, reach, relations};

/// A turn asks every member and the coordinator, each within its own bound.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// One witness is enough; so many are asked.
const WITNESSES_MAX: usize = 16;

/// `enable_master_auto_ha`: after a refusal the next try waits so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Automatic mode, held by `mode`.
pub(super) async fn enable(parts: &Arc<Parts>, mode: Mode) -> Answer {
    let prepared = async {
        let view = parts.view();
        if !view.is_open_primary() {
            return Err(not_primary(&view));
        }
        possible(&parts.settings, mode)?;
        let voters = voters(parts, mode).await?;
        reach::everybody(parts, mode, &voters).await?;
        Ok(voters)
    };
    let voters = match prepared.await {
        Ok(voters) => voters,
        Err(reason) => return Answer::Refused { reason },
    };
    match parts.answers.ask(Request::Enable { mode, voters }, ANSWER_MAX).await {
        Answer::Done { text } => {
            Answer::Done { text: format!("automatic failover ({mode}) is on: {text}") }
        }
        other => other,
    }
}

pub(super) async fn disable(parts: &Arc<Parts>) -> Answer {
    if parts.settings.auto_ha {
        let reason = "enable_master_auto_ha = on would enable it again at once; set it to off in \
                      hawq-site.xml and restart this node first";
        return Answer::Refused { reason: reason.to_owned() };
    }
    match parts.answers.ask(Request::Disable, ANSWER_MAX).await {
        Answer::Done { .. } => {
            let text = "automatic failover is off; \"hawq activate standby\" takes over";
            Answer::Done { text: text.to_owned() }
        }
        other => other,
    }
}

pub(super) fn not_primary(view: &NodeView) -> String {
    let primary = view.record.as_ref().map(|record| record.primary);
    match primary.filter(|node| *node != view.me.node) {
        Some(node) => format!("only the primary can do that, which is node {node}"),
        None => "this node is not an open primary".to_owned(),
    }
}

/// What this node's settings have to say.
pub(super) fn possible(settings: &MasterSettings, mode: Mode) -> Result<(), String> {
    if mode == Mode::ZooKeeper && settings.zookeeper.is_none() {
        return Err("ha_zookeeper_quorum is not set; add it to hawq-site.xml of every master, as \
                    host:port,host:port, and restart them"
            .to_owned());
    }
    // With ZooKeeper this is usual, and only said at the beginning of each reign.
    match relations::shrinks_late(settings, mode).filter(|_| mode == Mode::Embedded) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

/// Asks every master and segment agent who votes there, and chooses.
async fn voters(parts: &Arc<Parts>, mode: Mode) -> Result<BTreeSet<Voter>, String> {
    if mode != Mode::Embedded {
        return Ok(BTreeSet::new());
    }
    let view = parts.view();
    let record = view.record.as_ref().ok_or("the cluster state is not known")?;
    let mut members: Vec<(&NodeId, &MemberEntry)> = record.members.iter().collect();
    members.sort_by_key(|(node, entry)| (**node != record.primary, Reverse(entry.priority)));
    let masters = members.into_iter().map(|(node, entry)| {
        described(parts, format!("node{node}"), entry.host.clone(), entry.rpc_port)
    });
    let masters = join_all(masters).await.into_iter().flatten().collect();
    let agents = parts.segments.agents().await;
    let segments = agents.into_iter().take(WITNESSES_MAX).map(|agent| {
        let name = format!("{}:{}", agent.hostname, agent.port);
        described(parts, name, agent.address, agent.rpc_port)
    });
    let segments = join_all(segments).await.into_iter().flatten().collect();
    voter_choice::choose(record.members.len(), Candidates { masters, segments })
}

async fn described(parts: &Parts, name: String, host: String, rpc_port: u16) -> Option<Voter> {
    match parts.voters.describe(host.clone(), rpc_port).await {
        Ok(described) => Some(Voter { name, incarnation: described.incarnation, host, rpc_port }),
        Err(reason) => {
            tracing::warn!("{name} ({host}:{rpc_port}) cannot vote: {reason}");
            None
        }
    }
}

/// `enable_master_auto_ha`: whenever this node is the primary of a manual cluster that is whole, it
/// goes over to ZooKeeper.
pub(super) async fn keep_enabled(parts: Arc<Parts>) {
    if !parts.settings.auto_ha {
        return;
    }
    let mut node = parts.node.clone();
    let mut told = String::new();
    loop {
        let view = Arc::clone(&node.borrow_and_update());
        let due = view.is_open_primary() && is_whole_and_manual(&view);
        if due {
            match enable(&parts, Mode::ZooKeeper).await {
                Answer::Done { text } => tracing::info!("enable_master_auto_ha: {text}"),
                Answer::Refused { reason } | Answer::Unknown { reason } if reason != told => {
                    tracing::warn!("enable_master_auto_ha: {reason}; trying again");
                    told = reason;
                }
                Answer::Refused { .. } | Answer::Unknown { .. } => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
        if node.changed().await.is_err() {
            return;
        }
    }
}

/// A lone primary has nobody to fail over to; it is enabled when a standby is in sync.
fn is_whole_and_manual(view: &NodeView) -> bool {
    let Some(record) = &view.record else { return false };
    record.mode == Mode::Manual
        && record.enabling.is_none()
        && record.members.len() > 1
        && record.in_sync.len() == record.members.len()
}
