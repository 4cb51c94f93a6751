//! A voter: what it has promised and what it has accepted. Whoever drives it makes the new state
//! durable before the answer leaves.

use std::fmt;

use super::{Ballot, Record};

/// What a voter remembers for ever.
///
/// * `promised` never decreases and is never below `accepted`.
/// * A prepare is answered once: only a ballot strictly above every one met is promised, so that a
///   proposer which forgot its ballots in a restart cannot use one of them again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acceptor<R> {
    pub promised: Ballot,
    pub accepted: Ballot,
    pub record: Option<R>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer<R> {
    /// Nothing below the ballot will be accepted any more; what was accepted so far.
    Promised {
        accepted: Ballot,
        record: Option<R>,
    },
    Accepted,
    /// Nothing is promised; what was accepted so far.
    Holds {
        accepted: Ballot,
        record: Option<R>,
    },
    /// A ballot that stands in the way.
    Refused {
        promised: Ballot,
    },
}

impl<R> Default for Acceptor<R> {
    fn default() -> Self {
        Acceptor { promised: Ballot::ZERO, accepted: Ballot::ZERO, record: None }
    }
}

impl<R: Record> Acceptor<R> {
    #[must_use]
    pub fn look(&self) -> Answer<R> {
        Answer::Holds { accepted: self.accepted, record: self.record.clone() }
    }

    pub fn prepare(&mut self, ballot: Ballot) -> Answer<R> {
        if ballot <= self.promised {
            return Answer::Refused { promised: self.promised };
        }
        self.promised = ballot;
        Answer::Promised { accepted: self.accepted, record: self.record.clone() }
    }

    /// Repeating the last accept is answered again.
    pub fn accept(&mut self, ballot: Ballot, record: R) -> Answer<R> {
        if ballot < self.promised || ballot == Ballot::ZERO {
            return Answer::Refused { promised: self.promised };
        }
        (self.promised, self.accepted, self.record) = (ballot, ballot, Some(record));
        Answer::Accepted
    }
}

impl<R: fmt::Display> fmt::Display for Acceptor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promised={} accepted={}", self.promised, self.accepted)?;
        self.record.as_ref().map_or(Ok(()), |record| write!(f, " {record}"))
    }
}

impl<R: fmt::Display> fmt::Display for Answer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Promised { accepted, record: Some(record) } => {
                write!(f, "promised, holds {record} of ballot {accepted}")
            }
            Answer::Promised { .. } => f.write_str("promised, holds nothing"),
            Answer::Holds { accepted, record: Some(record) } => {
                write!(f, "holds {record} of ballot {accepted}")
            }
            Answer::Holds { .. } => f.write_str("holds nothing"),
            Answer::Accepted => f.write_str("accepted"),
            Answer::Refused { promised } => write!(f, "refused, promised {promised}"),
        }
    }
}
