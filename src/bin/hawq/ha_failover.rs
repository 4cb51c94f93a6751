//! `hawq ha failover`: a standby becomes primary although the primary does not answer.
//!
//! Refused while a primary answers (a switchover loses nothing), and refused by the standby itself
//! when acknowledged rows could be missing there; `--allow-data-loss` accepts that, after saying
//! how much, and is written to `gp_configuration_history`.

use aerie::proto::v1::{ActivateRequest, Progress, StatusReply};
use aerie::types::Lsn;
use clap::Args;

use crate::Done;
use crate::activate;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::prompt;
use crate::report;

#[derive(Debug, Args)]
pub struct FailoverOptions {
    /// The standby that becomes primary [default: the furthest in the in-sync set].
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// Do not ask.
    #[arg(short = 'a', long = "no-prompt")]
    pub no_prompt: bool,
    /// Take over also where acknowledged rows may be lost.
    #[arg(long)]
    pub allow_data_loss: bool,
}

pub async fn run_in(environment: &Environment, options: &FailoverOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    match prepare(environment, &cluster, options) {
        Ok(Plan::Already(node)) => {
            report::print(&format!("node {node} is the primary already"));
            Ok(Done::Well)
        }
        Ok(Plan::TakeOver(target)) => carry_out(environment, options, target).await,
        Err(trouble) => Ok(trouble.tell()),
    }
}

enum Plan<'a> {
    Already(u32),
    TakeOver(&'a NodeView),
}

fn prepare<'a>(
    environment: &Environment,
    cluster: &'a Cluster,
    options: &FailoverOptions,
) -> Result<Plan<'a>, Trouble> {
    let named = options.to.as_deref().map(|name| ha_nodes::find(cluster, name)).transpose();
    let named = named.map_err(Trouble::Refused)?;
    if let Some(primary) = cluster.primary() {
        let node = primary.node;
        if named.is_some_and(|view| view.node == node) {
            return Ok(Plan::Already(node));
        }
        return Err(Trouble::Refused(format!(
            "node {node} is an open primary and answers; \"hawq ha switchover\" hands over without \
             losing anything"
        )));
    }
    let own = u32::from(environment.master.node.get());
    let silent = match named {
        Some(view) => view.answer.is_err(),
        None => !ha_nodes::answers(cluster),
    };
    let target = activate::choose(cluster, named.map(|view| view.node), own);
    let trouble = if silent { Trouble::silent } else { Trouble::Refused };
    let target = target.map_err(trouble)?;
    if let Some(loss) = loss(cluster, target)
        && !options.allow_data_loss
    {
        return Err(Trouble::Refused(format!("{loss}; --allow-data-loss accepts that")));
    }
    Ok(Plan::TakeOver(target))
}

/// What could be lost with `target` as primary; `None`: nothing, since it is in the recorded set.
pub fn loss(cluster: &Cluster, target: &NodeView) -> Option<String> {
    let reply = target.reply()?;
    if reply.cannot_stand.is_empty() {
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
    let reasons = reply.cannot_stand.join("; ");
    Some(format!(
        "node {}: {reasons}; its log ends at {flushed}, and whatever was acknowledged after that \
         would be lost{known}",
        target.node
    ))
}

async fn carry_out(
    environment: &Environment,
    options: &FailoverOptions,
    target: &NodeView,
) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let node = target.node;
    let question = match loss(&cluster, target) {
        Some(loss) => format!("{loss}. Fail over to node {node} all the same"),
        None => format!("Fail over to node {node}"),
    };
    if options.no_prompt {
        report::print(&question);
    } else if !prompt::ask(&question, false)? {
        return Ok(Done::Badly);
    }
    let allow_data_loss = options.allow_data_loss;
    let request = ActivateRequest { allow_data_loss, ..ActivateRequest::default() };
    let access = environment.access();
    let mut show = |line: &Progress| report::print(&line.text);
    let asked = match ha_nodes::order_takeover(&access, target, request, &mut show).await {
        Err(Trouble::Lost(problem)) => {
            report::print(&format!("{problem}; waiting for what comes of it"));
            ha_nodes::settle(environment, node, problem).await
        }
        asked => asked,
    };
    match asked {
        Ok(()) => Ok(Done::Well),
        Err(trouble) => Ok(trouble.with(|text| format!("node {node}: {text}")).tell()),
    }
}

/// Whether this standby could take over at a person's word and lose nothing.
pub fn is_safe(reply: &StatusReply) -> bool {
    reply.cannot_stand.is_empty()
}
