//! A master's life after its start: serve until told to stop, then end in order.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::runtime::config::MasterSettings;
use crate::runtime::error_text;

use super::clients::Clients;
use super::data_dir::DataDir;
use super::handover::hand_over;
use super::health;
use super::own_address::{self, OwnAddressError};
use super::parts::{Parts, StopMode};
use super::reload;
use super::start::{Master, StartError, start};

/// How the process is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Stopped,
    /// The node was seeded: start again, as its next life.
    Reborn,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Address(#[from] OwnAddressError),
    #[error("listen to signals")]
    Signals(#[source] std::io::Error),
}

/// Runs a master until it is told to stop. `rpc` carries the messages between masters; `reread`
/// gives the settings as a start would find them now.
pub async fn run(
    settings: MasterSettings,
    root: &Path,
    rpc: &Handle,
    reread: impl Fn() -> Result<MasterSettings, String>,
) -> Result<End, RunError> {
    let signals = Signals::new().map_err(RunError::Signals)?;
    let mut hangups = signal(SignalKind::hangup()).map_err(RunError::Signals)?;
    own_address::check(&settings).await?;
    let directory = DataDir::open(root).map_err(StartError::from)?;
    let (mut node, listeners) = start(settings, root, rpc).await?;
    let parts = Arc::clone(&node.parts);
    let http = match health::serve(&parts).await {
        Ok(http) => http,
        // The node's threads run by now and would outlive this.
        Err(error) => {
            end(node, true).await;
            return Err(error.into());
        }
    };
    let clients = Clients::start(&parts, Arc::clone(&node.commit), (listeners, &directory));
    note_pid(&mut node, &parts);
    let view = parts.view();
    tracing::info!(
        "hawq-master started node={} incarnation={} epoch={} lsn={} port={} rpc_port={}",
        view.me.node,
        view.me.incarnation,
        view.epoch,
        view.write_lsn,
        parts.settings.pg_port,
        parts.settings.rpc_port
    );
    let mut wishes = parts.stop.subscribe();
    tokio::spawn(signals.listen(Arc::clone(&parts)));
    let mode = loop {
        tokio::select! {
            mode = wished(&mut wishes) => break mode,
            Some(()) = hangups.recv() => {
                clients.reload_hba();
                reload::report(&parts.settings, reread());
            }
        }
    };
    tracing::info!("stopping: {mode:?}");
    if mode == StopMode::Fast {
        hand_over(&parts).await;
    }
    clients.stop(mode, &mut wishes).await;
    if *wishes.borrow() != Some(StopMode::Immediate) {
        hand_over(&parts).await;
    }
    if let Some(http) = http {
        http.shutdown().await;
    }
    Ok(end(node, *wishes.borrow() == Some(StopMode::Immediate)).await)
}

async fn wished(wishes: &mut watch::Receiver<Option<StopMode>>) -> StopMode {
    loop {
        let wish = *wishes.borrow_and_update();
        if let Some(mode) = wish {
            return mode;
        }
        if wishes.changed().await.is_err() {
            return StopMode::Fast;
        }
    }
}

async fn end(master: Master, immediate: bool) -> End {
    let Master { parts, threads, lock, reborn, told, .. } = master;
    let catalog = parts.catalog.clone();
    let ended = tokio::task::spawn_blocking(move || {
        threads.stop();
        // After an immediate stop the log has it all.
        if !immediate && let Err(error) = catalog.flush() {
            tracing::error!("cannot flush the catalog: {}", error_text(&error));
        }
        drop(lock);
    });
    if let Err(error) = ended.await {
        tracing::error!("the node did not end in order: {error}");
    }
    if let Some(told) = told {
        // One command may be under way, and the last is to come.
        let patience = parts.settings.on_role_change_timeout * 2;
        if tokio::time::timeout(patience, told).await.is_err() {
            tracing::warn!("ha_on_role_change does not end");
        }
    }
    tracing::info!("hawq-master stopped");
    if reborn.load(Ordering::SeqCst) { End::Reborn } else { End::Stopped }
}

fn note_pid(master: &mut Master, parts: &Parts) {
    let socket_dir = parts.settings.socket_dir.as_ref();
    let socket_dir = socket_dir.map_or_else(String::new, |path| path.display().to_string());
    if let Err(error) = master.lock.note(parts.started_at, parts.settings.pg_port, &socket_dir) {
        tracing::warn!("cannot complete postmaster.pid: {error}");
    }
}

/// PostgreSQL's three signals to stop. Its fourth, SIGHUP, is listened to where `run` waits.
struct Signals {
    smart: Signal,
    fast: Signal,
    immediate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            smart: signal(SignalKind::terminate())?,
            fast: signal(SignalKind::interrupt())?,
            immediate: signal(SignalKind::quit())?,
        })
    }

    async fn listen(mut self, parts: Arc<Parts>) {
        loop {
            let mode = tokio::select! {
                _ = self.smart.recv() => StopMode::Smart,
                _ = self.fast.recv() => StopMode::Fast,
                _ = self.immediate.recv() => StopMode::Immediate,
            };
            parts.request_stop(mode);
        }
    }
}
