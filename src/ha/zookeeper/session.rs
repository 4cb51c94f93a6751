//! Keeps one session with ZooKeeper: connects, watches the record, shows this node, and begins
//! anew when the session ends. A watch may be missed; the record is read every `RECONCILE_EVERY`
//! as well.
//!
//! A session that has lost its connection is given up after a moment: the library would wait ever
//! longer between its tries, and a new session costs nothing, since sessions decide nothing here.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zookeeper_client::{Acls, Client, CreateMode, Error, OneshotWatcher, SessionState, Stat};

use crate::runtime::config::ZooKeeperSettings;

use super::exposure::exposed;
use super::shared::Shared;
use super::tree::Tree;
use super::{Presence, ZooKeeperError};

const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// The tree may be made, or its ACL changed, by others.
const EXPOSURE_EVERY: Duration = Duration::from_secs(15);
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A connection that is silent for so long is lost.
const SILENCE_MIN: Duration = Duration::from_millis(500);

/// The task that keeps the session; it ends with this value.
pub(super) struct Session {
    clients: watch::Receiver<Option<Client>>,
    task: JoinHandle<()>,
}

impl Session {
    pub(super) fn start(shared: Arc<Shared>, tasks: &Handle) -> Session {
        let (sender, clients) = watch::channel(None);
        Session { clients, task: tasks.spawn(keep(shared, sender)) }
    }

    /// `Some` while a session has a connection.
    pub(super) fn clients(&self) -> watch::Receiver<Option<Client>> {
        self.clients.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One try at each server.
pub(super) async fn open(settings: &ZooKeeperSettings) -> Result<Client, Error> {
    let silence = (settings.attempt_timeout / 2).max(SILENCE_MIN);
    let mut connector = Client::connector()
        .with_fail_eagerly()
        .with_session_timeout(settings.session_timeout)
        .with_connection_timeout(silence.min(settings.session_timeout / 2));
    for auth in &settings.auth {
        connector = connector.with_auth(&auth.scheme, auth.identity.as_bytes());
    }
    match timeout(settings.session_timeout, connector.connect(&settings.quorum)).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout),
    }
}

/// Why no session could be opened, for an operator.
pub(super) fn unopened(shared: &Shared, error: Error) -> ZooKeeperError {
    match error {
        Error::NoHosts => shared.unreachable("no server takes connections"),
        Error::Timeout => shared.unreachable("no server has opened a session"),
        error => shared.paths.failed(shared.paths.base(), error),
    }
}

async fn keep(shared: Arc<Shared>, clients: watch::Sender<Option<Client>>) {
    let mut pause = RETRY_MIN;
    loop {
        match open(&shared.settings).await {
            Ok(client) => {
                pause = RETRY_MIN;
                let (asked, given) = (shared.settings.session_timeout, client.session_timeout());
                if let Some(warning) = compare_timeouts(asked, given) {
                    tracing::warn!("{warning}");
                }
                attend(&shared, &client, &clients).await;
            }
            Err(error) => shared.tell(Some(unopened(&shared, error).to_string())),
        }
        clients.send_replace(None);
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

fn compare_timeouts(asked: Duration, given: Duration) -> Option<String> {
    (asked != given).then(|| {
        format!(
            "ha_zookeeper_session_timeout = {asked:?}, but ZooKeeper allows {given:?}; change the \
             setting, or minSessionTimeout or maxSessionTimeout of ZooKeeper"
        )
    })
}

/// While the session lives.
async fn attend(shared: &Shared, client: &Client, clients: &watch::Sender<Option<Client>>) {
    tokio::select! {
        why = lost(shared, client, clients) => {
            let why = format!("session {} ended: {why}", client.session_id());
            shared.tell(Some(shared.unreachable(&why).to_string()));
        }
        () = follow(shared, client) => {}
        () = stay_present(shared, client) => {}
        () = mind_exposure(shared, client) => {}
    }
}

/// Hands the client out while it is connected; returns when the session is to be given up.
async fn lost(
    shared: &Shared,
    client: &Client,
    clients: &watch::Sender<Option<Client>>,
) -> SessionState {
    let mut states = client.state_watcher();
    let mut state = states.state();
    loop {
        let connected = state == SessionState::SyncConnected;
        clients.send_replace(connected.then(|| client.clone()));
        if state.is_terminated() {
            return state;
        }
        if connected {
            state = states.changed().await;
            continue;
        }
        match timeout(shared.settings.attempt_timeout, states.changed()).await {
            Ok(changed) => state = changed,
            Err(_) => return state,
        }
    }
}

/// Notes every record that is seen, and what is wrong with what is seen.
async fn follow(shared: &Shared, client: &Client) {
    loop {
        let watcher = match look(shared, client).await {
            Ok(watcher) => {
                shared.tell(None);
                Some(watcher)
            }
            Err((error, watcher)) => {
                shared.tell(Some(error.to_string()));
                watcher
            }
        };
        let changed = async {
            match watcher {
                Some(watcher) => drop(watcher.changed().await),
                None => std::future::pending().await,
            }
        };
        let _ = timeout(RECONCILE_EVERY, changed).await;
    }
}

/// Reads the record; the watcher tells of its next change, also where there is none yet.
async fn look(
    shared: &Shared,
    client: &Client,
) -> Result<OneshotWatcher, (ZooKeeperError, Option<OneshotWatcher>)> {
    let (paths, state) = (&shared.paths, shared.paths.state());
    let (bytes, stat, watcher) = match client.get_and_watch_data(&state).await {
        Ok(read) => read,
        Err(Error::NoNode) => {
            let watcher = client.check_and_watch_stat(&state).await;
            return Err((paths.empty(), watcher.ok().map(|(_, watcher)| watcher)));
        }
        Err(error) => return Err((paths.failed(&state, error), None)),
    };
    let held = match Tree::new(paths, client).held(&bytes, stat.version) {
        Ok(held) => held,
        Err(error) => return Err((error, Some(watcher))),
    };
    if held.record.cluster_id != paths.cluster {
        return Err((paths.foreign(held.record.cluster_id), Some(watcher)));
    }
    shared.note(held.znode, &held.record);
    Ok(watcher)
}

/// Tells who else may change the record.
async fn mind_exposure(shared: &Shared, client: &Client) {
    let mut said = None;
    loop {
        let found = exposed(&shared.paths, client).await;
        if let Some(exposure) = found.as_ref().filter(|text| said.as_ref() != Some(*text)) {
            tracing::warn!("{exposure}");
        }
        said = found;
        sleep(EXPOSURE_EVERY).await;
    }
}

/// Shows this node as long as the session lives, also when somebody has removed its mark.
async fn stay_present(shared: &Shared, client: &Client) {
    let Some(presence) = &shared.presence else { return std::future::pending().await };
    let mut said = None;
    loop {
        let trouble = show(shared, client, presence).await.err().map(|error| error.to_string());
        if let Some(trouble) = trouble.as_ref().filter(|trouble| said.as_ref() != Some(*trouble)) {
            tracing::warn!("this node is not shown in ZooKeeper: {trouble}");
        }
        said = trouble;
        sleep(RECONCILE_EVERY).await;
    }
}

async fn show(shared: &Shared, client: &Client, presence: &Presence) -> Result<(), ZooKeeperError> {
    let paths = &shared.paths;
    let (folder, path) = (paths.nodes(), paths.node(presence.node));
    let mine = |stat: &Stat| stat.ephemeral_owner == client.session_id().0;
    match client.check_stat(&path).await {
        Ok(Some(stat)) if mine(&stat) => return Ok(()),
        // Of a session of an earlier life, which ZooKeeper ends in time.
        Ok(Some(_)) => return Ok(()),
        Ok(None) => {}
        Err(error) => return Err(paths.failed(&path, error)),
    }
    let lasting = CreateMode::Persistent.with_acls(Acls::new(paths.acl()));
    client.mkdir(&folder, &lasting).await.map_err(|error| paths.failed(&folder, error))?;
    let passing = CreateMode::Ephemeral.with_acls(Acls::new(paths.acl()));
    match client.create(&path, presence.text.as_bytes(), &passing).await {
        Ok(_) | Err(Error::NodeExists) => Ok(()),
        Err(error) => Err(paths.failed(&path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_session_timeout_than_asked_for_is_told() {
        let (asked, given) = (Duration::from_secs(2), Duration::from_secs(4));
        assert_eq!(compare_timeouts(asked, asked), None);
        let said = compare_timeouts(asked, given).unwrap();
        assert!(said.starts_with("ha_zookeeper_session_timeout = 2s, but ZooKeeper allows 4s;"));
    }
}
