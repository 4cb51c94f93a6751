//! The masters' end of heartbeats (HAWQ's IMAlive): checks them and hands them on.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use crate::proto::v1::segment_registry_server::{SegmentRegistry, SegmentRegistryServer};
use crate::proto::v1::{ImAliveReply, ImAliveRequest};
use crate::proto::{heartbeat_from_wire, record_to_wire};
use crate::runtime::{CheckRequests, RpcAuth};
use crate::types::{ClusterState, Epoch, Heartbeat};

/// What a master says to a segment that it has heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryReply {
    /// The epoch that this master follows or reigns in.
    pub epoch: Epoch,
    /// It is the open primary.
    pub reigning: bool,
    pub record: Option<ClusterState>,
    /// Zero: as the segment is configured.
    pub heartbeat_interval: Duration,
}

#[derive(Debug)]
pub struct Registry<F>(F);

pub type RegistryServer<F> = InterceptedService<SegmentRegistryServer<Registry<F>>, CheckRequests>;

/// The service for a master's gRPC server. `hear` gets each heartbeat with the peer's address
/// (empty when the transport has none); it must not block.
pub fn registry_server<F>(auth: &RpcAuth, hear: F) -> RegistryServer<F>
where
    F: Fn(Heartbeat, String) -> RegistryReply + Send + Sync + 'static,
{
    SegmentRegistryServer::with_interceptor(Registry(hear), auth.server())
}

#[tonic::async_trait]
impl<F> SegmentRegistry for Registry<F>
where
    F: Fn(Heartbeat, String) -> RegistryReply + Send + Sync + 'static,
{
    async fn im_alive(
        &self,
        request: Request<ImAliveRequest>,
    ) -> Result<Response<ImAliveReply>, Status> {
        let peer = request.remote_addr().map(|address| address.ip().to_canonical().to_string());
        let heartbeat =
            heartbeat_from_wire(request.into_inner()).map_err(|error| error.status())?;
        let reply = (self.0)(heartbeat, peer.unwrap_or_default());
        let interval = u32::try_from(reply.heartbeat_interval.as_millis()).unwrap_or(u32::MAX);
        Ok(Response::new(ImAliveReply {
            epoch: reply.epoch.0,
            reigning: reply.reigning,
            record: reply.record.as_ref().map(record_to_wire),
            heartbeat_interval_ms: interval,
        }))
    }
}
