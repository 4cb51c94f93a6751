//! The masters' side of the embedded register in the world: one attempt at a time in a process,
//! bounded, as its driver in the daemon does it.

use std::collections::VecDeque;
use std::time::Duration;

use aerie::ha::register::{Ask, Effect, Event, Outcome, Proposer, Record};
use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::types::{ClusterState, Epoch, Instant, NodeId, Nonce};

use crate::action::Action;
use crate::voters::Voting;
use crate::world::{LEASE, World};

/// Bound of one attempt.
const ATTEMPT: Duration = Duration::from_millis(LEASE.as_millis() as u64 * 3 / 10);

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

    pub fn proposed(&self) -> impl Iterator<Item = &ClusterState> {
        let waiting = self.waiting.iter().map(|(_, ask, _)| ask);
        let asks = waiting.chain(self.under_way.iter().map(|(_, ask, _)| ask));
        asks.filter_map(|ask| match ask {
            Ask::Swap(record) => Some(record),
            _ => None,
        })
    }
}

impl World {
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

    pub fn step_proposer(&mut self, id: NodeId, life: u64, event: Event<ClusterState>) {
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

    pub fn wake_proposer(&mut self, id: NodeId, life: u64) {
        if !self.current(id, life) {
            return;
        }
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        host.asking.wake = None;
        let due = host.asking.proposer.deadline().is_some_and(|at| at <= host.clock(now));
        if due {
            self.step_proposer(id, life, Event::Deadline);
        } else {
            self.arm_proposer(id);
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
}
