//! What can be typed: one definition for parser and help.

use std::path::PathBuf;

use aerie::runtime::config::assignment;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ha::HaOptions;

#[derive(Debug, Parser)]
#[command(name = "hawq", disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Print the version.
    #[arg(long)]
    pub version: bool,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the state of the cluster, from any node, primary or not.
    State(StateOptions),
    /// Make the standby the primary.
    Activate(ActivateOptions),
    /// Make a new cluster, master, standby or segment on this host.
    Init(InitOptions),
    /// Start nodes of this host.
    Start(StartOptions),
    /// Stop nodes of this host.
    Stop(StopOptions),
    /// Stop and start nodes of this host.
    Restart(StopOptions),
    /// Have nodes of this host read their configuration again.
    Reload(ReloadOptions),
    /// Show or change a setting in hawq-site.xml.
    Config(ConfigOptions),
    /// Run a cluster on this machine to try things with.
    Demo(DemoOptions),
    /// High availability: status, switchover, automatic failover.
    Ha(HaOptions),
    /// Print the version.
    Version,
    /// Print the commands.
    Help,
}

/// Options that most of HAWQ's commands share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Do not ask.
    #[arg(short = 'a', long = "prompt")]
    pub no_prompt: bool,
    /// Print warnings and errors only.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print debug messages too.
    #[arg(short, long)]
    pub verbose: bool,
    /// Directory for log files [default: ~/hawqAdminLogs].
    #[arg(short, long, value_name = "DIR")]
    pub logdir: Option<PathBuf>,
    /// How long to wait for a node, in seconds.
    #[arg(short, long, default_value_t = 600, value_name = "SECONDS")]
    pub timeout: u64,
    /// Accepted as HAWQ does; no host is ever waited for.
    #[arg(short = 'i', long, hide = true)]
    pub ignore_bad_hosts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Smart,
    Fast,
    Immediate,
}

/// What HAWQ says of a mode that it does not know.
pub fn invalid_mode(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let value = text(ContextKind::InvalidValue)?;
    text(ContextKind::InvalidArg)?.starts_with("--mode").then(|| {
        format!(
            "hawq_ctl: error: option -M: invalid choice: '{value}' (choose from 'smart', \
             'immediate', 'fast')"
        )
    })
}

#[derive(Debug, Args)]
pub struct StateOptions {
    #[command(flatten)]
    pub common: Common,
    /// The block of HAWQ only.
    #[arg(short, long)]
    pub brief: bool,
    /// Accepted as HAWQ does.
    #[arg(short, long, hide = true, value_name = "DIR")]
    pub datadir: Option<PathBuf>,
    /// Only what needs attention; exits 1 when something does.
    #[arg(short = 'e', long)]
    pub errors: bool,
    /// Details of the standbys.
    #[arg(short = 'f', long)]
    pub standby: bool,
    /// Details of every node and segment.
    #[arg(short = 's', long)]
    pub status: bool,
    /// Segments from the catalog only; exits 1 when one is down.
    #[arg(short = 'Q', long)]
    pub quick: bool,
    /// One JSON object instead of log lines.
    #[arg(long)]
    pub json: bool,
    #[arg(hide = true)]
    pub rest: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ActivateOptions {
    /// standby
    pub objects: Vec<String>,
    #[command(flatten)]
    pub common: Common,
    /// Manual mode: activate although commits may be lost; what is known of them is printed.
    #[arg(long)]
    pub force: bool,
    /// In any mode: activate although acknowledged rows may be lost; asks, and says how much.
    #[arg(long)]
    pub allow_data_loss: bool,
    /// Planned: the primary that still answers hands over and becomes the standby.
    #[arg(long)]
    pub switchover: bool,
    /// Number of the node to activate, where there are several standbys.
    #[arg(long, value_name = "NODE")]
    pub node: Option<u32>,
    /// Accepted and ignored, as by HAWQ.
    #[arg(short = 'M', long, hide = true, value_enum)]
    pub mode: Option<Mode>,
}

#[derive(Debug, Args)]
pub struct InitOptions {
    /// cluster, master, standby or segment
    pub objects: Vec<String>,
    #[command(flatten)]
    pub common: Common,
    /// Name the standby's host in hawq-site.xml.
    #[arg(short, long, value_name = "HOST")]
    pub standby_host: Option<String>,
    /// Standby: do not make a new directory, wait until the existing one is synchronized.
    #[arg(short, long)]
    pub no_update: bool,
    /// Standby: take it out of the cluster.
    #[arg(short, long)]
    pub remove_standby: bool,
    /// Node number of the standby to remove, where there are several.
    #[arg(long, value_name = "NODE")]
    pub node: Option<u32>,
    /// A copy of the primary's cluster.secret.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// UUID of the new cluster, else a random one.
    #[arg(long, value_name = "UUID")]
    pub cluster_id: Option<String>,
    /// Accepted: there are no sessions to end.
    #[arg(short = 'M', long, hide = true, value_enum)]
    pub mode: Option<Mode>,
}

#[derive(Debug, Args)]
pub struct StartOptions {
    /// cluster, master, standby, segment or allsegments
    pub objects: Vec<String>,
    #[command(flatten)]
    pub common: Common,
    /// Open a primary that waits for its standby, at the risk of a second primary.
    #[arg(long)]
    pub force: bool,
    /// A master that was primary is to follow the new one (ha_auto_rejoin = off).
    #[arg(long)]
    pub rejoin: bool,
    /// Accepted as HAWQ does.
    #[arg(short = 'M', long, hide = true, value_enum)]
    pub mode: Option<Mode>,
}

#[derive(Debug, Args)]
pub struct ReloadOptions {
    /// cluster, master, standby, segment or allsegments
    pub objects: Vec<String>,
    #[command(flatten)]
    pub common: Common,
    /// Accepted as HAWQ does.
    #[arg(short = 'M', long, hide = true, value_enum)]
    pub mode: Option<Mode>,
}

#[derive(Debug, Args)]
pub struct StopOptions {
    /// cluster, master, standby, segment or allsegments
    pub objects: Vec<String>,
    #[command(flatten)]
    pub common: Common,
    /// smart refuses while clients are connected, fast ends them, immediate kills.
    #[arg(short = 'M', long, value_enum, default_value = "smart")]
    pub mode: Mode,
}

#[derive(Debug, Args)]
pub struct ConfigOptions {
    /// Show one setting.
    #[arg(short, long, value_name = "NAME")]
    pub show: Option<String>,
    /// List all settings.
    #[arg(short, long)]
    pub list: bool,
    /// Change a setting; needs -v.
    #[arg(short, long, value_name = "NAME")]
    pub change: Option<String>,
    /// The new value.
    #[arg(short, long, value_name = "VALUE", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// Remove a setting.
    #[arg(short, long, value_name = "NAME")]
    pub remove: Option<String>,
    /// Write without checking name and value.
    #[arg(long)]
    pub skipvalidation: bool,
    /// Print no value after a change.
    #[arg(short, long)]
    pub quiet: bool,
    /// Accepted as HAWQ does.
    #[arg(long, hide = true)]
    pub ignore_bad_hosts: bool,
    #[arg(hide = true)]
    pub rest: Vec<String>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoOptions {
    #[command(subcommand)]
    pub action: Option<DemoAction>,
    #[command(flatten)]
    pub run: DemoRun,
}

#[derive(Debug, Clone, Args)]
pub struct DemoRun {
    /// Directory of the cluster; an existing one is resumed.
    #[arg(long, default_value = "hawq-demo", value_name = "DIR")]
    pub dir: PathBuf,
    /// PostgreSQL port of the primary; the other ports follow it where they are free.
    #[arg(long, default_value_t = 5432, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=8))]
    pub standbys: u8,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub segments: u16,
    /// Leave takeovers to a person (`hawq activate standby`) instead of the rules.
    #[arg(long)]
    pub manual: bool,
    /// Return when the cluster is up instead of waiting for Ctrl-C.
    #[arg(long)]
    pub detach: bool,
    /// A setting of every master of a new cluster; may be given more than once.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub settings: Vec<(String, String)>,
}

#[derive(Debug, Clone, Args)]
pub struct DemoPlace {
    #[arg(long, default_value = "hawq-demo", value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum DemoAction {
    /// Stop every process of the cluster.
    Stop(DemoPlace),
    /// Show its processes.
    Status(DemoPlace),
    /// Kill a node and its supervisor, as the loss of its host would.
    Kill {
        /// master1, segment2, … or primary
        node: String,
        #[command(flatten)]
        place: DemoPlace,
    },
    /// Start a node that died.
    Restart {
        /// master1, segment2, …
        node: String,
        #[command(flatten)]
        place: DemoPlace,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_mode_is_refused_as_hawq_does() {
        let refused = Arguments::try_parse_from(["hawq", "stop", "master", "-M", "bogus"]);
        let expected = "hawq_ctl: error: option -M: invalid choice: 'bogus' \
                        (choose from 'smart', 'immediate', 'fast')";
        assert_eq!(invalid_mode(&refused.unwrap_err()).as_deref(), Some(expected));
        let other = Arguments::try_parse_from(["hawq", "stop", "master", "--timeout", "x"]);
        assert_eq!(invalid_mode(&other.unwrap_err()), None);
    }

    #[test]
    fn hawqs_spellings_parse() {
        for line in [
            "hawq state",
            "hawq state -b -a -q -l /tmp/x -d /data",
            "hawq state help",
            "hawq activate standby -a -M fast",
            "hawq init standby -a -s smdw",
            "hawq init standby -n -M fast",
            "hawq init standby -r -a",
            "hawq start cluster -a",
            "hawq stop cluster -a -M immediate",
            "hawq reload cluster -a",
            "hawq config -c ha_lease -v -1",
            "hawq demo --dir d --port 7000 --standbys 2 --segments 0 --detach",
            "hawq demo restart master1 --dir d",
            "hawq demo stop --dir d",
            "hawq ha status --json",
            "hawq --version",
        ] {
            let parsed = Arguments::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        assert!(Arguments::try_parse_from(["hawq", "stop", "master", "-M", "x"]).is_err());
    }
}
