//! What may happen next: the next thing in order, or something that goes wrong here and now.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use aerie::ha::SwapOutcome;
use aerie::types::{ClusterState, Incarnation, MemberEntry, Mode, NodeId};
use stateright::{Model, Property};

use crate::cluster::{Budget, CLUSTER, Cluster, Item, id, member};
use crate::disk::Crash;

/// Of so many states one is followed until it comes to rest.
const REST_SAMPLE: u64 = 64;

#[derive(Debug, Clone)]
pub struct Bounds {
    pub nodes: usize,
    /// Members in the set when the exploration begins.
    pub in_sync: usize,
    pub budget: Budget,
    pub epochs: u64,
    pub versions: u64,
    pub tick: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// The next thing in order; time goes on where there is none.
    Next,
    /// The next thing is held up: it happens later, or never.
    Hold,
    /// The next message arrives, and will once more.
    Repeat,
    /// The coordinator hears the swap, and its answer is lost.
    LoseAnswer,
    /// Something held up happens after all.
    Late(usize),
    Propose(usize),
    Release(usize),
    Crash(usize, Crash),
    Start(usize),
    Stall(usize),
    Wake(usize),
    /// Nothing gets from one node to another any more, or from a node to any and back.
    Cut(usize, usize),
    Isolate(usize),
    Heal,
}

pub fn describe(cluster: &Cluster, act: &Act) -> String {
    let item = |item: &Item| match item {
        Item::Message { from, to, message } => format!("{} to {to}: {message}", from.node),
        Item::Swap { by, proposed, .. } => format!("swap by {}: {proposed}", id(*by)),
        other => format!("{other:?}"),
    };
    let next = || match cluster.next() {
        Some(at) => item(&cluster.queue[at]),
        None => "time goes on".to_owned(),
    };
    match act {
        Act::Next => next(),
        Act::Hold => format!("held up: {}", next()),
        Act::Repeat => format!("will be repeated: {}", next()),
        Act::LoseAnswer => format!("answer lost: {}", next()),
        Act::Late(at) => format!("late: {}", item(&cluster.late[*at])),
        other => format!("{other:?}"),
    }
}

impl Cluster {
    /// The first in order that nothing stops.
    pub fn next(&self) -> Option<usize> {
        let free = |item: &Item| item.host().is_none_or(|at| !self.hosts[at].stalled);
        self.queue.iter().position(free)
    }

    fn hold(&mut self, item: Item) {
        let place = self.late.iter().position(|other| format!("{other:?}") > format!("{item:?}"));
        self.late.insert(place.unwrap_or(self.late.len()), item);
    }
}

impl Bounds {
    fn record(&self) -> ClusterState {
        let members: BTreeMap<NodeId, MemberEntry> = (0..self.nodes)
            .map(|at| {
                let entry = MemberEntry {
                    incarnation: Incarnation(at as u64 + 1),
                    host: String::new(),
                    rpc_port: 1,
                    pg_port: 1,
                    priority: 100,
                };
                (id(at), entry)
            })
            .collect();
        ClusterState {
            mode: Mode::Embedded,
            lease: crate::cluster::LEASE,
            ..ClusterState::first(CLUSTER, member(0), members)
        }
    }

    /// A cluster at rest: a primary, as many standbys in the set as asked for, nothing under way.
    pub fn rest(&self) -> Cluster {
        let mut cluster = Cluster::new(self.record());
        cluster.start(0);
        self.settle(&mut cluster, 1);
        for at in 1..self.nodes {
            cluster.seed(at);
        }
        for at in 1..self.in_sync {
            cluster.start(at);
        }
        self.settle(&mut cluster, self.in_sync);
        let members = cluster.record.in_sync.len();
        assert!(members == self.in_sync && cluster.hosts[0].open, "at rest: {}", cluster.record);
        for at in self.in_sync..self.nodes {
            cluster.start(at);
        }
        cluster.left = self.budget;
        cluster
    }

    /// Everything goes well until so many members are in the set and nothing is under way.
    fn settle(&self, cluster: &mut Cluster, members: usize) {
        for _ in 0..1000 {
            let done = cluster.record.in_sync.len() == members && cluster.hosts[0].open;
            if done && cluster.next().is_none() {
                break;
            }
            self.perform(cluster, &Act::Next);
        }
    }

    fn possible(&self, cluster: &Cluster, acts: &mut Vec<Act>) {
        let left = cluster.left;
        acts.push(Act::Next);
        let next = cluster.next().map(|at| &cluster.queue[at]);
        let quiet = next.is_none();
        for (at, item) in cluster.late.iter().enumerate() {
            let stalled = item.host().is_some_and(|host| cluster.hosts[host].stalled);
            if !stalled && (quiet || item.host() == cluster.touched) {
                acts.push(Act::Late(at));
            }
        }
        let faults = left.faults > 0;
        match next {
            Some(Item::Swap { awaited: true, .. }) if faults => {
                acts.extend([Act::Hold, Act::LoseAnswer]);
            }
            Some(Item::Message { .. }) if faults => acts.extend([Act::Hold, Act::Repeat]),
            Some(Item::Deadline { .. }) => {}
            Some(_) if faults => acts.push(Act::Hold),
            _ => {}
        }
        if quiet && !cluster.cut.is_empty() {
            acts.push(Act::Heal);
        }
        for (at, host) in cluster.hosts.iter().enumerate() {
            let here = quiet || cluster.touched == Some(at);
            if host.node.is_none() && quiet {
                acts.push(Act::Start(at));
            }
            if host.stalled && quiet {
                acts.push(Act::Wake(at));
            }
            if host.node.is_none() || !here {
                continue;
            }
            if host.open && left.writes > 0 && !host.stalled {
                acts.push(Act::Propose(at));
            }
            if host.open && left.releases > 0 && !host.stalled {
                acts.push(Act::Release(at));
            }
            if faults && left.crashes > 0 {
                acts.extend([Act::Crash(at, Crash::Process), Act::Crash(at, Crash::Machine)]);
            }
            if faults && !host.stalled {
                acts.push(Act::Stall(at));
            }
            if faults && cluster.cut.is_empty() {
                acts.push(Act::Isolate(at));
                let others = (0..self.nodes).filter(|other| *other != at);
                acts.extend(others.map(|other| Act::Cut(at, other)));
            }
        }
    }

    fn perform(&self, cluster: &mut Cluster, act: &Act) {
        let fault = !matches!(
            act,
            Act::Next
                | Act::Late(_)
                | Act::Propose(_)
                | Act::Release(_)
                | Act::Start(_)
                | Act::Wake(_)
                | Act::Heal
        );
        cluster.left.faults -= u8::from(fault);
        let next = cluster.next();
        let take = |cluster: &mut Cluster| next.and_then(|at| cluster.queue.remove(at));
        match *act {
            Act::Next => match take(cluster) {
                Some(item) => cluster.happen(item),
                None => cluster.tick(self.tick),
            },
            Act::Hold => self.hold_up(cluster, next),
            Act::Repeat => {
                if let Some(item) = take(cluster) {
                    cluster.hold(item.clone());
                    cluster.happen(item);
                }
            }
            Act::LoseAnswer => {
                if let Some(Item::Swap { by, proposed, .. }) = take(cluster) {
                    cluster.register(&proposed, by);
                    let outcome = SwapOutcome::Unknown { reason: String::new() };
                    cluster.answer_swap(by, &proposed, outcome);
                }
            }
            Act::Late(at) => {
                let item = cluster.late.remove(at);
                cluster.happen(item);
            }
            Act::Propose(at) => {
                cluster.left.writes -= 1;
                cluster.propose(at);
            }
            Act::Release(at) => {
                cluster.left.releases -= 1;
                cluster.release(at);
            }
            Act::Crash(at, crash) => {
                cluster.left.crashes -= 1;
                cluster.crash(at, crash);
            }
            Act::Start(at) => cluster.start(at),
            Act::Stall(at) => cluster.hosts[at].stalled = true,
            Act::Wake(at) => cluster.hosts[at].stalled = false,
            Act::Cut(from, to) => {
                cluster.cut.insert((from, to));
            }
            Act::Isolate(at) => {
                let others = (0..self.nodes).filter(|other| *other != at);
                cluster.cut.extend(others.flat_map(|other| [(at, other), (other, at)]));
            }
            Act::Heal => cluster.cut.clear(),
        }
        cluster.tidy();
    }

    /// I6, for a sample of the states in which the last fault has struck: once everybody runs
    /// again and nothing is cut, one open primary remains, with everybody in the set. Where those
    /// that are down stay down, one remains too, as long as somebody of the set is up.
    fn comes_to_rest(&self, state: &Cluster) -> bool {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let sampled = hasher.finish().is_multiple_of(REST_SAMPLE);
        let over = state.left.faults == 0 && state.next().is_none();
        if !sampled || !over || state.violated.is_some() {
            return true;
        }
        let mut cluster = state.clone();
        cluster.cut.clear();
        let disk = |item: &Item| matches!(item, Item::Flush { .. } | Item::Persist { .. });
        let held = std::mem::take(&mut cluster.late);
        cluster.queue.extend(held.into_iter().filter(disk));
        cluster.hosts.iter_mut().for_each(|host| host.stalled = false);
        let up = |at: usize| cluster.hosts[at].node.is_some();
        let survives = (0..self.nodes).any(|at| up(at) && cluster.record.is_in_sync(member(at)));
        let some_are_down = !(0..self.nodes).all(up);
        if some_are_down && survives && !self.rests(cluster.clone()) {
            return false;
        }
        for at in 0..self.nodes {
            if cluster.hosts[at].node.is_none() {
                cluster.start(at);
            }
        }
        self.rests(cluster)
    }

    /// One open primary, with everybody who is up in the set.
    fn rests(&self, mut cluster: Cluster) -> bool {
        (0..2000).any(|_| {
            self.perform(&mut cluster, &Act::Next);
            let open = cluster.hosts.iter().filter(|host| host.open).count();
            let up = (0..self.nodes).filter(|at| cluster.hosts[*at].node.is_some());
            let all = up.map(member).collect::<BTreeSet<_>>() == cluster.record.in_sync;
            open == 1 && all && cluster.next().is_none() || cluster.seeds
        })
    }

    fn hold_up(&self, cluster: &mut Cluster, next: Option<usize>) {
        let Some(mut item) = next.and_then(|at| cluster.queue.remove(at)) else { return };
        let mut answer = None;
        if let Item::Swap { by, proposed, awaited } = &mut item {
            *awaited = false;
            answer = Some((*by, proposed.clone()));
        }
        cluster.hold(item);
        if let Some((by, proposed)) = answer {
            let outcome = SwapOutcome::Unknown { reason: String::new() };
            cluster.answer_swap(by, &proposed, outcome);
        }
    }
}

impl Model for Bounds {
    type State = Cluster;
    type Action = Act;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.rest()]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Act>) {
        if state.violated.is_none() {
            self.possible(state, actions);
        }
    }

    fn next_state(&self, state: &Cluster, action: Act) -> Option<Cluster> {
        let mut next = state.clone();
        self.perform(&mut next, &action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I1", |_, state: &Cluster| state.violated != Some("I1")),
            Property::always("I2", |_, state: &Cluster| state.violated != Some("I2")),
            Property::always("I3", |_, state: &Cluster| state.violated != Some("I3")),
            Property::always("I4", |_, state: &Cluster| state.violated != Some("I4")),
            Property::always("I5", |_, state: &Cluster| state.reads_are_fresh()),
            Property::always("I6", Bounds::comes_to_rest),
        ]
    }

    fn within_boundary(&self, state: &Cluster) -> bool {
        let record = &state.record;
        record.epoch.counter() <= self.epochs && record.version <= self.versions
    }
}
