//! What of a segment has still to be stored in the catalog. One transaction at a time, repeated
//! until it is stored; what happens meanwhile goes into the next one. HAWQ writes once and warns,
//! so that its catalog and its memory can differ for good.

use std::time::Duration;

use crate::types::Instant;

/// Lines of history that may wait for a catalog that does not commit. The oldest go first.
const HISTORY_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    None,
    InFlight { generation: u64, lines: usize, up: bool },
    Resting { until: Instant },
}

/// * `history` is never dropped before a transaction that contains it is stored, the bound apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    /// The row exists in the catalog.
    registered: bool,
    /// The row there says 'u'.
    stored_up: bool,
    changed: bool,
    history: Vec<String>,
    attempt: Attempt,
}

impl Storage {
    /// Of a row that was read from the catalog.
    pub(crate) fn loaded(up: bool) -> Storage {
        Storage {
            registered: true,
            stored_up: up,
            changed: false,
            history: Vec::new(),
            attempt: Attempt::None,
        }
    }

    pub(crate) fn unregistered() -> Storage {
        Storage { registered: false, ..Storage::loaded(false) }
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered
    }

    pub(crate) fn is_stored_up(&self) -> bool {
        self.stored_up
    }

    pub(crate) fn note_change(&mut self, line: Option<String>) {
        self.changed = true;
        if let Some(line) = line {
            let in_flight = match self.attempt {
                Attempt::InFlight { lines, .. } => lines,
                _ => 0,
            };
            if self.history.len() - in_flight >= HISTORY_MAX {
                self.history.remove(in_flight);
            }
            self.history.push(line);
        }
    }

    /// The lines of the transaction that is to be made now, if one is.
    pub(crate) fn begin(&mut self, now: Instant, generation: u64, up: bool) -> Option<Vec<String>> {
        let free = match self.attempt {
            Attempt::None => true,
            Attempt::Resting { until } => until <= now,
            Attempt::InFlight { .. } => false,
        };
        if !free || !self.changed {
            return None;
        }
        self.changed = false;
        self.attempt = Attempt::InFlight { generation, lines: self.history.len(), up };
        Some(self.history.clone())
    }

    /// True when this was the transaction that was waited for.
    pub(crate) fn stored(&mut self, stored: u64) -> bool {
        match self.attempt {
            Attempt::InFlight { generation, lines, up } if generation == stored => {
                self.history.drain(..lines);
                self.registered = true;
                self.stored_up = up;
                self.attempt = Attempt::None;
                true
            }
            _ => false,
        }
    }

    /// True when this was the transaction that was waited for; it will be made again.
    pub(crate) fn failed(&mut self, now: Instant, failed: u64, retry: Duration) -> bool {
        match self.attempt {
            Attempt::InFlight { generation, .. } if generation == failed => {
                self.changed = true;
                self.attempt = Attempt::Resting { until: now.after(retry) };
                true
            }
            _ => false,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.attempt {
            Attempt::Resting { until } => Some(until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn changes_during_a_transaction_go_into_the_next_one() {
        let mut storage = Storage::unregistered();
        storage.note_change(Some("a".to_owned()));
        assert_eq!(storage.begin(at(0), 1, true), Some(lines(&["a"])));
        storage.note_change(Some("b".to_owned()));
        storage.note_change(None);
        assert_eq!(storage.begin(at(0), 2, false), None);
        assert!(storage.stored(1));
        assert!(storage.is_registered() && storage.is_stored_up());
        assert_eq!(storage.begin(at(0), 2, false), Some(lines(&["b"])));
        assert!(!storage.stored(1), "late answer of the first one");
        assert!(storage.stored(2));
        assert!(!storage.is_stored_up());
        assert_eq!(storage.begin(at(0), 3, false), None);
    }

    #[test]
    fn a_failed_transaction_is_made_again_with_everything_in_it() {
        let mut storage = Storage::loaded(true);
        storage.note_change(Some("a".to_owned()));
        assert!(storage.begin(at(0), 1, false).is_some());
        assert!(storage.failed(at(1), 1, RETRY));
        storage.note_change(Some("b".to_owned()));
        assert_eq!(storage.begin(at(1), 2, true), None);
        assert_eq!(storage.deadline(), Some(at(2)));
        assert_eq!(storage.begin(at(2), 2, true), Some(lines(&["a", "b"])));
    }

    #[test]
    fn the_lines_that_wait_are_bounded_and_never_those_in_flight() {
        let mut storage = Storage::loaded(true);
        storage.note_change(Some("first".to_owned()));
        assert!(storage.begin(at(0), 1, false).is_some());
        (0..100).for_each(|number| storage.note_change(Some(number.to_string())));
        assert!(storage.stored(1));
        let waiting = storage.begin(at(0), 2, false).unwrap();
        assert_eq!(waiting.len(), HISTORY_MAX);
        assert_eq!(waiting.last().map(String::as_str), Some("99"));
    }
}
