//! Threads for queries: each is planned and run on one to itself, so that no query, however long
//! it computes, keeps sessions from being served. Statements with many operators get one with a
//! large stack, since the planner recurses once a level. How many operators there may be at all,
//! `lexer` bounds; how many queries run at once, `stop`.

use std::future::Future;
use std::sync::{Arc, LazyLock};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::error::Error;
use super::stop::{self, StopOnDrop, THREADS_MAX, Workers};

/// Operators that surely fit on a worker's own stack.
pub(crate) const SHALLOW_MAX: usize = 24;
/// Only touched pages cost memory.
const STACK_BYTES: usize = 256 << 20;
const SHALLOW_STACK_BYTES: usize = 4 << 20;

/// Lends threads and keeps them a while; nothing else runs on it.
static THREADS: LazyLock<Result<Runtime, String>> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    // Tests have several engines.
    builder.max_blocking_threads(8 * THREADS_MAX).thread_stack_size(SHALLOW_STACK_BYTES);
    builder.thread_name("query").build().map_err(|error| error.to_string())
});

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

/// Runs a query on a thread of its own. It stops soon after the caller no longer waits.
pub(crate) async fn run<T, F>(
    workers: &Workers,
    operators: usize,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>>,
{
    let thread = workers.thread().await?;
    let deep = if operators > SHALLOW_MAX { Some(workers.deep_thread().await?) } else { None };
    let is_deep = deep.is_some();
    let run = workers.run();
    let _stop = StopOnDrop(Arc::clone(&run));
    let (sender, receiver) = oneshot::channel();
    let body = move || {
        let _permits = (thread, deep);
        let done = stop::under(run, || block_on(work));
        // Nobody waits any more: nothing is lost, a query changes nothing by itself.
        let _ = sender.send(done);
    };
    let failed = |error: &dyn std::fmt::Display| Error::internal(format!("start thread: {error}"));
    if is_deep {
        let thread = std::thread::Builder::new().name("deep-query".to_owned());
        thread.stack_size(STACK_BYTES).spawn(body).map_err(|error| failed(&error))?;
    } else {
        let threads = THREADS.as_ref().map_err(|error| failed(error))?;
        drop(threads.spawn_blocking(body));
    }
    receiver.await.map_err(|_| Error::internal("query ended without a result"))?
}

/// Operators that start tasks start them on this very thread.
fn block_on<T, F>(work: impl FnOnce() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let runtime = Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Error::internal(format!("start query: {error}")))?;
    runtime.block_on(async { work().await })
}
