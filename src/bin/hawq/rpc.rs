//! Calls to the nodes' control service: bounded in time, with the cluster's identity and secret.

use std::time::Duration;

use aerie::proto::v1::control_client::ControlClient;
use aerie::proto::v1::{Outcome, StatusReply, StatusRequest, StopMode, StopRequest};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Tests are not about how fast their machine is.
const PATIENCE: u64 = if cfg!(test) { 3 } else { 1 };
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(PATIENCE);
const STATUS_TIMEOUT: Duration = Duration::from_secs(2 * PATIENCE);
/// Of calls that wait for something in the node: an admission, a clean stop.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials of every request.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub cluster_id: Option<String>,
    pub secret: Option<String>,
}

impl Interceptor for Access {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let pairs = [("hawq-cluster-id", &self.cluster_id), ("hawq-secret", &self.secret)];
        for (key, value) in pairs {
            let Some(value) = value else { continue };
            let value = MetadataValue::try_from(value)
                .map_err(|_| Status::invalid_argument(format!("{key} has odd characters")))?;
            request.metadata_mut().insert(key, value);
        }
        Ok(request)
    }
}

pub type Client = ControlClient<InterceptedService<Channel, Access>>;

/// Connects; the error is a sentence about the node.
pub async fn connect(address: &str, access: &Access) -> Result<Client, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| format!("\"{address}\" is not an address"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect()).await;
    let channel = match connected {
        Ok(Ok(channel)) => channel,
        Ok(Err(error)) => return Err(cause(&error)),
        Err(_) => return Err("no connection within 1 s".to_owned()),
    };
    Ok(ControlClient::with_interceptor(channel, access.clone()))
}

pub async fn status(address: &str, access: &Access) -> Result<StatusReply, String> {
    let mut client = connect(address, access).await?;
    let call = client.status(StatusRequest::default());
    match tokio::time::timeout(STATUS_TIMEOUT, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(explain(&status)),
        Err(_) => Err("connected, but no answer within 2 s (is the process stopped?)".to_owned()),
    }
}

/// With the digest of the catalog, within `bound`; `None` says nothing about the node.
pub async fn status_with_digest(
    address: &str,
    access: &Access,
    bound: Duration,
) -> Option<StatusReply> {
    let asked = async {
        let mut client = connect(address, access).await.ok()?;
        Some(client.status(StatusRequest { digest: true }).await.ok()?.into_inner())
    };
    tokio::time::timeout(bound, asked).await.ok()?
}

/// With `failover` a primary of an automatic cluster hands its reign to a standby before it ends.
pub async fn stop(
    address: &str,
    access: &Access,
    (mode, failover): (StopMode, bool),
) -> Result<Outcome, String> {
    let mut client = connect(address, access).await?;
    let request = StopRequest { mode: mode.into(), without_failover: !failover };
    bounded(client.stop(request)).await
}

/// The reply of a call, or why there is none.
pub async fn bounded<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(explain(&status)),
        Err(_) => Err(format!("no answer within {} s", CALL_TIMEOUT.as_secs())),
    }
}

/// How a reason begins that no waiting will change.
const REFUSED: &str = "refused our credentials";

/// Whether the node answers, and will not talk to us.
pub fn is_refusal(reason: &str) -> bool {
    reason.starts_with(REFUSED)
}

pub fn explain(status: &Status) -> String {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => format!(
            "{REFUSED}: {} (is the cluster.secret of this host the cluster's?)",
            status.message()
        ),
        _ if status.message().is_empty() => status.code().to_string(),
        _ => status.message().to_owned(),
    }
}

/// The innermost cause, which is the operating system's word.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let bare = text.split(" (os error").next().unwrap_or_default();
    bare.to_ascii_lowercase()
}
