//! What is written about masters, against a catalog in memory.

use crate::catalog::{Datum, GP_CONFIGURATION_HISTORY};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::catalog::{CommitError, CommitFuture, Committed, MemoryStore, Transaction};
use crate::ha::manual_policy::tests::record;
use crate::master::mirroring::tests::view;
use crate::runtime::BootClock;
use crate::types::Lsn;

/// Applies at once what it is given.
struct Alone(Catalog);

impl Commit for Alone {
    fn commit(&self, transaction: Transaction) -> CommitFuture<'_> {
        Box::pin(async move {
            let payload = self.0.admit(&transaction)?;
            let lsn = self.0.applied_lsn().advance(64);
            self.0.admitted_at(transaction.xid, lsn);
            let failed = |error: Error| CommitError::NotNow { reason: error.to_string() };
            self.0.apply(&[(lsn, &payload)]).map_err(failed)?;
            Ok(Committed { lsn })
        })
    }

    fn read_permit(
        &self,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send + '_>> {
        Box::pin(async { Ok(()) })
    }
}

fn upkeep(node: watch::Receiver<Arc<NodeView>>) -> Upkeep {
    let catalog = Catalog::open(Arc::new(MemoryStore::new())).unwrap();
    catalog.reign(node.borrow().epoch);
    catalog.apply(&[(Lsn(64), &[])]).unwrap();
    let (filled, _) = watch::channel(false);
    Upkeep {
        commit: Arc::new(Alone(catalog.clone())),
        catalog,
        clock: Arc::new(BootClock),
        node,
        superuser: "gpadmin".to_owned(),
        history_keep: Duration::from_secs(86_400),
        audit: Arc::new(Audit::default()),
        filled,
    }
}

/// Order and text of the lines of history, in no particular order of time.
fn lines(upkeep: &Upkeep) -> Vec<(i64, String)> {
    let rows = upkeep.catalog.snapshot().scan(GP_CONFIGURATION_HISTORY, &[]).unwrap();
    let line = |row: &Vec<Datum>| {
        (row[1].as_i64().unwrap(), row[3].as_str().unwrap_or_default().to_owned())
    };
    rows.iter().map(line).collect()
}

async fn look(upkeep: &Upkeep, in_sync: &[u8]) {
    let mut state = view(2, in_sync, None);
    state.record = Some(record(5, 3, 2, in_sync));
    // The first look at an empty catalog fills it.
    upkeep.look(&state, &mut None).await.unwrap();
    upkeep.look(&state, &mut None).await.unwrap();
}

fn count(lines: &[(i64, String)], order: i64, text: &str) -> usize {
    lines.iter().filter(|line| **line == (order, text.to_owned())).count()
}

#[tokio::test]
async fn each_loss_and_return_of_the_standby_is_a_line_of_history() {
    let (_sender, node) = watch::channel(Arc::new(view(2, &[1], None)));
    let upkeep = upkeep(node);
    for (in_sync, regained, lost) in [(&[1, 2][..], 1, 0), (&[1], 1, 1), (&[1, 2], 2, 1)] {
        look(&upkeep, in_sync).await;
        let lines = lines(&upkeep);
        assert_eq!(count(&lines, -1, mirroring::REGAINED), regained, "{lines:?}");
        assert_eq!(count(&lines, -1, mirroring::LOST), lost, "{lines:?}");
    }
}

#[tokio::test]
async fn what_a_takeover_knew_is_written_once() {
    let (_sender, node) = watch::channel(Arc::new(view(2, &[1], None)));
    let upkeep = upkeep(node);
    upkeep.audit.note("going on by force".to_owned());
    look(&upkeep, &[1]).await;
    assert!(upkeep.audit.waiting().is_empty());
    look(&upkeep, &[1]).await;
    let lines = lines(&upkeep);
    assert_eq!(count(&lines, 0, "going on by force"), 1, "{lines:?}");
}
