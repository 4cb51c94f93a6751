//! Whether sessions may write and read here right now, as the node said last.
//!
//! The node's loop writes it, sessions read it without asking anybody. A reader waits, bounded,
//! where the answer may change soon (a takeover under way, a lease not renewed yet).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::types::{Fence, Instant, NodeId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Neither reads nor writes; `primary` where it is known to be another node.
    Closed { reason: String, primary: Option<NodeId> },
    /// An open primary.
    Open { fence: Fence },
}

pub(super) struct Door {
    standing: watch::Sender<Standing>,
    /// Reads are linearizable until this instant; zero: not now.
    readable_until: AtomicU64,
    /// The node was asked to have reads confirmed, and has not been heard since.
    confirming: AtomicBool,
    renewed: Notify,
}

/// Why a session may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shut {
    NotPrimary { primary: Option<NodeId> },
    NotNow { reason: String },
}

impl Door {
    pub(super) fn new() -> Door {
        let closed = Standing::Closed { reason: "starting up".to_owned(), primary: None };
        let (standing, _) = watch::channel(closed);
        Door {
            standing,
            readable_until: AtomicU64::new(0),
            confirming: AtomicBool::new(false),
            renewed: Notify::new(),
        }
    }

    pub(super) fn set(&self, standing: Standing) {
        self.standing.send_if_modified(|known| {
            let changed = *known != standing;
            *known = standing;
            changed
        });
        self.renewed.notify_waiters();
    }

    pub(super) fn set_readable(&self, until: Option<Instant>) {
        let until = until.unwrap_or_default();
        let before = self.readable_until.swap(until.0, Ordering::AcqRel);
        self.confirming.store(false, Ordering::Release);
        if until.0 > before {
            self.renewed.notify_waiters();
        }
    }

    /// Never lengthens it.
    pub(super) fn narrow(&self, until: Option<Instant>) {
        self.readable_until.fetch_min(until.unwrap_or_default().0, Ordering::AcqRel);
    }

    /// True when nobody else has asked just now.
    pub(super) fn ask_to_confirm(&self) -> bool {
        !self.confirming.swap(true, Ordering::AcqRel)
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// The right to write, where this node has it now.
    pub(super) fn fence(&self) -> Result<Fence, Shut> {
        match &*self.standing.borrow() {
            Standing::Open { fence } => Ok(*fence),
            Standing::Closed { primary: primary @ Some(_), .. } => {
                Err(Shut::NotPrimary { primary: *primary })
            }
            Standing::Closed { reason, primary: None } => {
                Err(Shut::NotNow { reason: reason.clone() })
            }
        }
    }

    /// Waits at most `wait` until reads are linearizable here.
    pub(super) async fn readable(
        &self,
        now: impl Fn() -> Instant,
        wait: Duration,
    ) -> Result<(), Shut> {
        let reads = async {
            loop {
                // Registered before looking, so that no renewal in between is missed.
                let renewed = self.renewed.notified();
                tokio::pin!(renewed);
                renewed.as_mut().enable();
                if self.readable_until.load(Ordering::Acquire) > now().0 {
                    return Ok(());
                }
                if let Err(shut @ Shut::NotPrimary { .. }) = self.fence() {
                    return Err(shut);
                }
                renewed.await;
            }
        };
        tokio::time::timeout(wait, reads).await.unwrap_or_else(|_| {
            let reason = match self.standing() {
                Standing::Closed { reason, .. } => reason,
                Standing::Open { .. } => "the standby has not renewed its lease".to_owned(),
            };
            Err(Shut::NotNow { reason })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Epoch, NodeId};

    const WAIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_reader_waits_for_the_lease_and_no_longer_than_told() {
        let door = Door::new();
        let at = |nanos| move || Instant(nanos);
        let shut = door.readable(at(5), Duration::ZERO).await;
        assert!(matches!(shut, Err(Shut::NotNow { .. })), "{shut:?}");
        let renew = async { door.set_readable(Some(Instant(10))) };
        let (read, ()) = tokio::join!(door.readable(at(5), WAIT), renew);
        assert_eq!(read, Ok(()));
        assert!(door.readable(at(10), Duration::ZERO).await.is_err());
    }

    #[tokio::test]
    async fn a_standby_refuses_at_once_and_names_the_primary() {
        let door = Door::new();
        let primary = NodeId::new(2);
        door.set(Standing::Closed { reason: String::new(), primary });
        assert_eq!(door.readable(|| Instant(1), WAIT).await, Err(Shut::NotPrimary { primary }));
        assert_eq!(door.fence(), Err(Shut::NotPrimary { primary }));
        let fence = crate::types::Fence::mint(Epoch(513));
        door.set(Standing::Open { fence });
        assert_eq!(door.fence(), Ok(fence));
    }
}
