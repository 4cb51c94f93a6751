//! `hawq ha switchover`: the primary hands its reign over to a standby, and nothing is lost.
//!
//! The standby asks the primary for its reign, which finishes what it has accepted first. Where the
//! answer gets lost, the nodes are asked what became of it: typing the command again is safe.

use aerie::proto::v1::{ActivateRequest, Progress};
use clap::Args;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::ha_standing;
use crate::report;
use crate::state_detail;

#[derive(Debug, Args)]
pub struct SwitchoverOptions {
    /// The standby that becomes primary: node number, host or host:port [default: the first in
    /// order].
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
}

pub async fn run_in(
    environment: &Environment,
    options: &SwitchoverOptions,
) -> anyhow::Result<Done> {
    match switch_over(environment, options.to.as_deref()).await {
        Ok(Switched::Already { node }) => {
            report::print(&format!("node {node} is the primary already"));
        }
        Ok(Switched::To { node, from, gap_us }) => {
            report::print(&sentence(from, node, gap_us));
        }
        Err(trouble) => return Ok(trouble.tell()),
    }
    Ok(Done::Well)
}

/// What came of a switchover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    Already {
        node: u32,
    },
    /// `gap_us`: for how long nobody accepted writes, as the two nodes measured it.
    To {
        node: u32,
        from: u32,
        gap_us: Option<u64>,
    },
}

pub async fn switch_over(environment: &Environment, to: Option<&str>) -> Result<Switched, Trouble> {
    let cluster = Cluster::ask(environment).await;
    let named = to.map(|name| ha_nodes::find(&cluster, name)).transpose();
    let named = named.map_err(Trouble::Refused)?;
    let Some(primary) = cluster.primary() else {
        let trouble = ha_nodes::no_primary(&cluster, "no primary hands over");
        let how = "\"hawq ha failover\" takes over without it";
        return Err(trouble.with(|text| format!("{text}; {how}")));
    };
    if let Some(view) = named.filter(|view| view.node == primary.node) {
        return Ok(Switched::Already { node: view.node });
    }
    let target = match named {
        Some(view) => able(&cluster, view)?,
        None => first_able(&cluster)?,
    };
    let (node, from) = (target.node, primary.node);
    let request = ActivateRequest { switchover: true, ..ActivateRequest::default() };
    let access = environment.access();
    let mut show = |line: &Progress| {
        if !line.finished {
            report::print(&line.text);
        }
    };
    let asked = ha_nodes::order_takeover(&access, target, request, &mut show).await;
    let problem = match asked {
        Ok(()) => None,
        Err(Trouble::Lost(problem)) => Some(problem),
        Err(trouble) => return Err(trouble.with(|text| format!("node {node}: {text}"))),
    };
    match ha_nodes::await_primary(environment, node).await {
        Ok(view) => {
            let reign = view.reply().and_then(|reply| reply.reign.clone());
            Ok(Switched::To { node, from, gap_us: reign.and_then(|reign| reign.gap_us) })
        }
        Err(cluster) => {
            let now = cluster.primary().map_or_else(
                || state_detail::why_no_primary(&cluster),
                |view| format!("node {} is primary", view.node),
            );
            let problem = problem.unwrap_or_else(|| format!("node {node} did not open"));
            Err(Trouble::Lost(format!("{problem}; now {now}")))
        }
    }
}

/// The first in order that could take over.
fn first_able(cluster: &Cluster) -> Result<&NodeView, Trouble> {
    let refused = |text: &str| Trouble::Refused(text.to_owned());
    let record = cluster.record().ok_or_else(|| refused("no node knows the cluster state"))?;
    let mut problem = refused("no standby is in the in-sync set (rule 6)");
    for entry in ha_standing::order_of_standbys(record) {
        let Some(view) = cluster.node(entry.node) else { continue };
        match able(cluster, view) {
            Ok(view) => return Ok(view),
            Err(reason) => problem = reason,
        }
    }
    Err(problem)
}

/// The standby itself decides; what it would refuse is said before anything is asked of it.
fn able<'a>(cluster: &Cluster, view: &'a NodeView) -> Result<&'a NodeView, Trouble> {
    let node = view.node;
    if let Err(problem) = &view.answer {
        let silent = Trouble::silent(problem.clone());
        return Err(silent.with(|problem| format!("node {node} does not answer: {problem}")));
    }
    let reasons = ha_standing::cannot(cluster, view);
    if reasons.is_empty() {
        return Ok(view);
    }
    let reasons = reasons.join("; ");
    Err(Trouble::Refused(format!("node {node} cannot take over: {reasons}")))
}

pub fn sentence(from: u32, node: u32, gap_us: Option<u64>) -> String {
    let gap = gap_us.map(|gap| format!("; nobody served for {}", ha_nodes::gap_text(gap)));
    format!("node {node} is primary, node {from} hands over{}", gap.unwrap_or_default())
}
