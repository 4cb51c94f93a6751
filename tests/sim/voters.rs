//! The voters of the embedded register in the world, and the way to them. Each master has a voter
//! beside it and, where there are two masters, a witness has the third.
//!
//! A question or an answer may be lost, late or held up by a disk; a voter whose process ends in
//! the middle of a write may or may not have written. What a majority holds is the record, and the
//! same rules are checked of it as where one register stands for the coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aerie::ha::SwapOutcome;
use aerie::ha::register::{Acceptor, Answer, Ballot, Effect, Event, Record};
use aerie::types::{ClusterState, Incarnation, Instant, NodeId, Voter};

use crate::action::Action;
use crate::agents::Agent;
use crate::coordinator::Register;
use crate::world::World;

/// A voter: in the process of a master, or a witness on a host of its own.
pub struct Seat {
    host: Option<NodeId>,
    acceptor: Acceptor<ClusterState>,
    /// When its disk is through with what was asked so far.
    free_at: Instant,
}

/// Witnesses that do not vote at first.
const SPARES: [u8; 2] = [101, 102];

pub fn voter(number: u8) -> Voter {
    Voter {
        name: format!("voter{number}"),
        incarnation: Incarnation(u64::from(number)),
        host: format!("host{number}"),
        rpc_port: 1,
    }
}

/// Masters 1 to `nodes`, and a witness beside an even number of them.
pub fn voters(nodes: u8) -> BTreeSet<Voter> {
    let witness = nodes.is_multiple_of(2).then_some(nodes + 1);
    (1..=nodes).chain(witness).map(voter).collect()
}

/// Each voter holds the first record, as `hawq init` leaves it; the spares hold nothing.
pub fn seats(nodes: u8, first: &ClusterState) -> BTreeMap<Incarnation, Seat> {
    let ballot = Ballot::ZERO.next_for(first.primary);
    let seat = |voter: &Voter| {
        let host = u8::try_from(voter.incarnation.0).ok().filter(|number| *number <= nodes);
        let record = Some(first.clone());
        let acceptor = Acceptor { promised: ballot, accepted: ballot, record };
        let host = host.and_then(NodeId::new);
        (voter.incarnation, Seat { host, acceptor, free_at: Instant(0) })
    };
    let spare = |number: u8| {
        let seat = Seat { host: None, acceptor: Acceptor::default(), free_at: Instant(0) };
        (Incarnation(u64::from(number)), seat)
    };
    first.voters.iter().map(seat).chain(SPARES.map(spare)).collect()
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

pub fn voter_and_ballot(question: &Effect<ClusterState>) -> (Incarnation, Ballot) {
    match question {
        Effect::Look { to, ballot }
        | Effect::Prepare { to, ballot }
        | Effect::Accept { to, ballot, .. } => (*to, *ballot),
        Effect::Finished(_) => unreachable!("an outcome is not a question"),
    }
}

impl World {
    pub fn seat_numbers(&self) -> Vec<u8> {
        self.seats.keys().filter_map(|voter| u8::try_from(voter.0).ok()).collect()
    }

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
        let held = held.filter(|held| held.version > self.register.record.version);
        let newest = self.record();
        let stored = self.agents.iter().flat_map(Agent::records);
        let stored = stored.chain(self.hosts.values().filter_map(|h| h.manual.proposed.as_ref()));
        let newer = |record: &&ClusterState| {
            (record.epoch, record.version) > (newest.epoch, newest.version)
        };
        queued.chain(asked).chain(held).chain(stored.filter(newer))
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

    pub fn send_question(&mut self, id: NodeId, life: u64, question: Effect<ClusterState>) {
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
            Voting::Wake { host, life } => self.wake_proposer(host, life),
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
