//! The coordinator of a cluster whose record lies in ZooKeeper (`enable_master_auto_ha = on`).
//!
//! One znode holds the record; it is replaced by compare-and-swap on the znode's version. Sessions
//! of ZooKeeper decide nothing here: who reigns is said by the record, and for how long by the
//! leases of the members, so that a short or a long tick of ZooKeeper makes no difference to a
//! failover. This driver never decides who should reign.
//!
//! * `decide`: what a record found there means for a proposed one; pure.
//! * `paths`: where things lie, and who may touch them.
//! * `tree`: the requests about them.
//! * `session`: keeps one session, made anew when it ends; its watch and this node's presence.
//! * `error`: what can be wrong, with the setting to look at.
//! * `format`: removes what a cluster has in ZooKeeper.

mod decide;
mod error;
mod exposure;
mod format;
mod paths;
mod session;
mod shared;
mod tree;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use zookeeper_client::Client;

use crate::runtime::config::ZooKeeperSettings;
use crate::types::{ClusterId, ClusterState, Epoch, NodeId};

use super::{Authority, Coordinator, ReadOutcome, SwapOutcome};
use decide::{Proposal, Verdict};
pub use error::ZooKeeperError;
pub use format::{FormatError, Present, ZooKeeperTree};
use session::Session;
use shared::Shared;
use tree::{Refused, Tree};

/// A record that changes under every swap this often is somebody else's trouble.
const ROUNDS_MAX: usize = 4;

/// How this node is shown in ZooKeeper while it has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub node: NodeId,
    /// For people: address and incarnation.
    pub text: String,
}

/// The driver. It connects when it is first asked, and stays connected until `disconnect`.
pub struct ZooKeeperCoordinator {
    shared: Arc<Shared>,
    tasks: Handle,
    session: Mutex<Option<Session>>,
}

impl ZooKeeperCoordinator {
    #[must_use]
    pub fn new(
        settings: ZooKeeperSettings,
        cluster: ClusterId,
        presence: Option<Presence>,
        tasks: Handle,
    ) -> Self {
        let shared = Arc::new(Shared::new(settings, cluster, presence));
        ZooKeeperCoordinator { shared, tasks, session: Mutex::new(None) }
    }

    /// Closes the session: the node is no longer shown.
    pub fn disconnect(&self) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *session = None;
    }

    fn clients(&self) -> watch::Receiver<Option<Client>> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Session::start(Arc::clone(&self.shared), &self.tasks);
        session.get_or_insert_with(start).clients()
    }

    /// A client with a living connection; whoever waits is bounded.
    async fn client(&self) -> Option<Client> {
        let mut clients = self.clients();
        let client = clients.wait_for(Option::is_some).await.ok()?;
        client.clone()
    }

    /// Runs `work` with a client, within the time of one attempt.
    async fn bounded<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, ZooKeeperError>,
    ) -> Result<T, ZooKeeperError> {
        let mut connected = false;
        let asked = async {
            match self.client().await {
                Some(client) => {
                    connected = true;
                    work(client).await
                }
                None => Err(self.shared.unreachable("the session was closed")),
            }
        };
        let limit = self.shared.settings.attempt_timeout;
        match timeout(limit, asked).await {
            Ok(result) => result,
            Err(_) if connected => Err(self.shared.unanswered()),
            Err(_) => Err(self.shared.unconnected()),
        }
    }

    async fn put(&self, proposal: Proposal<'_>) -> SwapOutcome {
        let proposed = proposal.record();
        let result = self.bounded(async |client| self.try_to_put(&client, proposal).await).await;
        let reason = match result {
            Ok(None) => {
                self.shared.settle(proposed.nonce);
                return SwapOutcome::Done;
            }
            Ok(Some(current)) => {
                self.shared.settle(proposed.nonce);
                let reason = format!("the record has changed meanwhile: {current}");
                let in_the_way = current.epoch >= proposed.epoch;
                let met = if in_the_way { current.epoch } else { Epoch::ZERO };
                return SwapOutcome::Failed { current: Some(Box::new(current)), reason, met };
            }
            Err(error) => error.to_string(),
        };
        // Rule 8: what was once sent without an answer may arrive until the version has moved past.
        if self.shared.is_doubted(proposed.nonce) {
            return SwapOutcome::Unknown { reason };
        }
        SwapOutcome::Failed { current: None, reason, met: Epoch::ZERO }
    }

    /// `Some`: the record that stands in the way.
    async fn try_to_put(
        &self,
        client: &Client,
        proposal: Proposal<'_>,
    ) -> Result<Option<ClusterState>, ZooKeeperError> {
        let (shared, nonce) = (&self.shared, proposal.record().nonce);
        let tree = Tree::new(&shared.paths, client);
        let in_doubt = shared.is_doubted(nonce);
        let mut place = shared.predecessor(proposal);
        for _ in 0..ROUNDS_MAX {
            if place.is_none() {
                let held = tree.load().await?;
                match proposal.weigh(held.as_ref().map(|held| &held.record)) {
                    Verdict::Done => return Ok(None),
                    Verdict::Moved => return Ok(held.map(|held| held.record)),
                    Verdict::Replace => place = held.map(|held| held.znode),
                    Verdict::Create => {}
                    refused => return Err(shared.paths.refused(&refused, proposal)),
                }
            }
            shared.doubt(nonce);
            let put = match place.take() {
                Some(znode) => tree.replace(znode, proposal.record()).await,
                None => tree.create(proposal.record()).await,
            };
            match put {
                Ok(znode) => {
                    shared.note(znode, proposal.record());
                    return Ok(None);
                }
                Err(Refused::Unknown(error)) => return Err(error),
                // An earlier sending of the same may still arrive.
                Err(_) if in_doubt => {}
                Err(_) => shared.settle(nonce),
            }
            if let Err(Refused::No(error)) = put {
                return Err(error);
            }
        }
        Err(ZooKeeperError::Contended { path: shared.paths.state() })
    }
}

impl Coordinator for ZooKeeperCoordinator {
    async fn read(&self, _authority: Authority) -> ReadOutcome {
        let read = self.bounded(async |client| {
            let paths = &self.shared.paths;
            let held = Tree::new(paths, &client).load().await?;
            let Some(held) = held else { return Ok(None) };
            if held.record.cluster_id != paths.cluster {
                return Err(paths.foreign(held.record.cluster_id));
            }
            self.shared.note(held.znode, &held.record);
            Ok(Some(held.record))
        });
        match read.await {
            Ok(Some(record)) => ReadOutcome::Record(Box::new(record)),
            Ok(None) => ReadOutcome::Empty,
            Err(error) => ReadOutcome::Unavailable { reason: error.to_string() },
        }
    }

    async fn compare_and_swap(&self, _: Authority, proposed: ClusterState) -> SwapOutcome {
        self.put(Proposal::Swap(&proposed)).await
    }

    async fn create(&self, first: ClusterState) -> SwapOutcome {
        self.put(Proposal::First(&first)).await
    }
}
