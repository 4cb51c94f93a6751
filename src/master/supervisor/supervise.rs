//! Starts the master's process, passes signals on to it, waits for its end and does what `policy`
//! says. It decides nothing itself.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::master::data_dir::{DataDir, DataDirError};
use crate::master::role_changes::tell_closed;
use crate::runtime::config::MasterSettings;
use crate::runtime::error_text;

use super::policy::{Ending, Policy, Verdict};
use super::report::{End, ReportError};

/// Who leaves gives a report that is under way so long.
const LAST_REPORT_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error(
        "process {pid} works in \"{}\" already; stop it first, or leave it as it is: it serves, \
         and after a crash of it nothing starts it again",
        path.display()
    )]
    Busy { path: PathBuf, pid: String },
    #[error("listen to signals")]
    Signals(#[source] io::Error),
    #[error("start \"{}\"", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("wait for process {pid}")]
    Wait { pid: u32, source: io::Error },
}

/// How to start the master itself.
#[derive(Debug, Clone)]
pub struct Program {
    /// The file that was started; an upgrade may have put another one there.
    pub file: PathBuf,
    /// What runs now, for when that file is gone.
    pub fallback: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Program {
    fn start(&self) -> Result<Child, SuperviseError> {
        let start = |file: &Path| Command::new(file).arg0(&self.file).args(&self.arguments).spawn();
        let failed = |source| SuperviseError::Start { program: self.file.clone(), source };
        start(&self.file).or_else(|_| start(&self.fallback)).map_err(failed)
    }
}

/// Keeps a master running in `root` until it stops or is told to; the status to leave with.
pub async fn supervise(
    program: &Program,
    root: &Path,
    settings: &MasterSettings,
) -> Result<i32, SuperviseError> {
    refuse_second(root)?;
    let mut signals = Signals::new().map_err(SuperviseError::Signals)?;
    let mut policy = Policy::new();
    let mut report: Option<JoinHandle<()>> = None;
    let status = loop {
        let started = Instant::now();
        let ending = run_once(program, &mut signals, &mut policy).await?;
        let verdict = policy.ended(started.elapsed(), ending);
        if !ending.is_clean() {
            match End::read(root) {
                Ok(end) => {
                    let upto = end.upto;
                    report = Some(tell(end, report.take()));
                    // Before it may be primary again.
                    tell_closed(settings, upto).await;
                }
                Err(ReportError::Directory(DataDirError::InUse { path, pid })) => {
                    let path = path.display();
                    tracing::error!("process {pid} works in \"{path}\": this supervisor leaves");
                    break 1;
                }
                Err(error) => tracing::warn!("cannot tell of the end: {}", error_text(&error)),
            }
        }
        match verdict {
            Verdict::Leave(status) => break status,
            Verdict::Restart { after } => {
                tracing::error!("the master ended ({ending:?}); starting it again in {after:?}");
                if signals.wait_for_stop(after).await {
                    break 0;
                }
            }
        }
    };
    if let Some(report) = report {
        // Nobody is told twice, and nobody is waited for longer.
        let _ = tokio::time::timeout(LAST_REPORT_MAX, report).await;
    }
    Ok(status)
}

/// The master of a supervisor that was killed goes on. It is nobody's child any more, so that its
/// status would never be known: it is left alone, and nothing is started beside it.
fn refuse_second(root: &Path) -> Result<(), SuperviseError> {
    match DataDir::open(root).and_then(|directory| directory.lock()) {
        Err(DataDirError::InUse { path, pid }) => Err(SuperviseError::Busy { path, pid }),
        // Whatever else is wrong the master says better.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Tells the others, in place of an earlier report that has not got through.
fn tell(end: End, earlier: Option<JoinHandle<()>>) -> JoinHandle<()> {
    if let Some(earlier) = earlier {
        earlier.abort();
    }
    tracing::info!("node {} ended with every epoch up to {}", end.member.node, end.upto);
    tokio::spawn(async move { end.tell().await })
}

/// One life of the master.
async fn run_once(
    program: &Program,
    signals: &mut Signals,
    policy: &mut Policy,
) -> Result<Ending, SuperviseError> {
    let mut child = program.start()?;
    let pid = child.id().unwrap_or_default();
    tracing::info!("the master runs as process {pid}");
    loop {
        tokio::select! {
            ended = child.wait() => {
                let status = ended.map_err(|source| SuperviseError::Wait { pid, source })?;
                return Ok(ending(status));
            }
            number = signals.next() => {
                if number != Number::SIGHUP {
                    policy.stop();
                }
                // Not reaped yet, so the number is still its own; it may have just ended.
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    let _ = kill(Pid::from_raw(pid), number);
                }
            }
        }
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Killed(signal.unwrap_or_default()),
    }
}

/// Those that PostgreSQL's server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Number {
        tokio::select! {
            _ = self.terminate.recv() => Number::SIGTERM,
            _ = self.interrupt.recv() => Number::SIGINT,
            _ = self.quit.recv() => Number::SIGQUIT,
            _ = self.hangup.recv() => Number::SIGHUP,
        }
    }

    /// While nothing runs there is nobody to pass a signal on to.
    async fn wait_for_stop(&mut self, span: Duration) -> bool {
        let over = Instant::now() + span;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(over) => return false,
                number = self.next() => if number != Number::SIGHUP {
                    return true;
                },
            }
        }
    }
}
