//! `hawq ha disable --coordinator-lost`: what holds the cluster state does not answer and never
//! will (a majority of the voters, or ZooKeeper's data, is gone). One node's own copy becomes the
//! cluster state, in manual mode, at a new epoch.
//!
//! Without the coordinator nobody can prove that this copy is the newest one, so a person has to
//! say so; which is why it is refused as long as any node still reaches the coordinator.

use std::cmp::Reverse;

use aerie::proto::v1::{ClusterState, DisableRequest, Mode, StatusReply};
use aerie::types::{Epoch, Lsn};
use clap::Args;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::ha_standing::is_recorded;
use crate::prompt;
use crate::rpc;

#[derive(Debug, Args)]
pub struct DisableOptions {
    /// The coordinator is lost for good: go by the copy of the cluster state that one node has.
    #[arg(long)]
    pub coordinator_lost: bool,
    /// With --coordinator-lost: the node that is to be primary [default: the open primary, or the
    /// furthest in the in-sync set of its own copy].
    #[arg(long, value_name = "NODE", requires = "coordinator_lost")]
    pub to: Option<String>,
    /// With --coordinator-lost: also a node outside the in-sync set of its own copy.
    #[arg(long, requires = "coordinator_lost")]
    pub allow_data_loss: bool,
    /// Do not ask.
    #[arg(short = 'a', long = "no-prompt")]
    pub no_prompt: bool,
}

pub async fn run_in(environment: &Environment, options: &DisableOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let target = match target(&cluster, options) {
        Ok(target) => target,
        Err(trouble) => return Ok(trouble.tell()),
    };
    let question = format!("{}. Give the coordinator up for lost", warning(target));
    if !prompt::ask(&question, options.no_prompt)? {
        return Ok(Done::Badly);
    }
    let asked = match ha_nodes::connect(target, &environment.access()).await {
        Ok(mut client) => {
            let allow_data_loss = options.allow_data_loss;
            let request = DisableRequest { coordinator_lost: true, allow_data_loss };
            ha_nodes::judged(rpc::bounded(client.disable(request)).await)
        }
        Err(trouble) => Err(trouble),
    };
    let next = "manual mode: \"hawq activate standby\" takes over; how to come back to automatic \
                mode is in docs/operations.md";
    Ok(ha_nodes::ended(asked.map(|text| format!("{text}; {next}"))))
}

fn record(reply: &StatusReply) -> Option<&ClusterState> {
    reply.record.as_ref()
}

fn is_in_sync(reply: &StatusReply) -> bool {
    record(reply).is_some_and(|it| is_recorded(it, reply))
}

fn target<'a>(cluster: &'a Cluster, options: &DisableOptions) -> Result<&'a NodeView, Trouble> {
    let answering = || cluster.nodes.iter().filter_map(|view| Some((view, view.reply()?)));
    let Some((_, any)) = answering().next() else {
        let none = "no node answers; start the one that is to be primary: hawq start master";
        return Err(Trouble::Silent(none.to_owned()));
    };
    let manual = |reply: &StatusReply| record(reply).is_some_and(|it| it.mode() == Mode::Manual);
    if manual(any) {
        let text = "manual mode has no coordinator that could be lost; hawq activate standby";
        return Err(Trouble::Refused(text.to_owned()));
    }
    if let Some((view, _)) = answering().find(|(_, reply)| reply.coordinator_trouble.is_empty()) {
        return Err(Trouble::Refused(format!(
            "node {} reaches the coordinator (a loss shows after a few seconds); \"hawq ha \
             disable\" without --coordinator-lost asks the primary",
            view.node
        )));
    }
    let named = options.to.as_deref().map(|name| ha_nodes::find(cluster, name)).transpose();
    let named = named.map_err(Trouble::Refused)?;
    let open = cluster.primary();
    if let (Some(named), Some(open)) = (named, open)
        && named.node != open.node
    {
        let text = format!("node {} is an open primary: name that one, or stop it", open.node);
        return Err(Trouble::Refused(text));
    }
    let furthest = || {
        answering()
            .filter(|(_, reply)| is_in_sync(reply) || options.allow_data_loss)
            .max_by_key(|(view, reply)| {
                let known = record(reply).map_or((0, 0), |it| (it.epoch, it.version));
                (is_in_sync(reply), known, reply.flush_lsn, Reverse(view.node))
            })
            .map(|(view, _)| view)
    };
    let nobody = "no node that answers is in the in-sync set of its own copy; --allow-data-loss \
                  takes the furthest one all the same, and what it lacks is lost";
    named.or(open).or_else(furthest).ok_or_else(|| Trouble::Refused(nobody.to_owned()))
}

fn warning(target: &NodeView) -> String {
    let Some(reply) = target.reply() else { return format!("Node {}", target.node) };
    let (version, epoch) = record(reply).map_or((0, 0), |it| (it.version, it.epoch));
    let epoch = Epoch(epoch);
    let outside = match is_in_sync(reply) {
        true => "",
        false => ", which is not in its in-sync set, so that acknowledged rows may be missing,",
    };
    format!(
        "The coordinator does not answer ({}). Node {}{outside} will reign in manual mode by its \
         own copy of the cluster state (version {version}, epoch {epoch}); its log ends at {}. \
         What was acknowledged by a primary that this copy does not know of is lost. Should the \
         coordinator come back, a master that cannot reach node {} could take over through it: \
         keep such masters stopped",
        reply.coordinator_trouble,
        target.node,
        Lsn(reply.flush_lsn),
        target.node
    )
}
