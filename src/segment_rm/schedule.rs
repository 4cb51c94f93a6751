//! When what is repeated is due next, with jitter: many agents must not speak in one instant.

use std::time::Duration;

use crate::types::Instant;

/// Pseudo-random and reproducible from its seed (splitmix64).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// Between zero and `limit`.
    pub(super) fn below(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let part = u32::try_from(mixed >> 54).unwrap_or(0);
        limit / 1_024 * part
    }

    /// Between seven and eight eighths of `period`: never later than that.
    pub(super) fn within(&mut self, period: Duration) -> Duration {
        period / 8 * 7 + self.below(period / 8)
    }
}

/// One master's heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) next: Instant,
    pub(super) in_flight: bool,
    pub(super) reachable: Option<bool>,
    pub(super) interval: Duration,
}

/// A check that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) next: Instant,
    pub(super) under_way: bool,
}

impl Check {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now && !self.under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_bounds_and_varies() {
        let mut jitter = Jitter(1);
        let period = Duration::from_secs(8);
        let drawn: Vec<Duration> = (0..100).map(|_| jitter.within(period)).collect();
        assert!(drawn.iter().all(|d| *d >= period / 8 * 7 && *d <= period));
        let distinct: std::collections::BTreeSet<&Duration> = drawn.iter().collect();
        assert!(distinct.len() > 50);
    }
}
