//! The member's side of a lease: having acked, it does not stand for a while. And the fence, which
//! only a reign has.

use std::time::Duration;

use crate::types::{Epoch, Fence, Instant};

/// Until when this node has promised not to stand.
///
/// * It only ever moves forward, except that the primary may hand it back.
/// * A start counts as a promise: what was promised before is not remembered, so the longest that
///   it can have been is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    until: Instant,
}

impl Promise {
    #[must_use]
    pub fn at_start(now: Instant, lease: Duration) -> Promise {
        Promise { until: now.after(lease) }
    }

    /// A message from the primary was received at `now` and will be acked.
    pub fn renew(&mut self, now: Instant, lease: Duration) {
        self.until = self.until.max(now.after(lease));
    }

    /// The primary has said that it reads and acknowledges no more.
    pub fn hand_back(&mut self, now: Instant) {
        self.until = self.until.min(now);
    }

    #[must_use]
    pub fn lapsed(&self, now: Instant) -> bool {
        now >= self.until
    }

    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }
}

/// The right to write in the reign of `epoch`; called when that reign opens.
#[must_use]
pub fn fence(epoch: Epoch) -> Fence {
    Fence::mint(epoch)
}
