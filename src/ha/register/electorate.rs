//! Which voters a record names, and which of them together may decide.

use std::collections::BTreeSet;
use std::fmt;

use crate::types::Incarnation;

/// The voters of a record, by incarnation: a voter that lost its file is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Electorate {
    voters: BTreeSet<Incarnation>,
    /// While voters are being changed: those that will replace them.
    next: Option<BTreeSet<Incarnation>>,
}

impl Electorate {
    #[must_use]
    pub fn new(voters: BTreeSet<Incarnation>, next: Option<BTreeSet<Incarnation>>) -> Electorate {
        Electorate { voters, next }
    }

    /// Everybody who is to be asked.
    #[must_use]
    pub fn everybody(&self) -> BTreeSet<Incarnation> {
        self.voters.iter().chain(self.next.iter().flatten()).copied().collect()
    }

    /// Whether those of whom `agrees` is true decide: a majority, of the next voters too.
    #[must_use]
    pub fn decides(&self, agrees: impl Fn(Incarnation) -> bool) -> bool {
        let majority = |voters: &BTreeSet<Incarnation>| {
            voters.iter().filter(|voter| agrees(**voter)).count() * 2 > voters.len()
        };
        majority(&self.voters) && self.next.as_ref().is_none_or(majority)
    }

    /// Whether a record with these voters may be followed by one with `later`: the same, or one
    /// step of a change.
    #[must_use]
    pub fn may_become(&self, later: &Electorate) -> bool {
        let begins = self.next.is_none() && later.next.is_some() && later.voters == self.voters;
        let ends = later.next.is_none() && self.next.as_ref() == Some(&later.voters);
        self == later || begins || ends
    }
}

impl fmt::Display for Electorate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |voters: &BTreeSet<Incarnation>| {
            voters.iter().map(Incarnation::to_string).collect::<Vec<_>>().join(",")
        };
        write!(f, "{{{}}}", list(&self.voters))?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "+{{{}}}", list(next)))
    }
}
