//! How a running query is stopped, and how heavy ones wait for each other.
//!
//! A query has its thread to itself (`deep`); everything it does there asks `attend` now and then:
//! each operator before each batch, each join's condition before each batch of pairs. It learns
//! there that nobody waits any more, and waits there when it has become heavy and enough heavy
//! ones run. It never decides when a query has to stop: whoever drops the future does.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;

/// A query that has run for so long counts as heavy.
const LIGHT: Duration = Duration::from_millis(200);
/// Heavy queries that run at the same time.
const HEAVY_MAX: usize = 4;
/// Queries that run or wait as heavy ones; a thread each.
pub(crate) const THREADS_MAX: usize = 128;
/// Queries of `THREADS_MAX` that need a thread with a large stack.
const DEEP_MAX: usize = 8;
/// How soon a heavy query that waits learns that it is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Room for the queries of one engine.
pub(crate) struct Workers {
    threads: Arc<Semaphore>,
    deep: Arc<Semaphore>,
    heavy: Arc<Heavy>,
}

impl Default for Workers {
    fn default() -> Workers {
        Workers {
            threads: Arc::new(Semaphore::new(THREADS_MAX)),
            deep: Arc::new(Semaphore::new(DEEP_MAX)),
            heavy: Arc::default(),
        }
    }
}

impl Workers {
    pub(crate) async fn thread(&self) -> Result<OwnedSemaphorePermit, Error> {
        acquire(&self.threads).await
    }

    pub(crate) async fn deep_thread(&self) -> Result<OwnedSemaphorePermit, Error> {
        acquire(&self.deep).await
    }

    pub(crate) fn running(&self) -> usize {
        THREADS_MAX.saturating_sub(self.threads.available_permits())
    }

    pub(crate) fn run(&self) -> Arc<Run> {
        Arc::new(Run {
            stopped: AtomicBool::new(false),
            began: Instant::now(),
            heavy: Arc::clone(&self.heavy),
        })
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    let permit = Arc::clone(semaphore).acquire_owned().await;
    permit.map_err(|_| Error::internal("no thread for a query"))
}

/// How many heavy queries run.
#[derive(Default)]
struct Heavy {
    running: Mutex<usize>,
    left: Condvar,
}

impl Heavy {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One query while it runs.
pub(crate) struct Run {
    stopped: AtomicBool,
    began: Instant,
    heavy: Arc<Heavy>,
}

impl Run {
    fn attend(&self, place: &mut Option<Place>) -> Result<(), Error> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::Cancelled);
        }
        if place.is_none() && self.began.elapsed() >= LIGHT {
            *place = Some(self.wait_for_place()?);
        }
        Ok(())
    }

    /// Blocks the query's own thread.
    fn wait_for_place(&self) -> Result<Place, Error> {
        let mut running = self.heavy.lock();
        while *running >= HEAVY_MAX {
            if self.stopped.load(Ordering::Acquire) {
                return Err(Error::Cancelled);
            }
            let waited = self.heavy.left.wait_timeout(running, LOOK_AGAIN);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *running += 1;
        Ok(Place(Arc::clone(&self.heavy)))
    }
}

/// The place of a heavy query among those that run.
struct Place(Arc<Heavy>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.left.notify_one();
    }
}

/// Held by whoever waits for the query: stops it when dropped.
pub(crate) struct StopOnDrop(pub Arc<Run>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
    }
}

struct Current {
    run: Arc<Run>,
    place: Option<Place>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        drop(CURRENT.with_borrow_mut(Option::take));
    }
}

/// Does the work of `run` on this thread.
pub(crate) fn under<T>(run: Arc<Run>, work: impl FnOnce() -> T) -> T {
    CURRENT.set(Some(Current { run, place: None }));
    let _leave = Leave;
    work()
}

/// Fails when this thread's query is to stop; blocks while it has to wait.
pub(crate) fn attend() -> Result<(), Error> {
    CURRENT.with_borrow_mut(|current| match current {
        Some(Current { run, place }) => run.attend(place),
        None => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_run_attends_to_it() {
        let run = Workers::default().run();
        under(Arc::clone(&run), || {
            assert!(attend().is_ok());
            drop(StopOnDrop(run));
            assert!(matches!(attend(), Err(Error::Cancelled)));
        });
        assert!(attend().is_ok());
    }

    #[test]
    fn a_heavy_run_waits_for_a_place_and_can_be_stopped_there() {
        let workers = Workers::default();
        let places: Vec<Place> =
            (0..HEAVY_MAX).map(|_| workers.run().wait_for_place().unwrap()).collect();
        let run = workers.run();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| run.wait_for_place().map(drop));
            drop(StopOnDrop(Arc::clone(&run)));
            assert!(matches!(waits.join().unwrap(), Err(Error::Cancelled)));
        });
        drop(places);
        assert!(workers.run().wait_for_place().is_ok());
        assert_eq!(*workers.heavy.lock(), 0);
    }
}
