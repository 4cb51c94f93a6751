//! Two claims to one epoch, which no rule allows: seen by whoever meets both.
//!
//! An epoch carries its node's number and is persisted before it is spoken, so this takes a data
//! directory that runs twice (a cloned machine), or somebody who forges. Nothing is decided here:
//! a person is called, since every way to go on by itself could make it worse.

use crate::types::{ClusterState, Epoch, Member};

use super::super::event::{Effect, Level};
use super::{Node, Role};

impl Node {
    /// `from` speaks as the primary of `epoch`.
    pub(crate) fn watch_claim(&mut self, from: Member, epoch: Epoch, effects: &mut Vec<Effect>) {
        let known = match &self.role {
            Role::Following(follow) if follow.epoch == epoch => Some(follow.primary),
            Role::Primary(reign) if reign.epoch == epoch => Some(self.me),
            _ => None,
        };
        let itself = self.reign().is_some_and(|reign| reign.epoch == epoch) && from == self.me;
        if itself {
            let text = format!("another process speaks as this very node {from}");
            self.raise(epoch, &text, effects);
        } else if let Some(known) = known.filter(|known| *known != from) {
            self.raise(epoch, &format!("node {known} and node {from} both claim it"), effects);
        } else if let Some(owner) = epoch.node().filter(|owner| *owner != from.node) {
            let text = format!("node {from} claims it, and it can only be node {owner}'s");
            self.raise(epoch, &text, effects);
        }
    }

    /// A record of an epoch whose primary is known to be another.
    pub(crate) fn watch_record(&mut self, record: &ClusterState, effects: &mut Vec<Effect>) {
        let known = self.control.record.as_ref().filter(|known| known.epoch == record.epoch);
        let other = known.map(|known| known.primary).filter(|primary| *primary != record.primary);
        if let Some(known) = other {
            let text = format!("records name both node {known} and node {}", record.primary);
            self.raise(record.epoch, &text, effects);
        }
    }

    fn raise(&mut self, epoch: Epoch, text: &str, effects: &mut Vec<Effect>) {
        let text = format!("two claims to epoch {epoch}: {text}; stop one of them at once");
        if self.alarm.as_ref() != Some(&text) {
            Self::report(Level::Error, text.clone(), effects);
            self.alarm = Some(text);
        }
    }
}
