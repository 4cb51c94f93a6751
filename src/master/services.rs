//! The gRPC server of a master (replication, control, segment registry) and the tasks that follow
//! the node's state: whom to be connected to, what to tell the segments, what to keep on disk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;

use crate::ha::{Seat, voter_server};
use crate::proto::v1::control_server::ControlServer;
use crate::runtime::config::MasterSettings;
use crate::runtime::incoming;
use crate::segment_rm::{RegistryReply, registry_server};
use crate::types::{Envelope, Heartbeat};

use super::checkpointer::Checkpointer;
use super::control_service::ControlService;
use super::coordinators::Coordinators;
use super::fencing::Fencing;
use super::inbox::Inbox;
use super::parts::Parts;
use super::relations::RoundTrips;
use super::replication_service::{ReplicationService, server_builder};
use super::seed::{MakeCheckpoint, SeedSource};
use super::start::StartError;
use super::transport::{PeerAddress, Transport};
use super::witnesses::{RpcWitnesses, tell_segments};
use super::{coordinator_health, digest_watch, enable, relations, role_changes};

/// How often a primary alone in its set asks the segments whether they still follow it.
const LONE_INTERVAL: Duration = Duration::from_secs(1);

/// After a failover every segment connects at once.
const BACKLOG: u32 = 4096;

pub(super) struct Services {
    pub(super) parts: Arc<Parts>,
    pub(super) transport: Arc<Transport>,
    /// What other masters say.
    pub(super) received: mpsc::Receiver<Envelope>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) witnesses: Arc<RpcWitnesses>,
    pub(super) fencing: Fencing,
    pub(super) checkpointer: Checkpointer,
    pub(super) seeds: Arc<MakeCheckpoint>,
    pub(super) seat: Seat,
    pub(super) coordinators: Arc<Coordinators>,
}

/// Binds the address for masters and segments.
pub(super) async fn listen(settings: &MasterSettings) -> Result<TcpListener, StartError> {
    let host = rpc_host(settings).await?;
    let address = SocketAddr::new(host, settings.rpc_port);
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| StartError::Listen { address, source })
}

/// The one address that `listen_addresses` names, else all of them.
pub(super) async fn rpc_host(settings: &MasterSettings) -> Result<IpAddr, StartError> {
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let [name] = settings.listen_addresses.as_slice() else { return Ok(everywhere) };
    let doing = format!("find the address of \"{name}\" (listen_addresses)");
    let failed = |source| StartError::Io { doing: doing.clone(), source };
    let mut found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(failed)?;
    let first = found.next().map(|address| address.ip());
    first.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

impl Services {
    /// Everything ends with the process or with the node's loop; what is returned has then to be
    /// waited for.
    pub(super) fn start(self, listener: TcpListener, rpc: &Handle) -> Option<JoinHandle<()>> {
        let Services { parts, transport, inbox, witnesses, fencing, .. } = self;
        let Services { checkpointer, seeds, seat, coordinators, received, .. } = self;
        let seeds = SeedSource::new(seeds);
        let replication = ReplicationService::server(&parts.auth, transport.intake(), seeds);
        let control =
            ControlService { parts: Arc::clone(&parts), coordinators: Arc::clone(&coordinators) };
        let control = ControlServer::new(control);
        let control = InterceptedService::new(control, parts.auth.server_for_people());
        let hearing = Arc::clone(&parts);
        let hear = move |heartbeat, peer| hear(&hearing, &fencing, heartbeat, peer);
        let registry = registry_server(&parts.auth, hear);
        let server = server_builder()
            .add_service(replication)
            .add_service(control)
            .add_service(registry)
            .add_service(voter_server(&parts.auth, seat))
            .serve_with_incoming(incoming(listener));
        rpc.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!("the gRPC server ended: {error}");
            }
        });
        let trips = RoundTrips::new(Arc::clone(&parts.clock), parts.settings.lease);
        rpc.spawn(deliver(received, inbox, trips));
        rpc.spawn(connect_peers(Arc::clone(&parts), transport));
        rpc.spawn(announce_reigns(Arc::clone(&parts), witnesses));
        rpc.spawn(coordinator_health::watch(Arc::clone(&parts), coordinators));
        rpc.spawn(relations::watch(Arc::clone(&parts)));
        rpc.spawn(enable::keep_enabled(Arc::clone(&parts)));
        rpc.spawn(checkpointer.run());
        let told = parts.settings.on_role_change.is_some();
        let told = told.then(|| rpc.spawn(role_changes::tell(Arc::clone(&parts))));
        rpc.spawn(digest_watch::run(parts));
        told
    }
}

fn hear(parts: &Parts, fencing: &Fencing, heartbeat: Heartbeat, peer: String) -> RegistryReply {
    let view = parts.view();
    fencing.heard(heartbeat.followed, heartbeat.promised, None);
    parts.segments.heartbeat(heartbeat, peer);
    RegistryReply {
        epoch: view.epoch,
        reigning: view.is_open_primary(),
        record: view.record.clone(),
        heartbeat_interval: Duration::ZERO,
    }
}

/// From the service to the node's loop.
async fn deliver(mut received: mpsc::Receiver<Envelope>, inbox: Arc<Inbox>, mut trips: RoundTrips) {
    while let Some(Envelope { from, message, .. }) = received.recv().await {
        trips.heard(from.node, &message);
        inbox.receive(from, message);
    }
}

/// Keeps connections to all other members of the record.
async fn connect_peers(parts: Arc<Parts>, transport: Arc<Transport>) {
    let mut node = parts.node.clone();
    loop {
        let view = Arc::clone(&node.borrow_and_update());
        let members = view.record.iter().flat_map(|record| &record.members);
        let others = members.filter(|(node, _)| **node != view.me.node);
        let address = |host: &str, rpc_port| PeerAddress { host: host.to_owned(), rpc_port };
        transport.set_peers(
            others.map(|(node, entry)| (*node, address(&entry.host, entry.rpc_port))).collect(),
        );
        if node.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the segments of each reign of this node, so that they refuse the one before. A primary
/// alone in its set asks them again and again: nobody else would tell it of a higher epoch.
async fn announce_reigns(parts: Arc<Parts>, witnesses: Arc<RpcWitnesses>) {
    let mut node = parts.node.clone();
    let (mut announced, mut asked) = (None, Instant::now());
    loop {
        let view = Arc::clone(&node.borrow_and_update());
        let record = view.record.clone().filter(|_| view.is_open_primary());
        let key = record.as_ref().map(|record| (record.epoch, record.version));
        let mut alone = false;
        if let Some(record) = record {
            alone = record.in_sync.len() <= 1 && record.members.len() > 1;
            if key != announced || alone && asked.elapsed() >= LONE_INTERVAL {
                announced = key;
                tell_segments(Arc::clone(&witnesses), record).await;
                asked = Instant::now();
            }
        }
        let wait =
            if alone { LONE_INTERVAL.saturating_sub(asked.elapsed()) } else { Duration::MAX };
        let changed = tokio::time::timeout(wait, node.changed()).await;
        if let Ok(Err(_)) = changed {
            return;
        }
    }
}
