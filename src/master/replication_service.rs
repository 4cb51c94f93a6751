//! The gRPC service that other masters call: their messages in, checkpoints out.
//!
//! Messages go to the node's loop in the order of their stream. When the loop is slow the stream
//! waits, and the sender drops; when the loop has ended every stream ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::seed::SeedSource;
use super::transport::{MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use crate::proto::v1;
use crate::proto::v1::replication_server::{Replication, ReplicationServer};
use crate::runtime::{CheckRequests, RpcAuth};
use crate::types::{ClusterId, Envelope, NodeId};

#[derive(Debug)]
pub struct ReplicationService {
    cluster: ClusterId,
    node: NodeId,
    inbox: mpsc::Sender<Envelope>,
    seeds: Arc<SeedSource>,
}

impl ReplicationService {
    /// The service of `node`, with identity and secret checked before anything else.
    #[must_use]
    pub fn server(
        auth: &RpcAuth,
        node: NodeId,
        inbox: mpsc::Sender<Envelope>,
        seeds: SeedSource,
    ) -> InterceptedService<ReplicationServer<ReplicationService>, CheckRequests> {
        let cluster = auth.cluster();
        let service = ReplicationService { cluster, node, inbox, seeds: Arc::new(seeds) };
        let server = ReplicationServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        InterceptedService::new(server, auth.server())
    }

    fn accept(&self, message: v1::Envelope) -> Result<Envelope, Status> {
        let envelope =
            Envelope::try_from(message).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        if envelope.cluster != self.cluster {
            let (found, expected) = (envelope.cluster, self.cluster);
            let text = format!("message of cluster {found}, this node is of cluster {expected}");
            return Err(Status::failed_precondition(text));
        }
        if envelope.to != self.node {
            let (found, expected) = (envelope.to, self.node);
            let text = format!("message for node {found}, this is node {expected}");
            return Err(Status::failed_precondition(text));
        }
        Ok(envelope)
    }
}

/// A client that is silent for so long is gone; without this its stream would stay for ever.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A gRPC server set up for replication; services are added to it.
#[must_use]
pub fn server_builder() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(4 * STREAM_WINDOW_BYTES)
        .http2_keepalive_interval(Some(SILENCE_MAX))
        .http2_keepalive_timeout(Some(SILENCE_MAX))
}

#[tonic::async_trait]
impl Replication for ReplicationService {
    type SeedStream = ReceiverStream<Result<v1::SeedChunk, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<v1::Envelope>>,
    ) -> Result<Response<v1::ExchangeReply>, Status> {
        let mut stream = request.into_inner();
        loop {
            let message = tokio::select! {
                message = stream.message() => message?,
                () = self.inbox.closed() => return Err(stopping()),
            };
            let Some(message) = message else {
                return Ok(Response::new(v1::ExchangeReply {}));
            };
            let envelope = self.accept(message)?;
            self.inbox.send(envelope).await.map_err(|_| stopping())?;
        }
    }

    async fn seed(
        &self,
        request: Request<v1::SeedRequest>,
    ) -> Result<Response<Self::SeedStream>, Status> {
        let stream = self.seeds.start(request.into_inner())?;
        Ok(Response::new(stream))
    }
}

fn stopping() -> Status {
    Status::unavailable("the node is stopping")
}

#[cfg(test)]
#[path = "replication_service_tests.rs"]
mod tests;
