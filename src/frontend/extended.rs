//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! From the first Execute to Sync is one transaction unless the client says otherwise. A portal
//! keeps its result between Executes with a row limit; portals end with the transaction.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};

use super::backend::{BackendSession, Description, Outcome, TransactionStatus};
use super::encode::{Format, decode_parameter};
use super::message::{Bind, ClientMessage, Target};
use super::session::{Broken, Layout, Session};
use super::wire::Stop;
use super::{Failure, SqlState};

/// Bound on named statements and on named portals of one session.
const NAMES_MAX: usize = 10_000;

/// A prepared statement of the wire.
pub(crate) struct Named<P> {
    /// `None` for a text without a statement.
    pub prepared: Option<Arc<P>>,
    pub description: Arc<Description>,
    pub sql: Arc<str>,
}

impl<P> Clone for Named<P> {
    fn clone(&self) -> Named<P> {
        Named {
            prepared: self.prepared.clone(),
            description: Arc::clone(&self.description),
            sql: Arc::clone(&self.sql),
        }
    }
}

pub(crate) struct Portal<P> {
    statement: Named<P>,
    parameters: Vec<ScalarValue>,
    layout: Layout,
    progress: Progress,
}

enum Progress {
    Bound,
    /// A result of which some rows have been sent.
    Rows {
        batches: Arc<[RecordBatch]>,
        sent: usize,
        tag: String,
    },
    Done {
        returns_rows: bool,
    },
}

impl<S: BackendSession> Session<S> {
    pub async fn extended(&mut self, message: ClientMessage) -> Result<(), Broken> {
        match message {
            ClientMessage::Parse { name, sql, parameter_types } => {
                self.parse(name, &sql, &parameter_types).await
            }
            ClientMessage::Bind(bind) => self.bind(bind),
            ClientMessage::Describe { target, name } => self.describe(target, &name),
            ClientMessage::Execute { portal, rows_max } => {
                self.execute_portal(&portal, rows_max).await
            }
            ClientMessage::Close { target, name } => {
                match target {
                    Target::Statement => drop(self.statements.remove(&name)),
                    Target::Portal => drop(self.portals.remove(&name)),
                }
                Ok(self.connection.put(&CloseComplete::new())?)
            }
            // Answered before they come here.
            _ => Ok(()),
        }
    }

    async fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Result<(), Broken> {
        self.orders.begin_statement();
        self.registration.begin_statement(sql);
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Failure::error(SqlState::DuplicatePreparedStatement, message).into());
        }
        if self.statements.len() >= NAMES_MAX {
            let message = format!("more than {NAMES_MAX} prepared statements in a session");
            return Err(Failure::error(SqlState::ProgramLimitExceeded, message).into());
        }
        let mut statements = self.backend.parse(sql)?;
        let statement = statements.pop();
        if !statements.is_empty() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Failure::error(SqlState::SyntaxError, message).into());
        }
        let types: Vec<Option<u32>> = types.iter().map(|oid| (*oid != 0).then_some(*oid)).collect();
        let prepared = match statement {
            Some(statement) => Some(self.prepare(statement, &types).await?),
            None => None,
        };
        let description = prepared.as_deref().map(S::describe).unwrap_or_default();
        let named = Named { prepared, description: Arc::new(description), sql: sql.into() };
        self.statements.insert(name, named);
        Ok(self.connection.put(&ParseComplete::new())?)
    }

    fn statement(&self, name: &str) -> Result<Named<S::Prepared>, Failure> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            Failure::error(SqlState::InvalidSqlStatementName, message)
        })
    }

    fn bind(&mut self, bind: Bind) -> Result<(), Broken> {
        let statement = self.statement(&bind.statement)?;
        let taken = !bind.portal.is_empty() && self.portals.contains_key(&bind.portal);
        if taken {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return Err(Failure::error(SqlState::DuplicateCursor, message).into());
        }
        if self.portals.len() >= NAMES_MAX {
            let message = format!("more than {NAMES_MAX} portals in a session");
            return Err(Failure::error(SqlState::ProgramLimitExceeded, message).into());
        }
        let parameters = self.parameters(&bind, &statement.description.parameter_types)?;
        let types: Vec<u32> =
            statement.description.columns.iter().map(|column| column.type_oid).collect();
        let formats = formats(&bind.result_formats, types.len()).ok_or_else(|| {
            let given = bind.result_formats.len();
            let columns = types.len();
            let message =
                format!("bind message has {given} result formats but query has {columns} columns");
            Failure::protocol(message)
        })??;
        let layout = Layout { types, formats };
        let portal = Portal { statement, parameters, layout, progress: Progress::Bound };
        self.portals.insert(bind.portal, portal);
        Ok(self.connection.put(&BindComplete::new())?)
    }

    fn parameters(&self, bind: &Bind, types: &[u32]) -> Result<Vec<ScalarValue>, Failure> {
        let given = bind.parameters.len();
        if given != types.len() {
            let (name, needed) = (&bind.statement, types.len());
            return Err(Failure::protocol(format!(
                "bind message supplies {given} parameters, \
                 but prepared statement \"{name}\" requires {needed}"
            )));
        }
        let formats = formats(&bind.parameter_formats, given).ok_or_else(|| {
            let formats = bind.parameter_formats.len();
            let message =
                format!("bind message has {formats} parameter formats but {given} parameters");
            Failure::protocol(message)
        })??;
        let values = bind.parameters.iter().zip(types.iter().zip(formats));
        values
            .map(|(bytes, (oid, format))| {
                decode_parameter(bytes.as_deref(), *oid, format, &self.zone)
            })
            .collect()
    }

    fn describe(&mut self, target: Target, name: &str) -> Result<(), Broken> {
        let (description, layout) = match target {
            Target::Statement => {
                let description = self.statement(name)?.description;
                let types = description.parameter_types.clone();
                self.connection.put(&ParameterDescription::new(types))?;
                let layout = Layout::text(&description.columns);
                (description, layout)
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (Arc::clone(&portal.statement.description), portal.layout.clone())
            }
        };
        if description.columns.is_empty() {
            return Ok(self.connection.put(&NoData::new())?);
        }
        Ok(self.put_row_description(&description.columns, &layout)?)
    }

    async fn execute_portal(&mut self, name: &str, rows_max: i32) -> Result<(), Broken> {
        // The portal is taken out while it runs: after an error it is gone, as its transaction is.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        self.orders.begin_statement();
        self.registration.begin_statement(&portal.statement.sql);
        let rows_max = usize::try_from(rows_max).ok().filter(|rows| *rows > 0);
        if matches!(portal.progress, Progress::Bound) {
            self.start(&mut portal).await?;
        } else if let Progress::Done { returns_rows } = portal.progress {
            if !returns_rows {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(Failure::error(SqlState::ObjectNotInPrerequisiteState, message).into());
            }
            self.put_complete("SELECT 0")?;
        }
        self.send_rows(&mut portal, rows_max.unwrap_or(usize::MAX)).await?;
        self.portals.insert(name.to_owned(), portal);
        Ok(self.connection.flush_if_large().await?)
    }

    /// Runs the statement; rows stay in the portal, anything else is answered at once.
    async fn start(&mut self, portal: &mut Portal<S::Prepared>) -> Result<(), Broken> {
        portal.progress = Progress::Done { returns_rows: false };
        let Some(prepared) = portal.statement.prepared.clone() else {
            return Ok(self.put_empty()?);
        };
        let idle = self.backend.transaction_status() == TransactionStatus::Idle;
        // An Execute that Sync follows at once is a transaction by itself: nothing to hold open.
        if idle && (self.in_pipeline || !self.connection.sync_is_next()) {
            self.backend.begin_implicit();
            self.in_pipeline = true;
        }
        match self.execute(&prepared, &portal.parameters).await? {
            Outcome::Rows { columns, batches, tag } => {
                let announced = portal.layout.types.iter();
                if !announced.eq(columns.iter().map(|column| &column.type_oid)) {
                    let message = "cached plan must not change result type";
                    return Err(Failure::error(SqlState::FeatureNotSupported, message).into());
                }
                portal.progress = Progress::Rows { batches: batches.into(), sent: 0, tag };
            }
            Outcome::Command { tag } => self.put_complete(&tag)?,
            Outcome::Empty => self.put_empty()?,
            Outcome::CopyOut { columns, batches } => self.put_copy(&columns, &batches).await?,
        }
        Ok(())
    }

    async fn send_rows(
        &mut self,
        portal: &mut Portal<S::Prepared>,
        rows_max: usize,
    ) -> Result<(), Broken> {
        let Progress::Rows { batches, sent, tag } = &mut portal.progress else { return Ok(()) };
        let from = *sent;
        let written = self.put_rows(batches, &portal.layout, (from, rows_max)).await?;
        *sent += written;
        let all: usize = batches.iter().map(RecordBatch::num_rows).sum();
        // As PostgreSQL: a full Execute is suspended even when nothing happens to be left.
        if written == rows_max && (*sent < all || from > 0 || written > 0) {
            return Ok(self.connection.put(&PortalSuspended::new())?);
        }
        // A result sent in parts is counted by the rows of its last part.
        let tag = if from > 0 && tag.starts_with("SELECT ") {
            format!("SELECT {written}")
        } else {
            std::mem::take(tag)
        };
        portal.progress = Progress::Done { returns_rows: true };
        Ok(self.put_complete(&tag)?)
    }

    /// The end of a pipeline: commits what it did, and after an error reads on again.
    pub async fn sync(&mut self) -> Result<(), Stop> {
        let in_pipeline = std::mem::take(&mut self.in_pipeline);
        let skipped = std::mem::take(&mut self.skipping);
        if in_pipeline && !skipped {
            match self.end_implicit().await {
                Ok(()) => {}
                Err(Broken::Session(stop)) => return Err(stop),
                Err(Broken::Statement(failure)) => {
                    self.backend.abandon();
                    self.put_failure(&failure)?;
                }
            }
        }
        self.ready().await
    }
}

fn no_portal(name: &str) -> Failure {
    Failure::error(SqlState::InvalidCursorName, format!("portal \"{name}\" does not exist"))
}

/// One format for each of `count` values: given for all, for each, or text. `None` when the counts
/// do not fit; the inner error is a code that means nothing.
fn formats(given: &[i16], count: usize) -> Option<Result<Vec<Format>, Failure>> {
    let one = |code: &i16| match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(Failure::error(
            SqlState::InvalidParameterValue,
            format!("unsupported format code: {other}"),
        )),
    };
    match given {
        [] => Some(Ok(vec![Format::Text; count])),
        [all] => Some(one(all).map(|format| vec![format; count])),
        each if each.len() == count => Some(each.iter().map(one).collect()),
        _ => None,
    }
}
