//! The parts of a running master that its services show and reach.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::catalog::{Catalog, Digest, ReadView, digest_of};
use crate::frontend::Sessions;
use crate::ha::RpcVoters;
use crate::runtime::config::MasterSettings;
use crate::runtime::{Clock, RpcAuth};
use crate::types::{ClusterId, Lsn};

use super::answers::Answers;
use super::coordinator_health::CoordinatorHealth;
use super::digest_points::DigestPoints;
use super::lags::Lags;
use super::node::NodeView;
use super::segments::Segments;
use super::waiters::Waiters;

/// How the process is to end (PostgreSQL's three ways).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMode {
    /// When the last session has gone.
    Smart,
    /// Sessions are ended.
    Fast,
    /// At once; the next start recovers.
    Immediate,
}

pub(super) struct Parts {
    pub(super) cluster: ClusterId,
    pub(super) settings: MasterSettings,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    /// Microseconds since 1970 UTC.
    pub(super) started_at: i64,
    pub(super) node: watch::Receiver<Arc<NodeView>>,
    /// The catalog holds what every session needs.
    pub(super) filled: watch::Receiver<bool>,
    pub(super) answers: Arc<Answers>,
    pub(super) segments: Segments,
    pub(super) catalog: Catalog,
    pub(super) digests: Arc<DigestPoints>,
    pub(super) digest: DigestCache,
    pub(super) lags: Arc<Lags>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) stop: watch::Sender<Option<StopMode>>,
    /// The whole cluster stops: no standby is to take over from this node.
    pub(super) without_failover: AtomicBool,
    /// What a takeover has to say while it is watched.
    pub(super) says: broadcast::Sender<String>,
    pub(super) auth: RpcAuth,
    /// The way to voters, to ask who they are.
    pub(super) voters: RpcVoters,
    pub(super) coordinator_health: Arc<CoordinatorHealth>,
}

impl Parts {
    pub(super) fn view(&self) -> Arc<NodeView> {
        Arc::clone(&self.node.borrow())
    }

    /// Asks the process to end; a later, more urgent wish overrides an earlier one.
    pub(super) fn request_stop(&self, mode: StopMode) {
        self.stop.send_if_modified(|wish| {
            let urgent = wish.is_none_or(|known| mode > known);
            if urgent {
                *wish = Some(mode);
            }
            urgent
        });
    }
}

/// The last digest of the catalog, computed anew only when something was applied since.
#[derive(Default)]
pub(super) struct DigestCache {
    last: Mutex<Option<(Lsn, Digest)>>,
}

impl DigestCache {
    /// Reads the whole catalog where it has changed: not for a thread that must not wait.
    pub(super) fn get(&self, catalog: &Catalog) -> Option<(Lsn, Digest)> {
        let snapshot = catalog.snapshot();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.filter(|(lsn, _)| *lsn == snapshot.lsn()) {
            return Some(known);
        }
        match digest_of(&snapshot) {
            Ok(digest) => *last = Some((snapshot.lsn(), digest)),
            Err(error) => {
                tracing::error!("cannot compute the catalog's digest: {error}");
                *last = None;
            }
        }
        *last
    }
}
