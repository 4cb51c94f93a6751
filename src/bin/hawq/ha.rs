//! `hawq ha`: high availability from the command line. A file a verb (`ha_*.rs`); this one only
//! knows which there are.
//!
//! Every verb may be run from any node, since it asks all of them who is primary, and run again:
//! it goes on from what the nodes say, and keeps nothing itself. Exit codes: 0 done (also when it
//! was so already), 1 refused or failed.

use clap::{Args, Subcommand};

use crate::Done;
use crate::environment::Environment;
use crate::ha_enable::{self, EnableOptions};
use crate::ha_format::{self, HaFormatOptions};
use crate::ha_pause;
use crate::ha_status::{self, HaStatusOptions};

#[derive(Debug, Args)]
pub struct HaOptions {
    #[command(subcommand)]
    pub action: HaAction,
}

#[derive(Debug, Subcommand)]
pub enum HaAction {
    /// Who is primary, who would be next, and what is wrong.
    Status(HaStatusOptions),
    /// A standby takes over by itself from now on; asks the primary.
    Enable(EnableOptions),
    /// Only a person takes over from now on (`hawq activate standby`).
    Disable,
    /// No standby takes over by itself until `resume`.
    Pause,
    /// Standbys may take over again; at once, where the primary is gone.
    Resume,
    /// Remove what the cluster has in ZooKeeper, so that it can be enabled there anew.
    Format(HaFormatOptions),
}

pub async fn run(options: &HaOptions) -> anyhow::Result<Done> {
    let environment = Environment::load()?;
    match &options.action {
        HaAction::Status(options) => ha_status::run_in(&environment, options).await,
        HaAction::Enable(options) => ha_enable::enable(&environment, options).await,
        HaAction::Disable => ha_enable::disable(&environment).await,
        HaAction::Pause => ha_pause::run_in(&environment, true).await,
        HaAction::Resume => ha_pause::run_in(&environment, false).await,
        HaAction::Format(options) => ha_format::run_in(&environment, options).await,
    }
}
