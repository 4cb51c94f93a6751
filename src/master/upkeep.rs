//! Keeps the catalog's rows about the masters themselves true while this node is the open primary,
//! and fills an empty catalog once. Everything goes the way of any transaction; what fails is tried
//! again, since the next look finds the same difference.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::catalog::segments::{self, MirroringState, SegmentRow};
use crate::catalog::{Bootstrap, Catalog, Commit, Error, OpenTransaction, ReadView};
use crate::runtime::{Clock, error_text};
use crate::types::Epoch;

use super::audit::Audit;
use super::history;
use super::mirroring;
use super::node::NodeView;

/// How often the state is looked at while nothing reports a change.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Upkeep {
    pub(super) catalog: Catalog,
    pub(super) commit: Arc<dyn Commit>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node: watch::Receiver<Arc<NodeView>>,
    pub(super) superuser: String,
    /// `hawq_segment_history_keep_period`.
    pub(super) history_keep: Duration,
    pub(super) audit: Arc<Audit>,
    /// Told when the catalog can be read.
    pub(super) filled: watch::Sender<bool>,
}

impl Upkeep {
    /// Ends with the node's loop.
    pub(super) async fn run(mut self) {
        let mut reign = None;
        let mut warned = false;
        while self.wait(reign, warned).await {
            let view = Arc::clone(&self.node.borrow_and_update());
            let done = match self.look(&view, &mut reign).await {
                Ok(()) => true,
                Err(reason) => {
                    if !warned {
                        tracing::warn!("cannot keep the catalog's rows about masters: {reason}");
                    }
                    false
                }
            };
            warned = !done;
        }
    }

    /// Until the next look; false when the node's loop has ended. A reign that has begun is noted
    /// at once: until then the rows tell of the one before.
    async fn wait(&mut self, reign: Option<Epoch>, failed: bool) -> bool {
        let begun = |view: &Arc<NodeView>| view.is_open_primary() && reign != Some(view.epoch);
        // A receiver of its own: what it has seen has not been looked at.
        let mut node = self.node.clone();
        if failed {
            tokio::time::sleep(LOOK_PAUSE).await;
        } else if let Ok(begun) = tokio::time::timeout(LOOK_PAUSE, node.wait_for(begun)).await {
            return begun.is_ok();
        }
        let changed = tokio::time::timeout(LOOK_INTERVAL, self.node.changed()).await;
        !matches!(changed, Ok(Err(_)))
    }

    async fn look(&self, view: &NodeView, reign: &mut Option<Epoch>) -> Result<(), String> {
        let text = |error: Error| error_text(&error);
        let filled = self.catalog.is_bootstrapped().map_err(text)?;
        self.filled.send_if_modified(|known| std::mem::replace(known, filled) != filled);
        if !view.is_open_primary() {
            *reign = None;
            return Ok(());
        }
        if !filled {
            return self.bootstrap(view).await;
        }
        let mut transaction = self.catalog.begin();
        let audit = self.audit.waiting();
        let news = self.prepare(&mut transaction, view, &audit).map_err(text)?;
        if *reign != Some(view.epoch) {
            self.note_reign(&mut transaction, view).map_err(text)?;
            self.purge(&mut transaction).map_err(text)?;
        }
        if !transaction.is_empty() {
            let committed = self.commit.commit(transaction.into_transaction()).await;
            committed.map_err(|error| error.to_string())?;
        }
        *reign = Some(view.epoch);
        self.audit.written(&audit);
        for line in news {
            line.log();
        }
        Ok(())
    }

    async fn bootstrap(&self, view: &NodeView) -> Result<(), String> {
        let record = view.record.as_ref();
        let entry = record.and_then(|record| record.members.get(&view.me.node));
        let Some(entry) = entry else { return Err("this node is not a member".to_owned()) };
        let cluster = Bootstrap {
            master_host: entry.host.clone(),
            master_address: entry.host.clone(),
            master_port: entry.pg_port,
            superuser: self.superuser.clone(),
            now_micros: self.clock.wall_micros(),
        };
        let transaction = Catalog::bootstrap(&cluster).map_err(|e| error_text(&e))?;
        let committed = self.commit.commit(transaction).await;
        let committed = committed.map_err(|error| error.to_string())?;
        tracing::info!("catalog filled epoch={} lsn={}", view.epoch, committed.lsn);
        self.filled.send_replace(true);
        Ok(())
    }

    /// Puts every difference between what is stored and what is into the transaction.
    fn prepare(
        &self,
        transaction: &mut OpenTransaction,
        view: &NodeView,
        audit: &[String],
    ) -> Result<Vec<News>, Error> {
        let Some(record) = &view.record else { return Ok(Vec::new()) };
        let now = self.clock.wall_micros();
        let mut news = Vec::new();
        let stored = masters(transaction)?;
        let wanted = mirroring::master_rows(record);
        for row in wanted.iter().filter(|row| !stored.contains(row)) {
            segments::put_segment(transaction, row)?;
            let known = stored.iter().find(|known| known.order == row.order);
            let text = match (row.order, known) {
                (0, _) => format!("master activated at epoch {}", view.epoch),
                (_, None) => "standby master added".to_owned(),
                (_, Some(_)) => "standby master changed".to_owned(),
            };
            segments::add_history(transaction, now, row.order, &row.hostname, &text)?;
            news.push(News::Info(format!("{text} host={} port={}", row.hostname, row.port)));
        }
        let gone = |order: i32| !wanted.iter().any(|row| row.order == order);
        for row in stored.iter().filter(|row| gone(row.order)) {
            segments::remove_segment(transaction, row.order)?;
            let text = "standby master removed";
            segments::add_history(transaction, now, row.order, &row.hostname, text)?;
            news.push(News::Info(format!("{text} host={} port={}", row.hostname, row.port)));
        }
        for row in wanted.iter().filter(|row| row.order == 0) {
            for text in audit {
                segments::add_history(transaction, now, row.order, &row.hostname, text)?;
            }
        }
        let standby = wanted.iter().find(|row| row.order == -1).map(|row| row.hostname.as_str());
        self.prepare_mirroring(transaction, (view, standby), &mut news)?;
        Ok(news)
    }

    fn prepare_mirroring(
        &self,
        transaction: &mut OpenTransaction,
        (view, standby): (&NodeView, Option<&str>),
        news: &mut Vec<News>,
    ) -> Result<(), Error> {
        let mut state = mirroring::mirroring(view, self.clock.now());
        let stored = segments::mirroring(transaction)?;
        let same = stored
            .as_ref()
            .is_some_and(|stored| stored.state == state.state && stored.detail == state.detail);
        if same {
            return Ok(());
        }
        let now = self.clock.wall_micros();
        state.log_time = Some(now);
        segments::set_mirroring(transaction, &state)?;
        let was = stored.is_some_and(|stored| stored.state == MirroringState::Synchronized);
        let text = mirroring::history_text(was, state.state);
        if let (Some(text), Some(host)) = (text, standby) {
            segments::add_history(transaction, now, -1, host, text)?;
        }
        if state.state == MirroringState::Synchronized {
            news.push(News::Info(mirroring::REGAINED.to_owned()));
        } else if was {
            let why = state.error.clone().unwrap_or_else(|| state.state.text().to_owned());
            news.push(News::Warning(format!(
                "{} epoch={} lsn={}: {why}",
                mirroring::LOST,
                view.epoch,
                view.commit_lsn
            )));
        }
        Ok(())
    }

    /// Once a reign, also when the answer to its commit was lost.
    fn note_reign(&self, transaction: &mut OpenTransaction, view: &NodeView) -> Result<(), Error> {
        let (Some(note), Some(record)) = (&view.reign, &view.record) else { return Ok(()) };
        let Some(entry) = record.members.get(&record.primary) else { return Ok(()) };
        if history::holds(transaction, note)? {
            return Ok(());
        }
        let now = self.clock.wall_micros();
        segments::add_history(transaction, now, 0, &entry.host, &note.to_string())
    }

    /// HAWQ forgets old history at each start of a master.
    fn purge(&self, transaction: &mut OpenTransaction) -> Result<(), Error> {
        let keep = i64::try_from(self.history_keep.as_micros()).unwrap_or(i64::MAX);
        let oldest = self.clock.wall_micros().saturating_sub(keep);
        segments::purge_history(transaction, oldest)?;
        Ok(())
    }
}

/// The rows of master and standbys as they are stored.
fn masters(view: &dyn ReadView) -> Result<Vec<SegmentRow>, Error> {
    let mut rows = segments::segment_rows(view)?;
    rows.retain(|row| row.order <= 0);
    rows.sort_by_key(|row| std::cmp::Reverse(row.order));
    Ok(rows)
}

/// A line for the log, written once the change is committed.
enum News {
    Info(String),
    Warning(String),
}

impl News {
    fn log(self) {
        match self {
            News::Info(text) => tracing::info!("{text}"),
            News::Warning(text) => tracing::warn!("{text}"),
        }
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
