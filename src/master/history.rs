//! The reigns of the cluster, oldest first: the log's timeline history says which there were and
//! where they began, `gp_configuration_history` when, why, and after which gap. Both survive a
//! takeover. Any node can tell, a standby up to what it has applied.

use std::collections::BTreeMap;

use crate::catalog::segments::{self, HistoryRow};
use crate::catalog::{Error, ReadView};
use crate::proto::v1;
use crate::types::{ClusterState, Epoch, Lsn};

use super::ReignNote;
use super::parts::Parts;

pub(super) fn reigns(parts: &Parts) -> Result<Vec<v1::ReignEntry>, Error> {
    let view = parts.view();
    let rows = segments::history(&parts.catalog.snapshot())?;
    Ok(merge(view.record.as_ref(), &rows))
}

/// Whether the reign of this note is in the history already.
pub(super) fn holds(view: &dyn ReadView, note: &ReignNote) -> Result<bool, Error> {
    let rows = segments::history(view)?;
    Ok(rows.iter().any(|row| parse(row).is_some_and(|known| known.epoch == note.epoch)))
}

fn parse(row: &HistoryRow) -> Option<ReignNote> {
    ReignNote::parse(row.description.as_deref()?)
}

fn merge(record: Option<&ClusterState>, rows: &[HistoryRow]) -> Vec<v1::ReignEntry> {
    let entry = |epoch: Epoch, lsn: Lsn| v1::ReignEntry {
        epoch: epoch.0,
        node: epoch.node().map_or(0, |node| u32::from(node.get())),
        start_lsn: lsn.0,
        ..v1::ReignEntry::default()
    };
    let recorded = record.map(|record| record.history.entries()).unwrap_or_default();
    let mut reigns: BTreeMap<Epoch, v1::ReignEntry> =
        recorded.iter().map(|(epoch, lsn)| (*epoch, entry(*epoch, *lsn))).collect();
    for (row, note) in rows.iter().filter_map(|row| Some((row, parse(row)?))) {
        let reign = reigns.entry(note.epoch).or_insert_with(|| entry(note.epoch, note.start));
        *reign = v1::ReignEntry { at_us: row.time, ..reign_to_wire(&note) };
    }
    reigns.into_values().collect()
}

/// A reign as its node tells it, without a time.
pub(super) fn reign_to_wire(note: &ReignNote) -> v1::ReignEntry {
    v1::ReignEntry {
        epoch: note.epoch.0,
        node: note.epoch.node().map_or(0, |node| u32::from(node.get())),
        start_lsn: note.start.0,
        at_us: 0,
        cause: note.cause.clone(),
        gap_us: note.gap.map(|gap| u64::try_from(gap.as_micros()).unwrap_or(u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ha::manual_policy::tests::{node, record};
    use crate::types::TimelineHistory;

    #[test]
    fn what_the_catalog_does_not_tell_the_timeline_does() {
        let (first, second) = (Epoch::new(1, node(1)), Epoch::new(2, node(2)));
        let history = TimelineHistory::from_entries(vec![(first, Lsn(0)), (second, Lsn(0x28))]);
        let record = ClusterState { history: history.unwrap(), ..record(5, 2, 2, &[1, 2]) };
        let note = ReignNote {
            epoch: second,
            start: Lsn(0x28),
            cause: "switchover from node 1".to_owned(),
            gap: Some(Duration::from_millis(12)),
        };
        let row = |time, text: &str| HistoryRow {
            time,
            order: 0,
            hostname: Some("mdw".to_owned()),
            description: Some(text.to_owned()),
        };
        let rows = [row(7, "standby master added"), row(8, &note.to_string())];
        let reigns = merge(Some(&record), &rows);
        assert_eq!(reigns.len(), 2);
        assert_eq!((reigns[0].node, reigns[0].at_us, reigns[0].gap_us), (1, 0, None));
        assert_eq!(reigns[1].cause, "switchover from node 1");
        assert_eq!((reigns[1].node, reigns[1].at_us, reigns[1].gap_us), (2, 8, Some(12_000)));
    }
}
