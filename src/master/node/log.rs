//! What the node knows of its own log.

use crate::types::{Lsn, TimelineHistory};

use super::super::event::{Effect, LogState};

/// * `apply ≤ commit`, `apply ≤ flushed ≤ end` (rule 1).
/// * `history` describes the log up to `end`, nothing beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) end: Lsn,
    /// Durable here. Zero at start, until the first flush has vouched for what was found.
    pub(crate) flushed: Lsn,
    pub(crate) first: Lsn,
    pub(crate) commit: Lsn,
    pub(crate) applied: Lsn,
    /// The highest `Apply` asked for.
    pub(crate) applying: Lsn,
    pub(crate) history: TimelineHistory,
    pub(crate) doubtful: bool,
    /// A `Cut` is under way: `Flushed` reports of before do not count.
    pub(crate) cutting: Option<Lsn>,
}

impl Log {
    pub(crate) fn found(found: LogState) -> Log {
        assert!(found.apply_lsn <= found.end, "the catalog is ahead of its log");
        Log {
            end: found.end,
            flushed: Lsn::ZERO,
            first: found.first,
            commit: found.commit_lsn.max(found.apply_lsn).min(found.end),
            applied: found.apply_lsn,
            applying: found.apply_lsn,
            history: found.history,
            doubtful: found.doubtful,
            cutting: None,
        }
    }

    /// Nothing was ever logged or applied here: the directory of a standby before its first seed.
    pub(crate) fn empty_life(&self) -> bool {
        self.end == Lsn::ZERO && self.history.entries().is_empty()
    }

    /// Notes a commit LSN that was learned, and asks to apply what may be applied now.
    pub(crate) fn learn_commit(&mut self, commit: Lsn, effects: &mut Vec<Effect>) {
        self.commit = self.commit.max(commit);
        self.apply(effects);
    }

    /// Applies up to the lower of flush and commit (rule 1).
    pub(crate) fn apply(&mut self, effects: &mut Vec<Effect>) {
        let lsn = self.commit.min(self.flushed);
        if lsn > self.applying && self.cutting.is_none() {
            self.applying = lsn;
            effects.push(Effect::Apply { lsn });
        }
    }

    pub(crate) fn note_flushed(&mut self, end: Lsn) {
        if self.cutting.is_none() {
            self.flushed = self.flushed.max(end.min(self.end));
        }
    }
}
