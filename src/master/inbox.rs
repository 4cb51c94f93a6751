//! What reaches the node's loop: events, from threads and tasks that performed something, from the
//! network, and from sessions.
//!
//! A completion is never turned away, since each answers one effect and effects are bounded by the
//! node; a message may be lost as on any network; a proposal is turned away when too much waits.

use crate::types::{Epoch, Member, Message};

use super::Event;
use super::queue::{Drained, Queue};

/// Above this, messages are dropped and proposals refused.
const WAITING_MAX: usize = 65_536;

/// Completions on top of that: far more than effects can be under way.
const COMPLETIONS_MAX: usize = 1 << 22;

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

#[derive(Debug)]
pub(super) struct Inbox {
    queue: Queue<Input>,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox { queue: Queue::new(COMPLETIONS_MAX) }
    }

    /// Something is done. Lost only when the node's loop has ended.
    pub(super) fn report(&self, event: Event) {
        let _ = self.queue.push(Input::Event(event));
    }

    /// Lost when too much waits.
    pub(super) fn receive(&self, from: Member, message: Message) {
        let input = Input::Event(Event::Received { from, message });
        let _ = self.queue.push_below(input, WAITING_MAX);
    }

    pub(super) fn propose(&self, epoch: Epoch, ticket: u64, payload: Vec<u8>) -> bool {
        let input = Input::Propose { epoch, ticket, payload };
        self.queue.push_below(input, WAITING_MAX).is_ok()
    }

    pub(super) fn drain(&self, wait: std::time::Duration, out: &mut Vec<Input>) -> Drained {
        self.queue.drain(Some(wait), out)
    }

    pub(super) fn close(&self) {
        self.queue.close();
    }
}
