//! The in-sync set: whose flush is needed before a commit is acknowledged.
//!
//! What is recorded decides who may take over; what is required decides what is committed. They
//! differ only while a change of the record is under way, and then the larger one counts: a swap
//! whose answer is lost may have happened, may not have, and may yet.

use std::collections::BTreeSet;

use crate::types::Member;

/// * `required` contains `recorded` always, and `proposed` until its fate is known.
/// * A member is counted (required) before it is recorded, and required until it is recorded out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncSet {
    recorded: BTreeSet<Member>,
    proposed: Option<BTreeSet<Member>>,
}

impl SyncSet {
    #[must_use]
    pub fn new(recorded: BTreeSet<Member>) -> SyncSet {
        SyncSet { recorded, proposed: None }
    }

    #[must_use]
    pub fn recorded(&self) -> &BTreeSet<Member> {
        &self.recorded
    }

    /// A swap to `set` is issued: from now on both sets are needed.
    pub fn propose(&mut self, set: BTreeSet<Member>) {
        assert!(self.proposed.is_none(), "one change of the record at a time");
        self.proposed = Some(set);
    }

    /// The swap took effect.
    pub fn accept(&mut self) {
        if let Some(set) = self.proposed.take() {
            self.recorded = set;
        }
    }

    /// The swap has certainly failed; `recorded` is what the record says.
    pub fn reject(&mut self, recorded: BTreeSet<Member>) {
        self.proposed = None;
        self.recorded = recorded;
    }

    #[must_use]
    pub fn required(&self) -> BTreeSet<Member> {
        match &self.proposed {
            None => self.recorded.clone(),
            Some(proposed) => self.recorded.union(proposed).copied().collect(),
        }
    }

    #[must_use]
    pub fn requires(&self, member: Member) -> bool {
        self.recorded.contains(&member)
            || self.proposed.as_ref().is_some_and(|set| set.contains(&member))
    }
}
