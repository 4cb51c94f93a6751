//! Positions at which somebody wants to know the catalog's digest.
//!
//! Two nodes can be compared only at the same position. "The first end of a record at or after X"
//! names the same position on both, whether or not anything is being written, as long as neither
//! has passed X yet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::catalog::{Catalog, ReadView, Snapshot};
use crate::types::Lsn;

const POINTS_MAX: usize = 64;

#[derive(Default)]
pub(super) struct DigestPoints {
    waiting: Mutex<Vec<(Lsn, oneshot::Sender<Snapshot>)>>,
    awaited: AtomicUsize,
}

/// Why no snapshot will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPoint {
    /// The position lies behind what is applied.
    Passed,
    TooMany,
}

impl DigestPoints {
    /// A snapshot at the first end of a record at or after `at`; the caller bounds its wait.
    pub(super) fn ask(
        &self,
        at: Lsn,
        catalog: &Catalog,
    ) -> Result<oneshot::Receiver<Snapshot>, NoPoint> {
        let (answer, snapshot) = oneshot::channel();
        // Counted first: from here on the applier takes single steps, and looks here after each.
        self.awaited.fetch_add(1, Ordering::SeqCst);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|(_, answer)| !answer.is_closed());
        let now = catalog.snapshot();
        let refusal = match now.lsn().cmp(&at) {
            std::cmp::Ordering::Greater => Some(NoPoint::Passed),
            _ if waiting.len() >= POINTS_MAX => Some(NoPoint::TooMany),
            std::cmp::Ordering::Equal => {
                let _ = answer.send(now);
                self.awaited.store(waiting.len(), Ordering::SeqCst);
                return Ok(snapshot);
            }
            std::cmp::Ordering::Less => None,
        };
        if refusal.is_none() {
            waiting.push((at, answer));
        }
        self.awaited.store(waiting.len(), Ordering::SeqCst);
        refusal.map_or(Ok(snapshot), Err)
    }

    pub(super) fn awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst) > 0
    }

    pub(super) fn reached(&self, applied: Lsn, catalog: &Catalog) {
        if !self.awaited() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, later) =
            waiting.drain(..).partition(|(at, answer)| *at <= applied || answer.is_closed());
        *waiting = later;
        self.awaited.store(waiting.len(), Ordering::SeqCst);
        drop(waiting);
        let due: Vec<(Lsn, oneshot::Sender<Snapshot>)> = due;
        for (_, answer) in due {
            let _ = answer.send(catalog.snapshot());
        }
    }
}
