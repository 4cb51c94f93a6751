//! Carries out statements: queries through the planner, the others by hand.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ScalarValue;

use super::block::BlockKind;
use super::ddl::Ddl;
use super::engine::PlanKey;
use super::error::Error;
use super::query_run::{self, Answer};
use super::session::{Cursor, Output, OutputColumn, Prepared, Session};
use super::statement::{Direction, Kind, Statement};
use super::types;
use super::{ddl_run, deep, effects, utility};

/// Prepared statements and cursors of one session.
const NAMES_MAX: usize = 1_000;

impl Session {
    /// Parameter types and result columns, without running anything.
    pub(crate) fn describe(
        &self,
        statement: &Statement,
        declared: &[Option<u32>],
    ) -> Result<(Vec<u32>, Vec<OutputColumn>), Error> {
        let column = |name: &str| vec![utility::text_column(name)];
        Ok(match &statement.kind {
            Kind::Query(query) => {
                let context = self.planning_context();
                // A kept plan without parameters says it all; planning again would cost the most.
                let key = PlanKey {
                    text: statement.text.clone(),
                    path: context.search_path(),
                    parameters: String::new(),
                };
                if declared.is_empty()
                    && let Some(schema) = self.engine.plans.schema(&key, context.view.as_ref())?
                {
                    return Ok((Vec::new(), query_run::output_columns(&schema)));
                }
                return deep::plan(statement.operators, || {
                    query_run::describe(&context, query, declared)
                });
            }
            Kind::Show { name } => {
                self.settings.show(name, self.engine.live.as_ref())?;
                (Vec::new(), column(&utility::shown_name(name)))
            }
            Kind::ShowAll => {
                let names = ["name", "setting", "description"];
                (Vec::new(), names.iter().map(|name| utility::text_column(name)).collect())
            }
            Kind::Explain { statement, .. } => {
                let (parameters, _) = self.describe(statement, declared)?;
                (parameters, column("QUERY PLAN"))
            }
            Kind::Execute { name, .. } => (Vec::new(), self.named(name)?.columns.clone()),
            Kind::Fetch { name, moves: false, .. } => {
                (Vec::new(), self.cursor(name)?.columns.clone())
            }
            _ => (Vec::new(), Vec::new()),
        })
    }

    pub(crate) fn named(&self, name: &str) -> Result<&Arc<Prepared>, Error> {
        self.prepared.get(name).ok_or_else(|| Error::UndefinedPrepared { name: name.to_owned() })
    }

    fn cursor(&self, name: &str) -> Result<&Cursor, Error> {
        self.cursors.get(name).ok_or_else(|| Error::UndefinedCursor { name: name.to_owned() })
    }

    pub(crate) async fn run(
        &mut self,
        statement: &Statement,
        types: &[u32],
        parameters: &[ScalarValue],
    ) -> Result<Output, Error> {
        match &statement.kind {
            Kind::Query(_) | Kind::Explain { .. } | Kind::CopyOut { .. } | Kind::Declare { .. } => {
                self.run_query(statement, types, parameters).await
            }
            Kind::Execute { name, arguments } => {
                let prepared = Arc::clone(self.named(name)?);
                let context = self.planning_context();
                let (engine, arguments) = (Arc::clone(&self.engine), arguments.clone());
                let for_values = Arc::clone(&prepared);
                let work = async move || {
                    let types = &for_values.parameter_types;
                    query_run::constants(&engine, &context, &arguments, types).await
                };
                let values = deep::run(&self.engine.workers, statement.operators, work).await?;
                let (statement, types) = (&prepared.statement, &prepared.parameter_types);
                Box::pin(self.run(statement, types, &values)).await
            }
            Kind::Prepare { name, types, statement } => {
                self.run_prepare(name, types, statement).await
            }
            Kind::Begin { .. }
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint { .. }
            | Kind::SetTransaction { .. } => self.run_transaction(&statement.kind).await,
            Kind::Fetch { name, direction, moves } => self.run_fetch(name, *direction, *moves),
            Kind::Ddl(ddl) => self.run_ddl(ddl).await,
            Kind::Write { command, target } => self.run_write(command, target).await,
            Kind::Checkpoint => self.run_checkpoint(),
            other => self.run_setting(other),
        }
    }

    async fn run_query(
        &mut self,
        statement: &Statement,
        types: &[u32],
        parameters: &[ScalarValue],
    ) -> Result<Output, Error> {
        if let Kind::Declare { name, hold, query } = &statement.kind {
            if self.block.kind == BlockKind::None && !hold {
                return Err(Error::NoActiveTransaction { command: "DECLARE CURSOR" });
            }
            if self.cursors.contains_key(name) {
                return Err(Error::DuplicateCursor { name: name.clone() });
            }
            if self.cursors.len() >= NAMES_MAX {
                return Err(Error::TooLarge { what: "too many cursors".to_owned() });
            }
            let answer = self.answer(query, types, parameters).await?;
            let Answer { columns, batches, .. } = answer;
            let cursor = Cursor { columns, batches, fetched: 0, hold: *hold };
            self.cursors.insert(name.clone(), cursor);
            return Ok(command("DECLARE CURSOR"));
        }
        if let Kind::CopyOut { query } = &statement.kind {
            let answer = self.answer(query, types, parameters).await?;
            return Ok(Output::CopyOut { columns: answer.columns, batches: answer.batches });
        }
        if let Kind::Explain { analyze, statement } = &statement.kind {
            let lines = self.explain(statement, (types, parameters), *analyze).await?;
            return utility::text_rows("QUERY PLAN", lines, "EXPLAIN");
        }
        let answer = self.answer(statement, types, parameters).await?;
        let tag = format!("SELECT {}", answer.rows);
        Ok(Output::Rows { columns: answer.columns, batches: answer.batches, tag })
    }

    /// Runs a query in the session's transaction and carries out what its functions left.
    async fn answer(
        &mut self,
        statement: &Statement,
        types: &[u32],
        parameters: &[ScalarValue],
    ) -> Result<Answer, Error> {
        let Kind::Query(query) = &statement.kind else {
            return Err(Error::unsupported("only SELECT can be used here"));
        };
        let shared = self.transaction().await?;
        let context = self.context(&shared);
        let engine = Arc::clone(&self.engine);
        let asked = query_run::Asked {
            text: statement.text.clone(),
            query: Arc::clone(query),
            types: types.to_vec(),
            parameters: parameters.to_vec(),
        };
        let for_query = Arc::clone(&context);
        let work = async move || query_run::run(&engine, &for_query, &asked).await;
        let answer = deep::run(&self.engine.workers, statement.operators, work).await?;
        let left = context.take_effects();
        if !left.is_empty() {
            effects::carry_out(self, &shared, left)?;
        }
        if self.block.kind == BlockKind::None {
            self.commit(&shared).await?;
            self.settings.end_transaction();
        }
        Ok(answer)
    }

    async fn explain(
        &mut self,
        statement: &Statement,
        parameters: (&[u32], &[ScalarValue]),
        analyze: bool,
    ) -> Result<Vec<String>, Error> {
        let Kind::Query(query) = &statement.kind else {
            return Err(Error::unsupported("only SELECT can be explained"));
        };
        let shared = self.transaction().await?;
        let context = self.context(&shared);
        let engine = Arc::clone(&self.engine);
        let (types, parameters) = parameters;
        let asked = query_run::Asked {
            text: statement.text.clone(),
            query: Arc::clone(query),
            types: types.to_vec(),
            parameters: parameters.to_vec(),
        };
        let work = async move || {
            if analyze {
                query_run::run(&engine, &context, &asked).await?;
            }
            query_run::explain(&engine, &context, &asked).await
        };
        deep::run(&self.engine.workers, statement.operators, work).await
    }

    async fn run_prepare(
        &mut self,
        name: &str,
        declared: &[String],
        statement: &Statement,
    ) -> Result<Output, Error> {
        if self.prepared.contains_key(name) {
            return Err(Error::DuplicatePrepared { name: name.to_owned() });
        }
        if self.prepared.len() >= NAMES_MAX {
            return Err(Error::TooLarge { what: "too many prepared statements".to_owned() });
        }
        let oids = declared
            .iter()
            .map(|written| match types::by_name(written) {
                Some(known) => Ok(Some(known.oid)),
                None => Err(Error::UndefinedObject { kind: "type", name: written.clone() }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (parameter_types, columns) = self.describe(statement, &oids)?;
        let prepared = Prepared { parameter_types, columns, statement: statement.clone() };
        self.prepared.insert(name.to_owned(), Arc::new(prepared));
        Ok(command("PREPARE"))
    }

    fn run_fetch(
        &mut self,
        name: &str,
        direction: Direction,
        moves: bool,
    ) -> Result<Output, Error> {
        let cursor = self
            .cursors
            .get_mut(name)
            .ok_or_else(|| Error::UndefinedCursor { name: name.to_owned() })?;
        let wanted = match direction {
            Direction::Forward(count) => count,
            Direction::All => usize::MAX,
            Direction::Unsupported => {
                return Err(Error::InvalidParameter {
                    message: "cursor can only scan forward".to_owned(),
                });
            }
        };
        let batches = slice(&cursor.batches, cursor.fetched, wanted);
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        cursor.fetched += count;
        if moves {
            return Ok(Output::Command { tag: format!("MOVE {count}") });
        }
        let columns = cursor.columns.clone();
        Ok(Output::Rows { columns, batches, tag: format!("FETCH {count}") })
    }

    /// Refuses what may not write now.
    pub(crate) fn writable(&self, command: &str) -> Result<(), Error> {
        let in_block = self.block.kind != BlockKind::None;
        let read_only = if in_block { self.block.read_only } else { self.default_read_only() };
        let local = in_block && self.in_force().transaction_read_only;
        if !read_only && !local && !self.facts.hot_standby {
            return Ok(());
        }
        let primary = self.engine.live.server().primary.filter(|_| self.facts.hot_standby);
        let hint = primary.map(|primary| format!("The primary is at {primary}."));
        Err(Error::ReadOnly { command: command.to_owned(), hint })
    }

    async fn run_ddl(&mut self, ddl: &Ddl) -> Result<Output, Error> {
        let tag = ddl_run::tag(ddl);
        self.writable(tag)?;
        let shared = self.transaction().await?;
        let in_force = self.in_force();
        let notices = {
            let owner = || self.owner(&shared);
            let place = ddl_run::Place { path: &in_force.search_path, owner: &owner };
            ddl_run::run(&shared, ddl, &place)?
        };
        for notice in notices {
            self.notice(notice);
        }
        if self.block.kind == BlockKind::None {
            self.commit(&shared).await?;
        }
        Ok(command(tag))
    }

    /// Rows of user tables are on segments that this cluster does not have; rows of the catalog
    /// are changed by commands of their own.
    async fn run_write(&mut self, command: &str, target: &[String]) -> Result<Output, Error> {
        self.writable(command)?;
        let shared = self.transaction().await?;
        let context = self.context(&shared);
        let (schema, name) = match target {
            [name] => (None, name.as_str()),
            [schema, name] | [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Err(Error::unsupported(format!("{command} is not supported"))),
        };
        let found = context.find_relation(schema, name)?;
        let label = target.join(".");
        let Some(relation) = found else {
            return Err(Error::UndefinedTable { name: label, position: None });
        };
        use crate::catalog::RelationKind;
        match relation.kind {
            RelationKind::Table => Err(Error::Unsupported {
                what: format!(
                    "cannot execute {command} on table \"{name}\": there are no executors in \
                     this cluster"
                ),
                hint: Some("This master keeps the catalog only.".to_owned()),
            }),
            RelationKind::View { .. } => {
                Err(Error::WrongObjectType { name: name.to_owned(), kind: "table" })
            }
            RelationKind::System => {
                let allowed = self.setting("allow_system_table_mods").unwrap_or_default();
                if matches!(allowed.as_str(), "dml" | "all" | "on") {
                    return Err(Error::unsupported(format!(
                        "direct {command} of catalog table \"{name}\" is not supported yet"
                    )));
                }
                Err(Error::SystemCatalog { name: name.to_owned() })
            }
        }
    }

    fn run_checkpoint(&mut self) -> Result<Output, Error> {
        if !self.facts.superuser {
            return Err(Error::NotSuperuser { what: "to do CHECKPOINT" });
        }
        let done = self.engine.live.checkpoint();
        done.map_err(|message| Error::Internal { message })?;
        Ok(command("CHECKPOINT"))
    }

    fn owner(&self, shared: &Arc<super::block::Shared>) -> Result<u32, Error> {
        let owner = self.context(shared).oid_named("pg_authid", "rolname", &self.facts.user)?;
        Ok(owner.unwrap_or(crate::catalog::BOOTSTRAP_SUPERUSER))
    }
}

pub(crate) fn command(tag: &str) -> Output {
    Output::Command { tag: tag.to_owned() }
}

fn slice(batches: &[RecordBatch], skip: usize, take: usize) -> Vec<RecordBatch> {
    let (mut skip, mut take) = (skip, take);
    let mut found = Vec::new();
    for batch in batches {
        let rows = batch.num_rows();
        if skip >= rows {
            skip -= rows;
            continue;
        }
        let length = (rows - skip).min(take);
        if length == 0 {
            break;
        }
        found.push(batch.slice(skip, length));
        take -= length;
        skip = 0;
    }
    found
}
