//! The masters' fencing calls to segment agents. Each call is one fresh connection and one
//! deadline; nothing is repeated here, the caller knows how many answers it needs.

use std::future::Future;
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::proto::v1::segment_client::SegmentClient;
use crate::proto::v1::{
    FenceReply, FollowRequest, PromiseRequest, StopAgentRequest, StoreSyncStateRequest,
};
use crate::proto::{BadField, FenceAnswer, fence_from_wire, member_to_wire, record_to_wire};
use crate::runtime::RpcAuth;
use crate::types::{ClusterState, Epoch, Member};

use super::event::MasterAddress;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("bad address {address}")]
    BadAddress {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("connect to segment agent {address}")]
    Connect {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("segment agent {address} does not answer within {deadline:?}")]
    Deadline { address: String, deadline: Duration },
    #[error("segment agent {address} answers: {}", status.message())]
    Status { address: String, status: Box<Status> },
    #[error("segment agent {address} sends a bad answer")]
    BadAnswer {
        address: String,
        #[source]
        source: BadField,
    },
}

type Agent = SegmentClient<InterceptedService<Channel, RpcAuth>>;

/// Calls the agent at `host:rpc_port`. An answer that is not `accepted` carries what is higher.
#[derive(Debug, Clone)]
pub struct FencingClient {
    auth: RpcAuth,
    deadline: Duration,
}

impl FencingClient {
    #[must_use]
    pub fn new(auth: RpcAuth, deadline: Duration) -> FencingClient {
        FencingClient { auth, deadline }
    }

    pub async fn promise(
        &self,
        host: &str,
        rpc_port: u16,
        epoch: Epoch,
        candidate: Member,
    ) -> Result<FenceAnswer, CallError> {
        let candidate = Some(member_to_wire(candidate));
        let request = PromiseRequest { epoch: epoch.0, candidate };
        let call = async |mut agent: Agent| agent.promise(request).await;
        self.fence(host, rpc_port, call).await
    }

    pub async fn follow(
        &self,
        host: &str,
        rpc_port: u16,
        epoch: Epoch,
        record: Option<&ClusterState>,
    ) -> Result<FenceAnswer, CallError> {
        let request = FollowRequest { epoch: epoch.0, record: record.map(record_to_wire) };
        let call = async |mut agent: Agent| agent.follow(request).await;
        self.fence(host, rpc_port, call).await
    }

    /// The record's version is what is stored under.
    pub async fn store_sync_state(
        &self,
        host: &str,
        rpc_port: u16,
        epoch: Epoch,
        record: &ClusterState,
    ) -> Result<FenceAnswer, CallError> {
        let request = StoreSyncStateRequest {
            epoch: epoch.0,
            version: record.version,
            record: Some(record_to_wire(record)),
        };
        let call = async |mut agent: Agent| agent.store_sync_state(request).await;
        self.fence(host, rpc_port, call).await
    }

    /// Ends the agent's process.
    pub async fn stop_agent(
        &self,
        host: &str,
        rpc_port: u16,
        epoch: Epoch,
    ) -> Result<(), CallError> {
        let request = StopAgentRequest { epoch: epoch.0 };
        let call = async |mut agent: Agent| agent.stop_agent(request).await;
        self.call(host, rpc_port, call).await.map(|_| ())
    }

    async fn fence<F>(
        &self,
        host: &str,
        rpc_port: u16,
        call: impl FnOnce(Agent) -> F,
    ) -> Result<FenceAnswer, CallError>
    where
        F: Future<Output = Result<Response<FenceReply>, Status>>,
    {
        let reply = self.call(host, rpc_port, call).await?;
        let address = name(host, rpc_port);
        fence_from_wire(reply).map_err(|source| CallError::BadAnswer { address, source })
    }

    async fn call<F, R>(
        &self,
        host: &str,
        rpc_port: u16,
        call: impl FnOnce(Agent) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let address = name(host, rpc_port);
        let endpoint = match Endpoint::from_shared(format!("http://{address}")) {
            Ok(endpoint) => endpoint.connect_timeout(self.deadline),
            Err(source) => return Err(CallError::BadAddress { address, source }),
        };
        let whole = async {
            let channel = endpoint
                .connect()
                .await
                .map_err(|source| CallError::Connect { address: address.clone(), source })?;
            let agent = SegmentClient::with_interceptor(channel, self.auth.clone());
            let reply = call(agent).await.map_err(|status| CallError::Status {
                address: address.clone(),
                status: Box::new(status),
            })?;
            Ok(reply.into_inner())
        };
        match tokio::time::timeout(self.deadline, whole).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Deadline { address, deadline: self.deadline }),
        }
    }
}

fn name(host: &str, rpc_port: u16) -> String {
    MasterAddress { host: host.to_owned(), rpc_port }.to_string()
}
