//! The gRPC service that other masters call: their messages in, checkpoints out.
//!
//! Messages go to the node's loop in the order of their stream. When the loop is slow the stream
//! waits, and the sender drops; when the loop has ended every stream ends.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::intake::{Intake, stopping};
use super::seed::SeedSource;
use super::transport::{MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use crate::proto::v1;
use crate::proto::v1::replication_server::{Replication, ReplicationServer};
use crate::runtime::{CheckRequests, RpcAuth};
use crate::types::{Envelope, NodeId};

/// Answers that may wait for one caller.
const ANSWERS_MAX: usize = 16;

#[derive(Debug)]
pub struct ReplicationService {
    intake: Arc<Intake>,
    seeds: Arc<SeedSource>,
}

impl ReplicationService {
    /// The service of a node, with identity and secret checked before anything else.
    #[must_use]
    pub fn server(
        auth: &RpcAuth,
        intake: Arc<Intake>,
        seeds: SeedSource,
    ) -> InterceptedService<ReplicationServer<ReplicationService>, CheckRequests> {
        let service = ReplicationService { intake, seeds: Arc::new(seeds) };
        let server = ReplicationServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        InterceptedService::new(server, auth.server())
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
    type ExchangeStream = BoxStream<'static, Result<v1::Envelope, Status>>;
    type SeedStream = ReceiverStream<Result<v1::SeedChunk, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<v1::Envelope>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (answers, to_answer) = mpsc::channel(ANSWERS_MAX);
        let (intake, messages) = (Arc::clone(&self.intake), request.into_inner());
        let exchange = Exchange { intake, messages, from: None, answers, to_answer };
        Ok(Response::new(stream::try_unfold(exchange, Exchange::next).boxed()))
    }

    async fn seed(
        &self,
        request: Request<v1::SeedRequest>,
    ) -> Result<Response<Self::SeedStream>, Status> {
        let stream = self.seeds.start(request.into_inner())?;
        Ok(Response::new(stream))
    }
}

/// A stream of another master. Whoever polls for answers takes its messages in.
struct Exchange {
    intake: Arc<Intake>,
    messages: Streaming<v1::Envelope>,
    from: Option<NodeId>,
    answers: mpsc::Sender<Envelope>,
    to_answer: mpsc::Receiver<Envelope>,
}

impl Exchange {
    async fn next(mut self) -> Result<Option<(v1::Envelope, Exchange)>, Status> {
        loop {
            let message = tokio::select! {
                message = self.messages.message() => message?,
                Some(answer) = self.to_answer.recv() => return Ok(Some((answer.into(), self))),
                () = self.intake.closed() => return Err(stopping()),
            };
            let Some(message) = message else { return Ok(None) };
            let envelope = self.intake.accept(message)?;
            let from = envelope.from.node;
            if self.from.replace(from) != Some(from) {
                self.intake.called_by(from, &self.answers);
            }
            self.intake.pass(envelope).await?;
        }
    }
}

#[cfg(test)]
#[path = "replication_service_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "seeding_tests.rs"]
mod seeding_tests;
