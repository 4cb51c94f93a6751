//! The clients' side of a running master: SQL engine, sessions, and the gate that says who may come
//! in, kept in step with the node's state.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::catalog::Commit;
use crate::frontend::{
    Frontend, FrontendOptions, Gate, HbaFileError, Listeners, Shutdown, load_hba, resolve,
};
use crate::query::Engine;
use crate::runtime::config::MasterSettings;
use crate::runtime::error_text;

use crate::types::NodeRole;

use super::data_dir::DataDir;
use super::live::LiveServer;
use super::node::NodeView;
use super::parts::{Parts, StopMode};

const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Smart shutdown waits for clients this long between looks at whether somebody became impatient.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    #[error(transparent)]
    Hba(#[from] HbaFileError),
    #[error("listen_addresses: {0}")]
    Addresses(String),
    #[error(transparent)]
    Frontend(#[from] crate::frontend::Error),
}

pub(super) struct Clients {
    frontend: Frontend,
    hba_file: PathBuf,
    stopping: watch::Sender<bool>,
}

/// Takes the addresses for clients, so that nothing is announced by a node that cannot have them.
pub(super) async fn bind(
    settings: &MasterSettings,
    directory: &DataDir,
) -> Result<Listeners, ClientsError> {
    let hba = load_hba(&directory.hba_file())?;
    let options = FrontendOptions {
        listen: listen_addresses(settings).await?,
        unix_socket_directory: settings.socket_dir.clone(),
        port: settings.pg_port,
        data_directory: directory.root().to_path_buf(),
        max_connections: settings.max_connections as usize,
        superuser_reserved_connections: settings.superuser_reserved_connections as usize,
        authentication_timeout: AUTHENTICATION_TIMEOUT,
        hba,
    };
    Ok(Listeners::bind(options)?)
}

impl Clients {
    pub(super) fn start(
        parts: &Arc<Parts>,
        commit: Arc<dyn Commit>,
        (bound, directory): (Listeners, &DataDir),
    ) -> Clients {
        let live = Arc::new(LiveServer { parts: Arc::clone(parts) });
        let engine = Arc::new(Engine::new(parts.catalog.clone(), commit, live));
        let (stopping, is_stopping) = watch::channel(false);
        let (gate, seen) = watch::channel(gate(parts, &parts.view(), false));
        let sessions = Arc::clone(&parts.sessions);
        let frontend = Frontend::start(bound, engine, seen, sessions);
        tokio::spawn(keep_gate(Arc::clone(parts), gate, is_stopping));
        Clients { frontend, hba_file: directory.hba_file(), stopping }
    }

    /// New connections obey the file as it is now; one that cannot be used changes nothing.
    pub(super) fn reload_hba(&self) {
        match load_hba(&self.hba_file) {
            Ok(hba) => {
                self.frontend.replace_hba(hba);
                tracing::info!("{} read again", self.hba_file.display());
            }
            Err(error) => {
                tracing::warn!("the rules for clients stay as they were: {}", error_text(&error));
            }
        }
    }

    /// Ends the sessions as `mode` says; a smart stop waits until they have gone, or until a more
    /// urgent one is asked for.
    pub(super) async fn stop(
        mut self,
        mut mode: StopMode,
        wishes: &mut watch::Receiver<Option<StopMode>>,
    ) {
        self.stopping.send_replace(true);
        loop {
            let shutdown = match mode {
                StopMode::Smart => Shutdown::Smart { patience: PATIENCE },
                StopMode::Fast => Shutdown::Fast,
                StopMode::Immediate => Shutdown::Immediate,
            };
            match self.frontend.shutdown(shutdown).await {
                Ok(()) => return,
                Err(reason) if mode == StopMode::Smart => tracing::debug!("{reason}"),
                Err(error) => {
                    tracing::warn!("sessions did not end: {error}");
                    return;
                }
            }
            mode = wishes.borrow_and_update().unwrap_or(mode);
        }
    }
}

async fn listen_addresses(settings: &MasterSettings) -> Result<Vec<SocketAddr>, ClientsError> {
    if settings.listen_addresses.is_empty() {
        return Ok(vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.pg_port))]);
    }
    let names = settings.listen_addresses.join(",");
    resolve(&names, settings.pg_port).await.map_err(ClientsError::Addresses)
}

/// Who may come in, as the node's state has it.
fn gate(parts: &Parts, view: &NodeView, stopping: bool) -> Gate {
    if stopping {
        return Gate::ShuttingDown;
    }
    // Also while it takes over from itself: statements wait at the door, and sessions go on.
    if view.open {
        let filled = *parts.filled.borrow();
        let reason = "the catalog is being filled".to_owned();
        return if filled { Gate::Primary } else { Gate::Starting { reason } };
    }
    let record = view.record.as_ref();
    let other = record.filter(|record| record.primary != view.me.node);
    let primary = other.and_then(|record| record.members.get(&record.primary));
    let primary = primary.map(|entry| format!("{}:{}", entry.host, entry.pg_port));
    match view.role {
        role if role.is_standby() => {
            let hot = parts.settings.hot_standby && *parts.filled.borrow();
            Gate::Standby { hot, primary }
        }
        // While it looks for the primary: not hot, since nobody vouches for what it shows.
        NodeRole::Joining if primary.is_some() => Gate::Standby { hot: false, primary },
        _ => Gate::Starting { reason: view.closed_reason.clone() },
    }
}

async fn keep_gate(
    parts: Arc<Parts>,
    gate_sender: watch::Sender<Gate>,
    mut stopping: watch::Receiver<bool>,
) {
    let (mut node, mut filled) = (parts.node.clone(), parts.filled.clone());
    loop {
        let now = gate(&parts, &node.borrow_and_update().clone(), *stopping.borrow_and_update());
        gate_sender.send_if_modified(|known| {
            let changed = *known != now;
            if changed {
                tracing::info!("gate {now:?}");
                *known = now;
            }
            changed
        });
        let ended = tokio::select! {
            changed = node.changed() => changed.is_err(),
            changed = filled.changed() => changed.is_err(),
            changed = stopping.changed() => changed.is_err(),
        };
        if ended {
            return;
        }
    }
}
