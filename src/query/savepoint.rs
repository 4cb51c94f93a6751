//! SAVEPOINT, RELEASE and ROLLBACK TO: points inside a block to which it can go back, also after an
//! error.

use std::collections::BTreeSet;

use crate::catalog::Mark;

use super::block::BlockKind;
use super::error::Error;
use super::run::command;
use super::session::{Output, Session};
use super::settings::Settings;

/// Savepoints that one block may have at a time.
const SAVEPOINTS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SavepointVerb {
    Define,
    Release,
    RollBackTo,
}

/// What the block was like.
pub(crate) struct Savepoint {
    name: String,
    /// Nothing had been read or written where the transaction had not begun.
    mark: Mark,
    settings: Settings,
    read_only: bool,
    cursors: BTreeSet<String>,
}

impl Session {
    pub(crate) fn run_savepoint(
        &mut self,
        verb: SavepointVerb,
        name: &str,
    ) -> Result<Output, Error> {
        if self.block.kind != BlockKind::Explicit {
            let command = match verb {
                SavepointVerb::Define => "SAVEPOINT",
                SavepointVerb::Release => "RELEASE SAVEPOINT",
                SavepointVerb::RollBackTo => "ROLLBACK TO SAVEPOINT",
            };
            return Err(Error::NoActiveTransaction { command });
        }
        match verb {
            SavepointVerb::Define => self.define_savepoint(name),
            SavepointVerb::Release => {
                let at = self.savepoint(name)?;
                self.block.savepoints.truncate(at);
                Ok(command("RELEASE"))
            }
            SavepointVerb::RollBackTo => {
                let at = self.savepoint(name)?;
                self.roll_back_to(at)?;
                Ok(command("ROLLBACK"))
            }
        }
    }

    /// The newest one of this name: a second hides the first until it is released.
    fn savepoint(&self, name: &str) -> Result<usize, Error> {
        let found = self.block.savepoints.iter().rposition(|savepoint| savepoint.name == name);
        found.ok_or_else(|| Error::UndefinedSavepoint { name: name.to_owned() })
    }

    fn define_savepoint(&mut self, name: &str) -> Result<Output, Error> {
        if self.block.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(Error::TooLarge { what: "too many savepoints in one block".to_owned() });
        }
        let mark = match &self.block.open {
            Some(open) => open.write(|transaction| Ok(transaction.mark()))?,
            None => Mark::default(),
        };
        self.block.savepoints.push(Savepoint {
            name: name.to_owned(),
            mark,
            settings: self.settings.clone(),
            read_only: self.block.read_only,
            cursors: self.cursors.keys().cloned().collect(),
        });
        Ok(command("SAVEPOINT"))
    }

    /// The savepoint itself stays, those after it go.
    fn roll_back_to(&mut self, at: usize) -> Result<(), Error> {
        self.block.savepoints.truncate(at + 1);
        let Some(savepoint) = self.block.savepoints.last() else { return Ok(()) };
        if let Some(open) = &self.block.open {
            open.write(|transaction| {
                transaction.roll_back_to(savepoint.mark);
                Ok(())
            })?;
        }
        self.settings = savepoint.settings.clone();
        self.block.read_only = savepoint.read_only;
        self.cursors.retain(|name, _| savepoint.cursors.contains(name));
        self.block.failed = false;
        Ok(())
    }
}
