//! A change of the voters of the embedded register, while it goes on deciding.
//!
//! Two swaps of the record (section 5 of the protocol): to one that names the old voters and the
//! next ones, then to one that names the next alone. The first is begun for somebody who waits for
//! it; the second is due wherever an open primary meets a record that names both, so that a change
//! is finished by whoever reigns next. It does not choose voters, nor ask them: who does has found
//! out that they answer, since a record that no majority of the next accepts can change no more.

use std::collections::BTreeSet;

use crate::types::{Instant, Mode, Voter};

use super::super::event::{Answer, Effect};
use super::changes::NextChange;
use super::reign::Reign;
use super::{Node, Role};

/// In leases: how long somebody waits for both swaps.
const VOTING_LEASES: u32 = 40;

/// Fewer could not outlive one of them; more are asked in vain.
const COUNTS: [usize; 2] = [3, 5];

/// Somebody waits until these are the voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Voting {
    pub(crate) ticket: u64,
    wanted: BTreeSet<Voter>,
    until: Instant,
}

impl Reign {
    /// The next swap of a change of voters. Never before the reign is open: until then the set may
    /// have to shrink, and that comes first.
    pub(crate) fn next_voting(&self) -> Option<NextChange> {
        if self.record.mode != Mode::Embedded || !self.opened {
            return None;
        }
        let mut proposed = self.record.clone();
        if let Some(next) = proposed.next_voters.take() {
            proposed.voters = next;
            let why = format!("the voters are {}", names(&proposed.voters));
            return Some((proposed, why, None));
        }
        let wanted = &self.voting.as_ref()?.wanted;
        if *wanted == proposed.voters {
            return None;
        }
        proposed.next_voters = Some(wanted.clone());
        let why = format!("the voters are to be {}", names(wanted));
        Some((proposed, why, None))
    }
}

impl Node {
    /// `from` is what the wish rests on: two wishes at once must not undo each other.
    pub(crate) fn change_voters(
        &mut self,
        now: Instant,
        ticket: u64,
        (from, wanted): (BTreeSet<Voter>, BTreeSet<Voter>),
        effects: &mut Vec<Effect>,
    ) {
        let until = now.after(self.settings.lease * VOTING_LEASES);
        let Role::Primary(reign) = &mut self.role else {
            Self::refuse_request(ticket, "this node is not the primary", effects);
            return;
        };
        let record = &reign.record;
        let base = record.next_voters.as_ref().unwrap_or(&record.voters);
        let refusal = if !reign.opened {
            "the primary is busy; try again".to_owned()
        } else if record.mode != Mode::Embedded {
            format!("the coordinator is {}: only the embedded register has voters", record.mode)
        } else if reign.voting.as_ref().is_some_and(|voting| voting.wanted != wanted) {
            "another change of the voters is under way; try again when it is done".to_owned()
        } else if *base != wanted && *base != from {
            "the voters have changed meanwhile; see \"hawq ha voter list\"".to_owned()
        } else if *base != wanted && !COUNTS.contains(&wanted.len()) {
            format!("{} voters would be left; 3 or 5 are needed", wanted.len())
        } else {
            let before = reign.voting.replace(Voting { ticket, wanted, until });
            if let Some(before) = before {
                Self::leave_open(before.ticket, "the same was asked for again", effects);
            }
            self.change_if_due(now, effects);
            return;
        };
        Self::refuse_request(ticket, &refusal, effects);
    }

    /// Tells whoever waits that the voters are as wanted, or will not be, or that time is up.
    pub(crate) fn settle_voting(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(reign) = self.reign_mut() else { return };
        let Some(voting) = &reign.voting else { return };
        let (ticket, record) = (voting.ticket, &reign.record);
        let answer = if record.voters == voting.wanted && record.next_voters.is_none() {
            Answer::Done { text: format!("the voters are {}", names(&record.voters)) }
        } else if record.mode != Mode::Embedded {
            Answer::Refused { reason: "automatic mode was switched off meanwhile".to_owned() }
        } else if now >= voting.until {
            let doubt = reign.change.as_ref().and_then(|change| change.doubt.clone());
            let doubt = doubt.map_or_else(String::new, |doubt| format!(" ({doubt})"));
            let reason = format!("the voters have not changed in time{doubt}; they may yet");
            Answer::Unknown { reason }
        } else {
            return;
        };
        reign.voting = None;
        effects.push(Effect::Answer { ticket, answer });
    }
}

fn names(voters: &BTreeSet<Voter>) -> String {
    voters.iter().map(|voter| voter.name.as_str()).collect::<Vec<_>>().join(", ")
}
