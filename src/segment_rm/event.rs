//! What can happen to an agent and what it may ask for; each prints as one line.

use std::fmt;
use std::time::Duration;

use crate::types::{ClusterState, Epoch, Heartbeat, Member};

use super::fence::FenceState;

/// Where a master listens for heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MasterAddress {
    pub host: String,
    pub rpc_port: u16,
}

/// What a master asks a segment to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceRequest {
    Follow { epoch: Epoch, record: Option<ClusterState> },
    Promise { epoch: Epoch, candidate: Member },
    StoreSyncState { epoch: Epoch, version: u64, record: ClusterState },
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "short-lived, moved once; boxing costs more")]
pub enum Event {
    Deadline,
    DirectoriesChecked {
        failed: Vec<String>,
    },
    /// `failure` says why its PostgreSQL is not reachable.
    PostgresChecked {
        failure: Option<String>,
    },
    HeartbeatAnswered {
        master: MasterAddress,
        epoch: Epoch,
        reigning: bool,
        record: Option<Box<ClusterState>>,
        /// Zero: as configured.
        interval: Duration,
    },
    HeartbeatFailed {
        master: MasterAddress,
        reason: String,
    },
    ProbeAsked {
        ticket: u64,
    },
    FenceAsked {
        ticket: u64,
        request: FenceRequest,
    },
    Persisted {
        ticket: u64,
    },
    PersistFailed {
        ticket: u64,
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bounded; `HeartbeatAnswered` or `HeartbeatFailed` follows in any case.
    SendHeartbeat {
        to: MasterAddress,
        heartbeat: Heartbeat,
    },
    /// Bounded; `DirectoriesChecked` follows in any case.
    CheckDirectories,
    /// Bounded; `PostgresChecked` follows in any case.
    CheckPostgres,
    /// Make it durable, one after the other, then report `Persisted` or `PersistFailed`.
    Persist {
        ticket: u64,
        fence: FenceState,
    },
    AnswerProbe {
        ticket: u64,
        failure: Option<String>,
    },
    AnswerFence {
        ticket: u64,
        accepted: bool,
        fence: FenceState,
    },
    /// No answer can be given: it could not be made durable, or too much is waiting.
    FailFence {
        ticket: u64,
        reason: String,
    },
    Report {
        severity: Severity,
        text: String,
    },
}

impl fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.rpc_port)
        } else {
            write!(f, "{}:{}", self.host, self.rpc_port)
        }
    }
}

impl fmt::Display for FenceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FenceRequest::Follow { epoch, .. } => write!(f, "follow epoch={epoch}"),
            FenceRequest::Promise { epoch, candidate } => {
                write!(f, "promise epoch={epoch} candidate={candidate}")
            }
            FenceRequest::StoreSyncState { epoch, version, .. } => {
                write!(f, "store-sync-state epoch={epoch} version={version}")
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Deadline => f.write_str("deadline"),
            Event::DirectoriesChecked { failed } => {
                write!(f, "directories-checked failed={}", failed.join(","))
            }
            Event::PostgresChecked { failure } => {
                write!(f, "postgres-checked failure={}", failure.as_deref().unwrap_or("none"))
            }
            Event::HeartbeatAnswered { master, epoch, reigning, .. } => {
                write!(f, "heartbeat-answered by={master} epoch={epoch} reigning={reigning}")
            }
            Event::HeartbeatFailed { master, reason } => {
                write!(f, "heartbeat-failed to={master} reason={reason}")
            }
            Event::ProbeAsked { ticket } => write!(f, "probe-asked ticket={ticket}"),
            Event::FenceAsked { ticket, request } => {
                write!(f, "fence-asked ticket={ticket} {request}")
            }
            Event::Persisted { ticket } => write!(f, "persisted ticket={ticket}"),
            Event::PersistFailed { ticket, reason } => {
                write!(f, "persist-failed ticket={ticket} reason={reason}")
            }
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::SendHeartbeat { to, heartbeat } => {
                let failed = heartbeat.failed_directories.join(",");
                let epoch = heartbeat.highest();
                write!(f, "send-heartbeat to={to} epoch={epoch} failed={failed}")
            }
            Effect::CheckDirectories => f.write_str("check-directories"),
            Effect::CheckPostgres => f.write_str("check-postgres"),
            Effect::Persist { ticket, fence } => write!(
                f,
                "persist ticket={ticket} followed={} promised={}",
                fence.followed, fence.promised
            ),
            Effect::AnswerProbe { ticket, failure } => {
                let failure = failure.as_deref().unwrap_or("none");
                write!(f, "answer-probe ticket={ticket} failure={failure}")
            }
            Effect::AnswerFence { ticket, accepted, fence } => write!(
                f,
                "answer-fence ticket={ticket} accepted={accepted} followed={} promised={}",
                fence.followed, fence.promised
            ),
            Effect::FailFence { ticket, reason } => {
                write!(f, "fail-fence ticket={ticket} reason={reason}")
            }
            Effect::Report { severity, text } => write!(f, "report {severity:?} {text}"),
        }
    }
}
