//! A supervisor's word that a process is dead: the fast way to know that a primary is gone
//! (rule 10).
//!
//! An epoch never outlives its process (rule 5), and the supervisor reads the ceiling from the dead
//! process's control file while nobody else can work in that directory. So every epoch of that
//! member up to the ceiling is over for good: nothing is acknowledged or read in it any more, and
//! what was promised to it is void. Reports that come late, twice or never change nothing else:
//! whoever was started again reigns above the ceiling.

use crate::ha::Cause;
use crate::types::{Epoch, Instant, Member};

use super::super::event::{Answer, Effect};
use super::{Node, Role};

/// The member whose process ended, and the highest epoch that it can have reigned in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) member: Member,
    pub(crate) upto: Epoch,
}

impl Node {
    pub(crate) fn end_reported(
        &mut self,
        now: Instant,
        ticket: u64,
        ended: Ended,
        effects: &mut Vec<Effect>,
    ) {
        let text = if !self.automatic() {
            "manual mode: a report changes nothing".to_owned()
        } else if !self.promised_to(ended) {
            let (epoch, upto) = (self.control.followed, ended.upto);
            format!("this node follows epoch {epoch}, which no end up to {upto} concerns")
        } else {
            self.ended = Some(ended);
            self.promise.hand_back(now);
            self.unserved_since = self.primary_heard.or(Some(now));
            self.primary_heard = None;
            if self.stands_at().is_some_and(|at| now >= at) {
                self.silence(now, effects);
            }
            format!("epoch {} is over", self.control.followed)
        };
        effects.push(Effect::Answer { ticket, answer: Answer::Done { text } });
    }

    /// Whether the newest promise of this node was given to that very process. Older ones are void
    /// since the epoch that is followed was recorded.
    fn promised_to(&self, ended: Ended) -> bool {
        let followed = self.control.followed;
        let member = match &self.role {
            Role::Following(follow) => Some(follow.primary),
            Role::Joining { .. } => {
                self.control.record.as_ref().and_then(|record| record.member(ended.member.node))
            }
            Role::TakingOver(_) | Role::Primary(_) | Role::SteppingDown { .. } => None,
        };
        member == Some(ended.member)
            && followed.node() == Some(ended.member.node)
            && followed <= ended.upto
    }

    /// What a process said that has ended since; it was under way longer than the news of its end.
    pub(crate) fn spoken_by_the_dead(&self, from: Member, epoch: Epoch) -> bool {
        self.ended.is_some_and(|ended| ended.member == from && epoch <= ended.upto)
    }

    /// Why this node stands when nobody asked it to.
    pub(crate) fn own_cause(&self) -> Cause {
        let followed = self.control.followed;
        match self.ended {
            Some(Ended { member, upto })
                if followed <= upto && followed.node() == Some(member.node) =>
            {
                Cause::Ended { node: member.node, upto }
            }
            _ => Cause::Silence,
        }
    }
}
