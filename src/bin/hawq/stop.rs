//! `hawq stop`: ends daemons of this host in one of HAWQ's three modes.
//!
//! What does not run is stopped already. Each part of a cluster is tried, whatever became of the
//! one before.

use std::time::Duration;

use aerie::proto::v1::{self, StatusReply, StopMode};
use nix::sys::signal::Signal;

use crate::Done;
use crate::arguments::{Mode, StopOptions};
use crate::demo_home;
use crate::environment::Environment;
use crate::process::Process;
use crate::prompt;
use crate::report::{self, Report};
use crate::rpc;
use crate::usage::{self, Command, Object};

/// A process that got SIGKILL ends, unless its disk hangs.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(options: &StopOptions) -> anyhow::Result<Done> {
    let object = match usage::object(Command::Stop, &options.objects) {
        Ok(object) => object,
        Err(text) => {
            report::print(&text);
            return Ok(Done::Badly);
        }
    };
    let environment = Environment::load()?;
    let report = Report::open("hawq_stop", &options.common)?;
    report.preamble("stop", &environment.gphome, &["stop", object.name()]);
    if let Some(text) = demo_home::refusal(&environment, Command::Stop, object) {
        report.error(&text);
        return Ok(Done::Badly);
    }
    if !prompt::ask("Continue with HAWQ service stop", options.common.no_prompt)? {
        return Ok(Done::Badly);
    }
    let timeout = Duration::from_secs(options.common.timeout);
    let stop = Stop { environment: &environment, report: &report, mode: options.mode, timeout };
    Ok(if stop.object(object).await? { Done::Well } else { Done::Badly })
}

pub struct Stop<'a> {
    pub environment: &'a Environment,
    pub report: &'a Report,
    pub mode: Mode,
    pub timeout: Duration,
}

impl Stop<'_> {
    pub async fn object(&self, object: Object) -> anyhow::Result<bool> {
        match object {
            Object::Master => self.master("Master", true).await,
            Object::Standby => self.master("Standby master", true).await,
            Object::Segment | Object::AllSegments => self.segment().await,
            Object::Cluster => {
                self.report.info("Stop hawq cluster");
                let mut done = self.master("Master", false).await?;
                done &= self.segment().await?;
                match done {
                    true => self.report.info("Cluster stopped successfully"),
                    false => self.report.error("Cluster stop failed"),
                }
                Ok(done)
            }
        }
    }

    /// With `failover` a standby may take over from a primary that stops.
    async fn master(&self, title: &str, failover: bool) -> anyhow::Result<bool> {
        let data_dir = &self.environment.master.data_dir;
        let supervisor = Process::supervisor(data_dir);
        let Some(process) = Process::find("hawq-master", data_dir) else {
            return self.between_two_starts(title, supervisor).await;
        };
        if !self.master_process(title, process, (supervisor, failover)).await? {
            return Ok(false);
        }
        if !self.ended(supervisor).await {
            self.report.error(&format!("{title}'s supervisor does not end"));
            return Ok(false);
        }
        self.report.info(&format!("{title} stopped successfully"));
        Ok(true)
    }

    /// The master crashed, and its supervisor is about to start it again.
    async fn between_two_starts(
        &self,
        title: &str,
        supervisor: Option<Process>,
    ) -> anyhow::Result<bool> {
        let Some(process) = supervisor else {
            self.report.info(&format!("{title} is not running, skip"));
            return Ok(true);
        };
        process.signal(Signal::SIGTERM);
        let ended = self.ended(supervisor).await;
        match ended {
            true => self.report.info(&format!("{title}, which had crashed, is not started again")),
            false => self.report.error(&format!("{title}'s supervisor does not end")),
        }
        Ok(ended)
    }

    /// A supervisor ends with its master; it may be telling others of a crash.
    async fn ended(&self, supervisor: Option<Process>) -> bool {
        match supervisor {
            Some(process) => process.wait_for_end(KILL_TIMEOUT).await,
            None => true,
        }
    }

    async fn master_process(
        &self,
        title: &str,
        process: Process,
        (supervisor, failover): (Option<Process>, bool),
    ) -> anyhow::Result<bool> {
        let Some(peer) = self.environment.own_peer() else { return Ok(false) };
        let environment = self.environment;
        self.report.info(&format!("Stop hawq {}", title.to_lowercase()));
        let (address, access) = (peer.rpc_address(), environment.access());
        let status = rpc::status(&address, &access).await.unwrap_or_default();
        let sessions = status.sessions;
        if self.mode == Mode::Smart && sessions > 0 {
            self.refuse(sessions);
            return Ok(false);
        }
        self.announce(sessions);
        if let Some(text) = consequence(&status, failover && self.mode != Mode::Immediate) {
            self.report.info(&text);
        }
        let patience = if self.mode == Mode::Immediate { KILL_TIMEOUT } else { self.timeout };
        let stop = (wire(self.mode), failover);
        let asked = tokio::time::timeout(patience, rpc::stop(&address, &access, stop));
        let silent = |_| Err(format!("no answer within {} s", patience.as_secs()));
        match asked.await.unwrap_or_else(silent) {
            Ok(outcome) if !outcome.ok => {
                self.report.error(&outcome.text);
                return Ok(false);
            }
            Ok(_) => {}
            // A node that ends at once may not get its answer out.
            Err(_) if !process.is_alive() => {}
            Err(problem) if self.mode != Mode::Immediate => {
                self.report.debug(&problem);
                self.report
                    .error("Failed to connect to the running database, please check master status");
                self.report.error("Or you can check hawq stop --help for other stop options");
                return Ok(false);
            }
            Err(_) => {
                kill(supervisor, process);
            }
        }
        if !process.wait_for_end(patience).await && !self.kill(supervisor, process).await {
            self.report.error(&format!("{title} stop failed"));
            return Ok(false);
        }
        Ok(true)
    }

    async fn segment(&self) -> anyhow::Result<bool> {
        let data_dir = &self.environment.segment.data_dir;
        let Some(process) = Process::find("hawq-segment", data_dir) else {
            self.report.info("HAWQ process is not running on this host, skip");
            return Ok(true);
        };
        self.report.info("Stop hawq segment");
        let immediate = self.mode == Mode::Immediate;
        process.signal(if immediate { Signal::SIGKILL } else { Signal::SIGTERM });
        if !process.wait_for_end(self.timeout).await && !self.kill(None, process).await {
            self.report.error("Segments stop failed");
            return Ok(false);
        }
        self.report.info("Segments stopped successfully");
        Ok(true)
    }

    /// Immediate means dead, even when the process does not listen.
    async fn kill(&self, supervisor: Option<Process>, process: Process) -> bool {
        if self.mode != Mode::Immediate {
            return false;
        }
        kill(supervisor, process);
        process.wait_for_end(KILL_TIMEOUT).await
    }

    fn refuse(&self, sessions: u32) {
        self.report.info(&format!("There are {sessions} connections to the database"));
        for line in [
            "There are other connections to this instance, shutdown mode smart aborted",
            "Either remove connections, or use 'hawq stop master -M fast' or 'hawq stop master -M \
             immediate'",
            "See hawq stop --help for all options",
        ] {
            self.report.warning(line);
        }
        self.report.error("Active connections. Aborting shutdown...");
    }

    fn announce(&self, sessions: u32) {
        let mode = match self.mode {
            Mode::Smart => "smart",
            Mode::Fast => "fast",
            Mode::Immediate => "immediate",
        };
        self.report.info(&format!("Commencing Master instance shutdown with mode='{mode}'"));
        self.report.info(&format!("Master host={}", self.environment.master.host));
        if self.mode != Mode::Fast || sessions == 0 {
            let seconds = self.timeout.as_secs();
            self.report.info(&format!("Using WAIT mode of {seconds} seconds"));
            return;
        }
        self.report.info(&format!("Detected {sessions} connections to database"));
        self.report.info("Switching to WAIT mode");
        self.report.info("Will wait for shutdown to complete, this may take some time if");
        self.report.info("there are a large number of active complex transactions, please wait...");
    }
}

/// The supervisor first, so that it starts nothing again.
fn kill(supervisor: Option<Process>, process: Process) {
    for process in supervisor.into_iter().chain([process]) {
        process.signal(Signal::SIGKILL);
    }
}

/// What becomes of the cluster when this master stops; nothing to say of one that is not primary.
fn consequence(status: &StatusReply, failover: bool) -> Option<String> {
    let record = status.record.as_ref().filter(|_| status.role == "primary")?;
    let standbys = record.in_sync.iter().filter(|member| member.node != record.primary);
    let standbys: Vec<String> = standbys.map(|member| member.node.to_string()).collect();
    if record.members.len() < 2 {
        return None;
    }
    Some(match (record.mode(), standbys.is_empty(), failover) {
        (v1::Mode::Manual | v1::Mode::Unspecified, _, _) => {
            "Manual mode: no standby takes over; \"hawq activate standby\" makes one the primary"
                .to_owned()
        }
        _ if record.paused => {
            "Automatic failover is paused: no standby takes over before \"hawq ha resume\""
                .to_owned()
        }
        (_, true, _) => {
            "No standby is in sync: none takes over while this master is down".to_owned()
        }
        (_, _, true) => {
            format!("The reign is handed to a standby in sync (node {})", standbys.join(", "))
        }
        (_, _, false) => {
            "The reign is not handed over; a standby that goes on takes over after ha_lease"
                .to_owned()
        }
    })
}

fn wire(mode: Mode) -> StopMode {
    match mode {
        Mode::Smart => StopMode::Smart,
        Mode::Fast => StopMode::Fast,
        Mode::Immediate => StopMode::Immediate,
    }
}
