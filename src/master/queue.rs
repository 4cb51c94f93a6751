//! A queue between threads that is emptied as a whole, so that whoever works on it groups what
//! has gathered meanwhile. Bounded: beyond the limit an item is handed back to its sender.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    bell: Condvar,
    limit: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// Why an item was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    Open,
    /// Nothing will come any more; what was still there has been handed out.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), closed: false };
        Queue { state: Mutex::new(state), bell: Condvar::new(), limit }
    }

    pub(super) fn push(&self, item: T) -> Result<(), Refused> {
        self.push_below(item, self.limit)
    }

    /// As `push`, with a lower limit.
    pub(super) fn push_below(&self, item: T, limit: usize) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.items.len() >= limit.min(self.limit) {
            return Err(Refused::Full);
        }
        state.items.push_back(item);
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Moves everything into `out`; waits for the first item, at most `wait` where given.
    pub(super) fn drain(&self, wait: Option<Duration>, out: &mut Vec<T>) -> Drained {
        let mut state = self.lock();
        let idle = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        state = match wait {
            None => self.bell.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(wait) => {
                let waited = self.bell.wait_timeout_while(state, wait, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        out.extend(state.items.drain(..));
        if state.closed { Drained::Closed } else { Drained::Open }
    }

    /// Nothing more is taken; the worker ends when it has emptied the queue.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_full_or_closed_queue_refuses() {
        let queue = Queue::new(1);
        assert_eq!(queue.push(1), Ok(()));
        assert_eq!(queue.push(2), Err(Refused::Full));
        queue.close();
        assert_eq!(queue.push(3), Err(Refused::Closed));
        let mut out = Vec::new();
        assert_eq!(queue.drain(None, &mut out), Drained::Closed);
        assert_eq!(out, [1]);
    }

    #[test]
    fn waiting_ends_by_time_or_by_an_item() {
        let queue = Arc::new(Queue::new(8));
        let mut out = Vec::new();
        let wait = Some(Duration::from_millis(1));
        assert_eq!(queue.drain(wait, &mut out), Drained::Open);
        assert!(out.is_empty());
        let sender = Arc::clone(&queue);
        let thread = std::thread::spawn(move || sender.push(5));
        assert_eq!(queue.drain(None, &mut out), Drained::Open);
        assert_eq!(out, [5]);
        thread.join().unwrap().unwrap();
    }
}
