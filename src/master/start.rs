//! Starting a master: open what is in the data directory, make the node, tie every part to it.
//!
//! Two runtimes: one thread of its own carries the messages between masters and the small services
//! beside them, so that a heavy query never delays a heartbeat; sessions run on the other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

use crate::catalog::{Catalog, Commit, RocksStore};
use crate::frontend::Sessions;
use crate::fts::{Machine, Prober, Settings as FtsSettings};
use crate::ha::{ManualCoordinator, ManualShrink};
use crate::runtime::config::{ManualShrink as ShrinkSetting, MasterSettings, SyncMode};
use crate::runtime::{BootClock, Clock, FileDisk, Net, RpcAuth};
use crate::types::{Lsn, TimelineHistory};
use crate::wal::{Options, Reader, Tail, Wal};

use super::answers::Answers;
use super::applier::Applier;
use super::auth::Credentials;
use super::checkpointer::Checkpointer;
use super::commit::Pipeline;
use super::control_writer::ControlWriter;
use super::data_dir::{DataDir, DataDirError, DirLock, NodeIdentity};
use super::digest_points::DigestPoints;
use super::door::Door;
use super::errands::{Giver, Runner};
use super::fatal::Fatal;
use super::inbox::Inbox;
use super::init::{LOG_START, log_identity};
use super::log_tail::LogTail;
use super::log_writer::LogWriter;
use super::node::{Node, NodeSettings};
use super::node_loop::NodeLoop;
use super::parts::{DigestCache, Parts};
use super::performer::Performer;
use super::segments::{Driver, Segments};
use super::services::{self, Services};
use super::threads::{Queues, Threads};
use super::transport::Transport;
use super::upkeep::Upkeep;
use super::waiters::Waiters;
use super::witnesses::RpcWitnesses;
use super::{ControlFile, ControlFileError, LogState};

/// Youngest part of the log kept in memory, for shipping and applying.
const TAIL_BYTES: usize = 16 << 20;

/// The log's own memory is small: the tail above serves the same readers.
const RING_BYTES: usize = 1 << 20;

/// A read waits so many leases for one to be renewed.
const READ_LEASES: u32 = 4;

/// Lines of a takeover that a slow watcher may be behind.
const SAYS_MAX: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Control(#[from] ControlFileError),
    #[error("open the write-ahead log")]
    Log(#[from] crate::wal::Error),
    #[error("the catalog holds everything up to {applied}, but {path} has no log")]
    LogMissing { applied: Lsn, path: String },
    #[error("the catalog holds everything up to {applied}, but the log ends at {end}")]
    LogBehind { applied: Lsn, end: Lsn },
    #[error("the catalog holds everything up to {applied}, but the log begins at {first}")]
    CatalogBehind { applied: Lsn, first: Lsn },
    #[error("open the catalog")]
    Catalog(#[from] crate::catalog::Error),
    #[error("open the catalog's store")]
    Store(#[from] crate::catalog::StoreError),
    #[error("data directory \"{path}\" is of node {found}, aerie_node is {expected}")]
    OtherNode { path: String, found: u8, expected: u8 },
    #[error(transparent)]
    Auth(#[from] super::auth::Error),
    #[error(transparent)]
    Secret(#[from] crate::runtime::RpcAuthError),
    #[error(transparent)]
    Segments(#[from] crate::fts::SettingsError),
    #[error("listen on {address} for masters and segments")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{doing}")]
    Io { doing: String, source: std::io::Error },
}

/// A master that runs.
pub struct Master {
    pub(super) parts: Arc<Parts>,
    pub(super) commit: Arc<dyn Commit>,
    pub(super) threads: Threads,
    pub(super) lock: DirLock,
    pub(super) reborn: Arc<AtomicBool>,
}

/// What was found in the data directory.
struct Found {
    directory: DataDir,
    identity: NodeIdentity,
    control: ControlFile,
    wal: Option<Wal<FileDisk>>,
    catalog: Catalog,
    log: LogState,
    lock: DirLock,
}

/// Opens everything and starts the node; `rpc` carries messages and services.
pub async fn start(
    settings: MasterSettings,
    root: &Path,
    rpc: &Handle,
) -> Result<Master, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(BootClock);
    let found = open(&settings, root)?;
    let secret = found.directory.secret()?;
    let credentials = Credentials::new(found.identity.cluster, &secret)?;
    let auth = RpcAuth::new(found.identity.cluster, &secret)?;
    let listener = services::listen(&settings).await?;
    let wired = wire(settings, found, (credentials, auth), (clock, rpc))?;
    let Wired { parts, services, commit, threads, lock, reborn, upkeep } = wired;
    services.start(listener, rpc);
    rpc.spawn(upkeep.run());
    Ok(Master { parts, commit, threads, lock, reborn })
}

fn open(settings: &MasterSettings, root: &Path) -> Result<Found, StartError> {
    let directory = DataDir::open(root)?;
    let lock = directory.lock()?;
    let identity = directory.identity()?;
    if identity.node != settings.node {
        let path = root.display().to_string();
        let (found, expected) = (identity.node.get(), settings.node.get());
        return Err(StartError::OtherNode { path, found, expected });
    }
    let io = |doing: &str| {
        let doing = doing.to_owned();
        move |source| StartError::Io { doing, source }
    };
    let kept = directory.remove_other_lives(identity.incarnation);
    for path in kept.map_err(io("keep the log of an earlier life"))? {
        tracing::warn!("the log before the seed is kept path={}", path.display());
    }
    directory.remove_leftovers().map_err(io("remove unfinished checkpoints"))?;
    let control = ControlFile::open(&directory.control_file())?;
    let catalog_dir = directory.catalog_of(identity.incarnation);
    std::fs::create_dir_all(&catalog_dir).map_err(io("make the catalog's folder"))?;
    let catalog = Catalog::open(Arc::new(RocksStore::open(&catalog_dir)?))?;
    let (wal, log) = open_log(&directory, &identity, catalog.applied_lsn())?;
    Ok(Found { directory, identity, control, wal, catalog, log, lock })
}

/// The log as it was found; none in the directory of a standby that was never seeded.
fn open_log(
    directory: &DataDir,
    identity: &NodeIdentity,
    applied: Lsn,
) -> Result<(Option<Wal<FileDisk>>, LogState), StartError> {
    let path = directory.log_of(identity.incarnation);
    let options = Options { ring_bytes: RING_BYTES, ..Options::default() };
    if !path.exists() {
        if applied > Lsn::ZERO {
            let path = path.display().to_string();
            return Err(StartError::LogMissing { applied, path });
        }
        let log = LogState {
            end: Lsn::ZERO,
            first: Lsn::ZERO,
            commit_lsn: Lsn::ZERO,
            apply_lsn: Lsn::ZERO,
            history: TimelineHistory::default(),
            doubtful: false,
        };
        return Ok((None, log));
    }
    let (wal, recovered) = Wal::open(FileDisk, &path, log_identity(identity), options)?;
    match &recovered.tail {
        Tail::Clean => {}
        Tail::Torn { at, bytes } => {
            tracing::warn!("half-written record cut off the log lsn={at} bytes={bytes}");
        }
        Tail::Doubtful { file, offset, why } => {
            let file = file.display();
            tracing::error!("doubtful end of the log file={file} offset={offset}: {why}");
        }
    }
    let apply_lsn = applied.max(LOG_START);
    if apply_lsn < recovered.first {
        return Err(StartError::CatalogBehind { applied, first: recovered.first });
    }
    if applied > recovered.end {
        return Err(StartError::LogBehind { applied, end: recovered.end });
    }
    let log = LogState {
        end: recovered.end,
        first: recovered.first,
        commit_lsn: recovered.commit_lsn.max(apply_lsn),
        apply_lsn,
        history: recovered.history,
        doubtful: matches!(recovered.tail, Tail::Doubtful { .. }),
    };
    Ok((Some(wal), log))
}

struct Wired {
    parts: Arc<Parts>,
    services: Services,
    commit: Arc<dyn Commit>,
    threads: Threads,
    lock: DirLock,
    reborn: Arc<AtomicBool>,
    upkeep: Upkeep,
}

/// Ties the parts together and starts their threads.
fn wire(
    settings: MasterSettings,
    found: Found,
    (credentials, auth): (Credentials, RpcAuth),
    (clock, rpc): (Arc<dyn Clock>, &Handle),
) -> Result<Wired, StartError> {
    let Found { directory, identity, control, wal, catalog, log, lock } = found;
    let inbox = Arc::new(Inbox::new());
    let door = Arc::new(Door::new());
    let waiters = Arc::new(Waiters::default());
    let commit: Arc<dyn Commit> = Arc::new(Pipeline {
        catalog: catalog.clone(),
        door: Arc::clone(&door),
        waiters: Arc::clone(&waiters),
        inbox: Arc::clone(&inbox),
        control: control.clone(),
        clock: Arc::clone(&clock),
        commit_timeout: settings.commit_timeout,
        read_timeout: settings.lease * READ_LEASES,
        hot_standby: settings.hot_standby,
    });
    let mut effects = Vec::new();
    let node = Node::new(
        node_settings(&settings),
        (identity.cluster, identity.member()),
        control.content(),
        log.clone(),
        (clock.now(), &mut effects),
    );
    let (view, seen) = watch::channel(Arc::new(node.view()));
    let fts =
        FtsSettings::new(settings.segment_heartbeat_interval, settings.segment_heartbeat_timeout)?;
    let driver = Driver {
        catalog: catalog.clone(),
        commit: Arc::clone(&commit),
        prober: Prober::new(auth.clone(), fts.probe_timeout),
        clock: Arc::clone(&clock),
        node: seen.clone(),
    };
    let segments = {
        let _entered = rpc.enter();
        Segments::start(Machine::new(fts), driver)
    };
    let (says, _) = broadcast::channel(SAYS_MAX);
    let witnesses = Arc::new(RpcWitnesses {
        me: identity.node,
        auth: auth.clone(),
        segments: segments.clone(),
        catalog: catalog.clone(),
        timeout: settings.coordinator_timeout,
        says: says.clone(),
    });
    let shrink = match settings.manual_shrink {
        ShrinkSetting::Witnessed => ManualShrink::Witnessed,
        ShrinkSetting::Local => ManualShrink::Local,
    };
    let store = Arc::new(control.clone());
    let coordinator = ManualCoordinator::new(identity.node, shrink, store, Arc::clone(&witnesses));
    let transport = Arc::new(Transport::new(credentials.clone(), rpc.clone()));
    let (stop, _) = watch::channel(None);
    let reborn = Arc::new(AtomicBool::new(false));
    let runner = Arc::new(Runner {
        tasks: rpc.clone(),
        directory: directory.clone(),
        identity: identity.clone(),
        control: control.clone(),
        transport: Arc::clone(&transport),
        credentials: credentials.clone(),
        auth: auth.clone(),
        inbox: Arc::clone(&inbox),
        stop: stop.clone(),
        reborn: Arc::clone(&reborn),
    });
    let (tail, digests) = (Arc::new(LogTail::new(TAIL_BYTES)), Arc::new(DigestPoints::default()));
    let reader: Option<Reader<FileDisk>> = wal.as_ref().map(Wal::reader);
    let queues = Queues::default();
    let answers = Arc::new(Answers::new(Arc::clone(&inbox)));
    let history = Arc::new(Mutex::new(log.history.clone()));
    let fatal = Fatal::process();
    let world = Performer {
        cluster: identity.cluster,
        me: identity.member(),
        tasks: rpc.clone(),
        coordinator: Arc::new(coordinator),
        errands: Box::new(runner),
        net: Arc::clone(&transport) as Arc<dyn Net>,
        inbox: Arc::clone(&inbox),
        tail: Arc::clone(&tail),
        reader: reader.clone(),
        log: Arc::clone(&queues.log),
        apply: Arc::clone(&queues.apply),
        writes: Arc::clone(&queues.writes),
        control: control.clone(),
        catalog: catalog.clone(),
        waiters: Arc::clone(&waiters),
        answers: Arc::clone(&answers),
        door,
        history: Arc::clone(&history),
        fatal: fatal.clone(),
    };
    let node_loop = NodeLoop {
        node,
        world,
        inbox: Arc::clone(&inbox),
        clock: Arc::clone(&clock),
        view,
        reign: None,
        viewed_at: clock.now(),
    };
    let log_writer = LogWriter {
        wal,
        tail: Arc::clone(&tail),
        inbox: Arc::clone(&inbox),
        lost_wal: directory.lost_wal_dir(),
        fatal: fatal.clone(),
    };
    let applier = Applier {
        catalog: catalog.clone(),
        start: log.apply_lsn,
        tail,
        reader,
        waiters: Arc::clone(&waiters),
        digests: Arc::clone(&digests),
        inbox: Arc::clone(&inbox),
        fatal: fatal.clone(),
    };
    let control_writer =
        ControlWriter { file: control, inbox: Arc::clone(&inbox), fatal: fatal.clone() };
    let checkpointer = Checkpointer {
        catalog: catalog.clone(),
        log: Arc::clone(&queues.log),
        node: seen.clone(),
        keep_bytes: settings.wal_keep_bytes,
        fatal,
    };
    let threads = Threads::start(
        Arc::clone(&inbox),
        queues,
        (log_writer, applier, control_writer),
        move || node_loop.run(effects),
    )
    .map_err(|source| StartError::Io { doing: "start threads".to_owned(), source })?;
    let (filled, is_filled) = watch::channel(false);
    let upkeep = Upkeep {
        catalog: catalog.clone(),
        commit: Arc::clone(&commit),
        clock: Arc::clone(&clock),
        node: seen.clone(),
        superuser: SUPERUSER.to_owned(),
        history_keep: settings.segment_history_keep,
        filled,
    };
    let giver = Giver {
        directory: directory.clone(),
        catalog: catalog.clone(),
        node: seen.clone(),
        history,
    };
    let parts = Arc::new(Parts {
        cluster: identity.cluster,
        data_dir: directory.root().to_path_buf(),
        started_at: clock.wall_micros(),
        clock,
        node: seen,
        filled: is_filled,
        answers,
        segments,
        catalog,
        digests,
        digest: DigestCache::default(),
        waiters,
        sessions: Sessions::new(),
        stop,
        says,
        auth,
        settings,
    });
    let services = Services {
        parts: Arc::clone(&parts),
        credentials,
        transport,
        inbox,
        witnesses,
        checkpointer,
        seeds: giver.make(),
    };
    Ok(Wired { parts, services, commit, threads, lock, reborn, upkeep })
}

/// The role that owns a new cluster's catalog, as HAWQ's installations have it.
const SUPERUSER: &str = "gpadmin";

fn node_settings(settings: &MasterSettings) -> NodeSettings {
    NodeSettings {
        lease: settings.lease,
        standby_timeout: settings.standby_timeout,
        coordinator_timeout: settings.coordinator_timeout,
        disk_timeout: settings.disk_timeout,
        strict: settings.sync_mode == SyncMode::Strict,
        ..NodeSettings::default()
    }
}
