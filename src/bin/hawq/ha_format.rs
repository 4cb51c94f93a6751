//! `hawq ha format`: removes what a cluster has in ZooKeeper (HDFS's `hdfs zkfc -formatZK`).
//!
//! It asks first, and refuses while masters are connected there, or while a master that answers has
//! its record there. Masters that are stopped need that record too: they find it again when they
//! start, and stay closed where it is gone. So a record that rules, or that this host's own master
//! has last seen there, is removed only with `--abandon`. Nothing of the masters' own is touched.
//!
//! Exit codes: 0 removed, or nothing was there; 1 refused, and nothing was removed (HDFS's 2,
//! somebody said no, is 1 here, as for every verb of `hawq`); 2 ZooKeeper does not answer.

use std::time::Duration;

use aerie::ha::{FormatError, Present, ZooKeeperError, ZooKeeperTree};
use aerie::master::ControlFile;
use aerie::proto::v1;
use aerie::types::{ClusterId, ClusterState, Mode};
use anyhow::Context;
use clap::Args;
use tokio::time::timeout;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::prompt;
use crate::report;

/// For each step that asks ZooKeeper; a session is opened within a fraction of that.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct HaFormatOptions {
    /// Do not ask.
    #[arg(short = 'a', long = "yes")]
    pub yes: bool,
    /// UUID of the cluster, where no master of it answers and none lives on this host.
    #[arg(long, value_name = "UUID")]
    pub cluster_id: Option<String>,
    /// Also what the masters need to start: the cluster cannot start again afterwards.
    #[arg(long)]
    pub abandon: bool,
}

pub async fn run_in(environment: &Environment, options: &HaFormatOptions) -> anyhow::Result<Done> {
    Ok(ha_nodes::ended(format(environment, options).await))
}

async fn format(environment: &Environment, options: &HaFormatOptions) -> Result<String, Trouble> {
    let settings = environment.master.zookeeper.clone().ok_or_else(|| {
        let site = environment.site_path().display();
        Trouble::Refused(format!("ha_zookeeper_quorum not found in {site}"))
    })?;
    let cluster = Cluster::ask(environment).await;
    let id = cluster_id(environment, options, &cluster).map_err(refused)?;
    if let Some(users) = users(&cluster) {
        return Err(Trouble::Refused(format!(
            "{users} keeps the cluster state in ZooKeeper; run \"hawq ha disable\" first"
        )));
    }
    let open = || within(ZooKeeperTree::open(settings.clone(), id));
    let present = within(open().await?.look()).await?;
    if !present.exists {
        return Ok(format!("nothing is at {} in ZooKeeper", present.path));
    }
    if !present.nodes.is_empty() {
        let (path, nodes) = (present.path, present.nodes);
        return Err(refused(FormatError::InUse { path, nodes }.into()));
    }
    agree(options, &present, own_record(environment, id).as_ref())?;
    // A session does not outlive a question that is answered late: another one.
    remove(&open().await?).await?;
    Ok(format!("{} was removed from ZooKeeper", present.path))
}

async fn within<T>(asked: impl Future<Output = Result<T, ZooKeeperError>>) -> Result<T, Trouble> {
    let late = |_| Trouble::Silent(format!("ZooKeeper has not answered within {LIMIT:?}"));
    timeout(LIMIT, asked).await.map_err(late)?.map_err(|error| match error {
        ZooKeeperError::Unreachable { .. } | ZooKeeperError::Unanswered { .. } => {
            Trouble::Silent(error.to_string())
        }
        error => refused(error.into()),
    })
}

async fn remove(tree: &ZooKeeperTree) -> Result<(), Trouble> {
    let half = |why: String| Trouble::Lost(format!("{why}; a part of it may be removed already"));
    match timeout(LIMIT, tree.remove()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(FormatError::ZooKeeper(error))) => Err(half(error.to_string())),
        Ok(Err(error)) => Err(refused(error.into())),
        Err(_) => Err(half(format!("ZooKeeper has not answered within {LIMIT:?}"))),
    }
}

fn refused(error: anyhow::Error) -> Trouble {
    Trouble::Refused(format!("{error:#}"))
}

/// Asks whether it is to be removed, once it is known what that means.
fn agree(
    options: &HaFormatOptions,
    present: &Present,
    own: Option<&ClusterState>,
) -> Result<(), Trouble> {
    let path = &present.path;
    let question = match needed(present, own) {
        Some(reason) if options.abandon => format!(
            "{reason}. Without it no master of the cluster opens by itself, but only by \"hawq ha \
             disable --coordinator-lost\". Remove {path} from ZooKeeper all the same"
        ),
        Some(reason) => {
            return Err(Trouble::Refused(format!(
                "{reason}; the masters need it when they start again: start them and run \"hawq ha \
                 disable\" first (--abandon: the cluster is gone for good)"
            )));
        }
        None => {
            report::print(&description(present));
            format!("Remove {path} from ZooKeeper")
        }
    };
    if options.yes {
        report::print(&question);
    }
    match prompt::ask(&question, options.yes).map_err(refused)? {
        true => Ok(()),
        false => Err(Trouble::Refused("nothing was removed".to_owned())),
    }
}

/// Why the cluster, stopped as it may be, needs what is there. The record that stays in ZooKeeper
/// when automatic mode is disabled names manual mode.
fn needed(present: &Present, own: Option<&ClusterState>) -> Option<String> {
    let path = &present.path;
    let there = present.record.as_ref();
    if let Some(record) = there.filter(|record| record.mode != Mode::Manual) {
        return Some(format!("{path} holds the record {record}"));
    }
    let newer = |own: &&ClusterState| {
        let age = |record: &ClusterState| (record.epoch, record.version);
        there.is_none_or(|there| age(own) > age(there))
    };
    let own = own.filter(newer).filter(|own| own.mode == Mode::ZooKeeper)?;
    Some(format!("{path} held the record {own}, as the master of this host knows"))
}

/// What the master of this host knows of that cluster's state.
fn own_record(environment: &Environment, id: ClusterId) -> Option<ClusterState> {
    let path = environment.master.data_dir.join("control.json");
    let control = ControlFile::open(&path).ok()?.content();
    control.record.filter(|record| record.cluster_id == id)
}

/// Masters that answer and whose record says that it lies in ZooKeeper, or is to.
fn users(cluster: &Cluster) -> Option<String> {
    let uses = |view: &&NodeView| {
        let record = view.reply().and_then(|reply| reply.record.as_ref());
        let modes = record.map(|record| [record.mode(), record.enabling()]);
        modes.is_some_and(|modes| modes.contains(&v1::Mode::Zookeeper))
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
    use std::collections::BTreeMap;

    use aerie::proto::v1::StatusReply;
    use aerie::types::{Epoch, Incarnation, Member, NodeId};

    use super::*;

    fn node(number: u32, mode: Option<v1::Mode>) -> NodeView {
        let reply = |mode: v1::Mode| StatusReply {
            record: Some(v1::ClusterState { mode: mode.into(), ..v1::ClusterState::default() }),
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
        let cluster = |modes: &[Option<v1::Mode>]| Cluster {
            nodes: (1..).zip(modes).map(|(number, mode)| node(number, *mode)).collect(),
        };
        let (manual, embedded) = (v1::Mode::Manual, v1::Mode::Embedded);
        assert_eq!(users(&cluster(&[None, None])), None);
        assert_eq!(users(&cluster(&[Some(manual), Some(embedded)])), None);
        let there = Some(v1::Mode::Zookeeper);
        assert_eq!(users(&cluster(&[there, None, there])).as_deref(), Some("node 1, node 3"));
    }

    fn record(mode: Mode, version: u64) -> ClusterState {
        let node = NodeId::new(1).expect("a node number");
        let primary = Member { node, incarnation: Incarnation(7) };
        let first = ClusterState::first(ClusterId(1), primary, BTreeMap::new());
        ClusterState { mode, version, epoch: Epoch(257), ..first }
    }

    #[test]
    fn masters_that_are_stopped_need_the_record_too() {
        let is_needed = |there: Option<ClusterState>, own: Option<ClusterState>| {
            let path = "/aerie/c".to_owned();
            let present = Present { path, exists: true, record: there, nodes: Vec::new() };
            needed(&present, own.as_ref()).is_some()
        };
        let (manual, there) =
            (|version| Some(record(Mode::Manual, version)), Some(record(Mode::ZooKeeper, 5)));
        assert!(is_needed(there.clone(), None));
        assert!(is_needed(there.clone(), manual(9)), "the others may not have heard of that");
        assert!(!is_needed(manual(6), None), "it was disabled");
        assert!(!is_needed(manual(6), there.clone()), "this host was down meanwhile");
        assert!(is_needed(manual(4), there.clone()), "it was enabled again");
        assert!(is_needed(None, there), "the record cannot be read");
        assert!(!is_needed(None, manual(1)) && !is_needed(None, None));
    }

    /// Nobody is asked: these are the answers without a question.
    #[test]
    fn a_cluster_is_abandoned_only_when_told_to() {
        let (path, record) = ("/aerie/c".to_owned(), Some(record(Mode::ZooKeeper, 5)));
        let present = Present { path, exists: true, record, nodes: Vec::new() };
        let asked = |abandon| {
            let options = HaFormatOptions { yes: true, cluster_id: None, abandon };
            agree(&options, &present, None)
        };
        let refused = asked(false).unwrap_err();
        assert!(refused.text().contains("run \"hawq ha disable\" first"), "{refused:?}");
        assert_eq!(asked(true), Ok(()));
    }
}
