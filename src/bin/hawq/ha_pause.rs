//! `hawq ha pause` and `hawq ha resume`: whether a standby may take over without a person.
//!
//! The flag is in the cluster state, so it holds for every node, and outlives all of them. Any node
//! can change it, and tries for itself as long as that makes sense: each is asked once, the primary
//! first. What the primary refuses nobody else is asked; a standby that is busy is passed over.
//! Once an outcome is unknown nobody else is asked either: it would wait for the same coordinator.

use std::time::Duration;

use aerie::proto::v1::PauseRequest;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::report;
use crate::rpc::{self, Access};

/// For the whole command. A node waits so long for its coordinator at most.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run_in(environment: &Environment, paused: bool) -> anyhow::Result<Done> {
    Ok(run_within(PATIENCE, environment, paused).await)
}

pub async fn run_within(patience: Duration, environment: &Environment, paused: bool) -> Done {
    let asked = tokio::time::timeout(patience, ask_each(environment, paused)).await;
    let late = || {
        let text = format!("no answer within {patience:?}; the change may yet take effect");
        Trouble::Lost(text)
    };
    match asked.unwrap_or_else(|_| Err(late())) {
        Ok(()) => {
            report::print(sentence(paused));
            Done::Well
        }
        Err(trouble) => trouble.tell(),
    }
}

async fn ask_each(environment: &Environment, paused: bool) -> Result<(), Trouble> {
    let cluster = Cluster::ask(environment).await;
    let access = environment.access();
    let none = "no node answers; start one with \"hawq start master\"";
    let mut trouble = Trouble::Silent(none.to_owned());
    for view in in_order(&cluster) {
        let Err(why) = ask(view, &access, paused).await else { return Ok(()) };
        trouble = why.with(|text| format!("node {}: {text}", view.node));
        let final_word = matches!(trouble, Trouble::Refused(_)) && view.is_open_primary();
        if final_word || matches!(trouble, Trouble::Lost(_)) {
            break;
        }
    }
    Err(trouble)
}

/// Nodes that answered, the primary first.
fn in_order(cluster: &Cluster) -> Vec<&NodeView> {
    let mut nodes: Vec<&NodeView> = cluster.nodes.iter().filter(|v| v.answer.is_ok()).collect();
    nodes.sort_by_key(|view| !view.is_open_primary());
    nodes
}

async fn ask(view: &NodeView, access: &Access, paused: bool) -> Result<String, Trouble> {
    let mut client = ha_nodes::connect(view, access).await?;
    ha_nodes::judged(rpc::bounded(client.pause(PauseRequest { paused })).await)
}

fn sentence(paused: bool) -> &'static str {
    if paused {
        "automatic takeover is paused; \"hawq ha resume\" ends that"
    } else {
        "automatic takeover is on"
    }
}
