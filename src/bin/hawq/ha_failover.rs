//! `hawq ha failover`: a standby becomes primary although the primary does not answer.
//!
//! Refused while a primary answers (a switchover loses nothing), and refused by the standby itself
//! when acknowledged rows could be missing there; `--allow-data-loss` accepts that, after saying
//! how much, and is written to `gp_configuration_history`. It is refused too while another standby
//! could take over and lose nothing.

use aerie::proto::v1::{ActivateRequest, Progress};
use clap::Args;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::ha_standing::{self, Agreed};
use crate::prompt;
use crate::report;

#[derive(Debug, Args)]
pub struct FailoverOptions {
    /// The standby that becomes primary [default: the furthest in the in-sync set; this host's own
    /// where several are alike].
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// Do not ask.
    #[arg(short = 'a', long = "no-prompt")]
    pub no_prompt: bool,
    /// Take over also where acknowledged rows may be lost; refused while another standby could
    /// take over and lose nothing.
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
        Ok(Plan::TakeOver(target, agreed)) => {
            carry_out(environment, (target, agreed), options.no_prompt).await
        }
        Err(trouble) => Ok(trouble.tell()),
    }
}

enum Plan<'a> {
    Already(u32),
    TakeOver(&'a NodeView, Agreed),
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
    let target = match named {
        Some(view) => ha_standing::named(cluster, view.node),
        None => ha_standing::best(cluster, own),
    };
    let trouble = if silent { Trouble::silent } else { Trouble::Refused };
    let target = target.map_err(trouble)?;
    let accepted = ("--allow-data-loss", options.allow_data_loss);
    let agreed = ha_standing::agreed(cluster, target, accepted).map_err(Trouble::Refused)?;
    Ok(Plan::TakeOver(target, agreed))
}

async fn carry_out(
    environment: &Environment,
    (target, agreed): (&NodeView, Agreed),
    no_prompt: bool,
) -> anyhow::Result<Done> {
    let node = target.node;
    let question = match agreed.loss {
        Some(loss) => format!("{loss}. Fail over to node {node} all the same"),
        None => format!("Fail over to node {node}"),
    };
    if no_prompt {
        report::print(&question);
    } else if !prompt::ask(&question, false)? {
        return Ok(Done::Badly);
    }
    let allow_data_loss = agreed.allow_data_loss;
    let request = ActivateRequest { allow_data_loss, ..ActivateRequest::default() };
    let mut show = |line: &Progress| report::print(&line.text);
    match ha_nodes::take_over(environment, target, request, &mut show).await {
        Ok(()) => Ok(Done::Well),
        Err(trouble) => Ok(trouble.with(|text| format!("node {node}: {text}")).tell()),
    }
}
