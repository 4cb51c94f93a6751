//! The verbs of `hdfs haadmin`, with its outputs, so that scripts written for HDFS do here.
//!
//! `active` is an open primary, `standby` any other node. As there, what fails and what is said on
//! the way go to standard error, and the exit code is 255 (HDFS's -1). Unlike there every way to
//! become active goes through the rules: `--forceactive` is `--allow-data-loss`, which says what is
//! lost and asks, and `--forcefence` changes nothing, since a takeover fences the node that it
//! replaces by its epoch in any case.

use aerie::proto::v1::{ActivateRequest, Progress, ReleaseRequest};
use clap::Args;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::ha_standing::{self, Agreed};
use crate::ha_switchover;
use crate::prompt;
use crate::report;
use crate::rpc;
use crate::state_detail;

/// HDFS's -1, as a shell sees it.
const FAILED: Done = Done::Code(255);

#[derive(Debug, Args)]
pub struct NodeArgument {
    /// Node number, host or host:port.
    pub node: String,
}

#[derive(Debug, Args)]
pub struct ActiveOptions {
    /// Node number, host or host:port.
    pub node: String,
    #[command(flatten)]
    pub force: Force,
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Force {
    /// Also where acknowledged rows may be lost; says how much, and asks.
    #[arg(long)]
    pub forceactive: bool,
    /// Do not ask.
    #[arg(short = 'a', long = "no-prompt")]
    pub no_prompt: bool,
}

/// `failover FROM TO`.
#[derive(Debug)]
pub struct HdfsFailover {
    pub from: String,
    pub to: String,
    pub force: Force,
}

fn ended(verb: &str, result: Result<(), String>) -> anyhow::Result<Done> {
    match result {
        Ok(()) => Ok(Done::Well),
        Err(problem) => {
            report::complain(&format!("{verb}: {problem}"));
            Ok(FAILED)
        }
    }
}

pub fn state_of(view: &NodeView) -> &'static str {
    if view.is_open_primary() { "active" } else { "standby" }
}

pub async fn get_service_state(environment: &Environment, name: &str) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let answered = answering(&cluster, name);
    ended("Operation failed", answered.map(|view| report::print(state_of(view))))
}

pub async fn get_all_service_state(environment: &Environment) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    for view in &cluster.nodes {
        let place = format!("{}:{}", view.host, view.pg_port);
        let state = match &view.answer {
            Ok(_) => state_of(view).to_owned(),
            Err(problem) => format!("Failed to connect: {problem}"),
        };
        report::print(&format!("{place:<50} {state:<10}"));
    }
    Ok(Done::Well)
}

/// Healthy: it serves, or could take over.
pub async fn check_health(environment: &Environment, name: &str) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let view = match answering(&cluster, name) {
        Ok(view) => view,
        Err(problem) => return ended("Operation failed", Err(problem)),
    };
    let Some(reply) = view.reply() else { return Ok(FAILED) };
    let cannot = ha_standing::cannot(&cluster, view);
    let sick = [&reply.alarm, &reply.commits_wait].into_iter().find(|text| !text.is_empty());
    let sick = sick.cloned().or_else(|| match () {
        () if view.is_open_primary() => None,
        () if reply.role == "primary" => Some(reply.closed_reason.clone()),
        () => (!cannot.is_empty()).then(|| cannot.join("; ")),
    });
    ended("Health check failed", sick.map_or(Ok(()), Err))
}

pub async fn transition_to_active(
    environment: &Environment,
    options: &ActiveOptions,
) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let result = become_active(environment, &cluster, options).await;
    ended("transitionToActive", result)
}

async fn become_active(
    environment: &Environment,
    cluster: &Cluster,
    options: &ActiveOptions,
) -> Result<(), String> {
    let target = answering(cluster, &options.node)?;
    match cluster.primary() {
        Some(primary) if primary.node == target.node => return Ok(()),
        Some(primary) => return Err(format!("node {} is already active", primary.node)),
        None => {}
    }
    take_over(environment, (cluster, target), options.force).await
}

async fn take_over(
    environment: &Environment,
    (cluster, target): (&Cluster, &NodeView),
    force: Force,
) -> Result<(), String> {
    let accepted = ("--forceactive", force.forceactive);
    let Agreed { loss, allow_data_loss } = ha_standing::agreed(cluster, target, accepted)?;
    if let Some(loss) = loss {
        report::complain(&loss);
        let question = format!("Make node {} active although that is lost", target.node);
        let agreed = prompt::ask(&question, force.no_prompt);
        if !agreed.map_err(|error| error.to_string())? {
            return Err("nothing was changed".to_owned());
        }
    }
    let request = ActivateRequest { allow_data_loss, ..ActivateRequest::default() };
    let mut show = |line: &Progress| report::complain(&line.text);
    let asked = ha_nodes::take_over(environment, target, request, &mut show).await;
    asked.map_err(|trouble| trouble.text().to_owned())
}

/// The others take over in the order of their priority; refused where none of them would, since the
/// node would open again.
pub async fn transition_to_standby(environment: &Environment, name: &str) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let result = async {
        let view = answering(&cluster, name)?;
        if !view.is_open_primary() {
            return Ok(());
        }
        let node = view.node;
        let refused = |reason| {
            format!(
                "nobody would take over from node {node}: {reason}; \"hawq ha switchover\" hands \
                 over to a standby that can"
            )
        };
        ha_standing::successor(&cluster).map_err(refused)?;
        hand_back(environment, view).await
    };
    ended("transitionToStandby", result.await)
}

/// What came of it is what the nodes say afterwards.
async fn hand_back(environment: &Environment, view: &NodeView) -> Result<(), String> {
    let node = view.node;
    let before = view.reply().map_or(0, |reply| reply.epoch);
    let mut client = rpc::connect(&view.rpc_address(), &environment.access()).await?;
    let asked = rpc::bounded(client.release(ReleaseRequest { to: 0 })).await;
    let said = match ha_nodes::judged(asked) {
        Ok(_) => format!("node {node} has handed its reign back"),
        Err(Trouble::Lost(problem)) => problem,
        Err(trouble) => return Err(trouble.text().to_owned()),
    };
    match ha_nodes::await_next(environment, before).await {
        Ok(next) if next.node != node => {
            let gap = next.reply().and_then(|reply| reply.reign.as_ref()?.gap_us);
            report::complain(&ha_switchover::sentence(node, next.node, gap));
            Ok(())
        }
        Ok(_) => Err(format!("{said}; nobody has taken over, and it is primary again")),
        Err(cluster) => Err(match cluster.primary() {
            Some(primary) => format!("{said}; node {} is primary", primary.node),
            None => format!("{said}; {}", state_detail::why_no_primary(&cluster)),
        }),
    }
}

pub async fn failover(environment: &Environment, options: &HdfsFailover) -> anyhow::Result<Done> {
    let result = fail_over(environment, options).await;
    if result.is_ok() {
        let HdfsFailover { from, to, .. } = options;
        report::print(&format!("Failover from {from} to {to} successful"));
    }
    ended("Failover failed", result)
}

async fn fail_over(environment: &Environment, options: &HdfsFailover) -> Result<(), String> {
    let cluster = Cluster::ask(environment).await;
    let from = ha_nodes::find(&cluster, &options.from)?;
    let to = answering(&cluster, &options.to)?;
    if from.node == to.node {
        return Err("the two are the same node".to_owned());
    }
    match cluster.primary() {
        Some(primary) if primary.node == to.node => Ok(()),
        Some(primary) if primary.node == from.node => {
            let name = to.node.to_string();
            let switched = ha_switchover::switch_over(environment, Some(&name)).await;
            switched.map(drop).map_err(|trouble| trouble.text().to_owned())
        }
        Some(primary) => Err(format!("node {}, which is neither, is active", primary.node)),
        None => take_over(environment, (&cluster, to), options.force).await,
    }
}

fn answering<'a>(cluster: &'a Cluster, name: &str) -> Result<&'a NodeView, String> {
    let view = ha_nodes::find(cluster, name)?;
    match &view.answer {
        Ok(_) => Ok(view),
        Err(problem) => Err(format!("node {} does not answer: {problem}", view.node)),
    }
}
