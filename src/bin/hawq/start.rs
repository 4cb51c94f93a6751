//! `hawq start`: starts daemons of this host and waits until they do their work.
//!
//! Order does not matter: a standby finds its primary and a primary its standby, whoever comes
//! first. What runs already is left running.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aerie::proto::v1::{ForceOpenRequest, RejoinRequest, StatusReply};

use crate::Done;
use crate::arguments::StartOptions;
use crate::demo_home;
use crate::environment::{Environment, is_this_host};
use crate::launch::{Daemon, Waiting};
use crate::process::Process;
use crate::report::{self, Report};
use crate::rpc;
use crate::usage::{self, Command, Object};

/// How long a node that answers may stay closed before we say so and leave it alone.
const CLOSED_PATIENCE: Duration = Duration::from_secs(15);

pub async fn run(options: &StartOptions) -> anyhow::Result<Done> {
    let object = match usage::object(Command::Start, &options.objects) {
        Ok(object) => object,
        Err(text) => {
            report::print(&text);
            return Ok(Done::Badly);
        }
    };
    let environment = Environment::load()?;
    let report = Report::open("hawq_start", &options.common)?;
    report.preamble("start", &environment.gphome, &["start", object.name()]);
    if let Some(text) = demo_home::refusal(&environment, Command::Start, object) {
        report.error(&text);
        return Ok(Done::Badly);
    }
    report.info("Gathering information and validating the environment...");
    let start = Start {
        environment: &environment,
        report: &report,
        timeout: Duration::from_secs(options.common.timeout),
        force: options.force,
        rejoin: options.rejoin,
    };
    let done = start.object(object).await?;
    Ok(if done { Done::Well } else { Done::Badly })
}

/// A start on this host; every step returns whether it did what it is for.
pub struct Start<'a> {
    pub environment: &'a Environment,
    pub report: &'a Report,
    pub timeout: Duration,
    pub force: bool,
    /// A master that was primary is to follow the new one.
    pub rejoin: bool,
}

impl Start<'_> {
    pub async fn object(&self, object: Object) -> anyhow::Result<bool> {
        match object {
            Object::Master => self.master("Master").await,
            Object::Standby if !self.environment.names_standby() => {
                self.report.error("No standby host configured");
                Ok(false)
            }
            Object::Standby => self.master("Standby master").await,
            Object::Segment | Object::AllSegments => self.segment().await,
            Object::Cluster => self.cluster().await,
        }
    }

    async fn cluster(&self) -> anyhow::Result<bool> {
        self.report.info("Start all the nodes in hawq cluster");
        let mut done = true;
        let mut local = false;
        if self.environment.node.is_some() {
            local = true;
            done &= self.master("Master").await?;
        }
        if segment_cluster_id(&self.environment.segment.data_dir).is_some() {
            local = true;
            self.report.info("Start all the segments in hawq cluster");
            done &= self.segment().await?;
        }
        self.tell_other_hosts();
        if !local {
            self.report.error("this host has no node; make one with \"hawq init\"");
            return Ok(false);
        }
        if done {
            self.report.info("HAWQ cluster started successfully");
        }
        Ok(done)
    }

    fn tell_other_hosts(&self) {
        let masters = self.environment.master.peers.iter().map(|peer| peer.host.as_str());
        let segments = self.environment.segment_hosts.iter().flatten().map(String::as_str);
        for (host, object) in
            masters.map(|host| (host, "master")).chain(segments.map(|host| (host, "segment")))
        {
            if !is_this_host(host) {
                self.report.info(&format!("On host {host}, type: hawq start {object}"));
            }
        }
    }

    /// The master node of this environment, whatever role it will have.
    pub async fn master(&self, title: &str) -> anyhow::Result<bool> {
        let environment = self.environment;
        let data_dir = &environment.master.data_dir;
        if environment.node.is_none() {
            self.report.error(&format!(
                "{} is not a data directory of a master; make one with \"hawq init master\" or \
                 \"hawq init standby\", or start the node on its own host",
                data_dir.display()
            ));
            return Ok(false);
        }
        let Some(peer) = environment.own_peer() else { return Ok(false) };
        self.report.info(&format!("Start {} service", title.to_lowercase()));
        let daemon = Daemon::master(environment.site_path(), data_dir);
        let mut child = None;
        if Process::find("hawq-master", data_dir).is_some() {
            self.report.info(&format!("{title} is running already"));
            if Process::lost_its_supervisor(data_dir) {
                self.report.warning(&format!(
                    "{title} has lost its supervisor: until \"hawq restart master\" nothing starts \
                     it again after a crash"
                ));
            }
        } else if Process::supervisor(data_dir).is_some() {
            self.report.info(&format!("{title} had crashed; its supervisor starts it again"));
        } else {
            child = Some(daemon.start()?);
        }
        let (address, access) = (peer.rpc_address(), environment.access());
        let waiting =
            Waiting { address: &address, access: &access, timeout: self.timeout, daemon: &daemon };
        if let Err(_silent) = waiting.until(&mut child, |_| true).await? {
            self.report.error(&format!(
                "{title} does not answer within {} s; {}",
                self.timeout.as_secs(),
                daemon.log_tail()
            ));
            return Ok(false);
        }
        if self.force && !self.force_open(&waiting).await? {
            return Ok(false);
        }
        if self.rejoin {
            self.ask_to_rejoin(&waiting).await?;
        }
        let patience = Waiting { timeout: self.timeout.min(CLOSED_PATIENCE), ..waiting };
        match patience.until(&mut child, serves).await? {
            Ok(_) => {
                self.report.info(&format!("{title} started successfully"));
                Ok(true)
            }
            Err(reply) => {
                let reason = reply.map(|reply| format!("{}: {}", reply.role, reply.closed_reason));
                self.report.warning(&format!(
                    "{title} runs and does not serve yet ({}); it goes on by itself when it can",
                    reason.unwrap_or_default()
                ));
                Ok(false)
            }
        }
    }

    /// Lets the node come to the point where it waits for its standby, then asks it not to.
    async fn force_open(&self, waiting: &Waiting<'_>) -> anyhow::Result<bool> {
        let closed =
            |reply: &StatusReply| serves(reply) || (!reply.open && !reply.closed_reason.is_empty());
        let patience = Waiting { timeout: CLOSED_PATIENCE, ..*waiting };
        if let Ok(reply) = patience.until(&mut None, closed).await?
            && serves(&reply)
        {
            return Ok(true);
        }
        let mut client = match rpc::connect(waiting.address, waiting.access).await {
            Ok(client) => client,
            Err(problem) => anyhow::bail!("{}: {problem}", waiting.address),
        };
        match rpc::bounded(client.force_open(ForceOpenRequest {})).await {
            Ok(outcome) if outcome.ok => {
                self.report.warning(&format!("Opened by force. {}", outcome.text));
                Ok(true)
            }
            Ok(outcome) => {
                self.report.error(&outcome.text);
                Ok(false)
            }
            Err(problem) => {
                self.report.error(&problem);
                Ok(false)
            }
        }
    }

    /// Lets the node find the new primary, then asks it to follow.
    async fn ask_to_rejoin(&self, waiting: &Waiting<'_>) -> anyhow::Result<()> {
        let kept = |reply: &StatusReply| serves(reply) || reply.closed_reason.contains("--rejoin");
        let patience = Waiting { timeout: self.timeout.min(CLOSED_PATIENCE), ..*waiting };
        patience.until(&mut None, kept).await?.ok();
        let client = rpc::connect(waiting.address, waiting.access).await;
        let mut client =
            client.map_err(|problem| anyhow::anyhow!("{}: {problem}", waiting.address))?;
        let outcome = rpc::bounded(client.rejoin(RejoinRequest {})).await;
        let outcome = outcome.map_err(anyhow::Error::msg)?;
        self.report.info(&outcome.text);
        Ok(())
    }

    /// The segment agent of this environment.
    pub async fn segment(&self) -> anyhow::Result<bool> {
        let settings = &self.environment.segment;
        let Some(cluster_id) = segment_cluster_id(&settings.data_dir) else {
            self.report.error(&format!(
                "{} is not a segment's data directory; make one with \"hawq init segment\"",
                settings.data_dir.display()
            ));
            return Ok(false);
        };
        self.report.info("Start segment service");
        if Process::find("hawq-segment", &settings.data_dir).is_some() {
            self.report.info("Segment is running already");
            return Ok(true);
        }
        let host = settings.host.clone().unwrap_or_else(own_host_name);
        let daemon = Daemon::segment(settings, &host, &cluster_id);
        let mut child = daemon.start()?;
        let target = (host.as_str(), settings.rpc_port);
        let deadline = std::time::Instant::now() + self.timeout;
        while tokio::net::TcpStream::connect(target).await.is_err() {
            if let Some(status) = child.try_wait()? {
                let tail = daemon.log_tail();
                self.report.error(&format!("hawq-segment ended ({status}); {tail}"));
                self.report.error("Segments start failed");
                return Ok(false);
            }
            if std::time::Instant::now() >= deadline {
                self.report.error("Segments start failed");
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.report.info("Segments started successfully");
        Ok(true)
    }
}

/// An open primary, or a standby that has found its primary.
pub fn serves(reply: &StatusReply) -> bool {
    match reply.role.as_str() {
        "primary" => reply.open,
        "in-sync" | "catching-up" => true,
        _ => false,
    }
}

/// What `hawq init segment` has left in a directory of a segment.
pub fn segment_cluster_id(data_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(data_dir.join("cluster.id")).ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

pub fn own_host_name() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}
