//! What a proxy is told of this node: whether it is primary, in sync, how far behind. Pure; a
//! proxy sends clients where this says so, so that a primary without its lease is not one.

use std::sync::Arc;
use std::time::Duration;

use crate::frontend::Check;
use crate::types::{Instant, Lsn, NodeRole};

use super::node::NodeView;

/// A standby that has not heard its primary for so long cannot say how far behind it is.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The node's last view, and what else matters at `now`.
pub(super) struct Facts {
    pub(super) view: Arc<NodeView>,
    pub(super) now: Instant,
    /// The catalog holds what every session needs.
    pub(super) filled: bool,
    pub(super) stopping: bool,
    pub(super) hot_standby: bool,
    pub(super) applied: Lsn,
    /// What is wrong with whatever holds the record; `None`: it answers, or none is asked.
    pub(super) coordinator_trouble: Option<String>,
}

impl Facts {
    /// Takes writes, and its reads are linearizable at this moment.
    pub(super) fn is_primary(&self) -> bool {
        self.view.is_open_primary() && self.lease_left().is_some() && self.sound()
    }

    /// How long reads are allowed without hearing from anybody; `None`: they are not.
    pub(super) fn lease_left(&self) -> Option<Duration> {
        let until = self.view.readable_until?;
        (until > self.now).then(|| until.since(self.now))
    }

    pub(super) fn is_standby(&self) -> bool {
        self.view.role.is_standby() && self.view.seeding.is_none()
    }

    /// Recorded, as far as this node knows, which is only as long as it hears its primary.
    pub(super) fn is_in_sync(&self) -> bool {
        self.view.role == NodeRole::InSync && self.is_standby() && self.hears()
    }

    pub(super) fn serves_reads(&self) -> bool {
        self.is_standby() && self.hot_standby && self.sound()
    }

    /// Bytes of the log that the primary has committed and this standby has not applied.
    pub(super) fn lag(&self) -> Option<u64> {
        let known = self.is_standby() && self.hears();
        known.then(|| self.view.primary_commit_lsn.bytes_since(self.applied))
    }

    fn hears(&self) -> bool {
        let heard = self.view.primary_heard;
        heard.is_some_and(|at| self.now.since(at) < SILENCE_MAX)
    }

    fn sound(&self) -> bool {
        self.filled && !self.stopping
    }

    /// As the gate for clients has it: a standby serves only where it is a hot one.
    pub(super) fn ready(&self) -> Result<String, String> {
        let view = &self.view;
        if self.is_primary() || self.serves_reads() {
            return Ok(view.role.to_string());
        }
        let reason = match view.closed_reason.as_str() {
            _ if self.stopping => "stopping",
            "" if !self.filled => "the catalog is being filled",
            "" if view.role == NodeRole::Primary => "the lease ran out",
            "" => "no sessions here",
            reason => reason,
        };
        Err(format!("{}: {reason}", view.role))
    }

    /// `lag` bounds standbys only.
    pub(super) fn is(&self, check: Check, lag: Option<u64>) -> bool {
        let near = || lag.is_none_or(|max| self.lag().is_some_and(|lag| lag <= max));
        match check {
            Check::Primary => self.is_primary(),
            Check::Standby => self.is_standby() && near(),
            Check::InSync => self.is_in_sync() && near(),
            Check::OutOfSync => self.is_standby() && !self.is_in_sync() && near(),
            Check::Replica => self.serves_reads() && near(),
            Check::ReadOnly => self.is_primary() || (self.serves_reads() && near()),
            Check::ReadOnlyInSync => {
                self.is_primary() || (self.serves_reads() && self.is_in_sync() && near())
            }
            Check::Running => self.is_primary() || (self.is_standby() && near()),
            Check::Described => true,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::mirroring::tests::view;
    use super::*;

    const NOW: Instant = Instant(100_000_000_000);

    pub(in crate::master) fn facts(view: NodeView) -> Facts {
        let (now, applied) = (NOW, Lsn(900));
        let (filled, stopping, hot_standby) = (true, false, false);
        Facts {
            view: Arc::new(view),
            now,
            filled,
            stopping,
            hot_standby,
            applied,
            coordinator_trouble: None,
        }
    }

    pub(in crate::master) fn primary() -> NodeView {
        NodeView { readable_until: Some(Instant(NOW.0 + 300_000_000)), ..view(2, &[1, 2], None) }
    }

    pub(in crate::master) fn standby(role: NodeRole) -> NodeView {
        NodeView {
            role,
            open: false,
            closed_reason: "standby of node 2".to_owned(),
            primary_heard: Some(Instant(NOW.0 - 1_000_000_000)),
            primary_commit_lsn: Lsn(1_000),
            ..view(2, &[1, 2], None)
        }
    }

    /// The checks that hold, of those that a proxy would ask for.
    fn holding(facts: &Facts) -> Vec<Check> {
        use Check::{InSync, OutOfSync, Primary, ReadOnly, ReadOnlyInSync, Replica, Standby};
        let asked = [
            Primary,
            Standby,
            InSync,
            OutOfSync,
            Replica,
            ReadOnly,
            ReadOnlyInSync,
            Check::Running,
        ];
        asked.into_iter().filter(|check| facts.is(*check, None)).collect()
    }

    #[test]
    fn every_node_is_what_it_is_row_by_row() {
        use Check::{
            InSync, OutOfSync, Primary, ReadOnly, ReadOnlyInSync, Replica, Running, Standby,
        };
        let with = |view: NodeView, change: fn(&mut Facts)| {
            let mut facts = facts(view);
            change(&mut facts);
            facts
        };
        let same = |_: &mut Facts| {};
        let closed = NodeView { open: false, ..primary() };
        let unheard = NodeView { primary_heard: None, ..standby(NodeRole::InSync) };
        let seeded =
            NodeView { seeding: Some("too old".to_owned()), ..standby(NodeRole::CatchingUp) };
        let rows = [
            (with(primary(), same), vec![Primary, ReadOnly, ReadOnlyInSync, Running]),
            // The lease has just run out; no view has said so yet.
            (with(primary(), |facts| facts.now = Instant(NOW.0 + 300_000_000)), vec![]),
            (with(NodeView { readable_until: None, ..primary() }, same), vec![]),
            (with(closed, same), vec![]),
            (with(primary(), |facts| facts.filled = false), vec![]),
            (with(primary(), |facts| facts.stopping = true), vec![]),
            (with(standby(NodeRole::InSync), same), vec![Standby, InSync, Running]),
            (with(standby(NodeRole::InSync), |facts| facts.hot_standby = true), {
                vec![Standby, InSync, Replica, ReadOnly, ReadOnlyInSync, Running]
            }),
            (with(standby(NodeRole::CatchingUp), |facts| facts.hot_standby = true), {
                vec![Standby, OutOfSync, Replica, ReadOnly, Running]
            }),
            (with(unheard, same), vec![Standby, OutOfSync, Running]),
            (with(seeded, same), vec![]),
            (with(standby(NodeRole::Joining), same), vec![]),
            (with(standby(NodeRole::TakingOver), same), vec![]),
        ];
        for (facts, expected) in rows {
            assert_eq!(holding(&facts), expected, "{:?}", facts.view);
        }
    }

    #[test]
    fn lag_bounds_standbys_and_is_unknown_to_one_that_hears_nobody() {
        let near = facts(standby(NodeRole::InSync));
        assert_eq!(near.lag(), Some(100));
        assert!(near.is(Check::InSync, Some(100)) && !near.is(Check::InSync, Some(99)));
        let silent = Some(Instant(NOW.0 - 4_000_000_000));
        let alone = facts(NodeView { primary_heard: silent, ..standby(NodeRole::InSync) });
        assert!(alone.is(Check::Standby, None) && !alone.is(Check::Standby, Some(1 << 40)));
        assert!(facts(primary()).is(Check::Primary, Some(0)));
    }

    #[test]
    fn who_is_ready_row_by_row() {
        let ready =
            |view, filled, hot_standby| Facts { filled, hot_standby, ..facts(view) }.ready();
        let waits =
            NodeView { closed_reason: "no primary".to_owned(), ..standby(NodeRole::Joining) };
        let lapsed = NodeView { readable_until: None, ..primary() };
        let rows = [
            (ready(primary(), true, false), Ok("primary")),
            (ready(primary(), false, false), Err("primary: the catalog is being filled")),
            (ready(lapsed, true, false), Err("primary: the lease ran out")),
            (ready(standby(NodeRole::InSync), true, true), Ok("in-sync")),
            (ready(standby(NodeRole::InSync), true, false), Err("in-sync: standby of node 2")),
            (ready(waits, true, true), Err("joining: no primary")),
        ];
        for (said, expected) in rows {
            assert_eq!(said, expected.map(str::to_owned).map_err(str::to_owned));
        }
    }
}
