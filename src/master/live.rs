//! What the running server knows and the catalog does not, for the views over it.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::ReadView;
use crate::query::{Live, ReplicationRow, ServerState, SessionRow};
use crate::runtime::config::SettingRow;
use crate::runtime::error_text;

use super::node::{NodeView, StandbyView};
use super::parts::Parts;

pub(super) struct LiveServer {
    pub(super) parts: Arc<Parts>,
}

impl Live for LiveServer {
    fn sessions(&self) -> Vec<SessionRow> {
        self.parts.sessions.rows()
    }

    fn replication(&self) -> Vec<ReplicationRow> {
        let view = self.parts.view();
        view.standbys.iter().map(|standby| self.replication_row(&view, standby)).collect()
    }

    fn settings(&self) -> Vec<SettingRow> {
        self.parts.settings.rows.clone()
    }

    fn setting(&self, name: &str) -> Option<SettingRow> {
        let mut rows = self.parts.settings.rows.iter();
        rows.find(|row| row.name.eq_ignore_ascii_case(name)).cloned()
    }

    fn server(&self) -> ServerState {
        let view = self.parts.view();
        let record = view.record.as_ref();
        let primary = record.and_then(|record| record.members.get(&record.primary));
        ServerState {
            in_recovery: !view.open,
            write_lsn: view.write_lsn,
            flush_lsn: view.flush_lsn,
            apply_lsn: self.parts.catalog.snapshot().lsn(),
            epoch: view.epoch.to_string(),
            started_at: self.parts.started_at,
            primary: primary.map(|entry| format!("{}:{}", entry.host, entry.pg_port)),
        }
    }

    fn terminate(&self, pid: i32) -> bool {
        self.parts.sessions.terminate(pid)
    }

    fn cancel(&self, pid: i32) -> bool {
        self.parts.sessions.cancel(pid)
    }

    /// As `hawq reload` does it.
    fn reload(&self) -> bool {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).is_ok()
    }

    fn checkpoint(&self) -> Result<(), String> {
        let flushed = self.parts.catalog.flush();
        flushed.map(drop).map_err(|error| error_text(&error))
    }

    fn in_progress(&self, xid: u64) -> bool {
        self.parts.waiters.in_progress(xid)
    }
}

impl LiveServer {
    fn replication_row(&self, view: &NodeView, standby: &StandbyView) -> ReplicationRow {
        let entry = view.record.as_ref().and_then(|r| r.members.get(&standby.member.node));
        let now = self.parts.clock.now();
        let silence = now.since(standby.last_heard);
        let wall = self.parts.clock.wall_micros();
        ReplicationRow {
            pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
            name: format!("node{}", standby.member.node),
            client_addr: entry.map_or_else(String::new, |entry| entry.host.clone()),
            backend_start: self.parts.started_at,
            state: standby.state.to_owned(),
            sent: standby.sent,
            write: standby.flush,
            flush: standby.flush,
            replay: standby.apply,
            sync_state: if standby.in_sync { "sync" } else { "async" }.to_owned(),
            reply_time: Some(wall - micros(silence)),
            flush_lag: self.parts.lags.of(now, standby.flush),
            replay_lag: self.parts.lags.of(now, standby.apply),
            priority: entry.map_or(0, |e| i32::try_from(e.priority).unwrap_or(i32::MAX)),
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
