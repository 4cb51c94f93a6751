//! Asks segments and other masters what the manual coordinator wants to know. Every question has
//! one deadline; who does not answer in time is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::broadcast;
use tokio::time::Instant;
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
use crate::runtime::{RpcAuth, error_text};
use crate::types::{ClusterState, Epoch, Member, MemberEntry, NodeId, NodeRole};

use super::audit::Audit;
use super::fencing::Fencing;
use super::segment_rows;
use super::segments::Segments;

/// The longest wait after a start for heartbeats: an agent that could not reach a master tries
/// again that soon.
pub(super) const WARM_UP_MAX: Duration = Duration::from_secs(5);

const WARM_UP_STEP: Duration = Duration::from_millis(50);

type SegmentCalls = SegmentClient<InterceptedService<Channel, RpcAuth>>;
pub(super) type ControlCalls = ControlClient<InterceptedService<Channel, RpcAuth>>;

pub(super) struct RpcWitnesses {
    pub(super) me: NodeId,
    pub(super) auth: RpcAuth,
    pub(super) segments: Segments,
    /// Told of every answer.
    pub(super) fencing: Fencing,
    pub(super) catalog: Catalog,
    pub(super) started: Instant,
    /// How long after the start most segments must have been heard.
    pub(super) warm_up: Duration,
    /// Bound of one question to everybody.
    pub(super) timeout: Duration,
    /// Lines for whoever watches a takeover.
    pub(super) says: broadcast::Sender<String>,
    pub(super) audit: Arc<Audit>,
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
        let calls = self.agents().await.into_iter().map(|(order, agent)| {
            let question = question.clone();
            async move {
                let asked = tokio::time::timeout(self.timeout, self.ask(&agent, question)).await;
                match asked {
                    Ok(Ok(answer)) => Some((order, answer)),
                    Ok(Err(reason)) => {
                        tracing::debug!("segment {}: {reason}", agent.hostname);
                        None
                    }
                    Err(_) => None,
                }
            }
        });
        one_a_row(join_all(calls).await.into_iter().flatten())
    }

    /// The agents of registered segments. They are known from their heartbeats, so that a master
    /// that has just started waits for those of most, but not for ever.
    async fn agents(&self) -> Vec<(NonZeroU32, SegmentAddress)> {
        loop {
            let registered = self.segments_of_catalog();
            let found = registered_agents(&registered, self.segments.agents().await);
            let rows: BTreeSet<NonZeroU32> = found.iter().map(|(order, _)| *order).collect();
            let most = rows.len() * 2 > registered.len() || registered.is_empty();
            if most || self.started.elapsed() >= self.warm_up {
                return found;
            }
            tokio::time::sleep(WARM_UP_STEP).await;
        }
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
        let answer = segment_answer(reply.map_err(|status| status.to_string())?.into_inner())?;
        self.fencing.heard(answer.followed, answer.promised, answer.record.as_ref());
        Ok(answer)
    }

    async fn ask_master(&self, node: NodeId, entry: &MemberEntry) -> Option<MasterAnswer> {
        let asked = async {
            let mut client = control_client(&self.auth, entry, self.timeout).await?;
            let reply = client.status(StatusRequest::default()).await;
            let reply = reply.map_err(|status| status.to_string())?.into_inner();
            let record = reply.record.map(record_from_wire).transpose();
            Ok::<_, String>(MasterAnswer {
                node,
                followed: Epoch(reply.epoch),
                taking_over: reply.role == NodeRole::TakingOver.as_str(),
                record: record.map_err(|error| error.to_string())?,
            })
        };
        tokio::time::timeout(self.timeout, asked).await.ok()?.ok()
    }
}

/// Several segments may live on one host; the port tells them apart.
fn registered_agents(
    registered: &[SegmentRow],
    agents: Vec<SegmentAddress>,
) -> Vec<(NonZeroU32, SegmentAddress)> {
    let order = |agent: &SegmentAddress| {
        let place = (&agent.hostname, agent.port);
        registered.iter().find(|row| (&row.hostname, row.port) == place).map(|row| row.order)
    };
    agents.into_iter().filter_map(|agent| Some((order(&agent)?, agent))).collect()
}

/// Two agents in one place (an old identity and a new one) are one witness, whose refusal counts.
fn one_a_row(answers: impl Iterator<Item = (NonZeroU32, SegmentAnswer)>) -> Vec<SegmentAnswer> {
    let mut rows: BTreeMap<NonZeroU32, SegmentAnswer> = BTreeMap::new();
    for (order, answer) in answers {
        let known = rows.entry(order).or_insert_with(|| answer.clone());
        if !answer.accepted {
            *known = answer;
        }
    }
    rows.into_values().collect()
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

    async fn begin(&self, epoch: Epoch) -> Vec<SegmentAnswer> {
        let request = FollowRequest { epoch: epoch.0, record: None };
        self.ask_segments(Question::Follow(request)).await
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
        self.audit.note(text.clone());
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
    connected.map_err(|error| format!("connect to {host}:{port}: {}", error_text(&error)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ha::manual_policy::tests::{node, segment};
    use crate::types::SegmentStatus;

    fn order(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn agent(segment: u64, hostname: &str, port: u16) -> SegmentAddress {
        let (hostname, address) = (hostname.to_owned(), "127.0.0.1".to_owned());
        SegmentAddress { segment, hostname, address, port, rpc_port: 1 }
    }

    #[test]
    fn a_witness_is_a_registered_host_and_port() {
        let row = |number: u32, port: u16| SegmentRow {
            order: order(number),
            hostname: "sdw1".to_owned(),
            address: "127.0.0.1".to_owned(),
            port,
            status: SegmentStatus::Up,
        };
        let registered = [row(1, 40_000), row(2, 40_001)];
        let agents = vec![
            agent(1, "sdw1", 40_000),
            agent(2, "sdw1", 40_001),
            agent(3, "sdw1", 40_002),
            agent(4, "sdw2", 40_000),
            agent(5, "sdw1", 40_001),
        ];
        let found = registered_agents(&registered, agents);
        let found: Vec<_> = found.iter().map(|(order, a)| (order.get(), a.segment)).collect();
        assert_eq!(found, [(1, 1), (2, 2), (2, 5)]);
    }

    #[test]
    fn a_row_answers_once_and_its_refusal_counts() {
        let yes = segment(Epoch::new(3, node(1)));
        let no = SegmentAnswer { accepted: false, ..segment(Epoch::new(4, node(2))) };
        for pair in [[&yes, &no], [&no, &yes]] {
            let answers = pair.map(|answer| (order(1), answer.clone()));
            assert_eq!(one_a_row(answers.into_iter()), std::slice::from_ref(&no));
        }
        let answers = [(order(1), yes.clone()), (order(1), yes.clone()), (order(2), yes.clone())];
        assert_eq!(one_a_row(answers.into_iter()).len(), 2);
    }
}
