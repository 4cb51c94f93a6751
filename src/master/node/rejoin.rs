//! A node that was primary and finds that another is: by default it follows, and where the operator
//! wants to look first (`ha_auto_rejoin = off`) it stays out until asked.

use crate::types::{Epoch, Instant, Member};

use super::super::event::{Answer, Effect, Level};
use super::{Node, Role};

impl Node {
    /// The newest reign in its log is its own, nobody asked it to follow another, and it did not
    /// hand that reign over.
    pub(crate) fn kept_out(&self) -> bool {
        !self.settings.auto_rejoin
            && !self.rejoins
            && self.yielded_until.is_none()
            && self.log.history.last_epoch().node() == Some(self.me.node)
    }

    /// Another node speaks as primary: this one serves no more, acknowledges nothing, and waits.
    pub(crate) fn stay_out(
        &mut self,
        now: Instant,
        (primary, epoch): (Member, Epoch),
        effects: &mut Vec<Effect>,
    ) {
        let reason = format!(
            "node {} is primary at epoch {epoch}; this node, primary before, stays out until \
             \"hawq start master --rejoin\" (ha_auto_rejoin = off)",
            primary.node
        );
        if matches!(&self.role, Role::Joining { closed, .. } if *closed == reason) {
            return;
        }
        self.leave_role(&reason, effects);
        self.control.followed = epoch;
        self.control.promised = Epoch::ZERO;
        self.persist(effects);
        Self::report(Level::Warn, reason.clone(), effects);
        let again_at = now.after(self.settings.hello_interval());
        self.role = Role::Joining { closed: reason, again_at };
    }

    pub(crate) fn rejoin(&mut self, now: Instant, ticket: u64, effects: &mut Vec<Effect>) {
        let text = if self.kept_out() && matches!(self.role, Role::Joining { .. }) {
            self.rejoins = true;
            self.join(now, "rejoins the cluster", effects);
            "the node rejoins the cluster".to_owned()
        } else {
            "the node is not kept out of the cluster".to_owned()
        };
        effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
    }
}
