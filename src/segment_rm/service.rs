//! The running agent: feeds `Agent` with events, performs its effects, serves its calls.
//!
//! One task owns the machine. What takes time runs in tasks that this one owns and that end by
//! themselves; writes of the fence file are done one after the other, in the order asked for.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tonic::transport::Server;

use crate::ha::{Seat, voter_server};
use crate::proto::v1::segment_server::SegmentServer;
use crate::runtime::{BootClock, Clock, RpcAuth, incoming};
use crate::types::{Epoch, Heartbeat};

use super::agent::{Agent, AgentSettings};
use super::calls::{Answer, Calls, Input};
use super::directories::Directories;
use super::event::{Effect, Event, MasterAddress, Severity};
use super::fence::FenceState;
use super::fence_file::FenceFile;
use super::postgres::{self, PostgresAddress};
use super::sender::Sender;

/// Inputs that may wait for the machine; calls beyond that wait in their connections.
const INPUTS_MAX: usize = 256;

/// How long a stop waits for calls that are being answered.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the machine may sleep at most; it has always something to do before.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Where the agent answers; port 0 takes any that is free.
    pub listen: SocketAddr,
    pub auth: RpcAuth,
    pub hostname: String,
    pub addresses: Vec<String>,
    /// The segment's PostgreSQL port, as registered.
    pub port: u16,
    pub memory_mb: u32,
    pub cores: u32,
    pub heartbeat_interval: Duration,
    pub directory_interval: Duration,
    pub temporary_directories: Vec<PathBuf>,
    /// Checked where given.
    pub postgres: Option<PostgresAddress>,
    pub masters: Vec<MasterAddress>,
    pub jitter_seed: u64,
    /// The register's voter that the agent hosts, for clusters of two masters.
    pub voter: Seat,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("temporary directory {path:?}: a name must not be empty or contain , or ;")]
    DirectoryName { path: PathBuf },
}

/// Whether and why an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    No,
    Asked,
    Failed,
}

/// Stops when dropped; `stop` waits for it.
#[derive(Debug)]
pub struct RunningAgent {
    rpc_port: u16,
    stop: watch::Sender<Stop>,
    driver: JoinHandle<()>,
    server: JoinHandle<()>,
}

impl RunningAgent {
    #[must_use]
    pub fn rpc_port(&self) -> u16 {
        self.rpc_port
    }

    /// Resolves when somebody has asked for the end of the agent (`StopAgent`), or it cannot go on.
    pub async fn ending(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        stop.wait_for(|stop| *stop != Stop::No).await.map_or(Stop::Failed, |stop| *stop)
    }

    pub async fn stop(mut self) {
        self.stop.send_replace(Stop::Asked);
        let both = async {
            let _ended = (&mut self.driver).await;
            let _ended = (&mut self.server).await;
        };
        let _late = tokio::time::timeout(STOP_TIMEOUT, both).await;
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Asked);
        self.driver.abort();
        self.server.abort();
    }
}

/// Begins to listen and to send heartbeats. `file` and `fence` are what the data directory holds.
pub async fn start(
    settings: ServiceSettings,
    file: FenceFile,
    fence: FenceState,
) -> Result<RunningAgent, ServiceError> {
    for path in &settings.temporary_directories {
        if !crate::proto::can_be_described(&path.to_string_lossy()) {
            return Err(ServiceError::DirectoryName { path: path.clone() });
        }
    }
    let listening = |source| ServiceError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(listening)?;
    let rpc_port = listener.local_addr().map_err(listening)?.port();
    let clock = BootClock;
    let agent_settings = agent_settings(&settings, rpc_port, file.segment(), clock.wall_micros());
    let (stop, stopped) = watch::channel(Stop::No);
    let (inputs, received) = mpsc::channel(INPUTS_MAX);
    let driver = Driver {
        agent: Agent::new(agent_settings, fence, clock.now()),
        clock,
        file: Arc::new(file),
        directories: Directories::new(&settings.temporary_directories),
        postgres: settings.postgres,
        sender: Sender::new(settings.auth.clone(), settings.heartbeat_interval),
        tasks: JoinSet::new(),
        answers: BTreeMap::new(),
        last_ticket: 0,
    };
    let calls = Calls::new(inputs, stop.clone());
    let service = SegmentServer::with_interceptor(calls, settings.auth.server());
    let voter = voter_server(&settings.auth, settings.voter);
    let mut server_stopped = stopped.clone();
    let server = Server::builder()
        .add_service(service)
        .add_service(voter)
        .serve_with_incoming_shutdown(incoming(listener), async move {
            let _gone = server_stopped.wait_for(|stop| *stop != Stop::No).await;
        });
    let server_stop = stop.clone();
    let server = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!("segment agent no longer listens: {error}");
            server_stop.send_replace(Stop::Failed);
        }
    });
    let driver_stop = stop.clone();
    let driver = tokio::spawn(async move {
        driver.run(received, stopped).await;
        // Who ends without having been asked has failed.
        driver_stop.send_if_modified(|stop| {
            let failed = *stop == Stop::No;
            if failed {
                *stop = Stop::Failed;
            }
            failed
        });
    });
    Ok(RunningAgent { rpc_port, stop, driver, server })
}

fn agent_settings(
    settings: &ServiceSettings,
    rpc_port: u16,
    segment: u64,
    started_at: i64,
) -> AgentSettings {
    let heartbeat = Heartbeat {
        segment,
        hostname: settings.hostname.clone(),
        addresses: settings.addresses.clone(),
        port: settings.port,
        rpc_port,
        memory_mb: settings.memory_mb,
        cores: settings.cores,
        failed_directories: Vec::new(),
        started_at: u64::try_from(started_at).unwrap_or_default(),
        followed: Epoch::ZERO,
        promised: Epoch::ZERO,
    };
    AgentSettings {
        cluster: settings.auth.cluster(),
        heartbeat,
        heartbeat_interval: settings.heartbeat_interval,
        directory_interval: settings.directory_interval,
        check_postgres: settings.postgres.is_some(),
        masters: settings.masters.clone(),
        jitter_seed: settings.jitter_seed,
    }
}

struct Driver {
    agent: Agent,
    clock: BootClock,
    file: Arc<FenceFile>,
    directories: Directories,
    postgres: Option<PostgresAddress>,
    sender: Sender,
    tasks: JoinSet<Event>,
    answers: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_ticket: u64,
}

impl Driver {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut stopped: watch::Receiver<Stop>) {
        self.step(Event::Deadline).await;
        loop {
            let now = self.clock.now();
            let wait = self.agent.deadline().map_or(SLEEP_MAX, |deadline| deadline.since(now));
            let event = tokio::select! {
                _ = stopped.wait_for(|stop| *stop != Stop::No) => return,
                Some(finished) = self.tasks.join_next() => match finished {
                    Ok(event) => event,
                    Err(error) => {
                        // A check that panicked would never be repeated: better no agent at all.
                        tracing::error!("a task of the segment agent failed: {error}");
                        return;
                    }
                },
                input = inputs.recv() => match input {
                    Some(input) => self.ask(input),
                    None => return,
                },
                () = tokio::time::sleep(wait.min(SLEEP_MAX)) => Event::Deadline,
            };
            self.step(event).await;
        }
    }

    fn ask(&mut self, input: Input) -> Event {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        match input {
            Input::Probe { answer } => {
                self.answers.insert(ticket, answer);
                Event::ProbeAsked { ticket }
            }
            Input::Fence { request, answer } => {
                self.answers.insert(ticket, answer);
                Event::FenceAsked { ticket, request }
            }
        }
    }

    /// One event and everything that follows from it at once.
    async fn step(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            tracing::debug!("event {event}");
            let mut effects = Vec::new();
            self.agent.step(self.clock.now(), event, &mut effects);
            for effect in effects {
                tracing::debug!("effect {effect}");
                events.extend(self.perform(effect).await);
            }
        }
    }

    async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::SendHeartbeat { to, heartbeat } => {
                self.tasks.spawn(self.sender.send(to, &heartbeat));
            }
            Effect::CheckDirectories => {
                let directories = self.directories.clone();
                self.tasks.spawn(async move { check_directories(directories).await });
            }
            Effect::CheckPostgres => {
                let address = self.postgres.clone();
                self.tasks.spawn(async move {
                    let failure = match address {
                        Some(address) => postgres::check(&address).await,
                        None => None,
                    };
                    Event::PostgresChecked { failure }
                });
            }
            Effect::Persist { ticket, fence } => return Some(self.persist(ticket, fence).await),
            Effect::AnswerProbe { ticket, failure } => {
                self.answer(ticket, Answer::Probe { failure });
            }
            Effect::AnswerFence { ticket, accepted, fence } => {
                self.answer(ticket, Answer::Fence { accepted, fence });
            }
            Effect::FailFence { ticket, reason } => self.answer(ticket, Answer::Failed { reason }),
            Effect::Report { severity: Severity::Info, text } => tracing::info!("{text}"),
            Effect::Report { severity: Severity::Warning, text } => tracing::warn!("{text}"),
        }
        None
    }

    async fn persist(&self, ticket: u64, fence: FenceState) -> Event {
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.store(&fence)).await;
        match written {
            Ok(Ok(())) => Event::Persisted { ticket },
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let reason = format!("{error}: {}", cause.unwrap_or_default());
                Event::PersistFailed { ticket, reason }
            }
            Err(error) => Event::PersistFailed { ticket, reason: error.to_string() },
        }
    }

    /// Whoever asked may be gone; nobody minds.
    fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some(waiting) = self.answers.remove(&ticket) {
            let _gone = waiting.send(answer);
        }
    }
}

async fn check_directories(directories: Directories) -> Event {
    let failed = directories.check().await;
    for (name, reason) in &failed {
        tracing::debug!("temporary directory {name} failed: {reason}");
    }
    Event::DirectoriesChecked { failed: failed.into_iter().map(|(name, _)| name).collect() }
}
