//! Decides who has been silent for how long. Knows nothing of reasons, probes or rows.
//!
//! One entry a watched segment: since when it is silent, and when that must be looked at next.
//! The silence of a reign's first moments is counted from its beginning (`restart`): a standby
//! that took over has no right to hold a segment's silence towards its predecessor against it.
//!
//! * A segment is reported as timed out once per silence, not before `heartbeat_timeout`.
//! * It is reported as suspect at most once per `suspect_after`, and never after it timed out.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::types::Instant;

use super::settings::Settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Silence {
    Suspect,
    TimedOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watch {
    since: Instant,
    /// When to look again; `None` once the segment has timed out.
    due: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detector {
    timeout: Duration,
    suspect_after: Duration,
    tick: Duration,
    last_scan: Instant,
    watches: BTreeMap<NonZeroU32, Watch>,
    /// The watches that are due some time, the earliest first.
    due: BTreeSet<(Instant, NonZeroU32)>,
}

impl Detector {
    pub(crate) fn new(settings: &Settings) -> Detector {
        Detector {
            timeout: settings.heartbeat_timeout,
            suspect_after: settings.suspect_after,
            tick: settings.tick,
            last_scan: Instant::default(),
            watches: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// A sign of life, or the moment from which silence is counted.
    pub(crate) fn signal(&mut self, order: NonZeroU32, now: Instant) {
        let due = now.after(self.suspect_after.min(self.timeout));
        self.put(order, Watch { since: now, due: Some(due) });
    }

    pub(crate) fn forget(&mut self, order: NonZeroU32) {
        if let Some(Watch { due: Some(due), .. }) = self.watches.remove(&order) {
            self.due.remove(&(due, order));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.watches.clear();
        self.due.clear();
    }

    /// Everyone whose silence has reached one of the two limits, in order of registration.
    pub(crate) fn scan(&mut self, now: Instant) -> Vec<(NonZeroU32, Silence)> {
        if self.next_scan().is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.last_scan = now;
        let ready: Vec<NonZeroU32> =
            self.due.range(..=(now, NonZeroU32::MAX)).map(|(_, order)| *order).collect();
        let mut found: Vec<(NonZeroU32, Silence)> =
            ready.into_iter().filter_map(|order| self.look(order, now)).collect();
        found.sort_unstable();
        found
    }

    fn look(&mut self, order: NonZeroU32, now: Instant) -> Option<(NonZeroU32, Silence)> {
        let since = self.watches.get(&order)?.since;
        let limit = since.after(self.timeout);
        if limit <= now {
            self.put(order, Watch { since, due: None });
            return Some((order, Silence::TimedOut));
        }
        let due = now.after(self.suspect_after.max(self.tick)).min(limit);
        self.put(order, Watch { since, due: Some(due) });
        Some((order, Silence::Suspect))
    }

    fn put(&mut self, order: NonZeroU32, watch: Watch) {
        self.forget(order);
        if let Some(due) = watch.due {
            self.due.insert((due, order));
        }
        self.watches.insert(order, watch);
    }

    /// When `scan` will find something: the earliest due time, but not before one tick has passed.
    pub(crate) fn next_scan(&self) -> Option<Instant> {
        let earliest = self.due.first()?.0;
        Some(earliest.max(self.last_scan.after(self.tick)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn order(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn detector() -> Detector {
        Detector::new(&Settings::default())
    }

    #[test]
    fn silence_is_suspect_after_three_intervals_and_timed_out_after_the_timeout() {
        let mut detector = detector();
        detector.signal(order(1), at(100));
        assert_eq!(detector.scan(at(189)), []);
        assert_eq!(detector.scan(at(190)), [(order(1), Silence::Suspect)]);
        assert_eq!(detector.scan(at(279)), []);
        assert_eq!(detector.scan(at(280)), [(order(1), Silence::Suspect)]);
        assert_eq!(detector.scan(at(370)), [(order(1), Silence::Suspect)]);
        assert_eq!(detector.scan(at(399)), []);
        assert_eq!(detector.scan(at(400)), [(order(1), Silence::TimedOut)]);
        assert_eq!(detector.next_scan(), None);
        assert_eq!(detector.scan(at(4_000)), []);
    }

    #[test]
    fn a_signal_starts_the_count_again() {
        let mut detector = detector();
        detector.signal(order(1), at(100));
        detector.signal(order(1), at(180));
        assert_eq!(detector.scan(at(269)), []);
        assert_eq!(detector.scan(at(270)), [(order(1), Silence::Suspect)]);
    }

    #[test]
    fn scans_are_a_tick_apart_and_find_everyone_at_once_in_order() {
        let mut detector = detector();
        detector.signal(order(2), at(100));
        detector.signal(order(1), at(100));
        detector.signal(order(3), Instant(at(100).0 + 1));
        let found = detector.scan(at(190));
        assert_eq!(found, [(order(1), Silence::Suspect), (order(2), Silence::Suspect)]);
        assert_eq!(detector.next_scan(), Some(at(191)));
        assert_eq!(detector.scan(Instant(at(190).0 + 5)), []);
        assert_eq!(detector.scan(at(191)), [(order(3), Silence::Suspect)]);
    }

    #[test]
    fn a_forgotten_segment_is_never_reported() {
        let mut detector = detector();
        detector.signal(order(1), at(1));
        detector.forget(order(1));
        assert_eq!(detector.next_scan(), None);
        assert_eq!(detector.scan(at(10_000)), []);
    }

    #[test]
    fn detection_takes_at_most_the_timeout_and_one_tick() {
        for offset in 0..50u64 {
            let mut detector = detector();
            detector.signal(order(1), at(100));
            // Another segment keeps the scans at awkward times.
            detector.signal(order(2), Instant(at(10).0 + offset * 37_000_000));
            let mut found = None;
            for _ in 0..100 {
                let Some(next) = detector.next_scan() else { break };
                if detector.scan(next).contains(&(order(1), Silence::TimedOut)) {
                    found = Some(next);
                }
            }
            let found = found.expect("it times out");
            assert!(found >= at(400) && found <= at(401), "found at {found}");
        }
    }
}
