//! The two clocks: boot time, by which everything is decided, and wall time, which is only shown.

use nix::time::{ClockId, clock_gettime};

use crate::types::Instant;

pub trait Clock: Send + Sync + 'static {
    /// CLOCK_BOOTTIME: never steps, counts suspend.
    fn now(&self) -> Instant;

    /// Microseconds since 1970-01-01 UTC; goes into rows and logs, decides nothing.
    fn wall_micros(&self) -> i64;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Instant {
        let time = read(ClockId::CLOCK_BOOTTIME);
        Instant(time.0 * 1_000_000_000 + time.1)
    }

    fn wall_micros(&self) -> i64 {
        let time = read(ClockId::CLOCK_REALTIME);
        i64::try_from(time.0 * 1_000_000 + time.1 / 1_000).unwrap_or(i64::MAX)
    }
}

/// Seconds and nanoseconds. Linux has had both clocks since 2.6.39, so the call cannot fail.
fn read(clock: ClockId) -> (u64, u64) {
    let time = clock_gettime(clock).unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
    (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs())
}
