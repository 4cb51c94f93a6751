//! The only way in which these tests wait: for a condition, with a bound.

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);
const LONG_PAUSE: Duration = Duration::from_millis(100);
/// For what lasts only a moment; it costs the machine more.
const SHORT_PAUSE: Duration = Duration::from_micros(500);

/// Repeats `attempt` until it succeeds; panics with its last error when `limit` has passed.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, attempt: impl FnMut() -> Result<T, String>) -> T {
    match wait_for(limit, PAUSE, attempt) {
        Ok(value) => value,
        Err(last) => panic!("{what}, after {limit:?}: {last}"),
    }
}

/// Looks so often that a passing state is not missed.
#[track_caller]
pub fn eventually_soon<T>(
    what: &str,
    limit: Duration,
    attempt: impl FnMut() -> Result<T, String>,
) -> T {
    match wait_for(limit, SHORT_PAUSE, attempt) {
        Ok(value) => value,
        Err(last) => panic!("{what}, after {limit:?}: {last}"),
    }
}

/// The same without a panic: the last error.
pub fn wait_until<T>(
    limit: Duration,
    attempt: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    wait_for(limit, PAUSE, attempt)
}

fn wait_for<T>(
    limit: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        // What lasts is looked at less often: the look itself may start processes.
        let lasts = pause == PAUSE && start.elapsed() > Duration::from_secs(1);
        let pause = if lasts { LONG_PAUSE } else { pause };
        match attempt() {
            Ok(value) => return Ok(value),
            Err(last) if start.elapsed() > limit => return Err(last),
            Err(_) => thread::sleep(pause),
        }
    }
}

/// For loops that have a bound of their own.
pub fn wait_a_moment() {
    thread::sleep(PAUSE);
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn waiting_ends() {
    let mut left = 2;
    let count = move || {
        left -= 1;
        if left == 0 { Ok(7) } else { Err("not yet".to_string()) }
    };
    assert_eq!(eventually("a count", seconds(5), count), 7);
    assert_eq!(wait_until(Duration::ZERO, || Err::<(), _>("no".to_string())), Err("no".into()));
}
