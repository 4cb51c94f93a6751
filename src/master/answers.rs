//! Operators' requests to the node and the answers that they wait for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::inbox::Inbox;
use super::{Answer, Event, Request};

/// Requests that may wait at once.
const WAITING_MAX: usize = 256;

#[derive(Default)]
struct Waiting {
    tickets: u64,
    answers: BTreeMap<u64, oneshot::Sender<Answer>>,
}

pub(super) struct Answers {
    inbox: Arc<Inbox>,
    waiting: Mutex<Waiting>,
}

impl Answers {
    pub(super) fn new(inbox: Arc<Inbox>) -> Answers {
        Answers { inbox, waiting: Mutex::default() }
    }

    /// Hands the request to the node and waits at most `wait` for its answer.
    pub(super) async fn ask(&self, request: Request, wait: Duration) -> Answer {
        let Some((ticket, answer)) = self.enter() else {
            return Answer::Refused { reason: "too many requests are waiting".to_owned() };
        };
        self.inbox.report(Event::Request { ticket, request });
        let answered = tokio::time::timeout(wait, answer).await;
        self.lock().answers.remove(&ticket);
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::Unknown { reason: "the node is stopping".to_owned() },
            Err(_) => Answer::Unknown {
                reason: format!("no answer within {} s; see the server log", wait.as_secs()),
            },
        }
    }

    pub(super) fn give(&self, ticket: u64, answer: Answer) {
        if let Some(waiting) = self.lock().answers.remove(&ticket) {
            // Whoever asked may have gone.
            let _ = waiting.send(answer);
        }
    }

    fn enter(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let mut waiting = self.lock();
        if waiting.answers.len() >= WAITING_MAX {
            return None;
        }
        waiting.tickets += 1;
        let ticket = waiting.tickets;
        let (sender, answer) = oneshot::channel();
        waiting.answers.insert(ticket, sender);
        Some((ticket, answer))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
