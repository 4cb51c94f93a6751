//! Starting a master: open what is in the data directory (`found`), make the node and tie every
//! part to it (`wire`), begin to serve. What can go wrong until then is `StartError`.
//!
//! Two runtimes: one thread of its own carries the messages between masters and the small services
//! beside them, so that a heavy query never delays a heartbeat; sessions run on the other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::catalog::Commit;
use crate::frontend::Listeners;
use crate::runtime::config::MasterSettings;
use crate::runtime::{BootClock, Clock, RpcAuth};
use crate::types::Lsn;

use super::ControlFileError;
use super::clients::{self, ClientsError};
use super::data_dir::{DataDirError, DirLock};
use super::found::Found;
use super::parts::Parts;
use super::services;
use super::threads::Threads;
use super::wire::{Wired, wire};

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
    Clients(#[from] ClientsError),
    #[error(transparent)]
    Secret(#[from] crate::runtime::RpcAuthError),
    #[error(transparent)]
    Segments(#[from] crate::fts::SettingsError),
    #[error("listen on {address} for masters and segments")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("listen on {address} for HTTP (ha_http_port)")]
    ListenHttp { address: SocketAddr, source: std::io::Error },
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
    /// Tells of changes of role; the last is that the node's loop has ended.
    pub(super) told: Option<JoinHandle<()>>,
}

/// Opens everything and starts the node; `rpc` carries messages and services. Clients wait at the
/// listeners until somebody serves them.
pub async fn start(
    settings: MasterSettings,
    root: &Path,
    rpc: &Handle,
) -> Result<(Master, Listeners), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(BootClock);
    let found = Found::open(&settings, root)?;
    let secret = found.directory.secret()?;
    let auth = RpcAuth::new(found.identity.cluster, &secret)?;
    let listeners = clients::bind(&settings, &found.directory).await?;
    let listener = services::listen(&settings).await?;
    let Wired { parts, services, commit, threads, lock, reborn, upkeep } =
        wire(settings, found, auth, (clock, rpc))?;
    let told = services.start(listener, rpc);
    rpc.spawn(upkeep.run());
    Ok((Master { parts, commit, threads, lock, reborn, told }, listeners))
}
