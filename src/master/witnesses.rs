//! Asks segments and other masters what the manual coordinator wants to know. Every question has
//! one deadline; who does not answer in time is left out.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::broadcast;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::catalog::Catalog;
use crate::fts::{SegmentAddress, SegmentRow};
use crate::ha::Witnesses;
use crate::ha::manual_policy::{MasterAnswer, SegmentAnswer};
use crate::proto::v1::control_client::ControlClient;
use crate::proto::v1::segment_client::SegmentClient;
use crate::proto::v1::{
    FenceReply, FollowRequest, PromiseRequest, StatusRequest, StoreSyncStateRequest,
};
use crate::proto::{fence_from_wire, member_to_wire, record_from_wire, record_to_wire};
use crate::runtime::RpcAuth;
use crate::types::{ClusterState, Epoch, Member, MemberEntry, NodeId};

use super::segment_rows;
use super::segments::Segments;

/// Between two looks at who has been heard.
const GATHER_PAUSE: Duration = Duration::from_millis(50);

type SegmentCalls = SegmentClient<InterceptedService<Channel, RpcAuth>>;
pub(super) type ControlCalls = ControlClient<InterceptedService<Channel, RpcAuth>>;

pub(super) struct RpcWitnesses {
    pub(super) me: NodeId,
    pub(super) auth: RpcAuth,
    pub(super) segments: Segments,
    pub(super) catalog: Catalog,
    /// Bound of one question to everybody.
    pub(super) timeout: Duration,
    /// Lines for whoever watches a takeover.
    pub(super) says: broadcast::Sender<String>,
}

/// What the segments are asked; each is durable there before the answer.
#[derive(Clone)]
enum Question {
    Follow(FollowRequest),
    Promise(PromiseRequest),
    Store(StoreSyncStateRequest),
}

impl RpcWitnesses {
    /// None where the catalog cannot tell.
    fn segments_of_catalog(&self) -> Vec<SegmentRow> {
        segment_rows::load(&self.catalog.snapshot()).unwrap_or_default()
    }

    async fn ask_segments(&self, question: Question) -> Vec<SegmentAnswer> {
        let calls = self.agents().await.into_iter().map(|agent| {
            let question = question.clone();
            async move {
                let asked = tokio::time::timeout(self.timeout, self.ask(&agent, question)).await;
                match asked {
                    Ok(Ok(answer)) => Some(answer),
                    Ok(Err(reason)) => {
                        tracing::debug!("segment {}: {reason}", agent.hostname);
                        None
                    }
                    Err(_) => None,
                }
            }
        });
        join_all(calls).await.into_iter().flatten().collect()
    }

    /// Where the registered segments are that were heard.
    async fn agents(&self) -> Vec<SegmentAddress> {
        let registered = self.segments_of_catalog();
        let mut agents = self.segments.agents().await;
        agents.retain(|agent| registered.iter().any(|row| row.hostname == agent.hostname));
        agents
    }

    async fn ask(
        &self,
        agent: &SegmentAddress,
        question: Question,
    ) -> Result<SegmentAnswer, String> {
        let channel = connect(&agent.address, agent.rpc_port, self.timeout).await?;
        let mut client: SegmentCalls = SegmentClient::with_interceptor(channel, self.auth.clone());
        let reply = match question {
            Question::Follow(request) => client.follow(request).await,
            Question::Promise(request) => client.promise(request).await,
            Question::Store(request) => client.store_sync_state(request).await,
        };
        segment_answer(reply.map_err(|status| status.to_string())?.into_inner())
    }

    async fn ask_master(&self, node: NodeId, entry: &MemberEntry) -> Option<MasterAnswer> {
        let asked = async {
            let mut client = control_client(&self.auth, entry, self.timeout).await?;
            let reply = client.status(StatusRequest {}).await.map_err(|s| s.to_string())?;
            let reply = reply.into_inner();
            let record = reply.record.map(record_from_wire).transpose();
            Ok::<_, String>(MasterAnswer {
                node,
                followed: Epoch(reply.epoch),
                taking_over: reply.role == "taking-over",
                record: record.map_err(|error| error.to_string())?,
            })
        };
        tokio::time::timeout(self.timeout, asked).await.ok()?.ok()
    }
}

fn segment_answer(reply: FenceReply) -> Result<SegmentAnswer, String> {
    let answer = fence_from_wire(reply).map_err(|error| error.to_string())?;
    Ok(SegmentAnswer {
        accepted: answer.accepted,
        followed: answer.followed,
        promised: answer.promised,
        record: answer.record,
    })
}

impl Witnesses for RpcWitnesses {
    fn registered(&self) -> usize {
        self.segments_of_catalog().len()
    }

    async fn gather(&self) {
        let registered = self.registered();
        let gathering = async {
            while self.agents().await.len() * 2 <= registered && registered > 0 {
                tokio::time::sleep(GATHER_PAUSE).await;
            }
        };
        // Whoever is missing then counts as one that does not answer.
        let _ = tokio::time::timeout(self.timeout, gathering).await;
    }

    async fn follow(&self, record: ClusterState) -> Vec<SegmentAnswer> {
        let epoch = record.epoch.0;
        let record = Some(record_to_wire(&record));
        self.ask_segments(Question::Follow(FollowRequest { epoch, record })).await
    }

    async fn promise(&self, epoch: Epoch, candidate: Member) -> Vec<SegmentAnswer> {
        let candidate = Some(member_to_wire(candidate));
        let request = PromiseRequest { epoch: epoch.0, candidate };
        self.ask_segments(Question::Promise(request)).await
    }

    async fn store(&self, record: ClusterState) -> Vec<SegmentAnswer> {
        let (epoch, version) = (record.epoch.0, record.version);
        let record = Some(record_to_wire(&record));
        let request = StoreSyncStateRequest { epoch, version, record };
        self.ask_segments(Question::Store(request)).await
    }

    async fn masters(&self, record: ClusterState) -> Vec<MasterAnswer> {
        let others = record.members.iter().filter(|(node, _)| **node != self.me);
        let calls = others.map(|(node, entry)| self.ask_master(*node, entry));
        join_all(calls).await.into_iter().flatten().collect()
    }

    fn say(&self, text: String) {
        tracing::warn!("{text}");
        // Nobody may be watching.
        let _ = self.says.send(text);
    }
}

pub(super) async fn connect(host: &str, port: u16, timeout: Duration) -> Result<Channel, String> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"));
    let endpoint = endpoint.map_err(|error| format!("bad address {host}:{port}: {error}"))?;
    let endpoint = endpoint.connect_timeout(timeout).tcp_nodelay(true);
    let connected = tokio::time::timeout(timeout, endpoint.connect()).await;
    let connected = connected.map_err(|_| format!("connect to {host}:{port}: timed out"))?;
    connected.map_err(|error| format!("connect to {host}:{port}: {}", super::fatal::chain(&error)))
}

pub(super) async fn control_client(
    auth: &RpcAuth,
    entry: &MemberEntry,
    timeout: Duration,
) -> Result<ControlCalls, String> {
    let channel = connect(&entry.host, entry.rpc_port, timeout).await?;
    Ok(ControlClient::with_interceptor(channel, auth.clone()))
}

/// Tells the segments of a reign that began, so that they refuse the one before.
pub(super) async fn tell_segments(witnesses: Arc<RpcWitnesses>, record: ClusterState) {
    let epoch = record.epoch;
    for answer in witnesses.follow(record).await {
        if !answer.accepted {
            let higher = answer.followed.max(answer.promised);
            tracing::warn!("a segment refuses epoch {epoch}: it knows of epoch {higher}");
        }
    }
}
