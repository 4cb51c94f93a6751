//! The embedded register in the world: the real proposers and voters. Each master has a voter
//! beside it and, where there are two masters, a witness has the third.
//!
//! A question or an answer may be lost, late or held up by a disk; a voter whose process ends in
//! the middle of a write may or may not have written. What a majority holds is the record, and the
//! same rules are checked of it as where one register stands for the coordinator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use aerie::ha::register::{
    Acceptor, Answer, Ask, Ballot, Effect, Event, Outcome, Proposer, Record,
};
use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::types::{ClusterState, Epoch, Incarnation, Instant, NodeId, Nonce, Voter};

use crate::action::Action;
use crate::coordinator::Register;
use crate::world::{LEASE, World};

/// Bound of one attempt.
const ATTEMPT: Duration = Duration::from_millis(LEASE.as_millis() as u64 * 3 / 10);

/// A voter: in the process of a master, or a witness on a host of its own.
pub struct Seat {
    host: Option<NodeId>,
    acceptor: Acceptor<ClusterState>,
    /// When its disk is through with what was asked so far.
    free_at: Instant,
}

/// Masters 1 to `nodes`, and a witness beside an even number of them.
pub fn voters(nodes: u8) -> BTreeSet<Voter> {
    let witness = nodes.is_multiple_of(2).then_some(nodes + 1);
    let voter = |number: u8| Voter {
        name: format!("voter{number}"),
        incarnation: Incarnation(u64::from(number)),
        host: format!("host{number}"),
        rpc_port: 1,
    };
    (1..=nodes).chain(witness).map(voter).collect()
}

/// Each holds the first record, as `hawq init` leaves it.
pub fn seats(nodes: u8, first: &ClusterState) -> BTreeMap<Incarnation, Seat> {
    let ballot = Ballot::ZERO.next_for(first.primary);
    let seat = |voter: &Voter| {
        let host = u8::try_from(voter.incarnation.0).ok().filter(|number| *number <= nodes);
        let record = Some(first.clone());
        let acceptor = Acceptor { promised: ballot, accepted: ballot, record };
        let host = host.and_then(NodeId::new);
        (voter.incarnation, Seat { host, acceptor, free_at: Instant(0) })
    };
    first.voters.iter().map(seat).collect()
}

/// For whom an attempt is made.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    Read { attempt: u64 },
    Swap { nonce: Nonce },
}

/// The proposer of one process, and what waits for it.
pub struct Asking {
    proposer: Proposer<ClusterState>,
    waiting: VecDeque<(Wanted, Ask<ClusterState>, Instant)>,
    /// With the version that was chosen when it began.
    under_way: Option<(Wanted, Ask<ClusterState>, u64)>,
    met: Option<ClusterState>,
    wake: Option<Instant>,
}

impl Asking {
    pub fn new(node: NodeId) -> Asking {
        let (waiting, proposer) = (VecDeque::new(), Proposer::new(node));
        Asking { proposer, waiting, under_way: None, met: None, wake: None }
    }

    fn proposed(&self) -> impl Iterator<Item = &ClusterState> {
        let waiting = self.waiting.iter().map(|(_, ask, _)| ask);
        let asks = waiting.chain(self.under_way.iter().map(|(_, ask, _)| ask));
        asks.filter_map(|ask| match ask {
            Ask::Swap(record) => Some(record),
            _ => None,
        })
    }
}

#[derive(Debug)]
pub enum Voting {
    Question {
        from: NodeId,
        life: u64,
        question: Effect<ClusterState>,
    },
    /// The voter's disk has it, unless its process ended meanwhile.
    Stored {
        voter_life: u64,
        from: NodeId,
        life: u64,
        question: Effect<ClusterState>,
    },
    Answer {
        host: NodeId,
        life: u64,
        event: Event<ClusterState>,
    },
    Wake {
        host: NodeId,
        life: u64,
    },
}

fn voter_and_ballot(question: &Effect<ClusterState>) -> (Incarnation, Ballot) {
    match question {
        Effect::Look { to, ballot }
        | Effect::Prepare { to, ballot }
        | Effect::Accept { to, ballot, .. } => (*to, *ballot),
        Effect::Finished(_) => unreachable!("an outcome is not a question"),
    }
}

impl World {
    /// Records that the voters may yet choose.
    pub fn records_on_their_way(&self) -> impl Iterator<Item = &ClusterState> {
        let queued = self.queue.values().filter_map(|action| match action {
            Action::Swap { proposed, .. } => Some(&**proposed),
            Action::Voting(
                Voting::Question { question: Effect::Accept { record, .. }, .. }
                | Voting::Stored { question: Effect::Accept { record, .. }, .. },
            ) => Some(record),
            _ => None,
        });
        let asked = self.hosts.values().flat_map(|host| host.asking.proposed());
        let held = self.seats.values().filter_map(|seat| seat.acceptor.record.as_ref());
        queued.chain(asked).chain(held.filter(|held| held.version > self.register.record.version))
    }

    pub fn ask_voters(&mut self, id: NodeId, wanted: Wanted, ask: Ask<ClusterState>) {
        let host = self.hosts.get_mut(&id).unwrap();
        let until = host.clock(self.now).after(ATTEMPT);
        host.asking.waiting.push_back((wanted, ask, until));
        self.next_attempt(id);
    }

    fn next_attempt(&mut self, id: NodeId) {
        let now = self.now;
        let chosen = self.register.record.version;
        let host = self.hosts.get_mut(&id).unwrap();
        if host.asking.under_way.is_some() {
            return;
        }
        let Some((wanted, ask, until)) = host.asking.waiting.pop_front() else { return };
        if until <= host.clock(now) {
            self.attempted(id, wanted, None);
            return self.next_attempt(id);
        }
        host.asking.under_way = Some((wanted, ask.clone(), chosen));
        let stored = host.storage.control.record.iter();
        let known = stored.chain(&host.asking.met).max_by_key(|record| record.version);
        let electorate = known.unwrap_or(&self.register.record).electorate();
        let life = host.life;
        let chance = self.rng.next();
        self.step_proposer(id, life, Event::Begin { ask, electorate, until, chance });
    }

    fn step_proposer(&mut self, id: NodeId, life: u64, event: Event<ClusterState>) {
        if !self.current(id, life) {
            return;
        }
        self.note(|_| format!("register {id} <- {event}"));
        let host = self.hosts.get_mut(&id).unwrap();
        let local = host.clock(self.now);
        let mut effects = Vec::new();
        host.asking.proposer.step(local, event, &mut effects);
        for effect in effects {
            self.note(|_| format!("register {id} -> {effect}"));
            match effect {
                Effect::Finished(outcome) => {
                    let under_way = self.hosts.get_mut(&id).unwrap().asking.under_way.take();
                    let (wanted, _, began_at) = under_way.expect("an attempt has begun");
                    self.check_answer(&outcome, began_at);
                    self.attempted(id, wanted, Some(outcome));
                    self.next_attempt(id);
                }
                question => self.send_question(id, life, question),
            }
        }
        self.arm_proposer(id);
    }

    fn arm_proposer(&mut self, id: NodeId) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let deadline = host.asking.proposer.deadline();
        let at = deadline.map(|local| host.true_time(local).max(now));
        if at.is_some() && at != host.asking.wake {
            host.asking.wake = at;
            let life = host.life;
            let wait = at.unwrap_or(now).since(now);
            self.after(wait, Action::Voting(Voting::Wake { host: id, life }));
        }
    }

    /// A read tells what was chosen when it began, or a later record; none is ever made up.
    fn check_answer(&self, outcome: &Outcome<ClusterState>, began_at: u64) {
        let told = match outcome {
            Outcome::Current(record) => {
                assert!(record.version >= began_at, "a read of {record}, v{began_at} was chosen");
                record
            }
            Outcome::Failed { current, .. } => current,
            Outcome::Empty => panic!("the voters have forgotten the record"),
            Outcome::Done | Outcome::Unresolved(_) => return,
        };
        let same = |past: &ClusterState| past.version == told.version;
        let nonce = self.register.past.iter().find(|past| same(past)).map(|past| past.nonce);
        assert!(nonce == Some(told.nonce), "told {told}, chosen was {}", self.record());
    }

    /// As the driver of the embedded register tells its node.
    fn attempted(&mut self, id: NodeId, wanted: Wanted, outcome: Option<Outcome<ClusterState>>) {
        if let Some(Outcome::Current(met) | Outcome::Failed { current: met, .. }) = &outcome {
            let host = self.hosts.get_mut(&id).unwrap();
            let older = host.asking.met.as_ref().is_none_or(|known| known.version < met.version);
            host.asking.met = if older { Some(met.clone()) } else { host.asking.met.take() };
        }
        let reason = "the voters do not answer".to_owned();
        let event = match wanted {
            Wanted::Read { attempt } => {
                let outcome = match outcome {
                    Some(Outcome::Current(record)) => ReadOutcome::Record(Box::new(record)),
                    _ => ReadOutcome::Unavailable { reason },
                };
                aerie::master::Event::RecordRead { attempt, outcome }
            }
            Wanted::Swap { nonce } => {
                let outcome = match outcome {
                    Some(Outcome::Done) => SwapOutcome::Done,
                    Some(Outcome::Failed { current, why }) => SwapOutcome::Failed {
                        current: Some(Box::new(current)),
                        reason: why.to_string(),
                        met: Epoch::ZERO,
                    },
                    _ => SwapOutcome::Unknown { reason },
                };
                aerie::master::Event::Swapped { nonce, outcome }
            }
        };
        let life = self.hosts[&id].life;
        self.after(Duration::ZERO, Action::Local { host: id, life, event });
    }

    /// Between a master and a voter; each has its own voter in its process.
    fn voter_is_reached(&mut self, id: NodeId, voter: Incarnation, back: bool) -> bool {
        let cut = match self.seats[&voter].host {
            Some(host) if host == id => return true,
            Some(host) if back => self.links.cut.contains(&(host, id)),
            Some(host) => self.links.cut.contains(&(id, host)),
            None => self.links.no_coordinator.contains(&id) || !self.register.up,
        };
        !cut && (self.calm || !self.rng.percent(2))
    }

    fn send_question(&mut self, id: NodeId, life: u64, question: Effect<ClusterState>) {
        let (voter, ballot) = voter_and_ballot(&question);
        if self.voter_is_reached(id, voter, false) {
            let question = Voting::Question { from: id, life, question };
            return self.soon(100, 3_000, Action::Voting(question));
        }
        if self.rng.percent(30) {
            let question = Voting::Question { from: id, life, question };
            self.soon(10_000, 2_000_000, Action::Voting(question));
        }
        self.unreached((id, life), voter, ballot, 150_000);
    }

    /// Whoever asked is told so in time, or never.
    fn unreached(&mut self, to: (NodeId, u64), voter: Incarnation, ballot: Ballot, most_us: u64) {
        if self.rng.percent(70) {
            let (host, life) = to;
            let event = Event::Unreached { voter, ballot };
            self.soon(100, most_us, Action::Voting(Voting::Answer { host, life, event }));
        }
    }

    fn question(&mut self, (from, life): (NodeId, u64), question: Effect<ClusterState>) {
        let (voter, ballot) = voter_and_ballot(&question);
        let seat = &self.seats[&voter];
        let host = seat.host.map(|host| &self.hosts[&host]);
        if host.is_some_and(|host| host.node.is_none()) {
            return self.unreached((from, life), voter, ballot, 3_000);
        }
        if matches!(question, Effect::Look { .. }) {
            let answer = seat.acceptor.look();
            return self.answer((from, life), (voter, ballot), answer);
        }
        let voter_life = host.map_or(0, |host| host.life);
        let slow = host.is_some_and(|host| host.flush_slow);
        let (low, high) = if slow { (100_000, 3_000_000) } else { (100, 3_000) };
        let span = self.rng.between(Duration::from_micros(low), Duration::from_micros(high));
        let done = seat.free_at.max(self.now).after(span);
        self.seats.get_mut(&voter).unwrap().free_at = done;
        let stored = Voting::Stored { voter_life, from, life, question };
        self.after(done.since(self.now), Action::Voting(stored));
    }

    fn stored(&mut self, voter_life: u64, to: (NodeId, u64), question: Effect<ClusterState>) {
        let (voter, ballot) = voter_and_ballot(&question);
        let host = self.seats[&voter].host;
        let ended = host.is_some_and(|host| !self.current(host, voter_life));
        if ended && self.rng.percent(50) {
            return;
        }
        let seat = self.seats.get_mut(&voter).unwrap();
        let answer = match question {
            Effect::Accept { ballot, record, .. } => seat.acceptor.accept(ballot, record),
            _ => seat.acceptor.prepare(ballot),
        };
        if answer == Answer::Accepted {
            self.weigh(ballot);
        }
        if !ended {
            self.answer(to, (voter, ballot), answer);
        }
    }

    /// Whether a majority holds what was accepted at this ballot.
    fn weigh(&mut self, ballot: Ballot) {
        let holders = self.seats.values().filter(|seat| seat.acceptor.accepted == ballot);
        let record = holders.filter_map(|seat| seat.acceptor.record.clone()).next();
        let Some(record) = record else { return };
        let holds = |voter| self.seats[&voter].acceptor.accepted == ballot;
        let chosen = record.electorate().decides(holds);
        if chosen && self.register.chosen(&record) {
            self.note(|_| format!("chosen at {ballot}: {record}"));
        }
    }

    fn answer(
        &mut self,
        (host, life): (NodeId, u64),
        (voter, ballot): (Incarnation, Ballot),
        answer: Answer<ClusterState>,
    ) {
        if self.voter_is_reached(host, voter, true) {
            let event = Event::Answered { voter, ballot, answer };
            self.soon(100, 3_000, Action::Voting(Voting::Answer { host, life, event }));
        } else {
            self.unreached((host, life), voter, ballot, 150_000);
        }
    }

    pub fn vote(&mut self, voting: Voting) {
        match voting {
            Voting::Question { from, life, question } => self.question((from, life), question),
            Voting::Stored { voter_life, from, life, question } => {
                self.stored(voter_life, (from, life), question);
            }
            Voting::Answer { host, life, event } => self.step_proposer(host, life, event),
            Voting::Wake { host, life } => {
                if !self.current(host, life) {
                    return;
                }
                let now = self.now;
                let it = self.hosts.get_mut(&host).unwrap();
                it.asking.wake = None;
                let due = it.asking.proposer.deadline().is_some_and(|at| at <= it.clock(now));
                if due {
                    self.step_proposer(host, life, Event::Deadline);
                } else {
                    self.arm_proposer(host);
                }
            }
        }
    }

    /// Whose host must be awake for that.
    pub fn busy_with_voting(&self, voting: &Voting) -> Option<NodeId> {
        match voting {
            Voting::Question { question, .. } | Voting::Stored { question, .. } => {
                self.seats[&voter_and_ballot(question).0].host
            }
            Voting::Answer { host, .. } | Voting::Wake { host, .. } => Some(*host),
        }
    }
}

impl Register {
    /// A majority of voters holds it. False if that was known.
    fn chosen(&mut self, record: &ClusterState) -> bool {
        let newest = self.record.version;
        if record.version <= newest {
            let same = self.past.iter().find(|past| past.version == record.version);
            assert!(same.is_none_or(|past| past.nonce == record.nonce), "two of {record}");
            return false;
        }
        let by = record.member(record.primary);
        if let (true, Some(by)) = (record.version == newest + 1, by) {
            let outcome = self.swap(record, by);
            assert!(matches!(outcome, SwapOutcome::Done), "{record}: {outcome:?}");
        } else {
            // On top of one that only a minority holds: that one took effect with it.
            self.record = record.clone();
            self.past.push(record.clone());
        }
        true
    }
}
