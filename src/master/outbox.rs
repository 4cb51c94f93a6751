//! What waits to be sent to one peer. Bounded: messages may be lost, memory may not grow.
//!
//! Heartbeats have a lane of their own and go first, since a peer counts time by them and what is
//! ahead of them may be a megabyte of log. Everything else keeps its order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::types::{Envelope, Message};

/// Only the newest heartbeats say anything; two, since one of them may carry the record.
const HEARTBEATS_MAX: usize = 2;
const MESSAGES_MAX: usize = 4096;
const LOG_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: Mutex<Lanes>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Lanes {
    heartbeats: VecDeque<Envelope>,
    messages: VecDeque<Envelope>,
    /// Of the log records in `messages`.
    log_bytes: usize,
}

impl Outbox {
    /// False when there was no room and the message is lost.
    pub(crate) fn push(&self, envelope: Envelope) -> bool {
        let is_taken = self.lanes().push(envelope);
        self.arrived.notify_one();
        is_taken
    }

    /// Waits for the next message to be sent; safe to drop while waiting.
    pub(crate) async fn next(&self) -> Envelope {
        loop {
            let next = self.lanes().pop();
            match next {
                Some(envelope) => return envelope,
                None => self.arrived.notified().await,
            }
        }
    }

    /// Forgets what could not be sent: it would be stale by the time that it can.
    pub(crate) fn clear(&self) {
        *self.lanes() = Lanes::default();
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn push(&mut self, envelope: Envelope) -> bool {
        if matches!(envelope.message, Message::Heartbeat { .. }) {
            self.heartbeats.push_back(envelope);
            if self.heartbeats.len() > HEARTBEATS_MAX {
                self.heartbeats.pop_front();
            }
            return true;
        }
        let bytes = log_bytes(&envelope);
        let is_too_much = bytes > 0 && self.log_bytes > 0 && self.log_bytes + bytes > LOG_BYTES_MAX;
        if self.messages.len() >= MESSAGES_MAX || is_too_much {
            return false;
        }
        self.log_bytes += bytes;
        self.messages.push_back(envelope);
        true
    }

    fn pop(&mut self) -> Option<Envelope> {
        if let Some(heartbeat) = self.heartbeats.pop_front() {
            return Some(heartbeat);
        }
        let envelope = self.messages.pop_front()?;
        self.log_bytes -= log_bytes(&envelope);
        Some(envelope)
    }
}

fn log_bytes(envelope: &Envelope) -> usize {
    match &envelope.message {
        Message::Append { records, .. } => records.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClusterId, Epoch, Incarnation, Instant, Lsn, Member, NodeId};

    fn envelope(message: Message) -> Envelope {
        let node = NodeId::new(1).unwrap();
        let from = Member { node, incarnation: Incarnation(1) };
        Envelope { cluster: ClusterId(1), from, to: node, message }
    }

    fn heartbeat(lsn: u64) -> Envelope {
        let (epoch, write_lsn, commit_lsn) = (Epoch(257), Lsn(lsn), Lsn(0));
        let sent_at = Instant(0);
        envelope(Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record: None })
    }

    fn append(bytes: usize) -> Envelope {
        envelope(Message::Append {
            epoch: Epoch(257),
            from: Lsn(0),
            records: vec![0; bytes],
            commit_lsn: Lsn(0),
            sent_at: Instant(0),
        })
    }

    fn inquiry(attempt: u64) -> Envelope {
        envelope(Message::Inquiry { attempt })
    }

    #[tokio::test]
    async fn heartbeats_go_first_and_only_the_newest() {
        let outbox = Outbox::default();
        assert!(outbox.push(append(10)));
        assert!(outbox.push(inquiry(1)));
        for lsn in 1..=5 {
            assert!(outbox.push(heartbeat(lsn)));
        }
        let expected = [heartbeat(4), heartbeat(5), append(10), inquiry(1)];
        for expected in expected {
            assert_eq!(outbox.next().await, expected);
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_lost_and_room_comes_back() {
        let outbox = Outbox::default();
        for _ in 0..16 {
            assert!(outbox.push(append(1 << 20)));
        }
        assert!(!outbox.push(append(1)), "the log's share is full");
        assert!(outbox.push(inquiry(1)), "but not that of small messages");
        outbox.next().await;
        assert!(outbox.push(append(1 << 20)));
        outbox.clear();
        assert!(outbox.push(append(LOG_BYTES_MAX * 2)), "one that is too long goes alone");
        assert!((0..MESSAGES_MAX as u64 - 1).all(|attempt| outbox.push(inquiry(attempt))));
        assert!(!outbox.push(inquiry(0)));
    }

    #[tokio::test]
    async fn a_waiting_receiver_is_woken() {
        let outbox = std::sync::Arc::new(Outbox::default());
        let waiting = tokio::spawn({
            let outbox = std::sync::Arc::clone(&outbox);
            async move { outbox.next().await }
        });
        tokio::task::yield_now().await;
        outbox.push(inquiry(9));
        assert_eq!(waiting.await.unwrap(), inquiry(9));
    }
}
