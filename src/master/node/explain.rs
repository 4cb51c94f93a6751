//! What keeps this node from becoming primary, rule by rule, for whoever asks. It only tells: what
//! decides are the rules themselves, where they stand.

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
        reasons
    }

    pub(crate) fn is_standby(&self) -> bool {
        !matches!(self.role, Role::Primary(_) | Role::SteppingDown { .. })
    }
}
