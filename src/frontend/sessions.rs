//! The registry of client sessions: who is there, what each does, and the ends of the strings by
//! which `pg_terminate_backend()`, cancel requests and `master` pull them.
//!
//! It only gives orders; each session obeys by itself and takes itself off the list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::query::SessionRow;
use crate::runtime::{BootClock, Clock};

use super::Failure;
use super::gate::{Admission, Gate};
use super::wire::Ending;

/// PostgreSQL's `track_activity_query_size`.
const QUERY_BYTES_MAX: usize = 1024;

/// What a session does right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Active,
    Idle,
    IdleInTransaction,
    IdleInFailedTransaction,
}

impl Activity {
    fn text(self) -> &'static str {
        match self {
            Activity::Active => "active",
            Activity::Idle => "idle",
            Activity::IdleInTransaction => "idle in transaction",
            Activity::IdleInFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// Who comes in; fixed for the life of the session but for the application's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub pid: i32,
    /// What a cancel request must know.
    pub secret: i32,
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// `None` for a Unix socket.
    pub client: Option<std::net::SocketAddr>,
    pub admission: Admission,
}

struct Doing {
    application_name: String,
    activity: Activity,
    query: String,
    xact_start: Option<i64>,
    query_start: Option<i64>,
    state_change: i64,
}

struct Entry {
    identity: Identity,
    backend_start: i64,
    doing: Mutex<Doing>,
    /// Set while a commit waits to be durable on the in-sync set.
    committing: Arc<AtomicBool>,
    end: watch::Sender<Option<Failure>>,
    cancel: watch::Sender<u64>,
}

struct Table {
    entries: BTreeMap<i32, Arc<Entry>>,
    last_pid: i32,
}

/// All sessions of this server.
pub struct Sessions {
    table: Mutex<Table>,
    count: watch::Sender<usize>,
    clock: BootClock,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            table: Mutex::new(Table { entries: BTreeMap::new(), last_pid: 0 }),
            count: watch::Sender::new(0),
            clock: BootClock,
        }
    }
}

impl Sessions {
    #[must_use]
    pub fn new() -> Arc<Sessions> {
        Arc::new(Sessions::default())
    }

    /// A number that no session has and that looks like a process id.
    pub(crate) fn next_pid(&self) -> i32 {
        let mut table = lock(&self.table);
        // At most one step for each session that is there.
        loop {
            table.last_pid = if table.last_pid >= i32::MAX - 1 { 1 } else { table.last_pid + 1 };
            if !table.entries.contains_key(&table.last_pid) {
                return table.last_pid;
            }
        }
    }

    /// `None` when `sessions_max` sessions are there already.
    pub(crate) fn register(
        self: &Arc<Self>,
        identity: Identity,
        committing: Arc<AtomicBool>,
        sessions_max: usize,
    ) -> Option<Registration> {
        let now = self.clock.wall_micros();
        let doing = Doing {
            application_name: identity.application_name.clone(),
            activity: Activity::Idle,
            query: String::new(),
            xact_start: None,
            query_start: None,
            state_change: now,
        };
        let entry = Arc::new(Entry {
            identity,
            backend_start: now,
            doing: Mutex::new(doing),
            committing,
            end: watch::Sender::new(None),
            cancel: watch::Sender::new(0),
        });
        let mut table = lock(&self.table);
        if table.entries.len() >= sessions_max {
            return None;
        }
        table.entries.insert(entry.identity.pid, Arc::clone(&entry));
        self.count.send_replace(table.entries.len());
        Some(Registration { sessions: Arc::clone(self), entry })
    }

    #[must_use]
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until nobody is there; false when somebody still is after `patience` (smart stop).
    pub async fn wait_until_idle(&self, patience: Duration) -> bool {
        let mut count = self.count.subscribe();
        let idle = count.wait_for(|count| *count == 0);
        matches!(tokio::time::timeout(patience, idle).await, Ok(Ok(_)))
    }

    /// Ends a session with 57P01; false when there is none with this pid.
    pub fn terminate(&self, pid: i32) -> bool {
        let entry = self.entry(pid);
        entry.map(|entry| end(&entry, &Failure::terminated())).is_some()
    }

    /// Cancels a session's statement; false when there is no session with this pid.
    pub fn cancel(&self, pid: i32) -> bool {
        let entry = self.entry(pid);
        entry.map(|entry| entry.cancel.send_modify(|requests| *requests += 1)).is_some()
    }

    /// A cancel request from the wire: nothing happens unless the secret is right.
    pub(crate) fn cancel_with_secret(&self, pid: i32, secret: i32) -> bool {
        let right = self.entry(pid).is_some_and(|entry| entry.identity.secret == secret);
        right && self.cancel(pid)
    }

    /// Tells every session to end with `reason`.
    pub fn terminate_all(&self, reason: &Failure) {
        for entry in lock(&self.table).entries.values() {
            end(entry, reason);
        }
    }

    /// Ends the sessions that this gate no longer admits.
    pub(crate) fn sift(&self, gate: &Gate) {
        for entry in lock(&self.table).entries.values() {
            if !gate.keeps(entry.identity.admission) {
                end(entry, &Failure::terminated());
            }
        }
    }

    /// What `pg_stat_activity` shows.
    #[must_use]
    pub fn rows(&self) -> Vec<SessionRow> {
        let entries: Vec<Arc<Entry>> = lock(&self.table).entries.values().cloned().collect();
        entries.iter().map(|entry| row(entry)).collect()
    }

    fn entry(&self, pid: i32) -> Option<Arc<Entry>> {
        lock(&self.table).entries.get(&pid).cloned()
    }
}

/// The first reason given stays.
fn end(entry: &Entry, reason: &Failure) {
    entry.end.send_if_modified(|ending| {
        let first = ending.is_none();
        if first {
            *ending = Some(reason.clone().into_fatal());
        }
        first
    });
}

fn row(entry: &Entry) -> SessionRow {
    let doing = lock(&entry.doing);
    SessionRow {
        pid: entry.identity.pid,
        session_id: entry.identity.pid,
        user: entry.identity.user.clone(),
        database: entry.identity.database.clone(),
        application_name: doing.application_name.clone(),
        client_addr: entry.identity.client.map(|client| client.ip().to_string()),
        client_port: entry.identity.client.map(|client| i32::from(client.port())),
        backend_start: entry.backend_start,
        xact_start: doing.xact_start,
        query_start: doing.query_start,
        state_change: Some(doing.state_change),
        state: doing.activity.text().to_owned(),
        query: doing.query.clone(),
        waiting: entry.committing.load(Ordering::Acquire),
    }
}

/// A session's place in the registry; dropping it takes the session off the list.
pub(crate) struct Registration {
    sessions: Arc<Sessions>,
    entry: Arc<Entry>,
}

impl Registration {
    pub(crate) fn pid(&self) -> i32 {
        self.entry.identity.pid
    }

    /// Process id and secret, for BackendKeyData.
    pub(crate) fn keys(&self) -> (i32, i32) {
        (self.entry.identity.pid, self.entry.identity.secret)
    }

    pub(crate) fn ending(&self) -> Ending {
        self.entry.end.subscribe()
    }

    /// Counts cancel requests; a statement looks at those that come while it runs.
    pub(crate) fn cancels(&self) -> watch::Receiver<u64> {
        self.entry.cancel.subscribe()
    }

    pub(crate) fn committing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.entry.committing)
    }

    pub(crate) fn begin_statement(&self, query: &str) {
        let now = self.sessions.clock.wall_micros();
        let mut doing = lock(&self.entry.doing);
        doing.activity = Activity::Active;
        doing.query.clear();
        doing.query.push_str(bounded(query));
        doing.query_start = Some(now);
        doing.state_change = now;
        doing.xact_start.get_or_insert(now);
    }

    pub(crate) fn rest(&self, activity: Activity) {
        let now = self.sessions.clock.wall_micros();
        let mut doing = lock(&self.entry.doing);
        doing.activity = activity;
        doing.state_change = now;
        if activity == Activity::Idle {
            doing.xact_start = None;
        }
    }

    pub(crate) fn rename_application(&self, name: &str) {
        lock(&self.entry.doing).application_name = name.to_owned();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = lock(&self.sessions.table);
        table.entries.remove(&self.entry.identity.pid);
        self.sessions.count.send_replace(table.entries.len());
    }
}

fn bounded(query: &str) -> &str {
    let mut end = query.len().min(QUERY_BYTES_MAX);
    while !query.is_char_boundary(end) {
        end -= 1;
    }
    query.get(..end).unwrap_or_default()
}

/// The tables hold plain values: a panic elsewhere leaves none of them half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(pid: i32, admission: Admission) -> Identity {
        Identity {
            pid,
            secret: 77,
            user: "gpadmin".to_owned(),
            database: "postgres".to_owned(),
            application_name: "psql".to_owned(),
            client: None,
            admission,
        }
    }

    fn register(sessions: &Arc<Sessions>, admission: Admission) -> Registration {
        let identity = identity(sessions.next_pid(), admission);
        sessions.register(identity, Arc::default(), 2).unwrap()
    }

    #[test]
    fn a_registration_is_seen_and_taken_back() {
        let sessions = Sessions::new();
        let first = register(&sessions, Admission::ReadWrite);
        let second = register(&sessions, Admission::ReadWrite);
        assert_ne!(first.pid(), second.pid());
        let third = identity(sessions.next_pid(), Admission::ReadWrite);
        assert!(sessions.register(third, Arc::default(), 2).is_none());
        second.begin_statement(&"é".repeat(QUERY_BYTES_MAX));
        let rows = sessions.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].state, "active");
        assert_eq!(rows[1].query.len(), QUERY_BYTES_MAX);
        assert!(rows[1].xact_start.is_some());
        second.rest(Activity::Idle);
        assert_eq!(sessions.rows()[1].xact_start, None);
        drop(first);
        assert_eq!(sessions.count(), 1);
        assert!(!sessions.terminate(1));
        assert!(sessions.terminate(2));
        assert_eq!(second.ending().borrow().clone(), Some(Failure::terminated()));
    }

    #[test]
    fn only_the_right_secret_cancels() {
        let sessions = Sessions::new();
        let session = register(&sessions, Admission::ReadWrite);
        let cancels = session.cancels();
        assert!(!sessions.cancel_with_secret(session.pid(), 78));
        assert!(!sessions.cancel_with_secret(session.pid() + 1, 77));
        assert!(!cancels.has_changed().unwrap());
        assert!(sessions.cancel_with_secret(session.pid(), 77));
        assert!(cancels.has_changed().unwrap());
    }

    #[test]
    fn a_gate_that_closes_ends_those_it_no_longer_admits() {
        let sessions = Sessions::new();
        let write = register(&sessions, Admission::ReadWrite);
        let read = register(&sessions, Admission::ReadOnly);
        sessions.sift(&Gate::Standby { hot: true, primary: None });
        assert!(write.ending().borrow().is_some());
        assert!(read.ending().borrow().is_none());
    }

    #[tokio::test]
    async fn waiting_for_idle_is_bounded() {
        let sessions = Sessions::new();
        let session = register(&sessions, Admission::ReadWrite);
        assert!(!sessions.wait_until_idle(Duration::from_millis(5)).await);
        drop(session);
        assert!(sessions.wait_until_idle(Duration::from_secs(5)).await);
    }
}
