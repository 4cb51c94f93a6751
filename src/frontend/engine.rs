//! The wire's backend over `query::Engine`, and the SQLSTATE of each of its errors.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;

use crate::query::{self, Engine, Output, OutputColumn, Prepared, Session, SessionStart, Statement};

use super::backend::{
    Backend, BackendSession, Column, Description, Outcome, SessionOpening, TransactionStatus,
};
use super::failure::{Failure, Notice};
use super::sqlstate::of_query;

pub struct EngineBackend {
    engine: Arc<Engine>,
}

impl EngineBackend {
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> EngineBackend {
        EngineBackend { engine }
    }
}

impl Backend for EngineBackend {
    type Session = EngineSession;

    fn open(&self, opening: SessionOpening) -> Result<EngineSession, Failure> {
        let start = SessionStart {
            user: opening.user,
            database: opening.database,
            pid: opening.pid,
            read_only: opening.read_only,
            parameters: opening.parameters,
            committing: opening.committing,
        };
        let session = self.engine.open_session(start).map_err(|e| failure(&e).into_fatal())?;
        Ok(EngineSession { session })
    }
}

pub struct EngineSession {
    session: Session,
}

impl BackendSession for EngineSession {
    type Statement = Statement;
    type Prepared = Prepared;

    fn parse(&mut self, sql: &str) -> Result<Vec<Statement>, Failure> {
        self.session.parse(sql).map_err(|error| failure(&error))
    }

    async fn prepare(
        &mut self,
        statement: Statement,
        parameter_types: &[Option<u32>],
    ) -> Result<Arc<Prepared>, Failure> {
        let prepared = self.session.prepare(statement, parameter_types).await;
        prepared.map_err(|error| failure(&error))
    }

    fn describe(prepared: &Prepared) -> Description {
        Description {
            parameter_types: prepared.parameter_types.clone(),
            columns: columns(&prepared.columns),
        }
    }

    async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Outcome, Failure> {
        let output = self.session.execute(prepared, parameters).await;
        Ok(match output.map_err(|error| failure(&error))? {
            Output::Rows { columns: shape, batches, tag } => {
                Outcome::Rows { columns: columns(&shape), batches, tag }
            }
            Output::Command { tag } => Outcome::Command { tag },
            Output::Empty => Outcome::Empty,
            Output::CopyOut { columns: shape, batches } => {
                Outcome::CopyOut { columns: columns(&shape), batches }
            }
        })
    }

    fn transaction_status(&self) -> TransactionStatus {
        match self.session.transaction_status() {
            query::TransactionStatus::Idle => TransactionStatus::Idle,
            query::TransactionStatus::Open => TransactionStatus::Open,
            query::TransactionStatus::Failed => TransactionStatus::Failed,
        }
    }

    fn begin_implicit(&mut self) {
        self.session.begin_implicit();
    }

    async fn end_implicit(&mut self) -> Result<(), Failure> {
        self.session.end_implicit().await.map_err(|error| failure(&error))
    }

    fn abandon(&mut self) {
        self.session.abandon();
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        let notice = |notice: query::Notice| Notice {
            severity: match notice.severity {
                query::Severity::Notice => "NOTICE",
                query::Severity::Warning => "WARNING",
            }
            .to_owned(),
            code: notice.code.to_owned(),
            message: notice.message,
            detail: None,
            hint: None,
        };
        self.session.take_notices().into_iter().map(notice).collect()
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.session.take_parameter_changes()
    }

    fn initial_parameters(&self) -> Vec<(String, String)> {
        self.session.initial_parameters()
    }

    fn statement_timeout(&self) -> Option<Duration> {
        self.session.statement_timeout()
    }
}

fn columns(shape: &[OutputColumn]) -> Vec<Column> {
    let column = |column: &OutputColumn| Column {
        name: column.name.clone(),
        type_oid: column.type_oid,
        typlen: column.typlen,
        typmod: column.typmod,
    };
    shape.iter().map(column).collect()
}

fn failure(error: &query::Error) -> Failure {
    let state = of_query(error);
    let mut failure = Failure::error(state, error.to_string());
    match error {
        query::Error::Syntax { position, .. }
        | query::Error::UndefinedTable { position, .. }
        | query::Error::UndefinedColumn { position, .. } => {
            failure.position = position.and_then(|at| u32::try_from(at).ok());
        }
        query::Error::InvalidSettingValue { hint, .. }
        | query::Error::ReadOnly { hint, .. }
        | query::Error::Unsupported { hint, .. } => failure.hint.clone_from(hint),
        query::Error::DependentObjects { detail, .. } => failure.detail = Some(detail.clone()),
        _ => {}
    }
    failure
}
