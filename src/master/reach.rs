//! Whether every master reaches a coordinator, asked before automatic mode is decided on: one that
//! does not could never take over. Nothing is changed by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::ha::{Authority, ReadOutcome, Voters};
use crate::proto::convert::{mode_to_wire, voters_to_wire};
use crate::proto::v1::{Outcome, ReachCoordinatorRequest};
use crate::types::{MemberEntry, Mode, NodeId, Voter};

use super::coordinators::Coordinators;
use super::enable;
use super::parts::Parts;
use super::witnesses::control_client;

/// Bound of one member's answer.
const REACH_MAX: Duration = Duration::from_secs(6);

/// A session with ZooKeeper may come too late for the first question.
const TRIES: usize = 2;

/// Asks every other member. The refusal names the node, what is wrong there, and what helps.
pub(super) async fn everybody(
    parts: &Arc<Parts>,
    mode: Mode,
    voters: &BTreeSet<Voter>,
) -> Result<(), String> {
    let view = parts.view();
    let Some(record) = view.record.as_ref().filter(|record| record.mode == Mode::Manual) else {
        return Ok(());
    };
    let others = record.members.iter().filter(|(node, _)| **node != view.me.node);
    let asked = others.map(|(node, entry)| member(parts, (*node, entry), mode, voters));
    join_all(asked).await.into_iter().collect()
}

async fn member(
    parts: &Parts,
    (node, entry): (NodeId, &MemberEntry),
    mode: Mode,
    voters: &BTreeSet<Voter>,
) -> Result<(), String> {
    let zookeeper = parts.settings.zookeeper.as_ref();
    let request = ReachCoordinatorRequest {
        epoch: parts.view().epoch.0,
        mode: mode_to_wire(mode).into(),
        voters: Some(voters_to_wire(voters)),
        zookeeper_path: zookeeper.map(|settings| settings.path.clone()).unwrap_or_default(),
    };
    let asked = async {
        let mut client = control_client(&parts.auth, entry, REACH_MAX).await?;
        let answer = client.reach_coordinator(request).await;
        Ok::<Outcome, String>(answer.map_err(|status| status.message().to_owned())?.into_inner())
    };
    let silent = |reason: String| {
        format!(
            "node {node} does not say whether it reaches the coordinator: {reason}; start it, or \
             take it out with \"hawq init standby -r --node {node}\""
        )
    };
    match tokio::time::timeout(REACH_MAX, asked).await {
        Ok(Ok(Outcome { ok: true, .. })) => Ok(()),
        Ok(Ok(Outcome { text, .. })) => Err(format!("node {node} could not take over: {text}")),
        Ok(Err(reason)) => Err(silent(reason)),
        Err(_) => Err(silent(format!("no answer within {} s", REACH_MAX.as_secs()))),
    }
}

/// The other side of it: with the settings of this node, and over its network.
pub(super) async fn from_here(
    parts: &Arc<Parts>,
    coordinators: &Coordinators,
    mode: Mode,
    (voters, zookeeper_path): (&BTreeSet<Voter>, &str),
) -> Result<(), String> {
    enable::possible(&parts.settings, mode)?;
    match mode {
        Mode::Manual => Ok(()),
        Mode::Embedded => {
            let asked = voters.iter().map(|voter| {
                let Voter { name, host, rpc_port, .. } = voter.clone();
                async move {
                    let described = parts.voters.describe(host.clone(), rpc_port).await;
                    described.map_err(|reason| {
                        format!("it does not reach voter {name} ({host}:{rpc_port}): {reason}")
                    })
                }
            });
            join_all(asked).await.into_iter().try_for_each(|described| described.map(drop))
        }
        Mode::ZooKeeper => {
            let own = parts.settings.zookeeper.as_ref().map_or("", |settings| &settings.path);
            if own != zookeeper_path {
                return Err(format!(
                    "ha_zookeeper_path is \"{own}\" there and \"{zookeeper_path}\" on the primary; \
                     set it alike in hawq-site.xml of every master, and restart them"
                ));
            }
            let answer = zookeeper(coordinators).await;
            // It shows itself there when that mode has come.
            if parts.view().record.as_ref().is_none_or(|record| record.mode == Mode::Manual) {
                coordinators.leave(mode);
            }
            answer
        }
    }
}

async fn zookeeper(coordinators: &Coordinators) -> Result<(), String> {
    let mut trouble = String::new();
    for _ in 0..TRIES {
        match coordinators.read(Mode::ZooKeeper, Authority::Rules).await {
            ReadOutcome::Record(_) | ReadOutcome::Empty => return Ok(()),
            ReadOutcome::Unavailable { reason } => trouble = reason,
        }
    }
    Err(trouble)
}
