//! The coordinator that needs nobody else: the record is held by voters (masters, and a witness).
//!
//! Drives the pure proposer: carries its questions to the voters and their answers back, and says
//! in a sentence who stood in the way. One attempt at a time in a process; each is bounded.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant as TokioInstant;

use crate::types::{ClusterId, ClusterState, Epoch, Incarnation, Instant, NodeId, Voter};

use super::register::{
    Answer, Ask, Ballot, Effect, Event, Failure, Obstacle, Outcome, Proposer, Record,
};
use super::{Authority, Coordinator, ReadOutcome, RecordStore, SwapOutcome};

/// What a voter says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub incarnation: Incarnation,
    pub promised: Ballot,
    pub accepted: Ballot,
    /// What it accepted last; not necessarily chosen.
    pub record: Option<ClusterState>,
}

/// The way to the voters. Every call is bounded in time by the implementer; `Err` says in a
/// sentence why there was no answer.
pub trait Voters: Send + Sync + 'static {
    fn look(&self, to: Voter) -> impl Future<Output = Result<Answer<ClusterState>, String>> + Send;
    fn prepare(
        &self,
        to: Voter,
        ballot: Ballot,
    ) -> impl Future<Output = Result<Answer<ClusterState>, String>> + Send;
    fn accept(
        &self,
        to: Voter,
        ballot: Ballot,
        record: ClusterState,
    ) -> impl Future<Output = Result<Answer<ClusterState>, String>> + Send;
    /// Whoever votes at that address.
    fn describe(
        &self,
        host: String,
        rpc_port: u16,
    ) -> impl Future<Output = Result<Description, String>> + Send;
}

pub struct EmbeddedCoordinator<S, V> {
    cluster: ClusterId,
    store: Arc<S>,
    voters: Arc<V>,
    /// Bound of one attempt (`ha_coordinator_timeout`).
    timeout: Duration,
    started: TokioInstant,
    proposer: tokio::sync::Mutex<Proposer<ClusterState>>,
    /// The newest record met here: it may name voters that the control file does not know yet.
    met: Mutex<Option<ClusterState>>,
}

impl<S: RecordStore, V: Voters> EmbeddedCoordinator<S, V> {
    pub fn new(
        (cluster, node): (ClusterId, NodeId),
        store: Arc<S>,
        voters: Arc<V>,
        timeout: Duration,
    ) -> Self {
        EmbeddedCoordinator {
            cluster,
            store,
            voters,
            timeout,
            started: TokioInstant::now(),
            proposer: tokio::sync::Mutex::new(Proposer::new(node)),
            met: Mutex::new(None),
        }
    }

    /// The way to the voters, to ask one what it holds.
    #[must_use]
    pub fn voters(&self) -> &Arc<V> {
        &self.voters
    }

    fn now(&self) -> Instant {
        Instant::default().after(self.started.elapsed())
    }

    /// The newest record with voters that this node knows.
    fn known(&self) -> Option<ClusterState> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stored = self.store.current();
        let both = [met, stored].into_iter().flatten();
        both.filter(|record| !record.voters.is_empty()).max_by_key(|record| record.version)
    }

    fn meet(&self, record: &ClusterState) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.as_ref().is_none_or(|known| known.version < record.version) {
            *met = Some(record.clone());
        }
    }

    /// One attempt; waiting for one that is under way is part of its time.
    async fn attempt(&self, ask: Ask<ClusterState>, known: ClusterState) -> Attempted {
        let until = self.now().after(self.timeout);
        let mut attempted = Attempted::new(&ask, &known);
        let electorate = known.electorate();
        let unresolved = |electorate| {
            let answered = std::collections::BTreeSet::new();
            Outcome::Unresolved(Obstacle { electorate, answered, outbid: None })
        };
        let Ok(mut proposer) = tokio::time::timeout(self.timeout, self.proposer.lock()).await
        else {
            attempted.outcome = Some(unresolved(electorate));
            return attempted;
        };
        let chance = getrandom::u64().unwrap_or(self.now().0);
        let mut event = Event::Begin { ask, electorate, until, chance };
        let mut calls = FuturesUnordered::new();
        loop {
            let mut effects = Vec::new();
            tracing::debug!("register <- {event}");
            proposer.step(self.now(), event, &mut effects);
            for effect in effects {
                tracing::debug!("register -> {effect}");
                match effect {
                    Effect::Look { to, ballot } => {
                        calls.push(self.call(attempted.at(to, ballot), Question::Look));
                    }
                    Effect::Prepare { to, ballot } => {
                        calls.push(self.call(attempted.at(to, ballot), Question::Prepare));
                    }
                    Effect::Accept { to, ballot, record } => {
                        let question = Question::Accept(Box::new(record));
                        calls.push(self.call(attempted.at(to, ballot), question));
                    }
                    Effect::Finished(outcome) => attempted.outcome = Some(outcome),
                }
            }
            if attempted.outcome.is_some() {
                break;
            }
            let deadline = proposer.deadline().unwrap_or(until).since(Instant::default());
            event = tokio::select! {
                Some(called) = calls.next(), if !calls.is_empty() => attempted.heard(called),
                () = tokio::time::sleep_until(self.started + deadline) => Event::Deadline,
            };
        }
        // A voter that is slower than the majority gets the record all the same.
        tokio::spawn(calls.for_each(|_| std::future::ready(())));
        attempted
    }

    /// A call to one voter; it ends by itself within the bound of the network.
    fn call(
        &self,
        (voter, ballot, at): Target,
        question: Question,
    ) -> impl Future<Output = Called> + Send + use<S, V> {
        let voters = Arc::clone(&self.voters);
        async move {
            let answer = match (at, question) {
                (None, _) => Err("its address is not known".to_owned()),
                (Some(at), Question::Look) => voters.look(at).await,
                (Some(at), Question::Prepare) => voters.prepare(at, ballot).await,
                (Some(at), Question::Accept(record)) => voters.accept(at, ballot, *record).await,
            };
            Called { voter, ballot, answer }
        }
    }

    async fn change(&self, ask: Ask<ClusterState>, known: ClusterState) -> SwapOutcome {
        let attempted = self.attempt(ask, known).await;
        let reason = attempted.trouble();
        match attempted.outcome {
            Some(Outcome::Done) => {
                if let Some(proposed) = &attempted.proposed {
                    self.meet(proposed);
                }
                SwapOutcome::Done
            }
            Some(Outcome::Failed { current, why }) => {
                let reason = match why {
                    Failure::Foreign => self.foreign(&current),
                    why => why.to_string(),
                };
                let ours = current.cluster_id == self.cluster;
                if ours {
                    self.meet(&current);
                }
                let current = Some(Box::new(current)).filter(|_| ours);
                SwapOutcome::Failed { current, reason, met: Epoch::ZERO }
            }
            // Not a failure: what a voter once held it may not have shown to this majority.
            Some(Outcome::Empty) => {
                SwapOutcome::Unknown { reason: "the voters hold no record".to_owned() }
            }
            Some(Outcome::Current(_) | Outcome::Unresolved(_)) | None => {
                SwapOutcome::Unknown { reason }
            }
        }
    }

    fn foreign(&self, record: &ClusterState) -> String {
        let (theirs, ours) = (record.cluster_id, self.cluster);
        format!("the voters hold the record of cluster {theirs}, not of {ours}")
    }
}

enum Question {
    Look,
    Prepare,
    Accept(Box<ClusterState>),
}

/// Whom to ask in which round, and where it lives.
type Target = (Incarnation, Ballot, Option<Voter>);

/// What came of a call.
struct Called {
    voter: Incarnation,
    ballot: Ballot,
    answer: Result<Answer<ClusterState>, String>,
}

/// One attempt as its driver sees it: where voters live, and what each said last.
struct Attempted {
    proposed: Option<ClusterState>,
    addresses: BTreeMap<Incarnation, Voter>,
    troubles: BTreeMap<Incarnation, String>,
    outcome: Option<Outcome<ClusterState>>,
}

impl Attempted {
    fn new(ask: &Ask<ClusterState>, known: &ClusterState) -> Attempted {
        let proposed = match ask {
            Ask::Read => None,
            Ask::Swap(record) | Ask::Create(record) => Some(record.clone()),
        };
        let (addresses, troubles) = (BTreeMap::new(), BTreeMap::new());
        let mut attempted = Attempted { proposed, addresses, troubles, outcome: None };
        attempted.learn(known);
        if let Some(proposed) = attempted.proposed.clone() {
            attempted.learn(&proposed);
        }
        attempted
    }

    fn learn(&mut self, record: &ClusterState) {
        for voter in record.voters.iter().chain(record.next_voters.iter().flatten()) {
            self.addresses.insert(voter.incarnation, voter.clone());
        }
    }

    fn at(&self, voter: Incarnation, ballot: Ballot) -> Target {
        (voter, ballot, self.addresses.get(&voter).cloned())
    }

    fn heard(&mut self, called: Called) -> Event<ClusterState> {
        let Called { voter, ballot, answer } = called;
        match answer {
            Ok(answer) => {
                self.troubles.remove(&voter);
                if let Answer::Promised { record: Some(record), .. }
                | Answer::Holds { record: Some(record), .. } = &answer
                {
                    self.learn(record);
                }
                Event::Answered { voter, ballot, answer }
            }
            Err(reason) => {
                self.troubles.insert(voter, reason);
                Event::Unreached { voter, ballot }
            }
        }
    }

    /// Why the attempt ended without an answer.
    fn trouble(&self) -> String {
        let Some(Outcome::Unresolved(obstacle)) = &self.outcome else { return String::new() };
        let Obstacle { electorate, answered, outbid } = obstacle;
        let all: Vec<Incarnation> = electorate.everybody().into_iter().collect();
        let mut text = format!("{} of {} voters answered", answered.len(), all.len());
        for voter in all.iter().filter(|voter| !answered.contains(voter)) {
            let address = self.addresses.get(voter);
            let name = address.map_or_else(
                || voter.to_string(),
                |at| format!("{} ({}:{})", at.name, at.host, at.rpc_port),
            );
            let why = self.troubles.get(voter).map_or("no answer in time", String::as_str);
            text += &format!("; {name}: {why}");
        }
        if let Some(ballot) = outbid {
            text += &format!("; another node's ballot {ballot} stood in the way");
        }
        text
    }
}

const NO_VOTERS: &str = "this node knows no voters of the embedded register yet";

impl<S: RecordStore, V: Voters> Coordinator for EmbeddedCoordinator<S, V> {
    /// After automatic mode was switched off and on again, what the voters hold may be older than
    /// what this node knows, until the first record is put.
    async fn read(&self, _: Authority) -> ReadOutcome {
        let Some(known) = self.known() else {
            return ReadOutcome::Unavailable { reason: NO_VOTERS.to_owned() };
        };
        let attempted = self.attempt(Ask::Read, known).await;
        let reason = attempted.trouble();
        match attempted.outcome {
            Some(Outcome::Current(record)) if record.cluster_id == self.cluster => {
                self.meet(&record);
                ReadOutcome::Record(Box::new(record))
            }
            Some(Outcome::Current(record)) => {
                ReadOutcome::Unavailable { reason: self.foreign(&record) }
            }
            Some(Outcome::Empty) => ReadOutcome::Empty,
            _ => ReadOutcome::Unavailable { reason },
        }
    }

    async fn compare_and_swap(&self, _: Authority, proposed: ClusterState) -> SwapOutcome {
        let Some(known) = self.known() else {
            return SwapOutcome::Unknown { reason: NO_VOTERS.to_owned() };
        };
        self.change(Ask::Swap(proposed), known).await
    }

    async fn create(&self, first: ClusterState) -> SwapOutcome {
        self.change(Ask::Create(first.clone()), first).await
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
