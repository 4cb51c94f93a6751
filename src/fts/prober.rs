//! Asks an agent whether its segment is alive (HAWQ's RUAlive). Decides nothing.
//!
//! Every probe has a connection of its own: a pooled one once hid dead hosts (HAWQ-1827). The whole
//! of it, connecting included, ends within one deadline.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::proto::v1::RuAliveRequest;
use crate::proto::v1::segment_client::SegmentClient;
use crate::runtime::RpcAuth;
use crate::types::{Epoch, ProbeOutcome};

/// How a probe ended, with a sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    pub outcome: ProbeOutcome,
    pub reason: String,
}

#[derive(Debug, Clone)]
pub struct Prober {
    auth: RpcAuth,
    deadline: Duration,
}

impl Prober {
    #[must_use]
    pub fn new(auth: RpcAuth, deadline: Duration) -> Prober {
        Prober { auth, deadline }
    }

    pub async fn probe(&self, address: &str, rpc_port: u16, epoch: Epoch) -> ProbeResult {
        match tokio::time::timeout(self.deadline, self.ask(address, rpc_port, epoch)).await {
            Ok(result) => result,
            Err(_) => {
                let reason = format!("no answer within {:?}", self.deadline);
                ProbeResult { outcome: ProbeOutcome::CommunicationError, reason }
            }
        }
    }

    async fn ask(&self, address: &str, rpc_port: u16, epoch: Epoch) -> ProbeResult {
        let channel = match self.connect(address, rpc_port).await {
            Ok(channel) => channel,
            Err(result) => return result,
        };
        let mut client = SegmentClient::with_interceptor(channel, self.auth.clone());
        match client.ru_alive(Request::new(RuAliveRequest { epoch: epoch.0 })).await {
            Ok(reply) => {
                let reply = reply.into_inner();
                let outcome = if reply.alive { ProbeOutcome::Alive } else { ProbeOutcome::Failed };
                ProbeResult { outcome, reason: reply.reason }
            }
            Err(status) => ProbeResult { outcome: outcome_of(&status), reason: status.to_string() },
        }
    }

    /// An address that is none could not even be asked; one that does not answer is a matter of
    /// communication.
    async fn connect(&self, address: &str, rpc_port: u16) -> Result<Channel, ProbeResult> {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let endpoint = Endpoint::from_shared(format!("http://{host}:{rpc_port}"));
        let endpoint = endpoint.map_err(|error| ProbeResult {
            outcome: ProbeOutcome::Failed,
            reason: format!("bad address {address}:{rpc_port}: {error}"),
        })?;
        endpoint.connect_timeout(self.deadline).connect().await.map_err(|error| ProbeResult {
            outcome: ProbeOutcome::CommunicationError,
            reason: format!("connect to {host}:{rpc_port}: {error}"),
        })
    }
}

/// What is no answer of an agent is a matter of communication; an answer that is not "alive" is a
/// failed probe.
fn outcome_of(status: &Status) -> ProbeOutcome {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            ProbeOutcome::CommunicationError
        }
        _ => ProbeOutcome::Failed,
    }
}
