//! `hawq ha format`: removes what a cluster has in ZooKeeper (HDFS's `hdfs zkfc -formatZK`).
//!
//! It asks first, and refuses while masters are connected there, or while a master that answers has
//! its record there. Nothing of the masters' own is touched: they keep their catalog and what they
//! know of the cluster state.
//!
//! Exit codes: 0 removed, or nothing was there; 1 refused or failed. HDFS's 2 (somebody said no) is
//! 1 here, as for every verb of `hawq`.

use std::time::Duration;

use aerie::ha::{Present, ZooKeeperTree};
use aerie::proto::v1::Mode;
use aerie::types::{ClusterId, ClusterState};
use anyhow::Context;
use clap::Args;

use crate::Done;
use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::prompt;
use crate::report;

/// For all that is asked of ZooKeeper; a session is opened within a fraction of that.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct HaFormatOptions {
    /// Do not ask.
    #[arg(short = 'a', long = "yes")]
    pub yes: bool,
    /// UUID of the cluster, where no master of it answers and none lives on this host.
    #[arg(long, value_name = "UUID")]
    pub cluster_id: Option<String>,
}

pub async fn run_in(environment: &Environment, options: &HaFormatOptions) -> anyhow::Result<Done> {
    let format = format(environment, options);
    match tokio::time::timeout(LIMIT, format).await {
        Ok(done) => done,
        Err(_) => anyhow::bail!("ZooKeeper has not answered within {LIMIT:?}"),
    }
}

async fn format(environment: &Environment, options: &HaFormatOptions) -> anyhow::Result<Done> {
    let Some(settings) = environment.master.zookeeper.clone() else {
        anyhow::bail!("ha_zookeeper_quorum not found in {}", environment.site_path().display());
    };
    let cluster = Cluster::ask(environment).await;
    let id = cluster_id(environment, options, &cluster)?;
    if let Some(users) = users(&cluster) {
        report::complain(&format!(
            "{users} keeps the cluster state in ZooKeeper; run \"hawq ha disable\" first, or stop \
             the masters"
        ));
        return Ok(Done::Badly);
    }
    let tree = ZooKeeperTree::open(settings, id).await?;
    let present = tree.look().await?;
    if !present.exists {
        report::print(&format!("nothing is at {} in ZooKeeper", present.path));
        return Ok(Done::Well);
    }
    if present.nodes.is_empty() {
        report::print(&description(&present));
        let question = format!("Remove {} from ZooKeeper", present.path);
        if !prompt::ask(&question, options.yes)? {
            report::print("nothing was removed");
            return Ok(Done::Badly);
        }
    }
    tree.remove().await?;
    report::print(&format!("{} was removed from ZooKeeper", present.path));
    Ok(Done::Well)
}

/// Masters that answer and whose record says that it lies in ZooKeeper.
fn users(cluster: &Cluster) -> Option<String> {
    let uses = |view: &&crate::cluster::NodeView| {
        let record = view.reply().and_then(|reply| reply.record.as_ref());
        record.is_some_and(|record| record.mode() == Mode::Zookeeper)
    };
    let nodes: Vec<String> =
        cluster.nodes.iter().filter(uses).map(|view| format!("node {}", view.node)).collect();
    (!nodes.is_empty()).then(|| nodes.join(", "))
}

/// As told, or as the masters or this host's data directory know it.
fn cluster_id(
    environment: &Environment,
    options: &HaFormatOptions,
    cluster: &Cluster,
) -> anyhow::Result<ClusterId> {
    let answered = cluster.nodes.iter().find_map(|view| Some(view.reply()?.cluster_id.clone()));
    let here = environment.node.as_ref().map(|node| node.cluster_id.clone());
    let text = options.cluster_id.clone().or(answered).or(here);
    let text = text.context(
        "no master answers and none lives on this host; name the cluster with --cluster-id",
    )?;
    text.parse().with_context(|| format!("--cluster-id {text}"))
}

fn description(present: &Present) -> String {
    let record = present.record.as_ref().map(ClusterState::to_string);
    match record {
        Some(record) => format!("{} holds the record {record}", present.path),
        None => format!("{} holds no record", present.path),
    }
}

#[cfg(test)]
mod tests {
    use aerie::proto::v1::{ClusterState, StatusReply};

    use super::*;
    use crate::cluster::NodeView;

    fn node(number: u32, mode: Option<Mode>) -> NodeView {
        let reply = |mode: Mode| StatusReply {
            record: Some(ClusterState { mode: mode.into(), ..ClusterState::default() }),
            ..StatusReply::default()
        };
        NodeView {
            node: number,
            host: "h".to_owned(),
            rpc_port: 1,
            pg_port: 2,
            answer: mode.map(|mode| Box::new(reply(mode))).ok_or_else(|| "down".to_owned()),
        }
    }

    #[test]
    fn masters_that_keep_their_record_there_are_in_the_way() {
        let cluster = |modes: &[Option<Mode>]| Cluster {
            nodes: (1..).zip(modes).map(|(number, mode)| node(number, *mode)).collect(),
        };
        assert_eq!(users(&cluster(&[None, None])), None);
        assert_eq!(users(&cluster(&[Some(Mode::Manual), Some(Mode::Embedded)])), None);
        let both = cluster(&[Some(Mode::Zookeeper), None, Some(Mode::Zookeeper)]);
        assert_eq!(users(&both).as_deref(), Some("node 1, node 3"));
    }
}
