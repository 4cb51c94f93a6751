//! `hawq ha enable` and `hawq ha disable`: who decides on a takeover, the rules or a person.
//!
//! Only the primary can change that, at a new epoch, and only when every master has heard of it;
//! the command finds the primary by itself. Run again it says that it is so already.

use aerie::proto::v1::{DisableRequest, EnableRequest, Mode, Outcome};
use clap::{Args, ValueEnum};

use crate::Done;
use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::ha_nodes;
use crate::rpc::{self, Client};

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
    let asked = match ha_nodes::primary(&cluster, &environment.access()).await {
        Ok(client) => ha_nodes::judged(enable_at(client, options.coordinator.mode()).await),
        Err(trouble) => Err(trouble),
    };
    Ok(ha_nodes::ended(asked))
}

pub async fn disable(environment: &Environment) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let asked = match ha_nodes::primary(&cluster, &environment.access()).await {
        Ok(mut client) => {
            ha_nodes::judged(rpc::bounded(client.disable(DisableRequest::default())).await)
        }
        Err(trouble) => Err(trouble),
    };
    Ok(ha_nodes::ended(asked))
}

pub async fn enable_at(mut client: Client, mode: Mode) -> Result<Outcome, String> {
    rpc::bounded(client.enable(EnableRequest { mode: mode.into() })).await
}
