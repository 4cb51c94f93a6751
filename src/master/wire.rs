//! Ties a master's parts together and starts the node's threads: who holds a handle on whom.
//!
//! Only construction: no part is asked anything here, and nothing serves before `start` says so.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};

use crate::catalog::{Catalog, Commit};
use crate::frontend::Sessions;
use crate::fts::{Machine, Prober, Settings as FtsSettings};
use crate::ha::{RpcVoters, Seat, take_seat};
use crate::runtime::config::MasterSettings;
use crate::runtime::{Clock, FileDisk, Net, RpcAuth};
use crate::types::{Envelope, Lsn, Mode, TimelineHistory};
use crate::wal::{Reader, Wal};

use super::ControlFile;
use super::answers::Answers;
use super::applier::Applier;
use super::audit::Audit;
use super::checkpointer::Checkpointer;
use super::commit::Pipeline;
use super::control_writer::ControlWriter;
use super::coordinators::{Coordinators, Means};
use super::data_dir::{DataDir, DirLock, NodeIdentity};
use super::digest_points::DigestPoints;
use super::door::Door;
use super::errands::{Giver, Runner};
use super::fatal::Fatal;
use super::fencing::Fencing;
use super::found::Found;
use super::inbox::Inbox;
use super::intake::{Intake, MESSAGES_MAX};
use super::lags::Lags;
use super::log_tail::LogTail;
use super::log_writer::LogWriter;
use super::node::{Node, NodeView};
use super::node_loop::NodeLoop;
use super::node_settings::node_settings;
use super::old_primary::OldPrimary;
use super::parts::{DigestCache, Parts, StopMode};
use super::performer::{Gathered, Performer};
use super::segments::{Driver, Segments};
use super::services::Services;
use super::start::StartError;
use super::threads::{Queues, Threads};
use super::transport::Transport;
use super::upkeep::Upkeep;
use super::waiters::Waiters;
use super::witnesses::{RpcWitnesses, WARM_UP_MAX};

/// Youngest part of the log kept in memory, for shipping and applying.
const TAIL_BYTES: usize = 16 << 20;

/// A read waits so many leases for one to be renewed.
const READ_LEASES: u32 = 4;

/// Lines of a takeover that a slow watcher may be behind.
const SAYS_MAX: usize = 64;

/// Whoever may be chosen as voter has so long to answer.
const ASK_VOTERS_MAX: Duration = Duration::from_secs(2);

/// The role that owns a new cluster's catalog, as HAWQ's installations have it.
const SUPERUSER: &str = "gpadmin";

/// What `start` sets going, and what the running master keeps.
pub(super) struct Wired {
    pub(super) parts: Arc<Parts>,
    pub(super) services: Services,
    pub(super) commit: Arc<dyn Commit>,
    pub(super) threads: Threads,
    pub(super) lock: DirLock,
    pub(super) reborn: Arc<AtomicBool>,
    pub(super) upkeep: Upkeep,
}

/// What several parts hold a handle on.
struct Wiring<'a> {
    settings: MasterSettings,
    directory: DataDir,
    identity: NodeIdentity,
    control: ControlFile,
    catalog: Catalog,
    auth: RpcAuth,
    /// The register's voter of this process.
    seat: Seat,
    clock: Arc<dyn Clock>,
    rpc: &'a Handle,
    node: watch::Receiver<Arc<NodeView>>,
    inbox: Arc<Inbox>,
    door: Arc<Door>,
    waiters: Arc<Waiters>,
    answers: Arc<Answers>,
    transport: Arc<Transport>,
    received: mpsc::Receiver<Envelope>,
    tail: Arc<LogTail>,
    digests: Arc<DigestPoints>,
    lags: Arc<Lags>,
    history: Arc<Mutex<TimelineHistory>>,
    says: broadcast::Sender<String>,
    audit: Arc<Audit>,
    stop: watch::Sender<Option<StopMode>>,
    reborn: Arc<AtomicBool>,
    fatal: Fatal,
}

/// Ties the parts together and starts their threads.
pub(super) fn wire(
    settings: MasterSettings,
    found: Found,
    auth: RpcAuth,
    (clock, rpc): (Arc<dyn Clock>, &Handle),
) -> Result<Wired, StartError> {
    let Found { directory, identity, control, wal, catalog, log, lock } = found;
    let (mut effects, me) = (Vec::new(), (identity.cluster, identity.member()));
    let begun = (clock.now(), &mut effects);
    let node = Node::new(node_settings(&settings), me, control.content(), log.clone(), begun);
    let (view, seen) = watch::channel(Arc::new(node.view()));
    let inbox = Arc::new(Inbox::new(Arc::clone(&clock), Fatal::process()));
    let (intake, received) = Intake::open(identity.cluster, identity.node, MESSAGES_MAX);
    let wiring = Wiring {
        door: Arc::new(Door::new()),
        waiters: Arc::new(Waiters::default()),
        answers: Arc::new(Answers::new(Arc::clone(&inbox))),
        transport: Arc::new(Transport::new(intake, auth.clone(), rpc.clone())),
        received,
        tail: Arc::new(LogTail::new(TAIL_BYTES)),
        digests: Arc::new(DigestPoints::default()),
        lags: Arc::new(Lags::default()),
        history: Arc::new(Mutex::new(log.history.clone())),
        says: broadcast::channel(SAYS_MAX).0,
        audit: Arc::new(Audit::default()),
        stop: watch::channel(None).0,
        reborn: Arc::new(AtomicBool::new(false)),
        fatal: Fatal::process(),
        seat: take_seat(FileDisk, directory.root(), identity.cluster),
        node: seen,
        settings,
        directory,
        identity,
        control,
        catalog,
        auth,
        clock,
        rpc,
        inbox,
    };
    let commit = wiring.pipeline();
    let segments = wiring.segments(&commit)?;
    let witnesses = wiring.witnesses(&segments);
    let coordinators = Arc::new(wiring.coordinators(&witnesses));
    let (queues, reader) = (Queues::default(), wal.as_ref().map(Wal::reader));
    let checkpointer = wiring.checkpointer(&queues);
    let mut node_loop = NodeLoop {
        node,
        world: wiring.performer(&coordinators, &queues, reader.clone()),
        clock: Arc::clone(&wiring.clock),
        view,
        reign: None,
        confirms: wiring.settings.read_confirm,
        viewed_at: wiring.clock.now(),
    };
    let applier = wiring.applier(reader, log.apply_lsn);
    let workers = (wiring.log_writer(wal), applier, wiring.control_writer());
    let threads = Threads::start(Arc::clone(&wiring.inbox), queues, workers, move |inbox| {
        node_loop.begin(effects);
        inbox.run(Box::new(node_loop));
    })
    .map_err(|source| StartError::Io { doing: "start threads".to_owned(), source })?;
    let (filled, is_filled) = watch::channel(false);
    let (upkeep, reborn) = (wiring.upkeep(&commit, filled), Arc::clone(&wiring.reborn));
    let services = wiring.services((segments, is_filled), (witnesses, coordinators), checkpointer);
    let parts = Arc::clone(&services.parts);
    Ok(Wired { parts, services, commit, threads, lock, reborn, upkeep })
}

impl Wiring<'_> {
    fn pipeline(&self) -> Arc<dyn Commit> {
        Arc::new(Pipeline {
            catalog: self.catalog.clone(),
            door: Arc::clone(&self.door),
            waiters: Arc::clone(&self.waiters),
            inbox: Arc::clone(&self.inbox),
            control: self.control.clone(),
            clock: Arc::clone(&self.clock),
            commit_timeout: self.settings.commit_timeout,
            read_timeout: self.settings.lease * READ_LEASES,
            hot_standby: self.settings.hot_standby,
            confirm: self.settings.read_confirm.then_some(self.settings.lease),
        })
    }

    fn segments(&self, commit: &Arc<dyn Commit>) -> Result<Segments, StartError> {
        let settings = FtsSettings::new(
            self.settings.segment_heartbeat_interval,
            self.settings.segment_heartbeat_timeout,
        )?;
        let driver = Driver {
            catalog: self.catalog.clone(),
            commit: Arc::clone(commit),
            prober: Prober::new(self.auth.clone(), settings.probe_timeout),
            clock: Arc::clone(&self.clock),
            node: self.node.clone(),
        };
        let _entered = self.rpc.enter();
        Ok(Segments::start(Machine::new(settings), driver))
    }

    fn witnesses(&self, segments: &Segments) -> Arc<RpcWitnesses> {
        Arc::new(RpcWitnesses {
            me: self.identity.node,
            auth: self.auth.clone(),
            segments: segments.clone(),
            fencing: self.fencing(),
            catalog: self.catalog.clone(),
            started: tokio::time::Instant::now(),
            warm_up: self.settings.segment_heartbeat_interval.min(WARM_UP_MAX),
            timeout: self.settings.coordinator_timeout(Mode::Manual),
            says: self.says.clone(),
            audit: Arc::clone(&self.audit),
        })
    }

    fn fencing(&self) -> Fencing {
        let (me, node) = (self.identity.member(), self.node.clone());
        Fencing { me, node, inbox: Arc::clone(&self.inbox) }
    }

    fn coordinators(&self, witnesses: &Arc<RpcWitnesses>) -> Coordinators {
        let means = Means {
            settings: &self.settings,
            identity: &self.identity,
            control: &self.control,
            auth: &self.auth,
            seat: &self.seat,
            witnesses,
            tasks: self.rpc,
        };
        means.coordinators()
    }

    fn errands(&self) -> Arc<Runner> {
        Arc::new(Runner {
            tasks: self.rpc.clone(),
            directory: self.directory.clone(),
            identity: self.identity.clone(),
            control: self.control.clone(),
            transport: Arc::clone(&self.transport),
            auth: self.auth.clone(),
            inbox: Arc::clone(&self.inbox),
            stop: self.stop.clone(),
            reborn: Arc::clone(&self.reborn),
        })
    }

    fn performer(
        &self,
        coordinators: &Arc<Coordinators>,
        queues: &Queues,
        reader: Option<Reader<FileDisk>>,
    ) -> Performer<FileDisk> {
        Performer {
            cluster: self.identity.cluster,
            me: self.identity.member(),
            tasks: self.rpc.clone(),
            coordinators: Arc::clone(coordinators),
            errands: Box::new(self.errands()),
            net: Arc::clone(&self.transport) as Arc<dyn Net>,
            inbox: Arc::clone(&self.inbox),
            tail: Arc::clone(&self.tail),
            reader,
            log: Arc::clone(&queues.log),
            apply: Arc::clone(&queues.apply),
            writes: Arc::clone(&queues.writes),
            control: self.control.clone(),
            catalog: self.catalog.clone(),
            waiters: Arc::clone(&self.waiters),
            answers: Arc::clone(&self.answers),
            door: Arc::clone(&self.door),
            history: Arc::clone(&self.history),
            old_primary: OldPrimary::new(
                &self.settings,
                self.control.clone(),
                Arc::clone(&self.inbox),
                self.rpc.clone(),
            ),
            fatal: self.fatal.clone(),
            gathered: Gathered::default(),
            lags: Arc::clone(&self.lags),
        }
    }

    fn log_writer(&self, wal: Option<Wal<FileDisk>>) -> LogWriter<FileDisk> {
        LogWriter {
            wal,
            tail: Arc::clone(&self.tail),
            inbox: Arc::clone(&self.inbox),
            lost_wal: self.directory.lost_wal_dir(),
            fatal: self.fatal.clone(),
        }
    }

    fn applier(&self, reader: Option<Reader<FileDisk>>, start: Lsn) -> Applier<FileDisk> {
        Applier {
            catalog: self.catalog.clone(),
            start,
            tail: Arc::clone(&self.tail),
            reader,
            waiters: Arc::clone(&self.waiters),
            digests: Arc::clone(&self.digests),
            inbox: Arc::clone(&self.inbox),
            fatal: self.fatal.clone(),
        }
    }

    fn control_writer(&self) -> ControlWriter {
        let (inbox, fatal) = (Arc::clone(&self.inbox), self.fatal.clone());
        ControlWriter { file: self.control.clone(), inbox, fatal }
    }

    fn checkpointer(&self, queues: &Queues) -> Checkpointer {
        Checkpointer {
            catalog: self.catalog.clone(),
            log: Arc::clone(&queues.log),
            node: self.node.clone(),
            keep_bytes: self.settings.wal_keep_bytes,
            fatal: self.fatal.clone(),
        }
    }

    fn upkeep(&self, commit: &Arc<dyn Commit>, filled: watch::Sender<bool>) -> Upkeep {
        Upkeep {
            catalog: self.catalog.clone(),
            commit: Arc::clone(commit),
            clock: Arc::clone(&self.clock),
            node: self.node.clone(),
            superuser: SUPERUSER.to_owned(),
            history_keep: self.settings.segment_history_keep,
            audit: Arc::clone(&self.audit),
            filled,
        }
    }

    /// The last that is made: it takes what is left.
    fn services(
        self,
        (segments, filled): (Segments, watch::Receiver<bool>),
        (witnesses, coordinators): (Arc<RpcWitnesses>, Arc<Coordinators>),
        checkpointer: Checkpointer,
    ) -> Services {
        let fencing = self.fencing();
        let giver = Giver {
            directory: self.directory.clone(),
            catalog: self.catalog.clone(),
            node: self.node.clone(),
            history: self.history,
        };
        let parts = Arc::new(Parts {
            cluster: self.identity.cluster,
            data_dir: self.directory.root().to_path_buf(),
            started_at: self.clock.wall_micros(),
            clock: self.clock,
            node: self.node,
            filled,
            answers: self.answers,
            segments,
            catalog: self.catalog,
            digests: self.digests,
            digest: DigestCache::default(),
            lags: self.lags,
            waiters: self.waiters,
            sessions: Sessions::new(),
            stop: self.stop,
            without_failover: AtomicBool::new(false),
            says: self.says,
            voters: RpcVoters::new(self.auth.clone(), self.seat.clone(), ASK_VOTERS_MAX),
            coordinator_health: Arc::default(),
            auth: self.auth,
            settings: self.settings,
        });
        Services {
            parts,
            transport: self.transport,
            received: self.received,
            inbox: self.inbox,
            witnesses,
            fencing,
            checkpointer,
            seeds: giver.make(),
            seat: self.seat,
            coordinators,
        }
    }
}
