//! What clients saw of one register, and whether one copy that does one thing at a time could have
//! answered them so (linearizability).
//!
//! Every write has a value of its own, which makes the question easy (Gibbons and Korach, "Testing
//! Shared Memories", 1997): all operations on a value span a zone of time. Where the first of them
//! ended before the last began, the register held the value all that while (a forward zone), and
//! nothing else; otherwise (a backward zone) some moment of it is enough. So two forward zones
//! never overlap, and no backward zone lies within a forward one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Time since the history began.
pub type Moment = Duration;

const NEVER: Moment = Duration::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The value written, or found. Zero is what the register held before the first write.
    pub value: u64,
    pub is_write: bool,
    pub started: Moment,
    /// `None`: no answer came; a write may have happened, then or later.
    pub ended: Option<Moment>,
}

#[derive(Debug, Clone, Default)]
struct Zone {
    writes: usize,
    write_started: Moment,
    first_end: Moment,
    last_start: Moment,
}

impl Zone {
    fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }

    fn ends(&self) -> (Moment, Moment) {
        (self.first_end.min(self.last_start), self.first_end.max(self.last_start))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_forward() { "held" } else { "passed through" };
        let (from, to) = self.ends();
        write!(f, "{kind} between {from:?} and {to:?}")
    }
}

/// The operations on one register, in any order.
///
/// # Errors
/// Which values contradict each other, and when.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let zones = zones(history)?;
    let mut forward: Vec<(u64, &Zone)> =
        zones.iter().filter(|(_, zone)| zone.is_forward()).map(|(v, zone)| (*v, zone)).collect();
    forward.sort_by_key(|(_, zone)| zone.ends());
    for pair in forward.windows(2) {
        let [(one, held), (other, held_too)] = pair else { continue };
        if held.ends().1 > held_too.ends().0 {
            return Err(format!("{one} was {held}, and {other} was {held_too}"));
        }
    }
    for (value, zone) in zones.iter().filter(|(_, zone)| !zone.is_forward()) {
        let (from, to) = zone.ends();
        let around = forward.partition_point(|(_, held)| held.ends().0 < from);
        if let Some((held_value, held)) = around.checked_sub(1).and_then(|at| forward.get(at))
            && held.ends().1 > to
        {
            return Err(format!("{value} was {zone}, but {held_value} was {held}"));
        }
    }
    Ok(())
}

fn zones(history: &[Operation]) -> Result<BTreeMap<u64, Zone>, String> {
    let mut zones = BTreeMap::new();
    let before = Zone { writes: 1, ..Zone::default() };
    zones.insert(0, before);
    for write in history.iter().filter(|operation| operation.is_write) {
        let zone: &mut Zone = zones.entry(write.value).or_default();
        zone.writes += 1;
        zone.write_started = write.started;
        zone.first_end = write.ended.unwrap_or(NEVER);
        zone.last_start = write.started;
        assert!(zone.writes == 1, "a test writes {} once", write.value);
    }
    for read in history.iter().filter(|operation| !operation.is_write) {
        // A read without an answer says nothing.
        let Some(ended) = read.ended else { continue };
        let Some(zone) = zones.get_mut(&read.value) else {
            return Err(format!("{} was read at {ended:?} and never written", read.value));
        };
        if ended < zone.write_started {
            let written = zone.write_started;
            return Err(format!("{} was read at {ended:?}, written at {written:?}", read.value));
        }
        zone.first_end = zone.first_end.min(ended);
        zone.last_start = zone.last_start.max(read.started);
    }
    // An unanswered write that nobody saw may never have happened.
    zones.retain(|_, zone| zone.first_end != NEVER);
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Duration::from_millis(milliseconds)
    }

    fn write(value: u64, started: u64, ended: u64) -> Operation {
        Operation { value, is_write: true, started: at(started), ended: Some(at(ended)) }
    }

    fn read(value: u64, started: u64, ended: u64) -> Operation {
        Operation { value, is_write: false, started: at(started), ended: Some(at(ended)) }
    }

    fn lost(value: u64, started: u64) -> Operation {
        Operation { value, is_write: true, started: at(started), ended: None }
    }

    #[test]
    fn histories_of_one_copy_pass() {
        let sound: [&[Operation]; 6] = [
            &[],
            &[read(0, 1, 2), write(1, 3, 4), read(1, 5, 6), write(2, 7, 8), read(2, 9, 10)],
            // While a write is under way both values may be seen, the old one first.
            &[write(1, 1, 2), write(2, 10, 20), read(1, 11, 12), read(2, 13, 14)],
            // Two at once, in either order.
            &[write(1, 1, 10), write(2, 2, 9), read(1, 11, 12), read(1, 13, 14)],
            // No answer: it never happened, or it happens late.
            &[write(1, 1, 2), lost(2, 3), read(1, 10, 11)],
            &[write(1, 1, 2), lost(2, 3), read(1, 10, 11), read(2, 12, 13)],
        ];
        for history in sound {
            assert_eq!(check(history), Ok(()), "{history:?}");
        }
    }

    #[test]
    fn histories_of_two_copies_do_not() {
        let broken: [&[Operation]; 7] = [
            // An acknowledged write is gone.
            &[write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)],
            &[write(1, 1, 2), read(0, 3, 4)],
            // A stale read by a primary that did not know of its end.
            &[write(1, 1, 2), write(2, 3, 4), read(2, 5, 6), read(1, 7, 8)],
            // What was seen cannot be unseen, although nobody acknowledged it.
            &[write(1, 1, 2), lost(2, 3), read(2, 5, 6), read(1, 7, 8)],
            // Two copies take turns.
            &[lost(1, 1), lost(2, 1), read(1, 2, 3), read(2, 4, 5), read(1, 6, 7)],
            &[read(5, 1, 2)],
            &[read(1, 1, 2), write(1, 3, 4)],
        ];
        for history in broken {
            assert!(check(history).is_err(), "{history:?}");
        }
    }
}
