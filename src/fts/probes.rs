//! Which probes are under way. A segment in here is pending: still up, but not handed out.
//!
//! A probe gets two tries before it counts, each on a connection of its own: one failed connect
//! once marked healthy segments down in HAWQ (HAWQ-220). Every try ends, by its outcome or by the
//! guard, so no segment stays pending (HAWQ-564).
//!
//! * At most `PROBES_MAX` tries are under way; the others wait their turn.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::types::{Instant, ProbeOutcome};

use super::settings::Settings;

/// Tries under way at a time.
const PROBES_MAX: usize = 64;

/// Tries before the outcome counts.
const TRIES_MAX: u32 = 2;

/// What the guard grants beyond the prober's own deadline.
const GUARD: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be asked from this moment on, as the try of this number.
    Waiting {
        from: Instant,
        tries: u32,
    },
    Asked {
        attempt: u64,
        tries: u32,
        by: Instant,
    },
}

/// What a finished try means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Of a try that nobody waits for any more.
    Stale,
    /// It will be asked again.
    Again,
    Final(ProbeOutcome),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probes {
    timeout: Duration,
    retry: Duration,
    last_attempt: u64,
    pending: BTreeMap<NonZeroU32, Stage>,
}

impl Probes {
    pub(crate) fn new(settings: &Settings) -> Probes {
        Probes {
            timeout: settings.probe_timeout,
            retry: settings.probe_retry,
            last_attempt: 0,
            pending: BTreeMap::new(),
        }
    }

    pub(crate) fn is_pending(&self, order: NonZeroU32) -> bool {
        self.pending.contains_key(&order)
    }

    pub(crate) fn suspect(&mut self, order: NonZeroU32, now: Instant) {
        self.pending.entry(order).or_insert(Stage::Waiting { from: now, tries: 0 });
    }

    pub(crate) fn forget(&mut self, order: NonZeroU32) {
        self.pending.remove(&order);
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    fn under_way(&self) -> usize {
        self.pending.values().filter(|stage| matches!(stage, Stage::Asked { .. })).count()
    }

    /// The tries that begin now: the segment and the attempt's number.
    pub(crate) fn begin(&mut self, now: Instant) -> Vec<(NonZeroU32, u64)> {
        let free = PROBES_MAX.saturating_sub(self.under_way());
        let by = now.after(self.timeout.saturating_add(GUARD));
        let mut begun = Vec::new();
        for (order, stage) in &mut self.pending {
            if begun.len() == free {
                break;
            }
            if let Stage::Waiting { from, tries } = *stage
                && from <= now
            {
                self.last_attempt += 1;
                *stage = Stage::Asked { attempt: self.last_attempt, tries: tries + 1, by };
                begun.push((*order, self.last_attempt));
            }
        }
        begun
    }

    pub(crate) fn finish(
        &mut self,
        now: Instant,
        order: NonZeroU32,
        finished: u64,
        outcome: ProbeOutcome,
    ) -> Verdict {
        match self.pending.get(&order) {
            Some(Stage::Asked { attempt, tries, .. }) if *attempt == finished => {
                if outcome == ProbeOutcome::Alive || *tries >= TRIES_MAX {
                    self.pending.remove(&order);
                    return Verdict::Final(outcome);
                }
                let stage = Stage::Waiting { from: now.after(self.retry), tries: *tries };
                self.pending.insert(order, stage);
                Verdict::Again
            }
            _ => Verdict::Stale,
        }
    }

    /// Tries of which nothing was reported in time.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<(NonZeroU32, u64)> {
        self.pending
            .iter()
            .filter_map(|(order, stage)| match stage {
                Stage::Asked { attempt, by, .. } if *by <= now => Some((*order, *attempt)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let full = self.under_way() >= PROBES_MAX;
        self.pending
            .values()
            .filter_map(|stage| match stage {
                Stage::Asked { by, .. } => Some(*by),
                Stage::Waiting { from, .. } => (!full).then_some(*from),
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant(millis * 1_000_000)
    }

    fn probes() -> Probes {
        Probes::new(&Settings::default())
    }

    #[test]
    fn the_second_try_decides() {
        let mut probes = probes();
        probes.suspect(order(1), at(0));
        assert_eq!(probes.begin(at(0)), [(order(1), 1)]);
        let failed = ProbeOutcome::Failed;
        assert_eq!(probes.finish(at(5), order(1), 1, failed), Verdict::Again);
        assert!(probes.is_pending(order(1)));
        assert_eq!(probes.begin(at(6)), []);
        assert_eq!(probes.begin(at(1_005)), [(order(1), 2)]);
        assert_eq!(probes.finish(at(1_006), order(1), 1, failed), Verdict::Stale);
        let lost = ProbeOutcome::CommunicationError;
        assert_eq!(probes.finish(at(1_006), order(1), 2, lost), Verdict::Final(lost));
        assert!(!probes.is_pending(order(1)));
        assert_eq!(probes.deadline(), None);
    }

    #[test]
    fn alive_ends_it_at_once_and_a_report_during_a_probe_changes_nothing() {
        let mut probes = probes();
        probes.suspect(order(1), at(0));
        probes.begin(at(0));
        probes.suspect(order(1), at(1));
        assert_eq!(probes.begin(at(2)), []);
        let alive = ProbeOutcome::Alive;
        assert_eq!(probes.finish(at(3), order(1), 1, alive), Verdict::Final(alive));
    }

    #[test]
    fn a_try_that_nobody_answers_is_overdue() {
        let mut probes = probes();
        probes.suspect(order(1), at(0));
        probes.begin(at(0));
        assert_eq!(probes.overdue(at(10_499)), []);
        assert_eq!(probes.deadline(), Some(at(10_500)));
        assert_eq!(probes.overdue(at(10_500)), [(order(1), 1)]);
    }

    #[test]
    fn only_so_many_are_under_way_and_the_others_follow() {
        let mut probes = probes();
        (1..=100).for_each(|number| probes.suspect(order(number), at(0)));
        assert_eq!(probes.begin(at(0)).len(), PROBES_MAX);
        assert_eq!(probes.begin(at(1)), []);
        probes.finish(at(2), order(1), 1, ProbeOutcome::Alive);
        assert_eq!(probes.begin(at(2)), [(order(65), 65)]);
    }
}
