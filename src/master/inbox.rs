//! What reaches the node: events from threads and tasks that performed something, from the
//! network, and from sessions.
//!
//! Whoever brings something also takes the node's next turn, unless somebody is at it, who then
//! looks again before leaving. So nothing waits for a thread to be woken: a proposal is shipped by
//! its session's thread, and an ack is sent by the thread that flushed. The node's own thread
//! comes for deadlines, and when others would be kept too long.
//!
//! A completion is never turned away, since each answers one effect and effects are bounded by the
//! node; a message may be lost as on any network; a proposal is turned away when too much waits.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use crate::runtime::Clock;
use crate::types::{Epoch, Instant, Member, Message};

use super::Event;
use super::fatal::Fatal;

/// Above this, messages are dropped and proposals refused.
const WAITING_MAX: usize = 65_536;

/// The longest sleep: the clock that decides counts suspend, the one that wakes us does not.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Inputs of one turn, and turns that somebody else's thread takes in a row.
const TURN_INPUTS: usize = 512;
const TURNS_MAX: usize = 4;

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once, from the queue to the node")]
pub(super) enum Input {
    Event(Event),
    /// A transaction that was checked for conflicts in the reign of `epoch`.
    Propose {
        epoch: Epoch,
        ticket: u64,
        payload: Vec<u8>,
    },
}

/// The node and whatever carries out its effects.
pub(super) trait Driver: Send {
    /// Takes all of `inputs`, and the node's deadline where it has come.
    fn turn(&mut self, inputs: &mut Vec<Input>);
    fn deadline(&self) -> Option<Instant>;
}

/// * Every input is taken once, in the order in which inputs came.
/// * Nothing waits while nobody is at the driver, from `run`'s begin to its end.
/// * Whoever holds `waiting` never waits for `driver`.
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    driver: Mutex<Option<Box<dyn Driver>>>,
    clock: Arc<dyn Clock>,
    fatal: Fatal,
}

#[derive(Debug, Default)]
struct Waiting {
    inputs: VecDeque<Input>,
    /// The node's, after the last turn.
    deadline: Option<Instant>,
    /// When the node's own thread gets up by itself; `None`: it is up.
    asleep_until: Option<Instant>,
    /// It is to get up now.
    rung: bool,
    closed: bool,
}

impl Inbox {
    pub(super) fn new(clock: Arc<dyn Clock>, fatal: Fatal) -> Inbox {
        let (waiting, driver) = (Mutex::default(), Mutex::new(None));
        Inbox { waiting, bell: Condvar::new(), driver, clock, fatal }
    }

    /// Something is done. Lost only when the node has ended. The caller holds no lock.
    pub(super) fn report(&self, event: Event) {
        if self.put(Input::Event(event), usize::MAX) {
            self.take_turns();
        }
    }

    /// Lost when too much waits. The caller holds no lock.
    pub(super) fn receive(&self, from: Member, message: Message) {
        if self.put(Input::Event(Event::Received { from, message }), WAITING_MAX) {
            self.take_turns();
        }
    }

    /// As `receive`, left to the node's own thread: the caller may hold locks.
    pub(super) fn leave(&self, from: Member, message: Message) {
        if self.put(Input::Event(Event::Received { from, message }), WAITING_MAX) {
            self.ring();
        }
    }

    /// False when too much waits. The caller holds no lock.
    pub(super) fn propose(&self, epoch: Epoch, ticket: u64, payload: Vec<u8>) -> bool {
        let is_taken = self.put(Input::Propose { epoch, ticket, payload }, WAITING_MAX);
        if is_taken {
            self.take_turns();
        }
        is_taken
    }

    /// The node's own thread: from here until `close` the node is driven.
    pub(super) fn run(&self, driver: Box<dyn Driver>) {
        *self.driver() = Some(driver);
        loop {
            if let Some(driver) = self.driver().as_mut() {
                self.turn(driver.as_mut());
            }
            if !self.sleep() {
                break;
            }
        }
        // Dropped here, since it holds handles on this inbox.
        drop(self.driver().take());
    }

    /// Nothing more is taken; `run` ends when everything has been.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.bell.notify_all();
    }

    fn put(&self, input: Input, waiting_max: usize) -> bool {
        let mut waiting = self.waiting();
        let is_taken = !waiting.closed && waiting.inputs.len() < waiting_max;
        if is_taken {
            waiting.inputs.push_back(input);
        }
        is_taken
    }

    fn take_turns(&self) {
        for _ in 0..TURNS_MAX {
            let mut held = match self.driver.try_lock() {
                Ok(held) => held,
                // Somebody is at it, and looks again after leaving.
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(held)) => held.into_inner(),
            };
            // Before `run`, and after it, nobody drives.
            let Some(driver) = held.as_mut() else { return };
            self.turn(driver.as_mut());
            drop(held);
            if self.waiting().inputs.is_empty() {
                return;
            }
        }
        self.ring();
    }

    fn turn(&self, driver: &mut dyn Driver) {
        let mut inputs: Vec<Input> = {
            let mut waiting = self.waiting();
            let count = waiting.inputs.len().min(TURN_INPUTS);
            waiting.inputs.drain(..count).collect()
        };
        // A panic is a broken invariant, and this may be the thread of a session, which would
        // swallow it: the process must not go on without its node.
        if catch_unwind(AssertUnwindSafe(|| driver.turn(&mut inputs))).is_err() {
            self.fatal.end("the node panicked");
        }
        let mut waiting = self.waiting();
        waiting.deadline = driver.deadline();
        let (deadline, asleep_until) = (waiting.deadline, waiting.asleep_until);
        drop(waiting);
        if deadline.zip(asleep_until).is_some_and(|(at, until)| at < until) {
            self.ring();
        }
    }

    /// Until the deadline comes or somebody rings; false when closed and empty.
    fn sleep(&self) -> bool {
        let mut waiting = self.waiting();
        // What was brought while this thread was at the driver was left to it.
        if waiting.inputs.is_empty() && !waiting.rung && !waiting.closed {
            let now = self.clock.now();
            let rest = waiting.deadline.map_or(SLEEP_MAX, |at| at.since(now).min(SLEEP_MAX));
            waiting.asleep_until = Some(now.after(rest));
            let idle = |waiting: &mut Waiting| !waiting.rung && !waiting.closed;
            let waited = self.bell.wait_timeout_while(waiting, rest, idle);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            waiting.asleep_until = None;
        }
        waiting.rung = false;
        !waiting.closed || !waiting.inputs.is_empty()
    }

    fn ring(&self) {
        self.waiting().rung = true;
        self.bell.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn driver(&self) -> MutexGuard<'_, Option<Box<dyn Driver>>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, where nobody drives.
    #[cfg(test)]
    pub(super) fn taken(&self) -> Vec<Input> {
        self.waiting().inputs.drain(..).collect()
    }
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
