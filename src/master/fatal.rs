//! The end of the process, for when going on could lose or fork data (a failed flush, a committed
//! record that cannot be applied, a broken invariant). A standby is better than a liar.

use std::sync::Arc;

use crate::runtime::{error_text, leave};

/// Exit status of a process that ended itself so.
pub const FATAL_STATUS: i32 = 3;

/// Ends the process with a sentence; a test passes a function of its own.
#[derive(Clone)]
pub(super) struct Fatal {
    end: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Fatal {
    pub(super) fn new(end: impl Fn(&str) + Send + Sync + 'static) -> Fatal {
        Fatal { end: Arc::new(end) }
    }

    pub(super) fn process() -> Fatal {
        Fatal::new(|reason| {
            tracing::error!("PANIC: {reason}");
            leave(FATAL_STATUS);
        })
    }

    pub(super) fn end(&self, reason: &str) {
        (self.end)(reason);
    }

    /// With the whole chain of causes.
    pub(super) fn error(&self, doing: &str, error: &dyn std::error::Error) {
        self.end(&format!("{doing}: {}", error_text(error)));
    }
}
