//! A statement against what may end it: a cancel request, its timeout, the end of its session, the
//! end of its client. Work that is dropped must not go on: `query` stops its threads itself.
//!
//! A statement whose commit is on its way is not cancelled. When the session ends under it, it gets
//! a short while to say how it came out; after that its outcome is reported as unknown.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Failure;
use super::wire::{Ending, Stop, ended};

/// How long a commit under way may take once its session is told to end.
const COMMIT_GRACE: Duration = Duration::from_secs(1);
/// Stands in for "no timeout".
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The strings by which a session is pulled.
pub struct Orders {
    pub ending: Ending,
    pub cancels: watch::Receiver<u64>,
    pub committing: Arc<AtomicBool>,
}

#[derive(Debug)]
pub enum Raced<T> {
    Done(Result<T, Failure>),
    /// The work was dropped; the session goes on.
    Dropped(Failure),
    /// The work was dropped and the session ends.
    Stopped(Stop),
}

impl Orders {
    /// Cancel requests from now on concern the statement that begins now.
    pub fn begin_statement(&mut self) {
        self.cancels.mark_unchanged();
    }

    fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Acquire)
    }

    pub async fn race<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
        limit: Option<Duration>,
    ) -> Raced<T> {
        self.race_with(work, limit, pending()).await
    }

    /// As `race`, and `gone` is the end of the client.
    pub async fn race_with<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
        limit: Option<Duration>,
        gone: impl Future<Output = ()>,
    ) -> Raced<T> {
        let mut work = pin!(work);
        let mut gone = pin!(gone);
        let mut clock = pin!(sleep(limit.unwrap_or(NEVER)));
        let mut timed = limit.is_some();
        loop {
            let failure = tokio::select! {
                biased;
                done = &mut work => return Raced::Done(done),
                stop = ended(&mut self.ending) => return self.last_words(work, stop).await,
                () = &mut gone => return self.last_words(work, Stop::Gone).await,
                Ok(()) = self.cancels.changed() => Failure::canceled(),
                () = &mut clock, if timed => {
                    timed = false;
                    Failure::statement_timeout()
                }
            };
            if !self.is_committing() {
                return Raced::Dropped(failure);
            }
        }
    }

    async fn last_words<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
        stop: Stop,
    ) -> Raced<T> {
        if !self.is_committing() {
            return Raced::Stopped(stop);
        }
        match timeout(COMMIT_GRACE, work).await {
            Ok(done) => Raced::Done(done),
            Err(_) => Raced::Stopped(Failure::outcome_unknown().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    struct Strings {
        end: watch::Sender<Option<Failure>>,
        cancel: watch::Sender<u64>,
        committing: Arc<AtomicBool>,
    }

    fn orders() -> (Strings, Orders) {
        let strings = Strings {
            end: watch::Sender::new(None),
            cancel: watch::Sender::new(0),
            committing: Arc::default(),
        };
        let orders = Orders {
            ending: strings.end.subscribe(),
            cancels: strings.cancel.subscribe(),
            committing: Arc::clone(&strings.committing),
        };
        (strings, orders)
    }

    #[tokio::test]
    async fn a_cancel_from_before_the_statement_does_not_count() {
        let (strings, mut orders) = orders();
        strings.cancel.send_modify(|count| *count += 1);
        orders.begin_statement();
        let raced = orders.race(pending::<Result<(), Failure>>(), Some(Duration::ZERO)).await;
        let Raced::Dropped(failure) = raced else { panic!("{raced:?}") };
        assert_eq!(failure, Failure::statement_timeout());
    }

    #[tokio::test]
    async fn a_cancel_drops_the_work() {
        let (strings, mut orders) = orders();
        strings.cancel.send_modify(|count| *count += 1);
        let raced = orders.race(pending::<Result<(), Failure>>(), None).await;
        assert!(matches!(raced, Raced::Dropped(failure) if failure == Failure::canceled()));
    }

    /// The commit ends by itself only after it has seen the cancel request come and go.
    #[tokio::test]
    async fn a_commit_under_way_is_not_cancelled() {
        let (strings, mut orders) = orders();
        strings.committing.store(true, Ordering::Release);
        strings.cancel.send_modify(|count| *count += 1);
        let work = async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Ok(7)
        };
        let raced = orders.race(work, Some(Duration::ZERO)).await;
        assert!(matches!(raced, Raced::Done(Ok(7))), "{raced:?}");
    }

    #[tokio::test]
    async fn a_commit_that_outlives_its_session_is_unknown() {
        let (strings, mut orders) = orders();
        strings.committing.store(true, Ordering::Release);
        strings.end.send_replace(Some(Failure::terminated()));
        let raced = orders.race(pending::<Result<(), Failure>>(), None).await;
        let Raced::Stopped(Stop::Say(failure)) = raced else { panic!("{raced:?}") };
        assert_eq!((failure.state.code(), failure.is_fatal()), ("08007", true));
    }

    #[tokio::test]
    async fn a_client_that_goes_drops_its_work_but_not_its_commit() {
        let (strings, mut orders) = orders();
        let raced = orders.race_with(pending::<Result<(), Failure>>(), None, ready(())).await;
        assert!(matches!(raced, Raced::Stopped(Stop::Gone)), "{raced:?}");
        strings.committing.store(true, Ordering::Release);
        let work = async {
            tokio::task::yield_now().await;
            Ok(7)
        };
        let raced = orders.race_with(work, None, ready(())).await;
        assert!(matches!(raced, Raced::Done(Ok(7))), "{raced:?}");
    }

    #[tokio::test]
    async fn the_end_of_the_session_drops_other_work() {
        let (strings, mut orders) = orders();
        strings.end.send_replace(Some(Failure::terminated()));
        let raced = orders.race(pending::<Result<(), Failure>>(), None).await;
        let Raced::Stopped(Stop::Say(failure)) = raced else { panic!("{raced:?}") };
        assert_eq!(*failure, Failure::terminated());
        // What is done at the same moment counts as done.
        let raced = orders.race(ready(Ok(1)), None).await;
        assert!(matches!(raced, Raced::Done(Ok(1))));
    }
}
