//! What keeps this node from becoming primary, rule by rule, for whoever asks. It only tells: what
//! decides are the rules themselves, where they stand.

use crate::ha::Refusal;

use super::{Node, Role};

impl Node {
    /// Why this standby would refuse even a person who wants to lose nothing.
    pub(crate) fn cannot_stand(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let mut add = |reason: &str| reasons.push(reason.to_owned());
        let Some(record) = &self.control.record else {
            add("rule 6: it has not learned the cluster state yet");
            return reasons;
        };
        match record.member(self.me.node) {
            None => add("rule 6: it is not a member of the cluster"),
            Some(member) if member != self.me => {
                add("rule 13: the cluster state knows another life of this node");
            }
            Some(_) if !record.is_in_sync(self.me) => {
                add("rule 6: it is not in the recorded in-sync set");
            }
            Some(_) => {}
        }
        if let Some(seeding) = &self.seeding {
            add(&format!("rule 13: it is being seeded ({})", seeding.reason));
        }
        if self.log.doubtful {
            add("rule 12: the end of its log is damaged, and no other member has confirmed it");
        }
        if self.log.cutting.is_some() {
            add("rule 14: its log is being cut at the last common point");
        }
        reasons
    }

    /// Why it would not take over without a person, besides.
    pub(crate) fn not_by_itself(&self) -> Vec<String> {
        let Some(record) = &self.control.record else { return Vec::new() };
        let mut reasons = Vec::new();
        let mut add = |reason: &str| reasons.push(reason.to_owned());
        if !self.automatic() {
            add("section 6: in manual mode only a person starts a takeover");
        }
        if record.paused {
            add("rule 10: takeovers are paused (hawq ha resume)");
        }
        if record.members.get(&self.me.node).is_some_and(|entry| entry.priority == 0) {
            add("rule 10: its ha_priority is 0");
        }
        let max = self.settings.failovers_max;
        if record.failovers >= max {
            add(&Refusal::TooManyFailovers { max }.to_string());
        }
        reasons
    }

    pub(crate) fn is_standby(&self) -> bool {
        !matches!(self.role, Role::Primary(_) | Role::SteppingDown { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::master::{Control, LogState};
    use crate::types::{
        ClusterId, ClusterState, Epoch, Incarnation, Instant, Lsn, Member, MemberEntry, Mode,
        NodeId, TimelineHistory,
    };

    /// Standby 2 of an embedded cluster in which so many failovers have followed each other.
    fn standby(failovers: u32) -> Node {
        let [primary, me] = [1, 2].map(|number| {
            let node = NodeId::new(number).expect("a node number");
            Member { node, incarnation: Incarnation(7) }
        });
        let entry = |member: Member| {
            let (host, incarnation) = ("h".to_owned(), member.incarnation);
            let entry = MemberEntry { incarnation, host, rpc_port: 1, pg_port: 2, priority: 1 };
            (member.node, entry)
        };
        let members = BTreeMap::from([entry(primary), entry(me)]);
        let record = ClusterState {
            mode: Mode::Embedded,
            in_sync: [primary, me].into(),
            failovers,
            ..ClusterState::first(ClusterId(1), primary, members)
        };
        let control = Control { followed: Epoch(257), promised: Epoch(257), record: Some(record) };
        let log = LogState {
            end: Lsn(100),
            first: Lsn(0),
            commit_lsn: Lsn(100),
            apply_lsn: Lsn(100),
            history: TimelineHistory::from_entries(vec![(Epoch(257), Lsn(0))]).expect("history"),
            doubtful: false,
        };
        let settings = super::super::NodeSettings::default();
        Node::new(settings, (ClusterId(1), me), control, log, (Instant(0), &mut Vec::new()))
    }

    #[test]
    fn too_many_failovers_keep_it_from_standing_by_itself() {
        assert_eq!((standby(5).cannot_stand(), standby(5).not_by_itself()), (vec![], vec![]));
        let limited = standby(6);
        assert!(limited.cannot_stand().is_empty(), "a person may order it");
        let reasons = limited.not_by_itself();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].starts_with("6 failovers have followed each other"), "{reasons:?}");
    }
}
