//! `hawq ha enable` and `hawq ha disable`: who decides on a takeover, the rules or a person.
//!
//! Only the primary can change that, at a new epoch, and only when every master has heard of it;
//! the command finds the primary by itself. Run again it says that it is so already.

use aerie::proto::v1::{DisableRequest, EnableRequest, Mode, Outcome};
use clap::{Args, ValueEnum};

use crate::Done;
use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::report;
use crate::rpc::{self, Access, Client};
use crate::state_detail;

#[derive(Debug, Args)]
pub struct EnableOptions {
    /// What holds the cluster state: the masters themselves (with a segment as witness where there
    /// are only two), or ZooKeeper (ha_zookeeper_quorum).
    #[arg(long, value_enum, default_value_t = Coordinator::Embedded)]
    pub coordinator: Coordinator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Coordinator {
    Embedded,
    Zookeeper,
}

impl Coordinator {
    fn mode(self) -> Mode {
        match self {
            Coordinator::Embedded => Mode::Embedded,
            Coordinator::Zookeeper => Mode::Zookeeper,
        }
    }
}

pub async fn enable(environment: &Environment, options: &EnableOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let asked = match primary(&cluster, &environment.access()).await {
        Ok(client) => enable_at(client, options.coordinator.mode()).await,
        Err(problem) => Err(problem),
    };
    Ok(tell(asked))
}

pub async fn disable(environment: &Environment) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let asked = match primary(&cluster, &environment.access()).await {
        Ok(mut client) => rpc::bounded(client.disable(DisableRequest {})).await,
        Err(problem) => Err(problem),
    };
    Ok(tell(asked))
}

pub async fn enable_at(mut client: Client, mode: Mode) -> Result<Outcome, String> {
    rpc::bounded(client.enable(EnableRequest { mode: mode.into() })).await
}

async fn primary(cluster: &Cluster, access: &Access) -> Result<Client, String> {
    match cluster.primary() {
        Some(view) => rpc::connect(&view.rpc_address(), access).await,
        None => {
            let why = state_detail::why_no_primary(cluster);
            Err(format!("no node is an open primary: {why}"))
        }
    }
}

fn tell(asked: Result<Outcome, String>) -> Done {
    match asked {
        Ok(outcome) if outcome.ok => {
            report::print(&outcome.text);
            Done::Well
        }
        Ok(outcome) => {
            report::complain(&outcome.text);
            Done::Badly
        }
        Err(problem) => {
            report::complain(&problem);
            Done::Badly
        }
    }
}
