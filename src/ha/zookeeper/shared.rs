//! What the driver's calls and its session know together: the newest record seen, swaps in doubt,
//! and what is wrong at the moment.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::runtime::config::ZooKeeperSettings;
use crate::types::{ClusterId, ClusterState, Nonce};

use super::decide::{Proposal, Verdict};
use super::paths::Paths;
use super::tree::{Held, Znode};
use super::{Presence, ZooKeeperError};

/// The node has one swap under way, and gives up few of them without an answer.
const DOUBTS_MAX: usize = 32;

pub(super) struct Shared {
    pub(super) settings: ZooKeeperSettings,
    pub(super) presence: Option<Presence>,
    pub(super) paths: Paths,
    held: Mutex<Option<Held>>,
    doubts: Mutex<VecDeque<Nonce>>,
    /// Why there is no session, or what is wrong with what it sees.
    trouble: Mutex<Option<String>>,
}

const NOT_YET: &str = "not connected to ZooKeeper yet";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        settings: ZooKeeperSettings,
        cluster: ClusterId,
        presence: Option<Presence>,
    ) -> Self {
        Shared {
            paths: Paths::new(&settings, cluster),
            settings,
            presence,
            held: Mutex::new(None),
            doubts: Mutex::new(VecDeque::new()),
            trouble: Mutex::new(Some(NOT_YET.to_owned())),
        }
    }

    /// A record was seen there. An older one, out of order, only costs a round: a swap that is
    /// based on it fails by the znode's version.
    pub(super) fn note(&self, znode: Znode, record: &ClusterState) {
        *lock(&self.held) = Some(Held { znode, record: record.clone() });
    }

    /// Where the predecessor of a proposal lies, when it is the newest record seen.
    pub(super) fn predecessor(&self, proposal: Proposal<'_>) -> Option<Znode> {
        let held = lock(&self.held);
        let held = held.as_ref()?;
        let verdict = proposal.weigh(Some(&held.record));
        (verdict == Verdict::Replace).then_some(held.znode)
    }

    pub(super) fn is_doubted(&self, nonce: Nonce) -> bool {
        lock(&self.doubts).contains(&nonce)
    }

    /// The swap is about to be sent: until it is answered it may be applied at any time.
    pub(super) fn doubt(&self, nonce: Nonce) {
        let mut doubts = lock(&self.doubts);
        if !doubts.contains(&nonce) {
            doubts.push_back(nonce);
        }
        if doubts.len() > DOUBTS_MAX {
            doubts.pop_front();
        }
    }

    pub(super) fn settle(&self, nonce: Nonce) {
        lock(&self.doubts).retain(|doubted| *doubted != nonce);
    }

    /// What is wrong; `None`: nothing any more. Whoever asks the coordinator is told, and says so.
    pub(super) fn tell(&self, trouble: Option<String>) {
        let mut known = lock(&self.trouble);
        if *known == trouble {
            return;
        }
        match &trouble {
            Some(trouble) => tracing::debug!("{trouble}"),
            None => tracing::info!(
                "ZooKeeper answers ha_zookeeper_quorum={} path={}",
                self.settings.quorum,
                self.paths.base()
            ),
        }
        *known = trouble;
    }

    pub(super) fn unreachable(&self, why: &str) -> ZooKeeperError {
        let quorum = self.settings.quorum.clone();
        ZooKeeperError::Unreachable { quorum, why: why.to_owned() }
    }

    /// There was no session to ask in; why not is known to the session alone.
    pub(super) fn unconnected(&self) -> ZooKeeperError {
        match lock(&self.trouble).clone() {
            Some(why) if why != NOT_YET => ZooKeeperError::Unconnected { why },
            _ => self.unanswered(),
        }
    }

    pub(super) fn unanswered(&self) -> ZooKeeperError {
        let (quorum, limit) = (self.settings.quorum.clone(), self.settings.attempt_timeout);
        ZooKeeperError::Unanswered { quorum, limit }
    }
}
