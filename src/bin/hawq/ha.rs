//! `hawq ha`: high availability from the command line. A file a verb (`ha_*.rs`); this one only
//! knows which there are.
//!
//! Every verb may be run from any node, since it asks all of them who is primary, and run again:
//! it goes on from what the nodes say, and keeps nothing itself. Exit codes: 0 done (also when it
//! was so already), 1 refused or failed, 2 not known, 255 a verb of `hdfs haadmin` failed.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::Done;
use crate::environment::Environment;
use crate::ha_abandon::{self, DisableOptions};
use crate::ha_enable::{self, EnableOptions};
use crate::ha_explain::{self, ExplainOptions};
use crate::ha_failover::{self, FailoverOptions};
use crate::ha_format::{self, HaFormatOptions};
use crate::ha_hdfs::{self, ActiveOptions, Force, HdfsFailover, NodeArgument};
use crate::ha_history::{self, HistoryOptions};
use crate::ha_status::{self, HaStatusOptions};
use crate::ha_switchover::{self, SwitchoverOptions};
use crate::ha_voter::{self, VoterAction};
use crate::{ha_drill, ha_pause};

const EXIT_CODES: &str = "\
Exit codes: 0 done, also when it was so already; 1 refused or failed (the reason is on standard
error); 2 not known: nobody answered who could tell, or the answer did not come, and it may have
been done or may yet be; 255 a verb of hdfs haadmin failed. Every verb may be typed again.";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct HaOptions {
    #[command(subcommand)]
    pub action: HaAction,
}

#[derive(Debug, Subcommand)]
pub enum HaAction {
    /// Who is primary, who would be next, and what is wrong; exits 1 when no primary serves, 2 when
    /// no node answers.
    Status(HaStatusOptions),
    /// A standby takes over by itself from now on; asks the primary.
    Enable(EnableOptions),
    /// Only a person takes over from now on (`hawq activate standby`).
    Disable(DisableOptions),
    /// Hand the reign over to a standby; nothing is lost.
    Switchover(SwitchoverOptions),
    /// Make a standby primary although the primary does not answer.
    ///
    /// As in hdfs haadmin, `failover A B` switches from node A to node B.
    Failover(FailoverArguments),
    /// No standby takes over by itself until `resume`.
    Pause,
    /// Standbys may take over again; at once, where the primary is gone.
    Resume,
    /// Remove what the cluster has in ZooKeeper, so that it can be enabled there anew.
    Format(HaFormatOptions),
    /// The reigns that there were: when, why, and for how long nobody served before.
    History(HistoryOptions),
    /// For each standby whether it could take over now; exits 1 when none could.
    Explain(ExplainOptions),
    /// A switchover there and one back, with both gaps; refused while anything is wrong.
    Drill,
    /// The voters of the embedded register: who they are, and other ones in their place.
    #[command(subcommand)]
    Voter(VoterAction),
    /// As hdfs haadmin: active or standby.
    #[command(name = "getServiceState")]
    GetServiceState(NodeArgument),
    /// As hdfs haadmin: every node with its state.
    #[command(name = "getAllServiceState")]
    GetAllServiceState,
    /// As hdfs haadmin: exits 0 when the node serves or could take over.
    #[command(name = "checkHealth")]
    CheckHealth(NodeArgument),
    /// As hdfs haadmin: the node takes over; refused while another is active.
    #[command(name = "transitionToActive")]
    TransitionToActive(ActiveOptions),
    /// As hdfs haadmin: the node hands its reign back.
    #[command(name = "transitionToStandby")]
    TransitionToStandby(NodeArgument),
}

/// Ours, or with two nodes that of HDFS.
#[derive(Debug, Args)]
pub struct FailoverArguments {
    #[command(flatten)]
    pub ours: FailoverOptions,
    /// As in hdfs haadmin: the node that is to become standby, and the one to become active.
    #[arg(num_args = 2, value_names = ["FROM", "TO"], conflicts_with = "to")]
    pub nodes: Vec<String>,
    /// With FROM and TO: accepted; the new epoch fences the old primary in any case.
    #[arg(long, requires = "nodes")]
    pub forcefence: bool,
    /// With FROM and TO: as --allow-data-loss.
    #[arg(long, requires = "nodes")]
    pub forceactive: bool,
}

pub async fn run(options: &HaOptions) -> anyhow::Result<Done> {
    let environment = &Environment::load()?;
    match &options.action {
        HaAction::Status(options) => ha_status::run_in(environment, options).await,
        HaAction::Switchover(options) => ha_switchover::run_in(environment, options).await,
        HaAction::Failover(arguments) => failover(environment, arguments).await,
        HaAction::Enable(options) => ha_enable::enable(environment, options).await,
        HaAction::Disable(options) if options.coordinator_lost => {
            ha_abandon::run_in(environment, options).await
        }
        HaAction::Disable(_) => ha_enable::disable(environment).await,
        HaAction::Pause => ha_pause::run_in(environment, true).await,
        HaAction::Resume => ha_pause::run_in(environment, false).await,
        HaAction::Format(options) => ha_format::run_in(environment, options).await,
        HaAction::History(options) => ha_history::run_in(environment, options).await,
        HaAction::Explain(options) => ha_explain::run_in(environment, options).await,
        HaAction::Voter(action) => ha_voter::run_in(environment, action).await,
        HaAction::Drill => ha_drill::run_in(environment).await,
        HaAction::GetServiceState(of) => ha_hdfs::get_service_state(environment, &of.node).await,
        HaAction::GetAllServiceState => ha_hdfs::get_all_service_state(environment).await,
        HaAction::CheckHealth(of) => ha_hdfs::check_health(environment, &of.node).await,
        HaAction::TransitionToActive(options) => {
            ha_hdfs::transition_to_active(environment, options).await
        }
        HaAction::TransitionToStandby(of) => {
            ha_hdfs::transition_to_standby(environment, &of.node).await
        }
    }
}

async fn failover(
    environment: &Environment,
    arguments: &FailoverArguments,
) -> anyhow::Result<Done> {
    match arguments.nodes.as_slice() {
        [from, to] => {
            let (from, to) = (from.clone(), to.clone());
            let FailoverOptions { allow_data_loss, no_prompt, .. } = arguments.ours;
            let forceactive = arguments.forceactive || allow_data_loss;
            let force = Force { forceactive, no_prompt };
            ha_hdfs::failover(environment, &HdfsFailover { from, to, force }).await
        }
        _ => ha_failover::run_in(environment, &arguments.ours).await,
    }
}

/// HDFS writes its verbs with a dash: `hawq ha -getServiceState nn1` is understood too.
pub fn spelled(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = arguments.collect();
    let is_ha = words.get(1).is_some_and(|word| word == "ha");
    let verb = words.get(2).and_then(|word| word.to_str()).and_then(|word| word.strip_prefix('-'));
    let known = [
        "getServiceState",
        "getAllServiceState",
        "checkHealth",
        "transitionToActive",
        "transitionToStandby",
        "failover",
    ];
    if let Some(verb) = verb.filter(|verb| is_ha && known.contains(verb)) {
        words[2] = OsString::from(verb.to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Verb};

    fn parsed(line: &str) -> HaAction {
        let words = spelled(line.split(' ').map(OsString::from));
        match Arguments::try_parse_from(words).unwrap().verb {
            Some(Verb::Ha(options)) => options.action,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hdfs_spellings_are_understood() {
        let named = |action| match action {
            HaAction::GetServiceState(of) | HaAction::CheckHealth(of) => of.node,
            other => panic!("{other:?}"),
        };
        assert_eq!(named(parsed("hawq ha -getServiceState nn1")), "nn1");
        assert_eq!(named(parsed("hawq ha checkHealth 2")), "2");
        assert!(matches!(parsed("hawq ha -getAllServiceState"), HaAction::GetAllServiceState));
        let HaAction::Failover(two) = parsed("hawq ha -failover --forceactive 1 2") else {
            panic!("not a failover");
        };
        assert_eq!((two.nodes.join(" "), two.forceactive), ("1 2".to_owned(), true));
        let HaAction::TransitionToActive(active) = parsed("hawq ha -transitionToActive 2 -a")
        else {
            panic!("not a transition");
        };
        assert!(active.force.no_prompt && !active.force.forceactive);
        let HaAction::Failover(ours) = parsed("hawq ha failover --to 2 -a") else {
            panic!("not a failover");
        };
        assert!(ours.nodes.is_empty() && ours.ours.no_prompt);
        let one = spelled(["hawq", "ha", "failover", "1"].map(OsString::from).into_iter());
        assert!(Arguments::try_parse_from(one).is_err());
    }
}
