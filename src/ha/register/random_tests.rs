//! Acceptors and proposers under a network that loses, delays and repeats: one record a version.

use std::collections::{BTreeMap, BTreeSet};

use super::register_tests::{Small, node, small, voters};
use super::{Acceptor, Answer, Ask, Ballot, Effect, Electorate, Event, Failure, Outcome, Proposer};
use crate::types::{Incarnation, Instant};

/// What is under way: to a voter, or back to a proposer of a certain life.
#[derive(Debug, Clone)]
enum Message {
    Look { voter: u64, from: usize, life: u64, ballot: Ballot },
    Prepare { voter: u64, from: usize, life: u64, ballot: Ballot },
    Accept { voter: u64, from: usize, life: u64, ballot: Ballot, record: Small },
    Answer { voter: u64, to: usize, life: u64, ballot: Ballot, answer: Answer<Small> },
}

struct Client {
    proposer: Proposer<Small>,
    life: u64,
    /// The newest record that it knows to have been chosen.
    known: Small,
    /// A proposal whose outcome is not known yet.
    pending: Option<Small>,
    busy: bool,
}

/// A few clients that change a register, under chance.
struct World {
    chance: u64,
    now: Instant,
    voters: BTreeMap<u64, Acceptor<Small>>,
    clients: Vec<Client>,
    wire: Vec<Message>,
    /// Who accepted which record at which ballot: what was chosen follows from it.
    accepted: BTreeMap<(u64, Ballot), BTreeSet<u64>>,
    chosen: BTreeMap<u64, Small>,
    nonces: u128,
    done: u64,
    failed: BTreeSet<u128>,
}

impl World {
    fn new(seed: u64, names: &[u64], spare: &[u64], clients: usize) -> World {
        let first = small(1, 1, &voters(names, None));
        let initial =
            Acceptor { promised: Ballot(1), accepted: Ballot(1), record: Some(first.clone()) };
        let mut all: BTreeMap<u64, Acceptor<Small>> =
            names.iter().map(|name| (*name, initial.clone())).collect();
        all.extend(spare.iter().map(|name| (*name, Acceptor::default())));
        let client = |index: usize| Client {
            proposer: Proposer::new(node(index as u8 + 1)),
            life: 0,
            known: first.clone(),
            pending: None,
            busy: false,
        };
        World {
            chance: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            now: Instant(1),
            voters: all,
            clients: (0..clients).map(client).collect(),
            wire: Vec::new(),
            accepted: BTreeMap::new(),
            chosen: BTreeMap::from([(1, first)]),
            nonces: 1,
            done: 0,
            failed: BTreeSet::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound.max(1)
    }

    /// One thing happens; `lossy` says how unkind the network is, in percent.
    fn turn(&mut self, lossy: u64) {
        self.now = Instant(self.now.0 + 1 + self.below(400_000));
        match self.below(10) {
            0 => {
                let index = self.below(self.clients.len() as u64) as usize;
                self.client(index, lossy);
            }
            1..3 => {
                for index in 0..self.clients.len() {
                    let due = self.clients[index].proposer.deadline();
                    if due.is_some_and(|at| at <= self.now) {
                        self.step(index, Event::Deadline);
                    }
                }
            }
            _ if self.wire.is_empty() => {}
            _ => {
                let at = self.below(self.wire.len() as u64) as usize;
                let message = self.wire.swap_remove(at);
                if self.below(100) < lossy {
                    self.wire.push(message.clone());
                }
                if self.below(100) >= lossy {
                    self.deliver(message);
                }
            }
        }
    }

    fn client(&mut self, index: usize, lossy: u64) {
        if self.below(400) < lossy {
            // The process dies and forgets; what it proposed is in doubt for ever.
            let client = &mut self.clients[index];
            client.proposer = Proposer::new(node(index as u8 + 1));
            client.life += 1;
            (client.pending, client.busy) = (None, false);
        }
        if self.clients[index].busy {
            return;
        }
        let known = self.clients[index].known.clone();
        let ask = match self.clients[index].pending.clone() {
            Some(pending) => Ask::Swap(pending),
            None if self.below(3) == 0 => Ask::Read,
            None => {
                self.nonces += 1;
                let later = self.later(&known.voters);
                let proposed = small(known.version + 1, self.nonces, &later);
                self.clients[index].pending = Some(proposed.clone());
                Ask::Swap(proposed)
            }
        };
        self.clients[index].busy = true;
        let until = Instant(self.now.0 + 5_000_000 + self.below(50_000_000));
        let (electorate, chance) = (known.voters, self.below(u64::MAX));
        self.step(index, Event::Begin { ask, electorate, until, chance });
    }

    /// Now and then a change of voters begins, and what began is ended.
    fn later(&mut self, now: &Electorate) -> Electorate {
        let (text, all) = (now.to_string(), self.voters.keys().copied().collect::<Vec<u64>>());
        if text.contains('+') {
            let next: BTreeSet<Incarnation> = all
                .iter()
                .map(|name| Incarnation(*name))
                .filter(|voter| text.split_once('+').unwrap().1.contains(&voter.to_string()))
                .collect();
            return if self.below(2) == 0 { Electorate::new(next, None) } else { now.clone() };
        }
        if all.len() == 3 || self.below(4) > 0 {
            return now.clone();
        }
        let gone = self.below(all.len() as u64) as usize;
        let next = all.iter().filter(|name| **name != all[gone]).take(3);
        let next: BTreeSet<Incarnation> = next.map(|name| Incarnation(*name)).collect();
        Electorate::new(now.everybody(), Some(next))
    }

    fn step(&mut self, index: usize, event: Event<Small>) {
        let mut effects = Vec::new();
        self.clients[index].proposer.step(self.now, event, &mut effects);
        for effect in effects {
            let (from, life) = (index, self.clients[index].life);
            match effect {
                Effect::Look { to, ballot } => {
                    self.wire.push(Message::Look { voter: to.0, from, life, ballot });
                }
                Effect::Prepare { to, ballot } => {
                    self.wire.push(Message::Prepare { voter: to.0, from, life, ballot });
                }
                Effect::Accept { to, ballot, record } => {
                    self.wire.push(Message::Accept { voter: to.0, from, life, ballot, record });
                }
                Effect::Finished(outcome) => self.finished(index, outcome),
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        let answer = match message {
            Message::Look { voter, from, life, ballot } => {
                let answer = self.voters[&voter].look();
                Message::Answer { voter, to: from, life, ballot, answer }
            }
            Message::Prepare { voter, from, life, ballot } => {
                let answer = self.voters.get_mut(&voter).unwrap().prepare(ballot);
                Message::Answer { voter, to: from, life, ballot, answer }
            }
            Message::Accept { voter, from, life, ballot, record } => {
                let answer = self.voters.get_mut(&voter).unwrap().accept(ballot, record.clone());
                if answer == Answer::Accepted {
                    self.note_accepted(voter, ballot, &record);
                }
                Message::Answer { voter, to: from, life, ballot, answer }
            }
            Message::Answer { voter, to, life, ballot, answer } => {
                if self.clients[to].life == life {
                    let voter = Incarnation(voter);
                    self.step(to, Event::Answered { voter, ballot, answer });
                }
                return;
            }
        };
        self.wire.push(answer);
    }

    /// The invariant: what a majority of its own voters holds at one ballot is the only record of
    /// its version.
    fn note_accepted(&mut self, voter: u64, ballot: Ballot, record: &Small) {
        let holders = self.accepted.entry((record.version, ballot)).or_default();
        holders.insert(voter);
        if record.voters.decides(|voter| holders.contains(&voter.0)) {
            let first = self.chosen.entry(record.version).or_insert_with(|| record.clone());
            assert_eq!(first, record, "two records of one version were chosen");
            assert!(!self.failed.contains(&record.nonce), "{record} was said to have failed");
        }
    }

    fn finished(&mut self, index: usize, outcome: Outcome<Small>) {
        let client = &mut self.clients[index];
        client.busy = false;
        let newest = |known: &Small, record: Small| {
            if record.version > known.version { record } else { known.clone() }
        };
        match outcome {
            Outcome::Current(record) => {
                assert_eq!(self.chosen.get(&record.version), Some(&record), "read, never chosen");
                assert!(client.known.version <= record.version, "a read went back: {record}");
                client.known = record;
            }
            Outcome::Done => {
                let proposed = client.pending.take().unwrap();
                assert_eq!(self.chosen.get(&proposed.version), Some(&proposed));
                client.known = newest(&client.known, proposed);
                self.done += 1;
            }
            Outcome::Failed { current, why } => {
                assert_eq!(why, Failure::Superseded);
                let proposed = client.pending.take().unwrap();
                assert_eq!(self.chosen.get(&current.version), Some(&current));
                if self.chosen.get(&proposed.version) != Some(&proposed) {
                    self.failed.insert(proposed.nonce);
                }
                client.known = newest(&client.known, current);
            }
            Outcome::Empty => panic!("a register that holds a record is never empty"),
            Outcome::Unresolved(_) => {}
        }
    }
}

const SEEDS: u64 = 60;

fn run(names: &[u64], spare: &[u64]) {
    let mut done = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed, names, spare, 3);
        for _ in 0..3_000 {
            world.turn(5);
        }
        done += world.done;
        // A network that behaves lets everybody finish.
        let before = world.done;
        for _ in 0..3_000 {
            world.turn(0);
        }
        assert!(world.done > before, "seed {seed}: nothing is chosen any more");
    }
    assert!(done > SEEDS * 5, "hardly anything happened: {done} swaps");
}

#[test]
fn one_record_a_version_whatever_the_network_does() {
    run(&[1, 2, 3], &[]);
}

#[test]
fn one_record_a_version_with_five_voters() {
    run(&[1, 2, 3, 4, 5], &[]);
}

#[test]
fn one_record_a_version_while_voters_change() {
    run(&[1, 2, 3], &[4, 5]);
}
