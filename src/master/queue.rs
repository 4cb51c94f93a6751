//! A queue between threads that is emptied as a whole, so that whoever works on it groups what
//! has gathered meanwhile. Bounded: beyond the limit an item is handed back to its sender. The
//! worker is woken only when it sleeps: a wake-up is a system call, also for one that is awake.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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
    /// The worker sleeps and nobody has rung for it since.
    sleeping: bool,
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
        let state = State { items: VecDeque::new(), closed: false, sleeping: false };
        Queue { state: Mutex::new(state), bell: Condvar::new(), limit }
    }

    pub(super) fn push(&self, item: T) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.items.len() >= self.limit {
            return Err(Refused::Full);
        }
        state.items.push_back(item);
        self.ring(state);
        Ok(())
    }

    /// All of `items` in their order, or none of them.
    pub(super) fn push_all(&self, items: &mut Vec<T>) -> Result<(), Refused> {
        if items.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.items.len() + items.len() > self.limit {
            return Err(Refused::Full);
        }
        state.items.extend(items.drain(..));
        self.ring(state);
        Ok(())
    }

    fn ring(&self, mut state: MutexGuard<'_, State<T>>) {
        let was_sleeping = std::mem::take(&mut state.sleeping);
        drop(state);
        if was_sleeping {
            self.bell.notify_one();
        }
    }

    /// Waits for the first item and moves everything into `out`. For one worker alone.
    pub(super) fn drain(&self, out: &mut Vec<T>) -> Drained {
        let mut state = self.lock();
        while state.items.is_empty() && !state.closed {
            state.sleeping = true;
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeping = false;
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
        let queue = Queue::new(3);
        assert_eq!(queue.push_all(&mut vec![1, 2]), Ok(()));
        let mut two = vec![3, 4];
        assert_eq!((queue.push_all(&mut two), two.len()), (Err(Refused::Full), 2));
        assert_eq!(queue.push(5), Ok(()));
        assert_eq!(queue.push(6), Err(Refused::Full));
        queue.close();
        assert_eq!(queue.push(7), Err(Refused::Closed));
        let mut out = Vec::new();
        assert_eq!(queue.drain(&mut out), Drained::Closed);
        assert_eq!(out, [1, 2, 5]);
    }

    /// A wake-up that is lost would leave the worker asleep for good.
    #[test]
    fn a_sleeping_worker_is_woken_for_every_item() {
        const SENDERS: usize = 4;
        const ITEMS: usize = 2_000;
        let queue = Arc::new(Queue::new(SENDERS * ITEMS));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    (0..ITEMS).for_each(|n| queue.push(sender * ITEMS + n).unwrap());
                })
            })
            .collect();
        let (mut all, mut out) = (Vec::new(), Vec::new());
        while all.len() < SENDERS * ITEMS {
            assert_eq!(queue.drain(&mut out), Drained::Open);
            assert!(!out.is_empty(), "woken for nothing");
            all.append(&mut out);
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        all.sort_unstable();
        assert!(all.into_iter().eq(0..SENDERS * ITEMS));
    }
}
