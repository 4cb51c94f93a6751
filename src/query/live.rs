//! What the running server knows and the catalog does not: sessions, replication, settings.
//! `master` implements it; the views over it are providers of this module.

use std::time::Duration;

use crate::runtime::config::SettingRow;
use crate::types::Lsn;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub pid: i32,
    pub session_id: i32,
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// `None` for a Unix socket.
    pub client_addr: Option<String>,
    pub client_port: Option<i32>,
    /// Microseconds since 1970 UTC, as are the others.
    pub backend_start: i64,
    pub xact_start: Option<i64>,
    pub query_start: Option<i64>,
    pub state_change: Option<i64>,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: String,
    pub query: String,
    /// Waiting for a standby's flush.
    pub waiting: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationRow {
    pub pid: i32,
    pub name: String,
    pub client_addr: String,
    pub backend_start: i64,
    /// `startup`, `catchup`, `streaming`, `backup`.
    pub state: String,
    pub sent: Lsn,
    pub write: Lsn,
    pub flush: Lsn,
    pub replay: Lsn,
    /// `sync`, `async`, `potential`.
    pub sync_state: String,
    pub reply_time: Option<i64>,
    pub priority: i32,
    /// How long it has lacked what it has not flushed, or not replayed; a standby tells what it has
    /// written only when it has flushed it.
    pub flush_lag: Option<Duration>,
    pub replay_lag: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    pub in_recovery: bool,
    /// Shown by `version()`-like functions and ParameterStatus.
    pub write_lsn: Lsn,
    pub flush_lsn: Lsn,
    pub apply_lsn: Lsn,
    pub epoch: String,
    pub started_at: i64,
    /// Host and port of the primary, where known.
    pub primary: Option<String>,
}

pub trait Live: Send + Sync + 'static {
    fn sessions(&self) -> Vec<SessionRow>;
    fn replication(&self) -> Vec<ReplicationRow>;
    fn settings(&self) -> Vec<SettingRow>;
    /// One of `settings`, by its name in any case. Every statement asks for several: a server with
    /// many settings looks it up without making all the rows.
    fn setting(&self, name: &str) -> Option<SettingRow> {
        self.settings().into_iter().find(|row| row.name.eq_ignore_ascii_case(name))
    }
    fn server(&self) -> ServerState;
    /// Ends a session (57P01); false when there is none with this pid.
    fn terminate(&self, pid: i32) -> bool;
    /// Cancels a session's statement (57014).
    fn cancel(&self, pid: i32) -> bool;
    /// Has the server read its files again.
    fn reload(&self) -> bool;
    /// Makes RocksDB durable up to what is applied, so that log files can be recycled.
    fn checkpoint(&self) -> Result<(), String>;
    /// Whether a transaction id that the catalog does not know is in flight right now.
    fn in_progress(&self, xid: u64) -> bool;
}
