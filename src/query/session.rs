//! One client's session: its settings, its transaction, its prepared statements and cursors.
//!
//! `parse`, `prepare` and `execute` are what both protocols are made of. A statement's future may
//! be dropped at any await before its commit is issued; the caller then calls `abandon`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ScalarValue;

use crate::catalog::{Datum, ReadView};
use crate::runtime::{BootClock, Clock};

use super::block::{Block, BlockKind, Shared, TransactionStatus, ends_failure};
use super::context::{SessionFacts, StatementContext};
use super::engine::Engine;
use super::error::Error;
use super::in_force::{InForce, Known};
use super::settings::{Scope, Settings};
use super::statement::{self, Statement};

/// Who opens a session, after he has been let in.
#[derive(Debug, Clone)]
pub struct SessionStart {
    pub user: String,
    pub database: String,
    pub pid: i32,
    /// A session on a hot standby.
    pub read_only: bool,
    /// Startup parameters and `-c` options.
    pub parameters: Vec<(String, String)>,
    /// Set while a commit waits for the in-sync set: such a statement is not cancelled.
    pub committing: Arc<AtomicBool>,
}

/// What a statement takes and gives.
pub struct Prepared {
    pub parameter_types: Vec<u32>,
    /// Empty when it returns no rows.
    pub columns: Vec<OutputColumn>,
    pub(crate) statement: Statement,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    pub type_oid: u32,
    pub typlen: i16,
    pub typmod: i32,
}

#[derive(Debug, Clone)]
pub enum Output {
    Rows { columns: Vec<OutputColumn>, batches: Vec<RecordBatch>, tag: String },
    Command { tag: String },
    Empty,
    CopyOut { columns: Vec<OutputColumn>, batches: Vec<RecordBatch> },
}

/// A NOTICE or WARNING for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// `25P01` for what PostgreSQL warns of outside a block, `00000` else.
    pub code: &'static str,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Notice,
    Warning,
}

/// The result of a DECLAREd query and how far it was fetched.
pub(crate) struct Cursor {
    pub columns: Vec<OutputColumn>,
    pub batches: Vec<RecordBatch>,
    pub fetched: usize,
    pub hold: bool,
}

pub struct Session {
    pub(crate) engine: Arc<Engine>,
    pub(crate) facts: Arc<SessionFacts>,
    pub(crate) settings: Settings,
    pub(crate) block: Block,
    pub(crate) prepared: BTreeMap<String, Arc<Prepared>>,
    pub(crate) cursors: BTreeMap<String, Cursor>,
    pub(crate) notices: Vec<Notice>,
    known: Known,
    /// What the client has been told of its settings.
    told: Arc<InForce>,
    committing: Arc<AtomicBool>,
}

impl Session {
    pub(crate) fn open(engine: Arc<Engine>, start: SessionStart) -> Result<Session, Error> {
        let superuser = check_login(&engine, &start)?;
        let facts = SessionFacts {
            user: start.user,
            database: start.database,
            pid: start.pid,
            superuser,
            hot_standby: start.read_only,
        };
        let live = Arc::clone(&engine.live);
        let mut settings = Settings::default();
        settings.fix("session_authorization", &facts.user);
        settings.fix("is_superuser", if superuser { "on" } else { "off" });
        if start.read_only {
            settings.fix("in_hot_standby", "on");
            settings.fix("default_transaction_read_only", "on");
            settings.fix("transaction_read_only", "on");
        }
        for (name, value) in &start.parameters {
            let known = ["user", "database", "replication", "options"];
            if !known.contains(&name.as_str()) && !name.starts_with("_pq_.") {
                settings.set(name, value, Scope::Start, live.as_ref())?;
            }
        }
        let known = Known::default();
        let told = known.get(&settings, &facts.user, live.as_ref());
        Ok(Session {
            engine,
            facts: Arc::new(facts),
            settings,
            block: Block::none(),
            prepared: BTreeMap::new(),
            cursors: BTreeMap::new(),
            notices: Vec::new(),
            known,
            told,
            committing: start.committing,
        })
    }

    /// The statements of a text; none when it says nothing.
    pub fn parse(&mut self, sql: &str) -> Result<Vec<Statement>, Error> {
        statement::parse(sql)
    }

    pub async fn prepare(
        &mut self,
        statement: Statement,
        parameter_types: &[Option<u32>],
    ) -> Result<Arc<Prepared>, Error> {
        if self.block.failed && !ends_failure(&statement.kind) {
            return Err(Error::InFailedTransaction);
        }
        let described = self.describe(&statement, parameter_types);
        let (parameter_types, columns) = described.inspect_err(|_| self.fail())?;
        Ok(Arc::new(Prepared { parameter_types, columns, statement }))
    }

    pub async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Output, Error> {
        if self.block.failed && !ends_failure(&prepared.statement.kind) {
            return Err(Error::InFailedTransaction);
        }
        if parameters.len() != prepared.parameter_types.len() {
            let (given, expected) = (parameters.len(), prepared.parameter_types.len());
            return Err(Error::ParameterCount { given, expected });
        }
        let result = self.run(&prepared.statement, &prepared.parameter_types, parameters).await;
        result.inspect_err(|_| self.fail())
    }

    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        self.block.status()
    }

    /// What follows, up to `end_implicit`, is one transaction unless it says otherwise.
    pub fn begin_implicit(&mut self) {
        if self.block.kind == BlockKind::None {
            self.start_block(BlockKind::Implicit);
        }
    }

    /// Commits what `begin_implicit` began; without effect in a block that the client began.
    pub async fn end_implicit(&mut self) -> Result<(), Error> {
        if self.block.kind == BlockKind::Implicit { self.end_block(true).await } else { Ok(()) }
    }

    /// A statement's future was dropped, or it failed on the wire's side: an implicit transaction
    /// is rolled back, a block of the client's has failed.
    pub fn abandon(&mut self) {
        self.committing.store(false, Ordering::Release);
        self.fail();
    }

    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Changes of settings that clients are told of.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        let now = self.in_force();
        if Arc::ptr_eq(&now, &self.told) {
            return Vec::new();
        }
        let told = &self.told.reported;
        let changed = now.reported.iter().filter(|pair| !told.contains(pair)).cloned().collect();
        self.told = now;
        changed
    }

    #[must_use]
    pub fn initial_parameters(&self) -> Vec<(String, String)> {
        self.in_force().reported.clone()
    }

    pub(crate) fn in_force(&self) -> Arc<InForce> {
        self.known.get(&self.settings, &self.facts.user, self.engine.live.as_ref())
    }

    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name, self.engine.live.as_ref())
    }

    #[must_use]
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.in_force().statement_timeout
    }

    pub(crate) fn start_block(&mut self, kind: BlockKind) {
        self.block = Block {
            kind,
            started: BootClock.wall_micros(),
            before: self.settings.clone(),
            read_only: self.default_read_only(),
            ..Block::none()
        };
    }

    pub(crate) fn default_read_only(&self) -> bool {
        self.facts.hot_standby || self.in_force().default_read_only
    }

    /// An error in a block fails it; in an implicit one it rolls back.
    pub(crate) fn fail(&mut self) {
        match self.block.kind {
            BlockKind::None => {}
            BlockKind::Implicit => self.roll_back(),
            BlockKind::Explicit => {
                self.block.failed = true;
                // What was written before a savepoint can still be gone back to.
                if self.block.savepoints.is_empty() {
                    drop(self.block.open.take().and_then(|shared| shared.take()));
                }
            }
        }
    }

    pub(crate) fn roll_back(&mut self) {
        let block = std::mem::replace(&mut self.block, Block::none());
        if block.kind != BlockKind::None {
            self.settings = block.before;
        }
        self.settings.end_transaction();
        self.cursors.retain(|_, cursor| cursor.hold);
        drop(block.open.and_then(|shared| shared.take()));
    }

    /// Ends the block; a failed one is rolled back whatever is asked.
    pub(crate) async fn end_block(&mut self, commit: bool) -> Result<(), Error> {
        if !commit || self.block.failed {
            self.roll_back();
            return Ok(());
        }
        let block = std::mem::replace(&mut self.block, Block::none());
        self.settings.end_transaction();
        self.cursors.retain(|_, cursor| cursor.hold);
        let result = match block.open {
            Some(shared) => self.commit(&shared).await,
            None => Ok(()),
        };
        if result.is_err() {
            self.settings = block.before;
        }
        result
    }

    /// Commits one transaction; nothing is logged for one that wrote nothing.
    pub(crate) async fn commit(&mut self, shared: &Shared) -> Result<(), Error> {
        let Some(transaction) = shared.take() else { return Ok(()) };
        if transaction.is_empty() {
            return Ok(());
        }
        let _committing = Committing::set(&self.committing);
        self.engine.commit.commit(transaction.into_transaction()).await?;
        Ok(())
    }

    /// The transaction that a statement runs in: the block's, else one of its own.
    pub(crate) async fn transaction(&mut self) -> Result<Arc<Shared>, Error> {
        if let Some(open) = &self.block.open {
            return Ok(Arc::clone(open));
        }
        if !self.facts.hot_standby {
            self.engine.commit.read_permit().await?;
        }
        let mut transaction = self.engine.catalog.begin();
        if !self.block.savepoints.is_empty() {
            // It can go back to here, where the savepoints were made.
            transaction.mark();
        }
        let shared = Shared::new(transaction);
        if self.block.kind != BlockKind::None {
            self.block.open = Some(Arc::clone(&shared));
        }
        Ok(shared)
    }

    /// A view for planning alone: nothing of it reaches a client but names and types.
    pub(crate) fn planning_context(&self) -> Arc<StatementContext> {
        let shared = match &self.block.open {
            Some(open) => Arc::clone(open),
            None => Shared::new(self.engine.catalog.begin()),
        };
        self.context(&shared)
    }

    pub(crate) fn context(&self, shared: &Arc<Shared>) -> Arc<StatementContext> {
        let now = BootClock.wall_micros();
        let in_block = self.block.kind != BlockKind::None;
        let of_xid = Arc::clone(shared);
        Arc::new(StatementContext {
            view: Arc::clone(shared) as Arc<dyn ReadView>,
            live: Arc::clone(&self.engine.live),
            catalog: self.engine.catalog.clone(),
            session: Arc::clone(&self.facts),
            settings: self.settings.clone(),
            transaction_time: if in_block { self.block.started } else { now },
            statement_time: now,
            xid: Arc::new(move || of_xid.xid()),
            effects: std::sync::Mutex::new(Vec::new()),
            state: Arc::clone(&self.engine.state),
            view_columns: Arc::clone(&self.engine.view_columns),
        })
    }

    pub(crate) fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.notices.push(Notice { severity: Severity::Warning, code, message });
    }

    pub(crate) fn notice(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.notices.push(Notice { severity: Severity::Notice, code: "00000", message });
    }
}

/// Keeps the flag up while a commit waits.
struct Committing<'a>(&'a AtomicBool);

impl Committing<'_> {
    fn set(flag: &AtomicBool) -> Committing<'_> {
        flag.store(true, Ordering::Release);
        Committing(flag)
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Role and database must be there; gives whether the role is a superuser.
fn check_login(engine: &Engine, start: &SessionStart) -> Result<bool, Error> {
    let view = engine.catalog.snapshot();
    let row_of = |relation: &str, column: &str, name: &str| -> Result<Option<bool>, Error> {
        let Some(relation) = view.relation_named("pg_catalog", relation)? else {
            return Ok(None);
        };
        let (name_at, flag_at) = (relation.column_index(column), relation.column_index("rolsuper"));
        let rows = view.scan(relation.oid, &[])?;
        let found = rows
            .iter()
            .find(|row| name_at.and_then(|at| row.get(at)).and_then(Datum::as_str) == Some(name));
        let flag = |row: &Vec<Datum>| flag_at.and_then(|at| row.get(at)?.as_bool());
        Ok(found.map(|row| flag(row).unwrap_or(false)))
    };
    if row_of("pg_database", "datname", &start.database)?.is_none() {
        return Err(Error::UndefinedDatabase { name: start.database.clone() });
    }
    row_of("pg_authid", "rolname", &start.user)?
        .ok_or_else(|| Error::UndefinedObject { kind: "role", name: start.user.clone() })
}
