//! The master's process: `hawq-master init …` makes a data directory, otherwise it serves from one.
//! Exit codes: 0 clean stop, 1 it could not start, 2 bad flags, 3 it ended itself to protect data.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use aerie::master::supervisor::{self, Program};
use aerie::master::{End, console, init, run};
use aerie::runtime::config::{MasterSettings, assignment};
use aerie::runtime::leave;
use aerie::types::ClusterId;
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

/// Added to the arguments of the process that the parent starts.
const SUPERVISED: &str = "--supervised";

/// Threads for sessions; messages between masters have a thread of their own.
const WORKERS: usize = 2;

#[derive(Debug, Parser)]
#[command(name = "hawq-master", version, args_conflicts_with_subcommands = true)]
struct Flags {
    #[command(subcommand)]
    command: Option<Verb>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a data directory: of a new cluster, or of a standby.
    Init(Init),
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    place: Place,
    /// Level of the log, or directives such as info,node=debug.
    #[arg(long, default_value = "info")]
    log: String,
    /// Without the small parent that starts the master again after a crash and tells the other
    /// masters at once: for where something else starts it again.
    #[arg(long)]
    alone: bool,
    /// The parent's mark on the process that it starts.
    #[arg(long, hide = true)]
    supervised: bool,
}

#[derive(Debug, Args)]
struct Place {
    /// hawq-site.xml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The data directory; by default hawq_master_directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A setting that overrides the file's: NAME=VALUE. Repeat it for each.
    #[arg(long = "set", value_parser = assignment)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    place: Place,
    /// UUID of the new cluster; random by default.
    #[arg(long, conflicts_with = "standby")]
    cluster_id: Option<ClusterId>,
    /// Number of this node, 1 to 255; overrides aerie_node.
    #[arg(long)]
    node: Option<u8>,
    /// Make a standby of a running primary.
    #[arg(long, requires_all = ["primary", "secret_file"])]
    standby: bool,
    /// The primary's host:rpc_port.
    #[arg(long)]
    primary: Option<String>,
    /// File with the cluster's secret, mode 0600.
    #[arg(long)]
    secret_file: Option<PathBuf>,
}

fn main() {
    let flags = Flags::parse();
    let done = match flags.command {
        Some(Verb::Init(init)) => make(init).map(|()| 0),
        None if flags.serve.alone || flags.serve.supervised => serve(flags.serve),
        None => supervise(&flags.serve),
    };
    match done {
        Ok(status) => leave(status),
        Err(error) => {
            eprintln!("hawq-master: {error:#}");
            leave(1)
        }
    }
}

fn settings(place: &Place, node: Option<u8>) -> Result<(MasterSettings, PathBuf)> {
    let mut set = place.set.clone();
    if let Some(directory) = &place.data_dir {
        set.push(("hawq_master_directory".to_owned(), directory.display().to_string()));
    }
    if let Some(node) = node {
        set.push(("aerie_node".to_owned(), node.to_string()));
    }
    let settings = MasterSettings::load(place.config.as_deref(), &set)?;
    let directory = place.data_dir.clone().unwrap_or_else(|| settings.data_dir.clone());
    Ok((settings, directory))
}

fn make(flags: Init) -> Result<()> {
    let (settings, root) = settings(&flags.place, flags.node)?;
    let identity = match (&flags.primary, &flags.secret_file) {
        (Some(primary), Some(secret)) if flags.standby => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(init::standby(&settings, &root, primary, secret))?
        }
        _ => init::new_cluster(&settings, &root, flags.cluster_id)?,
    };
    // For whoever called: the one line that this prints.
    eprintln!("made {} for node {} of cluster {}", root.display(), identity.node, identity.cluster);
    Ok(())
}

/// The parent: one thread, no log, no catalog.
fn supervise(flags: &Serve) -> Result<i32> {
    let file = std::env::current_exe().unwrap_or_else(|_| PathBuf::from(THIS_PROGRAM));
    console::start("hawq-master", &flags.log).map_err(anyhow::Error::msg)?;
    let (settings, root) = settings(&flags.place, None)?;
    let arguments = std::env::args_os().skip(1).chain([SUPERVISED.into()]).collect();
    let program = Program { file, fallback: THIS_PROGRAM.into(), arguments };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(supervisor::supervise(&program, &root, &settings))?)
}

fn serve(flags: Serve) -> Result<i32> {
    // Now, while the file is still the one that was started: an upgrade in place replaces it.
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from(THIS_PROGRAM));
    console::start("hawq-master", &flags.log).map_err(anyhow::Error::msg)?;
    let (started_with, root) = settings(&flags.place, None)?;
    let reread = || match settings(&flags.place, None) {
        Ok((settings, _)) => Ok(settings),
        Err(error) => Err(format!("{error:#}")),
    };
    let rpc = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("rpc")
        .enable_all()
        .build()
        .context("start the thread for messages")?;
    let sessions = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("session")
        .enable_all()
        .build()
        .context("start the threads for sessions")?;
    let ended = sessions.block_on(run(started_with, &root, rpc.handle(), reread));
    // In every case, since dropping a runtime waits for tasks that nobody ends any more.
    sessions.shutdown_background();
    rpc.shutdown_background();
    match ended? {
        End::Stopped => Ok(0),
        End::Reborn => Err(begin_anew(&program)),
    }
}

/// The running program, whatever has become of its file.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The same program in the same process, so that whoever watches it sees no end.
fn begin_anew(program: &Path) -> anyhow::Error {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let error = Command::new(program).args(&arguments).exec();
    // Removed, or half of an upgrade: what runs now can still go on.
    eprintln!("hawq-master: start {} again: {error}; trying {THIS_PROGRAM}", program.display());
    let error = Command::new(THIS_PROGRAM).arg0(program).args(&arguments).exec();
    anyhow::Error::new(error).context(format!("start {} again", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: &str = "AERIE_TEST_BEGIN_ANEW";

    /// The test runs itself: that process finds the file of its program gone, and begins anew.
    #[test]
    fn a_program_whose_file_is_gone_begins_anew() {
        if let Some(notes) = std::env::var_os(NOTES).map(PathBuf::from) {
            if notes.exists() {
                return std::fs::write(&notes, "again").unwrap();
            }
            std::fs::write(&notes, "first").unwrap();
            panic!("{}", begin_anew(Path::new("/nonexistent/hawq-master (deleted)")));
        }
        let temp = tempfile::tempdir().unwrap();
        let notes = temp.path().join("notes");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::a_program_whose_file_is_gone_begins_anew"])
            .env(NOTES, &notes)
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), "again");
    }
}
