//! Fencing the old primary by the operator's own means (`ha_fencing_methods`), before a node opens
//! that took over by itself.
//!
//! The record says who is still to be fenced, so that nothing is forgotten when the new primary
//! dies on its way: whoever comes next inherits the duty, and only what has opened makes a new one.

use crate::types::{Epoch, Instant, Member};

use super::super::event::{Effect, Level};
use super::changes::NextChange;
use super::reign::Reign;
use super::{Node, Role};

/// How far this reign is with the one who is to be fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fencing {
    Due(Instant),
    Running,
    /// It succeeded; the record is still to say so.
    Done,
}

impl Node {
    pub(crate) fn fence_if_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(old) = reign.record.unfenced else { return };
        if matches!(reign.fencing, Fencing::Due(at) if now >= at) {
            reign.fencing = Fencing::Running;
            effects.push(Effect::FenceOld { old, reign: reign.epoch });
        }
    }

    /// The methods were tried in the name of the reign of `epoch`.
    pub(crate) fn fenced(
        &mut self,
        now: Instant,
        (epoch, outcome): (Epoch, Result<String, String>),
        effects: &mut Vec<Effect>,
    ) {
        let again_at = now.after(self.settings.fencing_retry());
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(old) = reign.record.unfenced.filter(|_| reign.epoch == epoch) else { return };
        match outcome {
            Ok(how) => {
                reign.fencing = Fencing::Done;
                let text = format!(
                    "node {}, primary until epoch {}, is fenced: {how}",
                    old.node, old.epoch
                );
                Self::report(Level::Info, text, effects);
                self.change_if_due(now, effects);
            }
            Err(why) => {
                reign.fencing = Fencing::Due(again_at);
                let text = format!(
                    "stays closed, since no method of ha_fencing_methods has fenced node {}, \
                     primary until epoch {}; trying again: {why}",
                    old.node, old.epoch
                );
                Self::report(Level::Error, text, effects);
            }
        }
    }
}

impl Reign {
    /// An ack in this epoch: whoever sent it follows the epoch on disk, and is primary no more.
    pub(crate) fn follows_us(&mut self, member: Member) {
        if self.record.unfenced.is_some_and(|old| old.node == member.node) {
            self.fencing = Fencing::Done;
        }
    }

    pub(crate) fn fencing_deadline(&self) -> Option<Instant> {
        match self.fencing {
            Fencing::Due(at) => self.record.unfenced.map(|_| at),
            Fencing::Running | Fencing::Done => None,
        }
    }

    /// Nobody is left to be fenced.
    pub(crate) fn settle_fencing(&self) -> Option<NextChange> {
        let old = self.record.unfenced.filter(|_| self.fencing == Fencing::Done)?;
        let proposed = crate::types::ClusterState { unfenced: None, ..self.record.clone() };
        Some((proposed, format!("node {} is fenced", old.node), None))
    }
}
