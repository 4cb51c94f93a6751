//! `hawq ha drill`: a switchover there and one back, so that a failover is not the first of its
//! kind. Refused while anything is wrong; it says what. Once the way there is done and the way back
//! is not, it exits 2 (something has changed) and says where the reign is.

use std::time::Duration;

use tokio::time::Instant;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::ha_standing;
use crate::ha_switchover::{self, Switched};
use crate::report;
use crate::state_detail;

/// How long the node that handed over may take to be in sync again.
const REJOIN_MAX: Duration = Duration::from_secs(60);

const REJOIN_PAUSE: Duration = Duration::from_millis(200);

pub async fn run_in(environment: &Environment) -> anyhow::Result<Done> {
    match drill(environment).await {
        Ok(()) => Ok(Done::Well),
        Err(trouble) => Ok(trouble.tell()),
    }
}

async fn drill(environment: &Environment) -> Result<(), Trouble> {
    let cluster = Cluster::ask(environment).await;
    let home = healthy(&cluster)?;
    let away = switched(environment, None).await?;
    match way_back(environment, home).await {
        Ok(()) => {
            report::print("the drill is done");
            Ok(())
        }
        // Even a refusal leaves the cluster otherwise than it was.
        Err(trouble) => Err(Trouble::Lost(format!(
            "only the way there is done, and node {away} is primary: {}; \"hawq ha switchover --to \
             {home}\" goes back",
            trouble.text()
        ))),
    }
}

async fn way_back(environment: &Environment, home: u32) -> Result<(), Trouble> {
    wait_in_sync(environment, home).await.map_err(Trouble::Refused)?;
    switched(environment, Some(&home.to_string())).await.map(drop)
}

/// The primary's number, where nothing needs attention.
fn healthy(cluster: &Cluster) -> Result<u32, Trouble> {
    let Some(primary) = cluster.primary() else {
        return Err(ha_nodes::no_primary(cluster, "no drill"));
    };
    let wrong: Vec<String> = state_detail::lines(cluster)
        .into_iter()
        .filter(|line| line.attention && !line.text.starts_with("-   Segment "))
        .map(|line| line.text)
        .collect();
    if wrong.is_empty() {
        return Ok(primary.node);
    }
    let text = format!("no drill while something needs attention:\n{}", wrong.join("\n"));
    Err(Trouble::Refused(text))
}

async fn switched(environment: &Environment, to: Option<&str>) -> Result<u32, Trouble> {
    match ha_switchover::switch_over(environment, to).await? {
        Switched::Already { node } => Ok(node),
        Switched::To { node, from, gap_us } => {
            report::print(&ha_switchover::sentence(from, node, gap_us));
            Ok(node)
        }
    }
}

async fn wait_in_sync(environment: &Environment, node: u32) -> Result<(), String> {
    let until = Instant::now() + REJOIN_MAX;
    loop {
        let cluster = Cluster::ask(environment).await;
        let name = node.to_string();
        let view = ha_nodes::find(&cluster, &name)?;
        let in_sync = view.reply().is_some_and(|reply| reply.role == "in-sync");
        let follows = in_sync && ha_standing::cannot(&cluster, view).is_empty();
        // As the primary counts it too: the standby's own word may be of before.
        let counted = cluster.primary().and_then(NodeView::reply).is_some_and(|primary| {
            let mut standbys = primary.standbys.iter();
            standbys.any(|s| s.in_sync && s.member.is_some_and(|member| member.node == node))
        });
        if follows && counted {
            return Ok(());
        }
        if Instant::now() >= until {
            let seconds = REJOIN_MAX.as_secs();
            return Err(format!("node {node} is not in sync again within {seconds} s"));
        }
        tokio::time::sleep(REJOIN_PAUSE).await;
    }
}
