//! Starting over from a checkpoint: asked for by the primary, by an operator, or by a digest.

use crate::types::{Incarnation, Instant, Member};

use super::super::event::{Effect, Level, LogState};
use super::log::Log;
use super::{Node, Role, Seeding};

impl Node {
    pub(crate) fn seed_required(
        &mut self,
        from: Member,
        reason: String,
        effects: &mut Vec<Effect>,
    ) {
        let text = format!("seeding from primary {}: {reason}", from.node);
        match &mut self.seeding {
            Some(seeding) if seeding.fetching => return,
            Some(seeding) => seeding.fetching = true,
            None => self.seeding = Some(Seeding { reason: reason.clone(), fetching: true }),
        }
        Self::report(Level::Warn, text, effects);
        effects.push(Effect::Seed { from: from.node, reason });
    }

    pub(crate) fn seeded(
        &mut self,
        now: Instant,
        incarnation: Incarnation,
        log: LogState,
        effects: &mut Vec<Effect>,
    ) {
        assert!(self.seeding.is_some(), "seeded without having asked");
        self.seeding = None;
        self.me.incarnation = incarnation;
        self.log = Log::found(log);
        effects.push(Effect::Flush { epoch: self.log.history.last_epoch() });
        Self::report(Level::Info, format!("seeded up to lsn={}", self.log.end), effects);
        self.join(now, "catching up after a seed", effects);
    }

    pub(crate) fn seed_failed(&mut self, now: Instant, why: &str, effects: &mut Vec<Effect>) {
        Self::report(Level::Warn, format!("seeding failed: {why}; trying again"), effects);
        if let Some(seeding) = &mut self.seeding {
            seeding.fetching = false;
        }
        if let Role::Following(follow) = &mut self.role {
            follow.hello_at = now.after(self.settings.lease * 2);
        }
    }
}
