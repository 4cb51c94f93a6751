//! Makes what is applied durable in the catalog's store from time to time, so that a restart
//! replays little and old log files can go. It never removes what a standby still needs, within
//! the bound that an operator has set.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::types::Lsn;

use super::fatal::Fatal;
use super::log_writer::LogCommand;
use super::node::NodeView;
use super::queue::Queue;

/// The longest time between two flushes of the store while something is applied.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// How often the amount is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// So much log is replayed at most after a crash.
const UNFLUSHED_BYTES_MAX: u64 = 64 << 20;

pub(super) struct Checkpointer {
    pub(super) catalog: Catalog,
    pub(super) log: Arc<Queue<LogCommand>>,
    pub(super) node: watch::Receiver<Arc<NodeView>>,
    /// `aerie_wal_keep`: log kept for a standby that is away.
    pub(super) keep_bytes: u64,
    pub(super) fatal: Fatal,
}

impl Checkpointer {
    pub(super) async fn run(self) {
        let mut quiet = Duration::ZERO;
        let mut recycled = Lsn::ZERO;
        while self.node.has_changed().is_ok() {
            tokio::time::sleep(LOOK_INTERVAL).await;
            quiet += LOOK_INTERVAL;
            let unflushed = self.catalog.applied_lsn().bytes_since(self.catalog.durable_lsn());
            let due = unflushed > 0 && quiet >= FLUSH_INTERVAL;
            if due || unflushed > UNFLUSHED_BYTES_MAX {
                quiet = Duration::ZERO;
                self.flush().await;
            }
            let below = self.recyclable();
            if below > recycled {
                recycled = below;
                // Refused only when the process is ending.
                let _ = self.log.push(LogCommand::Recycle { below });
            }
        }
    }

    async fn flush(&self) {
        let catalog = self.catalog.clone();
        match tokio::task::spawn_blocking(move || catalog.flush()).await {
            Ok(Ok(lsn)) => tracing::debug!("catalog durable up to lsn={lsn}"),
            Ok(Err(error)) => self.fatal.error("flush the catalog", &error),
            Err(error) => self.fatal.error("flush the catalog", &error),
        }
    }

    /// Below this nobody needs the log: not a restart here, and no standby within the bound.
    fn recyclable(&self) -> Lsn {
        let view = Arc::clone(&self.node.borrow());
        let durable = self.catalog.durable_lsn();
        let members = view.record.as_ref().map_or(0, |record| record.members.len());
        let standbys = view.standbys.iter().map(|standby| standby.flush);
        let slowest = standbys.min().unwrap_or(Lsn::ZERO);
        let oldest_kept = Lsn(view.write_lsn.0.saturating_sub(self.keep_bytes));
        let needed = if members <= 1 { durable } else { slowest.max(oldest_kept) };
        durable.min(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::MemoryStore;
    use crate::master::mirroring::tests::view;

    /// Section 9, "recycling below the flushed LSN": what was applied and not flushed is lost in a
    /// crash, and then comes from the log.
    #[test]
    fn the_log_is_needed_from_what_the_catalog_has_flushed() {
        let catalog = Catalog::open(Arc::new(MemoryStore::new())).unwrap();
        let (_node, node) = watch::channel(Arc::new(view(1, &[1], None)));
        let (log, keep_bytes) = (Arc::new(Queue::new(1)), 0);
        let fatal = Fatal::new(|why| panic!("{why}"));
        let checkpointer = Checkpointer { catalog, log, node, keep_bytes, fatal };
        checkpointer.catalog.apply(&[(Lsn(64), &[])]).unwrap();
        assert_eq!(checkpointer.recyclable(), Lsn::ZERO);
        assert_eq!(checkpointer.catalog.flush().unwrap(), Lsn(64));
        checkpointer.catalog.apply(&[(Lsn(128), &[])]).unwrap();
        assert_eq!(checkpointer.recyclable(), Lsn(64));
    }
}
