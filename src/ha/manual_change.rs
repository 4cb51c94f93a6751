//! Decides what a change of the record is by the rules of manual mode, which says whom to ask. It
//! never asks anybody and never writes.

use crate::types::{ClusterState, Member};

/// What a swap changes, which is what decides whom to ask first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The recorded primary begins a new reign of its own, with everybody whom it had in its set.
    Restart,
    /// Another node begins a reign, or the recorded primary one without a member of its set: that
    /// member may be taking over at the same time.
    Takeover,
    /// A member leaves the in-sync set while its node stays defined, be it as another incarnation.
    Shrink,
    /// A member is counted, admitted, or removed by a person.
    Other,
}

impl Change {
    #[must_use]
    pub fn of(current: &ClusterState, proposed: &ClusterState) -> Change {
        let leaves = |member: &Member| {
            !proposed.in_sync.contains(member) && proposed.members.contains_key(&member.node)
        };
        let shrinks = current.in_sync.iter().any(leaves);
        let begins = proposed.epoch > current.epoch;
        match (begins, proposed.primary == current.primary, shrinks) {
            (true, true, false) => Change::Restart,
            (true, ..) => Change::Takeover,
            (false, _, true) => Change::Shrink,
            (false, _, false) => Change::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ha::manual_policy::tests::{node, record, taken_over};
    use crate::types::Incarnation;

    #[test]
    fn changes_are_told_apart() {
        let current = record(5, 3, 3, &[1, 2]);
        let mut removed = record(6, 3, 3, &[1]);
        removed.members.remove(&node(2));
        let mut reborn = record(6, 3, 3, &[1]);
        let entry = reborn.members.get_mut(&node(2)).expect("a member");
        entry.incarnation = Incarnation(22);
        let cases = [
            (reborn, Change::Shrink),
            (record(6, 4, 3, &[1, 2]), Change::Restart),
            (record(6, 4, 3, &[1]), Change::Takeover),
            (taken_over(&current, 2), Change::Takeover),
            (record(6, 3, 3, &[1]), Change::Shrink),
            (record(6, 3, 3, &[1, 3]), Change::Shrink),
            (record(6, 3, 3, &[1, 2, 3]), Change::Other),
            (removed, Change::Other),
        ];
        for (proposed, expected) in cases {
            assert_eq!(Change::of(&current, &proposed), expected, "{proposed}");
        }
    }
}
