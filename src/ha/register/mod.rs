//! The embedded register: one record, held linearizably by 3 or 5 voters (section 5 of the
//! protocol; "CASPaxos", Rystsov 2018). Pure: events in, effects out, `now` passed in.
//!
//! `ballot` numbers rounds, `record` says what the register must know of a record, `electorate`
//! which voters make a majority; `acceptor` is a voter, `proposer` whoever reads or changes the
//! record, `decision` what a proposer does with the record that it met.
//!
//! What makes it safe, beside Paxos itself:
//!
//! * An answer counts only with the incarnation of a voter that the record names.
//! * Whoever meets a record with other voters than it asked starts again with those.
//! * Voters change only from `old` to `old and next`, and from there only to `next`; a record that
//!   changes them is written only on top of one that is known to be chosen, and needs the
//!   majorities of both its own voters and those of the record before. There is no way back from
//!   `old and next` to `old`: two ways out could each be completed by somebody who saw only that.
//! * A ballot carries one record at most.

mod acceptor;
mod ballot;
mod decision;
mod electorate;
mod event;
mod proposer;
mod record;

pub use acceptor::{Acceptor, Answer};
pub use ballot::Ballot;
pub use electorate::Electorate;
pub use event::{Ask, Effect, Event, Failure, Obstacle, Outcome};
pub use proposer::Proposer;
pub use record::Record;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod register_tests;
