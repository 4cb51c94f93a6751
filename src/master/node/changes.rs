//! What the next change of the record may be: somebody must leave, an operator's wish, somebody
//! may come in.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::replication::Stage;
use crate::types::{ClusterState, Enabling, Instant, Lsn, Member, Mode};

use super::reign::Reign;
use super::requests::Change;

/// The record as it is to be, why, and whose wish that is.
pub(crate) type NextChange = (ClusterState, String, Option<u64>);

impl Reign {
    /// An operator removes the very standby whose leaving is in doubt: in manual mode a person's
    /// word settles what the witnesses could not, so the pending change gives way. Both are made
    /// for the same version, so only one of them can take effect.
    pub(crate) fn give_way_to_removal(&mut self) {
        let Some(change) = &self.change else { return };
        let stuck = change.doubt.is_some() && change.ticket.is_none();
        let removes = |(_, wish): &(u64, Change)| {
            let Change::Remove { node } = wish else { return false };
            self.record.in_sync.iter().any(|member| member.node == *node)
                && change.proposed.in_sync.iter().all(|member| member.node != *node)
        };
        let asked = self.requests.iter().position(removes);
        if let Some(at) = asked.filter(|_| stuck && self.record.mode == Mode::Manual) {
            self.requests.swap(0, at);
            self.change = None;
            self.sync.reject(self.record.in_sync.clone());
            self.removing = true;
        }
    }

    /// Those who must leave: laggards (rule 3), and those whose data is to be discarded (rule 13)
    /// or has been: a node with a new data directory is another member.
    pub(crate) fn shrink(
        &self,
        now: Instant,
        me: Member,
        (timeout, strict): (Duration, bool),
    ) -> Option<NextChange> {
        let mut proposed = self.record.clone();
        let mut reasons = Vec::new();
        for (node, (member, reason)) in &self.leaving {
            proposed.in_sync.retain(|recorded| recorded.node != *node);
            if let Some(entry) = proposed.members.get_mut(node) {
                entry.incarnation = member.incarnation;
            }
            reasons.push(format!("node {node} leaves the in-sync set: {reason}"));
        }
        let slow: BTreeSet<Member> = proposed
            .in_sync
            .iter()
            .copied()
            .filter(|member| {
                *member != me
                    && self.standbys.get(&member.node).is_none_or(|p| now >= p.too_slow_at(timeout))
            })
            .collect();
        let keep = if strict { 2 } else { 1 };
        for member in slow {
            if proposed.in_sync.len() > keep {
                proposed.in_sync.remove(&member);
                reasons.push(format!("node {} did not flush within {timeout:?}", member.node));
            }
        }
        (proposed != self.record).then(|| (proposed, reasons.join("; "), None))
    }

    /// What an operator asked for.
    pub(crate) fn wish(&mut self) -> Option<NextChange> {
        let position = self.requests.iter().position(|(_, change)| *change != Change::Opened)?;
        let (ticket, change) = self.requests.remove(position)?;
        let mut proposed = self.record.clone();
        let why = match change {
            Change::Admit { node, entry } => {
                let known = proposed.members.get(&node).map(|known| known.incarnation);
                if known.is_some_and(|incarnation| incarnation != entry.incarnation) {
                    proposed.in_sync.retain(|member| member.node != node);
                }
                proposed.members.insert(node, entry);
                format!("node {node} is a member")
            }
            Change::Remove { node } => {
                proposed.in_sync.retain(|member| member.node != node);
                proposed.members.remove(&node);
                format!("node {node} is no longer a member")
            }
            Change::Announce { mode, voters } => {
                proposed.enabling = Some(Enabling::Announced(mode));
                proposed.voters = voters;
                // Automatic mode may have been switched off between the two swaps of a change.
                proposed.next_voters = None;
                format!("automatic mode ({mode}) is announced")
            }
            Change::Disable => {
                proposed.mode = Mode::Manual;
                "automatic mode is off".to_owned()
            }
            Change::Opened | Change::Nothing => return None,
        };
        Some((proposed, why, Some(ticket)))
    }

    /// A standby that has flushed everything up to the commit point, in this epoch (rule 4).
    pub(crate) fn grow(&self, now: Instant, commit: Lsn, timeout: Duration) -> Option<NextChange> {
        // Also before the reign opens, but never without the epoch-start record: what lies before
        // it may have been committed by an earlier reign.
        let needed = commit.max(self.opens_at);
        let ready = self.standbys.values().find(|progress| {
            progress.stage == Stage::Streaming
                && progress.acked >= needed
                && now < progress.too_slow_at(timeout)
                && !self.record.is_in_sync(progress.member)
                && self.record.member(progress.member.node) == Some(progress.member)
                && !self.leaving.contains_key(&progress.member.node)
        })?;
        let mut proposed = self.record.clone();
        proposed.in_sync.insert(ready.member);
        Some((proposed, format!("node {} is in sync", ready.member.node), None))
    }
}
