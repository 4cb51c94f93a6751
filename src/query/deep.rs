//! Room for recursion: statements with many operators are planned and run on a thread with a
//! large stack, since the planner recurses once a level. How many operators there may be at all,
//! `lexer` bounds.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::error::Error;

/// Operators that surely fit on a worker's own stack.
pub(crate) const SHALLOW_MAX: usize = 24;
/// Only touched pages cost memory.
const STACK_BYTES: usize = 256 << 20;
/// Statements that run so at the same time.
const THREADS_MAX: usize = 8;

static THREADS: Semaphore = Semaphore::const_new(THREADS_MAX);

/// Plans, which never waits.
pub(crate) fn plan<T: Send>(
    operators: usize,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    if operators <= SHALLOW_MAX {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("deep-plan".to_owned());
        let thread = thread.stack_size(STACK_BYTES).spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::internal("planning failed")),
            Err(error) => Err(Error::internal(format!("start thread: {error}"))),
        }
    })
}

/// Runs to its end, or stops at its next await once the caller no longer waits.
pub(crate) async fn run<T, F>(operators: usize, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    if operators <= SHALLOW_MAX {
        return work.await;
    }
    let permit = THREADS.acquire().await;
    let _permit = permit.map_err(|_| Error::internal("no thread for a deep statement"))?;
    let handle = Handle::current();
    let (mut sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("deep-query".to_owned());
    let started = thread.stack_size(STACK_BYTES).spawn(move || {
        handle.block_on(async move {
            let done = tokio::select! {
                result = work => Some(result),
                () = sender.closed() => None,
            };
            if let Some(result) = done {
                // Nobody waits any more: nothing is lost, a query changes nothing by itself.
                let _ = sender.send(result);
            }
        });
    });
    started.map_err(|error| Error::internal(format!("start thread: {error}")))?;
    receiver.await.map_err(|_| Error::internal("deep statement ended without a result"))?
}
