//! The way of a transaction: fence, conflict check, log, commit, apply, answer.
//!
//! Sessions call it from many tasks at once; what they propose is gathered by the node's loop and
//! flushed together. It never decides what is committed.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, Commit, CommitError, Committed, Transaction};
use crate::runtime::Clock;
use crate::types::NodeId;

use super::door::{Door, Shut};
use super::inbox::Inbox;
use super::waiters::Waiters;
use super::{ControlFile, Event};

pub(super) struct Pipeline {
    pub(super) catalog: Catalog,
    pub(super) door: Arc<Door>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) control: ControlFile,
    pub(super) clock: Arc<dyn Clock>,
    /// `ha_commit_timeout`.
    pub(super) commit_timeout: Duration,
    /// How long a read waits for a lease.
    pub(super) read_timeout: Duration,
    /// `hawq_hot_standby`: a standby serves reads of what it has applied.
    pub(super) hot_standby: bool,
    /// `ha_read_mode = confirm`, and the lease that it does not trust.
    pub(super) confirm: Option<Duration>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CommitError>> + Send + 'a>>;

impl Commit for Pipeline {
    fn commit(&self, transaction: Transaction) -> Answer<'_, Committed> {
        Box::pin(self.carry_out(transaction))
    }

    fn read_permit(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let readable = match self.confirm {
                None => self.door.readable(|| self.clock.now(), self.read_timeout).await,
                Some(lease) => self.confirmed(lease).await,
            };
            match readable {
                Err(Shut::NotPrimary { .. }) if self.hot_standby => Ok(()),
                Err(shut) => Err(self.refusal(shut)),
                Ok(()) => Ok(()),
            }
        })
    }
}

impl Pipeline {
    async fn carry_out(&self, transaction: Transaction) -> Result<Committed, CommitError> {
        let xid = transaction.xid;
        let fence = self.door.fence().map_err(|shut| self.refusal(shut))?;
        let payload = self.catalog.admit(&transaction)?;
        // No await from here to the proposal: what was admitted is proposed or abandoned.
        let Some((ticket, outcome)) = self.waiters.enter(xid) else {
            self.catalog.abandon(xid);
            return Err(overloaded());
        };
        if !self.inbox.propose(fence.epoch(), ticket, payload) {
            self.waiters.rejected(ticket, overloaded());
            self.catalog.abandon(xid);
            return Err(overloaded());
        }
        match tokio::time::timeout(self.commit_timeout, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(CommitError::Terminated),
            Err(_) => Err(CommitError::Unknown {
                xid,
                reason: format!(
                    "no standby or coordinator has confirmed it within {} s",
                    self.commit_timeout.as_secs()
                ),
            }),
        }
    }

    /// Every counted member has answered something sent after the read arrived: the leases that
    /// follow from such answers end no sooner than that.
    async fn confirmed(&self, lease: Duration) -> Result<(), Shut> {
        let needed = self.clock.now().after(lease * 9 / 10);
        if self.door.ask_to_confirm() {
            self.inbox.report(Event::ConfirmReads);
        }
        self.door.readable(|| needed, self.read_timeout).await
    }

    fn refusal(&self, shut: Shut) -> CommitError {
        match shut {
            Shut::NotPrimary { primary } => {
                CommitError::NotPrimary { primary: primary.and_then(|node| self.address(node)) }
            }
            Shut::NotNow { reason } => CommitError::NotNow { reason },
        }
    }

    fn address(&self, node: NodeId) -> Option<String> {
        let record = self.control.content().record?;
        let entry = record.members.get(&node)?;
        Some(format!("{}:{}", entry.host, entry.pg_port))
    }
}

fn overloaded() -> CommitError {
    CommitError::NotNow { reason: "too many transactions are under way".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::fatal::Fatal;
    use super::*;
    use crate::catalog::MemoryStore;
    use crate::ha::manual_policy::tests::record;
    use crate::master::Control;
    use crate::types::{Epoch, Instant};

    const LEASE: Duration = Duration::from_millis(500);

    struct Hand(Mutex<Instant>);

    impl Clock for Hand {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }

        fn wall_micros(&self) -> i64 {
            0
        }
    }

    /// `ha_read_mode = confirm`: a lease that was given before the read came says nothing to it,
    /// however long it lasts by a clock that may have stood still.
    #[tokio::test]
    async fn a_confirmed_read_waits_for_an_answer_to_what_was_sent_after_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let (followed, promised) = (Epoch::ZERO, Epoch::ZERO);
        let control = Control { followed, promised, record: Some(record(1, 1, 2, &[1, 2])) };
        ControlFile::create(&path, &control).unwrap();
        let clock = Arc::new(Hand(Mutex::new(Instant(1_000_000_000))));
        let pipeline = Pipeline {
            catalog: Catalog::open(Arc::new(MemoryStore::new())).unwrap(),
            door: Arc::new(Door::new()),
            waiters: Arc::default(),
            inbox: Arc::new(Inbox::new(clock.clone(), Fatal::new(|why| panic!("{why}")))),
            control: ControlFile::open(&path).unwrap(),
            clock: clock.clone(),
            commit_timeout: LEASE,
            read_timeout: Duration::ZERO,
            hot_standby: false,
            confirm: Some(LEASE),
        };
        let came = clock.now();
        let lease_from = |sent: Instant| Some(sent.after(LEASE * 9 / 10));
        pipeline.door.set_readable(lease_from(came.before(Duration::from_millis(1))));
        assert!(pipeline.read_permit().await.is_err(), "the answer was to an earlier question");
        pipeline.door.set_readable(lease_from(came.after(Duration::from_millis(1))));
        assert_eq!(pipeline.read_permit().await, Ok(()));
        *clock.0.lock().unwrap() = came.after(Duration::from_millis(2));
        assert!(pipeline.read_permit().await.is_err(), "this one came later");
    }
}
