//! What HAWQ's tables say of masters and standbys, worked out from the node's state. Pure: when and
//! how it is written is `upkeep`'s.

use std::time::Duration;

use crate::catalog::segments::{Mirroring, MirroringState, SegmentRow};
use crate::types::{ClusterState, Instant, NodeId};

use super::node::{NodeView, StandbyView};

/// A standby not heard for so long is not connected, whatever it was doing.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// HAWQ's words, in the log and in `gp_configuration_history`.
pub(super) const REGAINED: &str = "Master mirroring is now synchronized";
pub(super) const LOST: &str = "Master mirroring synchronization lost";

/// What history says of a change of the state.
pub(super) fn history_text(was_synchronized: bool, state: MirroringState) -> Option<&'static str> {
    match (was_synchronized, state == MirroringState::Synchronized) {
        (false, true) => Some(REGAINED),
        (true, false) => Some(LOST),
        _ => None,
    }
}

/// The rows for the primary (0) and its standbys (-1 and down, by node number).
pub(super) fn master_rows(record: &ClusterState) -> Vec<SegmentRow> {
    let mut rows = Vec::new();
    let mut standby = 0;
    for (node, entry) in &record.members {
        let primary = *node == record.primary;
        if !primary {
            standby -= 1;
        }
        rows.push(SegmentRow {
            order: if primary { 0 } else { standby },
            role: if primary { 'm' } else { 's' },
            up: true,
            port: entry.pg_port,
            hostname: entry.host.clone(),
            address: entry.host.clone(),
            description: None,
        });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.order));
    rows
}

/// The state of mirroring as an open primary sees it, without a time. The best of several standbys
/// counts.
pub(super) fn mirroring(view: &NodeView, now: Instant) -> Mirroring {
    let state = |state, detail: Option<&str>, error| Mirroring {
        state,
        detail: detail.map(str::to_owned),
        log_time: None,
        error,
    };
    let Some(record) = &view.record else {
        return state(MirroringState::NotConfigured, None, None);
    };
    let others: Vec<NodeId> =
        record.members.keys().copied().filter(|node| *node != view.me.node).collect();
    if others.is_empty() {
        return state(MirroringState::NotConfigured, None, None);
    }
    if record.in_sync.iter().any(|member| member.node != view.me.node) {
        return state(MirroringState::Synchronized, None, None);
    }
    let connected = |standby: &&StandbyView| {
        standby.state != "startup" && now.since(standby.last_heard) < SILENCE_MAX
    };
    if view.standbys.iter().any(|standby| connected(&standby)) {
        return state(MirroringState::Synchronizing, None, None);
    }
    let silent: Vec<String> = others
        .iter()
        .filter_map(|node| record.members.get(node))
        .map(|entry| format!("{}:{}", entry.host, entry.rpc_port))
        .collect();
    let since = record.not_synchronized_since;
    let since = since.map_or_else(String::new, |lsn| format!(", not synchronized since {lsn}"));
    let error = format!("no answer from standby master {}{since}", silent.join(", "));
    state(MirroringState::NotSynchronized, Some("Connection error"), Some(error))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ha::manual_policy::tests::{member, node, record};
    use crate::types::{Epoch, Lsn, NodeRole};

    pub(in crate::master) fn view(
        members: u8,
        in_sync: &[u8],
        standby: Option<(&'static str, u64)>,
    ) -> NodeView {
        let standbys = standby.map(|(state, heard)| StandbyView {
            member: member(2),
            state,
            in_sync: in_sync.contains(&2),
            sent: Lsn(0),
            flush: Lsn(0),
            apply: Lsn(0),
            last_heard: Instant(heard * 1_000_000_000),
        });
        NodeView {
            me: member(1),
            role: NodeRole::Primary,
            open: true,
            closed_reason: String::new(),
            epoch: Epoch::new(3, node(1)),
            promised: Epoch::ZERO,
            write_lsn: Lsn(0),
            flush_lsn: Lsn(0),
            commit_lsn: Lsn(0),
            apply_lsn: Lsn(0),
            first_lsn: Lsn(0),
            record: Some(record(5, 3, members, in_sync)),
            standbys: standbys.into_iter().collect(),
            primary_heard: None,
            primary_commit_lsn: Lsn(0),
            readable_until: None,
            seeding: None,
            commits_wait: None,
            alarm: None,
            cannot_stand: Vec::new(),
            not_by_itself: Vec::new(),
            reign: None,
        }
    }

    #[test]
    fn the_state_of_mirroring_row_by_row() {
        let now = Instant(100_000_000_000);
        let cases = [
            (view(1, &[1], None), MirroringState::NotConfigured, None),
            (view(2, &[1, 2], Some(("streaming", 99))), MirroringState::Synchronized, None),
            (view(2, &[1], Some(("catchup", 99))), MirroringState::Synchronizing, None),
            (view(2, &[1], Some(("backup", 99))), MirroringState::Synchronizing, None),
            (
                view(2, &[1], Some(("startup", 99))),
                MirroringState::NotSynchronized,
                Some("Connection error"),
            ),
            (
                view(2, &[1], Some(("catchup", 90))),
                MirroringState::NotSynchronized,
                Some("Connection error"),
            ),
            (view(2, &[1], None), MirroringState::NotSynchronized, Some("Connection error")),
        ];
        for (view, summary, detail) in cases {
            let state = mirroring(&view, now);
            assert_eq!((state.state, state.detail.as_deref()), (summary, detail));
            assert_eq!(state.error.is_some(), detail.is_some());
        }
    }

    #[test]
    fn history_has_a_line_for_each_loss_and_return() {
        let cases = [
            (false, MirroringState::Synchronized, Some(REGAINED)),
            (true, MirroringState::Synchronized, None),
            (true, MirroringState::Synchronizing, Some(LOST)),
            (true, MirroringState::NotSynchronized, Some(LOST)),
            (true, MirroringState::NotConfigured, Some(LOST)),
            (false, MirroringState::NotSynchronized, None),
        ];
        for (was, summary, expected) in cases {
            assert_eq!(history_text(was, summary), expected, "{was} -> {summary:?}");
        }
    }

    #[test]
    fn the_primary_is_row_zero_whatever_its_number() {
        let mut state = record(5, 3, 3, &[1, 2]);
        state.primary = node(2);
        let rows = master_rows(&state);
        let shown: Vec<_> = rows.iter().map(|row| (row.order, row.role, row.port)).collect();
        assert_eq!(shown, [(0, 'm', 2002), (-1, 's', 2001), (-2, 's', 2003)]);
    }
}
