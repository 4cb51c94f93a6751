//! How far one standby has come, as its primary knows it.

use std::time::Duration;

use crate::types::{Instant, Lsn, Member};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its log has not been aligned with ours in this epoch: nothing it says counts.
    Unaligned,
    /// Aligned; records are sent as they come.
    Streaming,
    /// It fetches a checkpoint.
    Seeding,
}

/// One standby in one reign.
///
/// * `acked ≤ sent` while streaming; `acked` counts only since the alignment of this epoch.
/// * `behind` holds the first moment at which something was appended that is not yet acked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub member: Member,
    pub stage: Stage,
    pub sent: Lsn,
    pub acked: Lsn,
    pub applied: Lsn,
    /// A `Ship` is under way; its end is not known yet.
    pub shipping: bool,
    pub last_heard: Instant,
    /// When the message was sent that the newest ack echoes: its lease counts from then.
    pub echo: Option<Instant>,
    /// The version of the record that it has confirmed to know.
    pub record_version: u64,
    pub(crate) behind: Option<(Instant, Lsn)>,
}

impl Progress {
    /// The clock for leaving starts at `now`, however long the member has been silent before.
    #[must_use]
    pub fn new(member: Member, now: Instant) -> Progress {
        Progress {
            member,
            stage: Stage::Unaligned,
            sent: Lsn::ZERO,
            acked: Lsn::ZERO,
            applied: Lsn::ZERO,
            shipping: false,
            last_heard: now,
            echo: None,
            record_version: 0,
            behind: None,
        }
    }

    /// Its log agrees with ours up to `at`; streaming goes on from there.
    pub fn align(&mut self, at: Lsn) {
        self.stage = Stage::Streaming;
        self.sent = at;
        self.shipping = false;
    }

    pub fn ack(&mut self, now: Instant, flush: Lsn, applied: Lsn, echo: Instant) {
        self.acked = self.acked.max(flush);
        self.applied = self.applied.max(applied);
        self.last_heard = now;
        self.echo = self.echo.max(Some(echo));
    }

    /// Our log now ends at `end`: notes since when this member lacks something.
    pub fn observe_end(&mut self, now: Instant, end: Lsn) {
        match self.behind {
            Some((_, target)) if self.acked < target => {}
            _ if self.acked < end => self.behind = Some((now, end)),
            _ => self.behind = None,
        }
    }

    /// When it will have been silent or behind for `timeout`.
    #[must_use]
    pub fn too_slow_at(&self, timeout: Duration) -> Instant {
        let heard = self.last_heard.after(timeout);
        self.behind.map_or(heard, |(since, _)| heard.min(since.after(timeout)))
    }
}
