//! The agent's gRPC service: turns each call into an input of the machine and waits for its answer.

use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Request, Response, Status};

use crate::proto::v1::segment_server::Segment;
use crate::proto::v1::{
    FenceReply, FollowRequest, PromiseRequest, RuAliveReply, RuAliveRequest, StopAgentReply,
    StopAgentRequest, StoreSyncStateRequest,
};
use crate::proto::{BadField, FenceAnswer, fence_to_wire, member_from_wire, record_from_wire};
use crate::types::{ClusterState, Epoch};

use super::event::FenceRequest;
use super::fence::FenceState;
use super::service::Stop;

/// What a call brings.
#[expect(clippy::large_enum_variant, reason = "a few at a time, moved once")]
pub(super) enum Input {
    Probe { answer: oneshot::Sender<Answer> },
    Fence { request: FenceRequest, answer: oneshot::Sender<Answer> },
}

/// What the machine says to it.
#[expect(clippy::large_enum_variant, reason = "a few at a time, moved once")]
pub(super) enum Answer {
    Probe { failure: Option<String> },
    Fence { accepted: bool, fence: FenceState },
    Failed { reason: String },
}

pub(super) struct Calls {
    inputs: mpsc::Sender<Input>,
    stop: watch::Sender<Stop>,
}

impl Calls {
    pub(super) fn new(inputs: mpsc::Sender<Input>, stop: watch::Sender<Stop>) -> Calls {
        Calls { inputs, stop }
    }

    async fn ask(
        &self,
        input: impl FnOnce(oneshot::Sender<Answer>) -> Input,
    ) -> Result<Answer, Status> {
        let (answer, answered) = oneshot::channel();
        let stopping = || Status::unavailable("the segment agent is stopping");
        self.inputs.send(input(answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }

    async fn fence(&self, request: FenceRequest) -> Result<Response<FenceReply>, Status> {
        match self.ask(|answer| Input::Fence { request, answer }).await? {
            Answer::Fence { accepted, fence } => {
                let FenceState { followed, promised, record } = fence;
                let answer = FenceAnswer { accepted, followed, promised, record };
                Ok(Response::new(fence_to_wire(&answer)))
            }
            Answer::Failed { reason } => Err(Status::unavailable(reason)),
            Answer::Probe { .. } => Err(Status::internal("the answer is of another call")),
        }
    }
}

fn optional_record(
    wire: Option<crate::proto::v1::ClusterState>,
) -> Result<Option<ClusterState>, Status> {
    wire.map(record_from_wire).transpose().map_err(|error: BadField| error.status())
}

#[tonic::async_trait]
impl Segment for Calls {
    async fn ru_alive(
        &self,
        _request: Request<RuAliveRequest>,
    ) -> Result<Response<RuAliveReply>, Status> {
        match self.ask(|answer| Input::Probe { answer }).await? {
            Answer::Probe { failure } => {
                let alive = failure.is_none();
                Ok(Response::new(RuAliveReply { alive, reason: failure.unwrap_or_default() }))
            }
            Answer::Failed { reason } => Err(Status::unavailable(reason)),
            Answer::Fence { .. } => Err(Status::internal("the answer is of another call")),
        }
    }

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<FenceReply>, Status> {
        let FollowRequest { epoch, record } = request.into_inner();
        let record = optional_record(record)?;
        self.fence(FenceRequest::Follow { epoch: Epoch(epoch), record }).await
    }

    async fn promise(
        &self,
        request: Request<PromiseRequest>,
    ) -> Result<Response<FenceReply>, Status> {
        let PromiseRequest { epoch, candidate } = request.into_inner();
        let candidate = candidate
            .ok_or_else(|| Status::invalid_argument("PromiseRequest.candidate is missing"))?;
        let candidate = member_from_wire(&candidate).map_err(|error| error.status())?;
        self.fence(FenceRequest::Promise { epoch: Epoch(epoch), candidate }).await
    }

    async fn store_sync_state(
        &self,
        request: Request<StoreSyncStateRequest>,
    ) -> Result<Response<FenceReply>, Status> {
        let StoreSyncStateRequest { epoch, version, record } = request.into_inner();
        let record = optional_record(record)?
            .ok_or_else(|| Status::invalid_argument("StoreSyncStateRequest.record is missing"))?;
        self.fence(FenceRequest::StoreSyncState { epoch: Epoch(epoch), version, record }).await
    }

    /// Any node that knows the cluster's secret may end an agent: `hawq stop` works without a
    /// primary, so the epoch is not looked at.
    async fn stop_agent(
        &self,
        _request: Request<StopAgentRequest>,
    ) -> Result<Response<StopAgentReply>, Status> {
        tracing::info!("asked to stop");
        self.stop.send_replace(Stop::Asked);
        Ok(Response::new(StopAgentReply {}))
    }
}
