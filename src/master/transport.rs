//! Sending to other masters over gRPC: one queue, one task and one open stream a peer.
//!
//! A message is sent at most once and may be lost: when the queue is full, when the connection
//! breaks, while there is none. The protocol above counts on nothing else. A broken connection is
//! made again after a short, jittered wait, for as long as the peer is in the list.
//!
//! What is for a node that is not in the list goes back on the stream that it has opened to us.
//!
//! Nothing is decided here from a connection's state: a closed connection alone proves nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use super::intake::Intake;
use super::outbox::Outbox;
use crate::proto::v1;
use crate::proto::v1::replication_client::ReplicationClient;
use crate::runtime::{Net, RpcAuth, error_text};
use crate::types::{Envelope, NodeId};

/// The longest record of the log, and room for what is around it.
pub(crate) const MESSAGE_BYTES_MAX: usize = (64 << 20) + (1 << 20);
/// How much may be on its way in one stream; more would only delay heartbeats.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 1 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const BACK_OFF_MIN: Duration = Duration::from_millis(20);
const BACK_OFF_MAX: Duration = Duration::from_millis(500);
/// A connection that answers nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Where a node answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    pub host: String,
    pub rpc_port: u16,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.rpc_port)
        } else {
            write!(f, "{}:{}", self.host, self.rpc_port)
        }
    }
}

/// The network between masters. Dropping it ends its tasks.
#[derive(Debug)]
pub struct Transport {
    intake: Arc<Intake>,
    auth: RpcAuth,
    handle: Handle,
    peers: Mutex<BTreeMap<NodeId, Peer>>,
}

#[derive(Debug)]
struct Peer {
    address: PeerAddress,
    outbox: Arc<Outbox>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Transport {
    /// `handle` is where the sending tasks run; `intake` takes what peers answer.
    #[must_use]
    pub fn new(intake: Arc<Intake>, auth: RpcAuth, handle: Handle) -> Transport {
        Transport { intake, auth, handle, peers: Mutex::new(BTreeMap::new()) }
    }

    /// Replaces the list of peers; connections to those that stay as they are go on.
    pub fn set_peers(&self, addresses: BTreeMap<NodeId, PeerAddress>) {
        let mut peers = self.peers();
        peers.retain(|node, peer| addresses.get(node) == Some(&peer.address));
        for (node, address) in addresses {
            peers.entry(node).or_insert_with(|| self.start_peer(node, address));
        }
    }

    pub(super) fn intake(&self) -> Arc<Intake> {
        Arc::clone(&self.intake)
    }

    #[must_use]
    pub fn peer(&self, node: NodeId) -> Option<PeerAddress> {
        self.peers().get(&node).map(|peer| peer.address.clone())
    }

    fn start_peer(&self, node: NodeId, address: PeerAddress) -> Peer {
        let outbox = Arc::new(Outbox::default());
        let link = Link {
            node,
            address: address.clone(),
            auth: self.auth.clone(),
            intake: self.intake(),
            outbox: Arc::clone(&outbox),
        };
        let task = self.handle.spawn(link.keep_connected());
        Peer { address, outbox, task }
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net for Transport {
    fn send(&self, envelope: Envelope) {
        let to = envelope.to;
        let is_queued = match self.peers().get(&to) {
            Some(peer) => peer.outbox.push(envelope),
            None => self.intake.answer(envelope),
        };
        if !is_queued {
            tracing::debug!(%to, "message lost: no room or no such peer");
        }
    }
}

pub(crate) type Client = ReplicationClient<InterceptedService<Channel, RpcAuth>>;

/// Opens a connection to a peer's replication service.
pub(crate) async fn connect(
    address: &PeerAddress,
    auth: &RpcAuth,
) -> Result<Client, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(2 * STREAM_WINDOW_BYTES)
        .http2_keep_alive_interval(SILENCE_MAX)
        .keep_alive_timeout(SILENCE_MAX)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await?;
    let client = ReplicationClient::with_interceptor(channel, auth.clone());
    Ok(client
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

/// One peer's task.
struct Link {
    node: NodeId,
    address: PeerAddress,
    auth: RpcAuth,
    intake: Arc<Intake>,
    outbox: Arc<Outbox>,
}

impl Link {
    /// Runs until the peer is taken off the list, which aborts it.
    async fn keep_connected(self) {
        let mut failures = 0;
        let mut last_reason = String::new();
        let (node, address) = (self.node, self.address.to_string());
        loop {
            let connecting = connect(&self.address, &self.auth);
            let reason = match tokio::time::timeout(2 * CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(client)) => {
                    tracing::info!(%node, address, "connected to peer");
                    failures = 0;
                    self.exchange(client).await
                }
                Ok(Err(error)) => error_text(&error),
                Err(_) => "no answer".to_owned(),
            };
            failures += 1;
            if reason == last_reason {
                tracing::debug!(%node, address, reason, "no connection");
            } else {
                tracing::warn!(%node, address, reason, "no connection");
                last_reason = reason;
            }
            self.outbox.clear();
            tokio::time::sleep(back_off(failures, getrandom::u32().unwrap_or(0))).await;
        }
    }

    /// Sends what comes until the stream breaks; says why it did.
    async fn exchange(&self, mut client: Client) -> String {
        let outbox = Arc::clone(&self.outbox);
        let messages = stream::unfold(outbox, |outbox| async move {
            let envelope = outbox.next().await;
            Some((v1::Envelope::from(envelope), outbox))
        });
        let answered = async {
            let mut answers = client.exchange(messages).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                self.intake.pass(self.intake.accept(answer)?).await?;
            }
            Ok::<_, Status>(())
        };
        match answered.await {
            Ok(()) => "peer ended the stream".to_owned(),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        }
    }
}

/// The wait before another try: doubling and bounded, the upper half of it at random.
fn back_off(failures: u32, random: u32) -> Duration {
    let doubled = BACK_OFF_MIN * (1 << failures.clamp(1, 6)) / 2;
    let wait = doubled.min(BACK_OFF_MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_within_its_bounds() {
        assert_eq!(back_off(1, u32::MAX), BACK_OFF_MIN);
        assert_eq!(back_off(2, u32::MAX), BACK_OFF_MIN * 2);
        for failures in 1..40 {
            for random in [0, 1 << 31, u32::MAX] {
                let wait = back_off(failures, random);
                assert!(wait >= BACK_OFF_MIN / 2 && wait <= BACK_OFF_MAX, "{wait:?}");
            }
        }
        assert_eq!(back_off(40, u32::MAX), BACK_OFF_MAX);
    }

    #[test]
    fn addresses_print_as_uris_need_them() {
        let address = |host: &str| PeerAddress { host: host.to_owned(), rpc_port: 5 };
        assert_eq!(address("h").to_string(), "h:5");
        assert_eq!(address("::1").to_string(), "[::1]:5");
    }
}
