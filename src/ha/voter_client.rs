//! Asking voters over gRPC, and the one of this process without a network.
//!
//! A connection is kept for each address, and given up after a call that failed or took too long,
//! so that a host which vanished and came back is met on a new one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::proto::v1::voting_client::VotingClient;
use crate::proto::v1::{AcceptRequest, DescribeRequest, PrepareRequest};
use crate::proto::{record_from_wire, record_to_wire};
use crate::runtime::RpcAuth;
use crate::types::{ClusterState, Incarnation, Voter};

use super::embedded::{Description, Voters};
use super::register::{Answer, Ballot};
use super::voter::VoterError;
use super::voter_service::Seat;

/// Addresses that are remembered; a register has ten voters at most while they change.
const CHANNELS_MAX: usize = 32;

type Calls = VotingClient<InterceptedService<Channel, RpcAuth>>;
type Address = (String, u16);

pub struct RpcVoters {
    auth: RpcAuth,
    own: Seat,
    /// Bound of one call.
    timeout: Duration,
    channels: Arc<Mutex<BTreeMap<Address, Channel>>>,
}

impl RpcVoters {
    #[must_use]
    pub fn new(auth: RpcAuth, own: Seat, timeout: Duration) -> RpcVoters {
        RpcVoters { auth, own, timeout, channels: Arc::default() }
    }

    fn own(&self, voter: &Voter) -> Option<&super::voter::Voting> {
        let own = self.own.as_ref().ok()?;
        (own.incarnation() == voter.incarnation).then_some(own)
    }

    fn channels(&self) -> MutexGuard<'_, BTreeMap<Address, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self, address: &Address) -> Result<Channel, String> {
        let mut channels = self.channels();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let (host, port) = address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"));
        let endpoint = endpoint.map_err(|error| format!("bad address {host}:{port}: {error}"))?;
        let channel = endpoint.connect_timeout(self.timeout).tcp_nodelay(true).connect_lazy();
        if channels.len() >= CHANNELS_MAX {
            channels.clear();
        }
        channels.insert(address.clone(), channel.clone());
        Ok(channel)
    }

    /// One call, bounded.
    async fn call<T, F>(&self, voter: &Voter, ask: impl FnOnce(Calls) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let address = (voter.host.clone(), voter.rpc_port);
        let channel = self.channel(&address)?;
        let calls = VotingClient::with_interceptor(channel, self.auth.clone());
        let failed = match tokio::time::timeout(self.timeout, ask(calls)).await {
            Ok(Ok(reply)) => return Ok(reply.into_inner()),
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => format!("no answer within {} ms", self.timeout.as_millis()),
        };
        self.channels().remove(&address);
        Err(failed)
    }
}

impl Voters for RpcVoters {
    async fn look(&self, to: Voter) -> Result<Answer<ClusterState>, String> {
        if let Some(own) = self.own(&to) {
            return Ok(own.held().look());
        }
        let describe = |mut calls: Calls| async move { calls.describe(DescribeRequest {}).await };
        let reply = self.call(&to, describe).await?;
        let (asked, found) = (to.incarnation, Incarnation(reply.incarnation));
        if asked != found {
            return Err(VoterError::AnotherLife { asked, found }.to_string());
        }
        let record = reply.record.map(record_from_wire).transpose();
        let record = record.map_err(|error| error.to_string())?;
        Ok(Answer::Holds { accepted: Ballot(reply.accepted_ballot), record })
    }

    async fn prepare(&self, to: Voter, ballot: Ballot) -> Result<Answer<ClusterState>, String> {
        if let Some(own) = self.own(&to) {
            return own.prepare(to.incarnation, ballot).await.map_err(|error| error.to_string());
        }
        let request = PrepareRequest { incarnation: to.incarnation.0, ballot: ballot.0 };
        let reply = self.call(&to, |mut calls| async move { calls.prepare(request).await }).await?;
        if !reply.promised {
            return Ok(Answer::Refused { promised: Ballot(reply.promised_ballot) });
        }
        let record = reply.record.map(record_from_wire).transpose();
        let record = record.map_err(|error| error.to_string())?;
        Ok(Answer::Promised { accepted: Ballot(reply.accepted_ballot), record })
    }

    async fn accept(
        &self,
        to: Voter,
        ballot: Ballot,
        record: ClusterState,
    ) -> Result<Answer<ClusterState>, String> {
        if let Some(own) = self.own(&to) {
            let accepted = own.accept(to.incarnation, ballot, record).await;
            return accepted.map_err(|error| error.to_string());
        }
        let (incarnation, record) = (to.incarnation.0, Some(record_to_wire(&record)));
        let request = AcceptRequest { incarnation, ballot: ballot.0, record };
        let reply = self.call(&to, |mut calls| async move { calls.accept(request).await }).await?;
        let promised = Ballot(reply.promised_ballot);
        Ok(if reply.accepted { Answer::Accepted } else { Answer::Refused { promised } })
    }

    async fn describe(&self, host: String, rpc_port: u16) -> Result<Description, String> {
        let incarnation = Incarnation::default();
        let at = Voter { name: String::new(), incarnation, host, rpc_port };
        let describe = |mut calls: Calls| async move { calls.describe(DescribeRequest {}).await };
        let reply = self.call(&at, describe).await?;
        let record = reply.record.map(record_from_wire).transpose();
        let record = record.map_err(|error| error.to_string())?;
        let (promised, accepted) = (Ballot(reply.promised_ballot), Ballot(reply.accepted_ballot));
        let incarnation = Incarnation(reply.incarnation);
        Ok(Description { incarnation, promised, accepted, record })
    }
}
