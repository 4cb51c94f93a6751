//! `hawq`: the command line of HAWQ for masters and segments of Aerie.
//!
//! A file a verb. Cluster control goes by gRPC to the nodes named in `hawq-site.xml`, never by
//! ssh: what has to be done on another host is printed, not attempted. It holds no policy: whether
//! a standby may take over, or a primary may open, the nodes decide.
//!
//! Exit codes, as HAWQ's callers know them: 0 done (for `state`: an open primary answered),
//! 1 anything else. `hawq state -e` exits 1 also when something needs attention. `hawq ha` tells
//! what was refused (1) from what is not known (2, as `pg_isready` says that nobody answers). The
//! verbs of `hdfs haadmin` exit 255 where that program does.

mod activate;
mod arguments;
mod cluster;
mod config;
mod demo;
mod demo_home;
mod environment;
#[cfg(test)]
mod fake_control;
mod ha;
mod ha_abandon;
mod ha_drill;
mod ha_enable;
mod ha_explain;
mod ha_failover;
mod ha_format;
mod ha_hdfs;
mod ha_history;
mod ha_nodes;
mod ha_pause;
mod ha_standing;
mod ha_status;
mod ha_switchover;
#[cfg(test)]
mod ha_tests;
mod ha_voter;
mod init;
mod init_standby;
mod launch;
mod process;
mod prompt;
mod reload;
mod report;
mod restart;
mod rpc;
mod start;
mod state;
mod state_block;
mod state_detail;
mod state_json;
mod stop;
mod usage;
#[cfg(test)]
mod verbs_tests;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Verb};

/// Whether the verb did what was asked; its own messages are out by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Well,
    Badly,
    /// Nobody answered who could tell, or the answer did not come: it may have been done.
    Unknown,
    /// Another exit code, for those who imitate another program.
    Code(u8),
}

fn main() -> ExitCode {
    // Before any thread exists: later the local offset cannot be read safely.
    report::remember_local_offset();
    let arguments = match Arguments::try_parse_from(ha::spelled(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => {
            let wanted = !error.use_stderr();
            match arguments::invalid_mode(&error) {
                Some(text) => report::complain(&text),
                None => drop(error.print()),
            }
            return if wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Badly) => ExitCode::FAILURE,
        Ok(Done::Unknown) => ExitCode::from(2),
        Ok(Done::Code(code)) => ExitCode::from(code),
        Err(error) => {
            report::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<Done> {
    if arguments.version {
        report::print(&format!("HAWQ version {}", env!("CARGO_PKG_VERSION")));
        return Ok(Done::Well);
    }
    match arguments.verb {
        None | Some(Verb::Help) => {
            report::print(usage::COMMON);
            Ok(Done::Badly)
        }
        Some(Verb::Version) => {
            report::print(&format!("HAWQ version {}", env!("CARGO_PKG_VERSION")));
            Ok(Done::Well)
        }
        Some(Verb::State(options)) => state::run(&options).await,
        Some(Verb::Activate(options)) => activate::run(&options).await,
        Some(Verb::Init(options)) => init::run(&options).await,
        Some(Verb::Start(options)) => start::run(&options).await,
        Some(Verb::Stop(options)) => stop::run(&options).await,
        Some(Verb::Restart(options)) => restart::run(&options).await,
        Some(Verb::Reload(options)) => reload::run(&options),
        Some(Verb::Config(options)) => config::run(&options),
        Some(Verb::Demo(options)) => demo::run(&options).await,
        Some(Verb::Ha(options)) => ha::run(&options).await,
    }
}
