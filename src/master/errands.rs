//! What the node asks for that takes long: become another life of itself from the primary's
//! checkpoint, or ask the primary to hand its reign over.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::Response;

use crate::proto::v1::{Outcome, ReleaseRequest};
use crate::runtime::{FileDisk, RpcAuth, error_text};
use crate::types::{Epoch, Member, NodeId, TimelineHistory};
use crate::wal::{Options, Wal};

use super::data_dir::{DataDir, NodeIdentity};
use super::inbox::Inbox;
use super::init::{log_identity, new_incarnation};
use super::parts::StopMode;
use super::performer::Errands;
use super::seed::{CheckpointDir, MakeCheckpoint};
use super::seed_fetch::{Fetch, Seed, fetch};
use super::transport::Transport;
use super::witnesses::control_client;
use super::{ControlFile, Event};

/// A checkpoint's sender may be slow, but not silent.
const STALL_MAX: Duration = Duration::from_secs(10);

const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The person who asked is told sooner that it is not known.
const RELEASE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Runner {
    pub(super) tasks: Handle,
    pub(super) directory: DataDir,
    pub(super) identity: NodeIdentity,
    pub(super) control: ControlFile,
    pub(super) transport: Arc<Transport>,
    pub(super) auth: RpcAuth,
    pub(super) inbox: Arc<Inbox>,
    pub(super) stop: watch::Sender<Option<StopMode>>,
    /// Set before the stop that makes the process begin anew as its next life.
    pub(super) reborn: Arc<AtomicBool>,
}

impl Errands for Arc<Runner> {
    fn seed(&self, from: NodeId) {
        let runner = Arc::clone(self);
        self.tasks.spawn(async move {
            match runner.seed_from(from).await {
                Ok(text) => {
                    tracing::info!("{text}");
                    runner.reborn.store(true, Ordering::SeqCst);
                    runner.stop.send_replace(Some(StopMode::Immediate));
                }
                Err(reason) => runner.inbox.report(Event::SeedFailed { reason }),
            }
        });
    }

    fn ask_release(&self, of: NodeId, ticket: u64) {
        let runner = Arc::clone(self);
        self.tasks.spawn(async move {
            let asked = tokio::time::timeout(RELEASE_MAX, runner.release(of));
            match asked.await.unwrap_or_else(|_| Err("no answer".to_owned())) {
                Ok(Outcome { ok: true, .. }) => {}
                Ok(Outcome { text, .. }) => {
                    let reason = format!("node {of} does not release its reign: {text}");
                    runner.inbox.report(Event::NotReleased { ticket, reason });
                }
                // It may do so yet.
                Err(reason) => tracing::warn!("node {of} was asked for its reign: {reason}"),
            }
        });
    }
}

impl Runner {
    /// Everything is prepared beside what is there; the write of `node.json` is what counts.
    async fn seed_from(&self, from: NodeId) -> Result<String, String> {
        let address = self.transport.peer(from).ok_or("its address is not known")?;
        let seed = fetch(Fetch {
            address: &address,
            auth: &self.auth,
            from: self.identity.member(),
            epoch: self.control.content().followed,
            data_dir: self.directory.root(),
            stall_max: STALL_MAX,
        });
        let seed = seed.await.map_err(|error| error_text(&error))?;
        let (directory, identity) = (self.directory.clone(), self.identity.clone());
        let settle = move || settle(&directory, &identity, &seed);
        tokio::task::spawn_blocking(settle).await.map_err(|error| error.to_string())?
    }

    async fn release(&self, of: NodeId) -> Result<Outcome, String> {
        let record = self.control.content().record.ok_or("the cluster state is not known")?;
        let entry = record.members.get(&of).ok_or("it is not a member")?;
        let mut client = control_client(&self.auth, entry, CONNECT_MAX).await?;
        let to = u32::from(self.identity.node.get());
        let reply = client.release(ReleaseRequest { to }).await;
        reply.map(Response::into_inner).map_err(|status| status.to_string())
    }
}

fn settle(directory: &DataDir, identity: &NodeIdentity, seed: &Seed) -> Result<String, String> {
    let incarnation = new_incarnation().map_err(|error| error.to_string())?;
    let next = NodeIdentity { incarnation, ..identity.clone() };
    let catalog = directory.catalog_of(incarnation);
    let place = || {
        std::fs::create_dir_all(directory.catalog_dir())?;
        std::fs::rename(&seed.path, &catalog)?;
        sync(&directory.catalog_dir())?;
        sync(directory.root())
    };
    place().map_err(|error| format!("place the checkpoint: {error}"))?;
    let announced = directory.announce_life(incarnation);
    announced.map_err(|error| format!("make the folder of the next log: {error}"))?;
    let log = Wal::create(
        FileDisk,
        &directory.log_of(incarnation),
        log_identity(&next),
        Options::default(),
        (seed.lsn, seed.history.clone()),
    );
    let flushed = log.and_then(|mut log| log.flush());
    flushed.map_err(|error| format!("begin the log: {}", error_text(&error)))?;
    directory.write_identity(&next).map_err(|error| error_text(&error))?;
    let bytes = seed.bytes;
    Ok(format!("seeded lsn={} bytes={bytes} incarnation={incarnation}; starting anew", seed.lsn))
}

fn sync(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

/// What the giver's side of a seed needs to know.
pub(super) struct Giver {
    pub(super) directory: DataDir,
    pub(super) catalog: crate::catalog::Catalog,
    pub(super) node: watch::Receiver<Arc<super::node::NodeView>>,
    /// Of this node's log.
    pub(super) history: Arc<Mutex<TimelineHistory>>,
}

impl Giver {
    /// Only an open primary gives checkpoints, and only in its own epoch.
    pub(super) fn make(self) -> Arc<MakeCheckpoint> {
        Arc::new(move |member, epoch| self.checkpoint(member, epoch))
    }

    fn checkpoint(&self, member: Member, epoch: Epoch) -> Result<CheckpointDir, tonic::Status> {
        let view = Arc::clone(&self.node.borrow());
        if !view.is_open_primary() {
            return Err(tonic::Status::unavailable("this node is not an open primary"));
        }
        if epoch > view.epoch {
            let text = format!("epoch {epoch} is above this node's, {}", view.epoch);
            return Err(tonic::Status::failed_precondition(text));
        }
        let number = getrandom::u32().unwrap_or_default();
        let path = self.directory.root().join(format!("checkpoint.{member}.{number:08x}"));
        let lsn = self.catalog.checkpoint(&path);
        let lsn = lsn.map_err(|error| tonic::Status::internal(error_text(&error)))?;
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner).clone();
        history.cut(lsn);
        Ok(CheckpointDir { path, lsn, history, epoch: view.epoch })
    }
}
