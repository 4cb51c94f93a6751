//! The embedded register, exhaustively: two proposers and their voters, every order of messages.
//!
//! An accept stays in the network until its answer is heard: it may arrive never, late, and again
//! and again. An answer is heard when it is given or never; hearing it later is the same as sending
//! what follows from it later. A prepare whose answer is not heard only keeps its voter from
//! accepting more, so each is delivered at most once, in its round. Time is left out: an attempt
//! may end at any moment, a back-off too. A proposer may die and come back without memory, with
//! another nonce.
//!
//! Checked in every state: one record a version is ever chosen, a ballot carries one record, what
//! was said to be done or read was chosen, what was said to have failed never is.

use std::collections::{BTreeMap, BTreeSet};

use aerie::ha::register::{
    Acceptor, Answer, Ask, Ballot, Effect, Event, Outcome, Proposer, Record,
};
use aerie::types::{Incarnation, Instant, NodeId};
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use crate::tiny::{BOTH, BOTH_APART, NEW, NEW_APART, OLD, OLD_APART, STABLE, Tiny};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Question {
    Look,
    Prepare,
    Accept(Tiny),
}

/// On its way to a voter, from a life of a proposer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Request {
    voter: u8,
    from: u8,
    life: u8,
    ballot: Ballot,
    question: Question,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Client {
    machine: Proposer<Tiny>,
    life: u8,
    /// The newest record that it knows to have been chosen.
    known: Tiny,
    pending: Option<Tiny>,
    tries: u8,
    busy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    voters: Vec<Acceptor<Tiny>>,
    clients: Vec<Client>,
    wire: BTreeSet<Request>,
    /// Which voters (as bits) ever accepted at a ballot, and what.
    accepted: BTreeMap<Ballot, BTreeMap<Tiny, u8>>,
    failed: BTreeSet<Tiny>,
    /// Something was said that is not so.
    lie: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    Deliver { request: Request, heard: bool },
    BackOffEnds(usize),
    AttemptEnds(usize),
    Dies(usize),
}

/// The bounds: what clients ask, how often, and which ballots there are.
#[derive(Debug, Clone)]
struct Register {
    /// The first proposer changes the voters through these stages, its second try being the second
    /// step; attempts do not end early then.
    stages: Option<[u8; 3]>,
    /// The second one reads.
    reads: bool,
    /// Of each proposer.
    tries: [u8; 2],
    deaths: u8,
    counter_max: u64,
}

const FOREVER: Instant = Instant(u64::MAX);

impl State {
    fn chosen(&self) -> Vec<Tiny> {
        let all = self.accepted.values().flatten();
        let decided = all.filter(|(record, holders)| {
            record.electorate().decides(|voter| *holders & (1 << voter.0) != 0)
        });
        decided.map(|(record, _)| *record).collect()
    }
}

impl Register {
    fn begin(&self, state: &mut State, index: usize) {
        let client = &mut state.clients[index];
        if client.tries == 0 {
            return;
        }
        client.tries -= 1;
        client.busy = true;
        let known = client.known;
        let ask = match client.pending {
            Some(pending) => Ask::Swap(pending),
            None if self.reads && index == 1 => Ask::Read,
            None => {
                let steps = self.stages.iter().flat_map(|stages| stages.windows(2));
                let step = steps.filter(|_| index == 0).find(|step| step[0] == known.stage);
                let stage = step.map_or(known.stage, |step| step[1]);
                // Unique: who, in which life, at which try.
                let nonce = 100 * (index as u8 + 1) + 10 * client.life + client.tries;
                let proposed = Tiny { version: known.version + 1, nonce, stage };
                client.pending = Some(proposed);
                Ask::Swap(proposed)
            }
        };
        let electorate = known.electorate();
        self.step(state, index, Event::Begin { ask, electorate, until: FOREVER, chance: 0 });
    }

    fn step(&self, state: &mut State, index: usize, event: Event<Tiny>) {
        self.step_at(state, index, Instant(0), event);
    }

    fn step_at(&self, state: &mut State, index: usize, now: Instant, event: Event<Tiny>) {
        let mut effects = Vec::new();
        state.clients[index].machine.step(now, event, &mut effects);
        if !effects.is_empty() {
            // The round is over.
            let accept = |question: &Question| matches!(question, Question::Accept(_));
            state
                .wire
                .retain(|request| usize::from(request.from) != index || accept(&request.question));
        }
        let (from, life) = (index as u8, state.clients[index].life);
        for effect in effects {
            let (to, ballot, question) = match effect {
                Effect::Look { to, ballot } => (to, ballot, Question::Look),
                Effect::Prepare { to, ballot } => (to, ballot, Question::Prepare),
                Effect::Accept { to, ballot, record } => (to, ballot, Question::Accept(record)),
                Effect::Finished(outcome) => {
                    self.finished(state, index, outcome);
                    continue;
                }
            };
            state.wire.insert(Request { voter: to.0 as u8, from, life, ballot, question });
        }
    }

    fn finished(&self, state: &mut State, index: usize, outcome: Outcome<Tiny>) {
        let chosen = state.chosen();
        let client = &mut state.clients[index];
        client.busy = false;
        match outcome {
            Outcome::Done => {
                let proposed = client.pending.take().unwrap();
                if !chosen.contains(&proposed) {
                    state.lie = Some("said to be done, never chosen");
                }
                client.known = client.known.max(proposed);
            }
            Outcome::Failed { current, .. } => {
                let proposed = client.pending.take().unwrap();
                if !chosen.contains(&current) {
                    state.lie = Some("failed because of a record that was never chosen");
                }
                if !chosen.contains(&proposed) {
                    state.failed.insert(proposed);
                }
                client.known = client.known.max(current);
            }
            Outcome::Current(record) => {
                if !chosen.contains(&record) {
                    state.lie = Some("read, never chosen");
                }
                if record.version < client.known.version {
                    state.lie = Some("a read went back");
                }
                client.known = record;
            }
            Outcome::Empty => state.lie = Some("a register that holds a record is not empty"),
            Outcome::Unresolved(_) => {}
        }
        self.begin(state, index);
    }

    fn deliver(&self, state: &mut State, request: Request, heard: bool) {
        if heard {
            state.wire.remove(&request);
        }
        let Request { voter, from, life, ballot, question } = request;
        let acceptor = &mut state.voters[usize::from(voter)];
        let answer = match question {
            Question::Look => acceptor.look(),
            Question::Prepare => acceptor.prepare(ballot),
            Question::Accept(record) => {
                let answer = acceptor.accept(ballot, record);
                if answer == Answer::Accepted {
                    let holders = state.accepted.entry(ballot).or_default();
                    *holders.entry(record).or_default() |= 1 << voter;
                }
                answer
            }
        };
        let index = usize::from(from);
        if heard && state.clients[index].life == life {
            let voter = Incarnation(u64::from(voter));
            self.step(state, index, Event::Answered { voter, ballot, answer });
        }
    }
}

impl Model for Register {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let stage = self.stages.map_or(STABLE, |[old, ..]| old);
        let first = Tiny { version: 1, nonce: 1, stage };
        let holders = if self.stages.is_some() { 0b011 } else { 0b111 };
        let holds = Acceptor { promised: Ballot(1), accepted: Ballot(1), record: Some(first) };
        let mut voters = vec![holds; 3];
        if self.stages.is_some() {
            voters[2] = Acceptor::default();
        }
        let client = |number: u8| Client {
            machine: Proposer::new(NodeId::new(number).unwrap()),
            life: 0,
            known: first,
            pending: None,
            tries: self.tries[usize::from(number) - 1],
            busy: false,
        };
        let mut state = State {
            voters,
            clients: vec![client(1), client(2)],
            wire: BTreeSet::new(),
            accepted: BTreeMap::from([(Ballot(1), BTreeMap::from([(first, holders)]))]),
            failed: BTreeSet::new(),
            lie: None,
        };
        self.begin(&mut state, 0);
        self.begin(&mut state, 1);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for request in &state.wire {
            actions.push(Action::Deliver { request: request.clone(), heard: true });
            if matches!(request.question, Question::Accept(_)) {
                actions.push(Action::Deliver { request: request.clone(), heard: false });
            }
        }
        for (index, client) in state.clients.iter().enumerate() {
            if client.busy && client.machine.deadline() != Some(FOREVER) {
                actions.push(Action::BackOffEnds(index));
            }
            if client.busy && client.tries > 0 && self.stages.is_none() {
                actions.push(Action::AttemptEnds(index));
            }
            if client.life < self.deaths && client.tries > 0 {
                actions.push(Action::Dies(index));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Deliver { request, heard } => self.deliver(&mut next, request, heard),
            Action::BackOffEnds(index) => {
                let at = next.clients[index].machine.deadline()?;
                self.step_at(&mut next, index, at, Event::Deadline);
            }
            Action::AttemptEnds(index) => self.step_at(&mut next, index, FOREVER, Event::Deadline),
            Action::Dies(index) => {
                let client = &mut next.clients[index];
                client.machine = Proposer::new(NodeId::new(index as u8 + 1)?);
                client.life += 1;
                client.pending = None;
                self.begin(&mut next, index);
            }
        }
        (next != *state).then_some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        let most = Ballot(self.counter_max << 8 | 0xFF);
        state.wire.iter().all(|request| request.ballot <= most)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::<Self>::always("one record a version", |_, state: &State| {
                let chosen = state.chosen();
                let versions: BTreeSet<u8> = chosen.iter().map(|record| record.version).collect();
                let records: BTreeSet<&Tiny> = chosen.iter().collect();
                versions.len() == records.len()
            }),
            Property::<Self>::always("one record a ballot", |_, state: &State| {
                state.accepted.values().all(|records| records.len() == 1)
            }),
            Property::<Self>::always("what failed is never chosen", |_, state: &State| {
                state.chosen().iter().all(|record| !state.failed.contains(record))
            }),
            Property::<Self>::always("nothing false is said", |_, state: &State| {
                state.lie.is_none()
            }),
            Property::<Self>::sometimes("the first record is followed", |_, state: &State| {
                state.chosen().iter().any(|record| record.version == 2)
            }),
        ];
        if self.stages.is_some() {
            all.push(Property::<Self>::sometimes("the new voters decide", |_, state: &State| {
                state.chosen().iter().any(|record| [NEW, NEW_APART].contains(&record.stage))
            }));
        }
        all
    }
}

fn explore(register: Register) {
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(4));
    let checker = register.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.threads(threads).spawn_bfs().join();
    println!("{register:?}: {} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn three_voters_choose_one_record_a_version() {
    explore(Register { stages: None, reads: false, tries: [1, 1], deaths: 0, counter_max: 2 });
}

#[test]
fn a_read_tells_only_what_was_chosen() {
    explore(Register { stages: None, reads: true, tries: [2, 1], deaths: 0, counter_max: 2 });
}

#[test]
fn a_proposer_that_forgot_its_ballots_does_no_harm() {
    explore(Register { stages: None, reads: false, tries: [2, 1], deaths: 1, counter_max: 1 });
}

#[test]
fn one_record_a_version_while_the_voters_change() {
    let stages = Some([OLD, BOTH, NEW]);
    explore(Register { stages, reads: false, tries: [2, 2], deaths: 0, counter_max: 3 });
}

#[test]
fn one_record_a_version_while_the_voters_become_others() {
    let stages = Some([OLD_APART, BOTH_APART, NEW_APART]);
    explore(Register { stages, reads: false, tries: [2, 2], deaths: 0, counter_max: 3 });
}
