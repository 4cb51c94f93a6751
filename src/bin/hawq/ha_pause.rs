//! `hawq ha pause` and `hawq ha resume`: whether a standby may take over without a person.
//!
//! The flag is in the cluster state, so it holds for every node, and outlives all of them. Any node
//! can change it; the primary is asked first, the others when it does not answer.

use aerie::proto::v1::PauseRequest;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::report;
use crate::rpc::{self, Access};

/// A change of the record that crossed another is tried once more.
const ATTEMPTS: usize = 3;

pub async fn run_in(environment: &Environment, paused: bool) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let access = environment.access();
    let none = "no node answers; start one with \"hawq start master\"";
    let mut trouble = Trouble::Silent(none.to_owned());
    for _ in 0..ATTEMPTS {
        for view in in_order(&cluster) {
            match ask(view, &access, paused).await {
                Ok(_) => {
                    report::print(sentence(paused));
                    return Ok(Done::Well);
                }
                Err(why) => trouble = why.with(|text| format!("node {}: {text}", view.node)),
            }
        }
    }
    Ok(trouble.tell())
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
