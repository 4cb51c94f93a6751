//! Statements about the session itself: its transaction block, its settings, its names.

use super::block::BlockKind;
use super::error::Error;
use super::run::command;
use super::session::{Output, Session};
use super::settings::Scope;
use super::statement::{Kind, Modes, SetValue};
use super::utility;

impl Session {
    pub(crate) async fn run_transaction(&mut self, kind: &Kind) -> Result<Output, Error> {
        match kind {
            Kind::Begin { modes } => {
                if self.block.kind == BlockKind::Explicit {
                    self.warn("25001", "there is already a transaction in progress");
                } else {
                    // An implicit transaction becomes the block, as in PostgreSQL.
                    if self.block.kind == BlockKind::None {
                        self.start_block(BlockKind::Explicit);
                    }
                    self.block.kind = BlockKind::Explicit;
                    self.apply_modes(modes)?;
                }
                Ok(command("BEGIN"))
            }
            Kind::Commit { chain } => {
                let failed = self.block.failed;
                let read_only = self.block.read_only;
                if self.block.kind != BlockKind::Explicit {
                    if *chain {
                        return Err(Error::NoActiveTransaction { command: "COMMIT AND CHAIN" });
                    }
                    self.warn("25P01", "there is no transaction in progress");
                }
                self.end_block(true).await?;
                self.chain(*chain, read_only);
                Ok(command(if failed { "ROLLBACK" } else { "COMMIT" }))
            }
            Kind::Rollback { chain } => {
                let read_only = self.block.read_only;
                if self.block.kind != BlockKind::Explicit {
                    if *chain {
                        return Err(Error::NoActiveTransaction { command: "ROLLBACK AND CHAIN" });
                    }
                    self.warn("25P01", "there is no transaction in progress");
                }
                self.roll_back();
                self.chain(*chain, read_only);
                Ok(command("ROLLBACK"))
            }
            Kind::Savepoint { verb, name } => self.run_savepoint(*verb, name),
            Kind::SetTransaction { modes, session } => {
                if *session {
                    if let Some(read_only) = modes.read_only {
                        let value = if read_only { "on" } else { "off" };
                        self.set("default_transaction_read_only", value, Scope::Session)?;
                    }
                } else if self.block.kind == BlockKind::Explicit {
                    self.apply_modes(modes)?;
                } else {
                    let text = "SET TRANSACTION can only be used in transaction blocks";
                    self.warn("25P01", text);
                }
                Ok(command("SET"))
            }
            _ => Err(Error::internal("not a transaction command")),
        }
    }

    fn chain(&mut self, chain: bool, read_only: bool) {
        if chain {
            self.start_block(BlockKind::Explicit);
            self.block.read_only = read_only;
        }
    }

    fn apply_modes(&mut self, modes: &Modes) -> Result<(), Error> {
        if let Some(read_only) = modes.read_only {
            if !read_only && self.facts.hot_standby {
                return Err(Error::CannotChangeSetting {
                    name: "transaction_read_only".to_owned(),
                    when: "to read-write mode during recovery",
                });
            }
            self.block.read_only = read_only;
            let value = if read_only { "on" } else { "off" };
            self.set("transaction_read_only", value, Scope::Local)?;
        }
        if let Some(isolation) = &modes.isolation {
            self.set("transaction_isolation", isolation, Scope::Local)?;
        }
        Ok(())
    }

    pub(crate) fn run_setting(&mut self, kind: &Kind) -> Result<Output, Error> {
        match kind {
            Kind::Set { name, value, local } => self.run_set(name, value, *local),
            Kind::Show { name } => {
                let value = self.settings.show(name, self.engine.live.as_ref())?;
                utility::text_rows(&utility::shown_name(name), vec![value], "SHOW")
            }
            Kind::ShowAll => utility::all_settings(&self.settings.rows(self.engine.live.as_ref())),
            Kind::Reset { name: Some(name) } => {
                self.settings.reset(name, self.engine.live.as_ref())?;
                Ok(command("RESET"))
            }
            Kind::Reset { name: None } => {
                self.settings.reset_all();
                Ok(command("RESET"))
            }
            Kind::Discard { what } => self.run_discard(what),
            Kind::Nothing { tag } => Ok(command(tag)),
            Kind::Deallocate { name: Some(name) } => match self.prepared.remove(name) {
                Some(_) => Ok(command("DEALLOCATE")),
                None => Err(Error::UndefinedPrepared { name: name.clone() }),
            },
            Kind::Deallocate { name: None } => {
                self.prepared.clear();
                Ok(command("DEALLOCATE ALL"))
            }
            Kind::Close { name: Some(name) } => match self.cursors.remove(name) {
                Some(_) => Ok(command("CLOSE CURSOR")),
                None => Err(Error::UndefinedCursor { name: name.clone() }),
            },
            Kind::Close { name: None } => {
                self.cursors.clear();
                Ok(command("CLOSE CURSOR ALL"))
            }
            _ => Err(Error::internal("statement without an implementation")),
        }
    }

    fn run_discard(&mut self, what: &str) -> Result<Output, Error> {
        if what == "ALL" {
            if self.block.kind == BlockKind::Explicit {
                return Err(Error::ActiveTransaction { command: "DISCARD ALL" });
            }
            self.settings.reset_all();
            self.prepared.clear();
            self.cursors.clear();
        }
        Ok(Output::Command { tag: format!("DISCARD {what}") })
    }

    fn run_set(&mut self, name: &str, value: &SetValue, local: bool) -> Result<Output, Error> {
        if local && self.block.kind == BlockKind::None {
            self.warn("25P01", "SET LOCAL can only be used in transaction blocks");
            return Ok(command("SET"));
        }
        let scope = if local { Scope::Local } else { Scope::Session };
        match value {
            SetValue::Default => self.settings.reset(name, self.engine.live.as_ref())?,
            SetValue::Values(values) => {
                let text = utility::joined(name, values)?;
                self.set(name, &text, scope)?;
            }
        }
        Ok(command("SET"))
    }

    pub(crate) fn set(&mut self, name: &str, value: &str, scope: Scope) -> Result<(), Error> {
        let to_write = name.eq_ignore_ascii_case("transaction_read_only")
            && super::settings::boolean(value) == Some(false);
        if to_write && self.facts.hot_standby {
            return Err(Error::CannotChangeSetting {
                name: name.to_owned(),
                when: "to read-write mode during recovery",
            });
        }
        self.settings.set(name, value, scope, self.engine.live.as_ref())?;
        if name.eq_ignore_ascii_case("transaction_read_only") {
            self.block.read_only = super::settings::boolean(value) == Some(true);
        }
        Ok(())
    }
}
