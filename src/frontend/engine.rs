//! `query::Engine` as the wire's backend: one session for one, errors turned into failures.
//!
//! Nothing is decided here but how an error reads; its code is `sqlstate`'s.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;

use crate::catalog::CommitError;
use crate::query::{self, Engine, Output, OutputColumn, Prepared, SessionStart, Statement};
use crate::runtime::error_text;

use super::backend::{
    Backend, BackendSession, Column, Description, Outcome, SessionOpening, TransactionStatus,
};
use super::failure::{Failure, Notice, Severity};
use super::sqlstate::of_query;
use super::sqlstate_table::SqlState;

impl Backend for Arc<Engine> {
    type Session = query::Session;

    fn open(&self, opening: SessionOpening) -> Result<query::Session, Failure> {
        let start = SessionStart {
            user: opening.user,
            database: opening.database,
            pid: opening.pid,
            read_only: opening.read_only,
            parameters: opening.parameters,
            committing: opening.committing,
        };
        self.open_session(start).map_err(|error| match &error {
            // Whoever is not there cannot log in, which has a code of its own.
            query::Error::UndefinedObject { kind: "role", .. } => {
                Failure::fatal(SqlState::InvalidAuthorizationSpecification, error.to_string())
            }
            _ => Failure::from(error),
        })
    }
}

impl BackendSession for query::Session {
    type Statement = Statement;
    type Prepared = Prepared;

    fn parse(&mut self, sql: &str) -> Result<Vec<Statement>, Failure> {
        Ok(query::Session::parse(self, sql)?)
    }

    async fn prepare(
        &mut self,
        statement: Statement,
        parameter_types: &[Option<u32>],
    ) -> Result<Arc<Prepared>, Failure> {
        Ok(query::Session::prepare(self, statement, parameter_types).await?)
    }

    fn describe(prepared: &Prepared) -> Description {
        let columns = prepared.columns.iter().cloned().map(Column::from).collect();
        Description { parameter_types: prepared.parameter_types.clone(), columns }
    }

    async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Outcome, Failure> {
        Ok(query::Session::execute(self, prepared, parameters).await?.into())
    }

    fn transaction_status(&self) -> TransactionStatus {
        match query::Session::transaction_status(self) {
            query::TransactionStatus::Idle => TransactionStatus::Idle,
            query::TransactionStatus::Open => TransactionStatus::Open,
            query::TransactionStatus::Failed => TransactionStatus::Failed,
        }
    }

    fn begin_implicit(&mut self) {
        query::Session::begin_implicit(self);
    }

    async fn end_implicit(&mut self) -> Result<(), Failure> {
        Ok(query::Session::end_implicit(self).await?)
    }

    fn abandon(&mut self) {
        query::Session::abandon(self);
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        let notices = query::Session::take_notices(self).into_iter();
        notices
            .map(|notice| Notice {
                severity: match notice.severity {
                    query::Severity::Notice => "NOTICE".to_owned(),
                    query::Severity::Warning => "WARNING".to_owned(),
                },
                code: notice.code.to_owned(),
                message: notice.message,
                detail: None,
                hint: None,
            })
            .collect()
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        query::Session::take_parameter_changes(self)
    }

    fn initial_parameters(&self) -> Vec<(String, String)> {
        query::Session::initial_parameters(self)
    }

    fn statement_timeout(&self) -> Option<Duration> {
        query::Session::statement_timeout(self)
    }
}

impl From<OutputColumn> for Column {
    fn from(column: OutputColumn) -> Column {
        Column {
            name: column.name,
            type_oid: column.type_oid,
            typlen: column.typlen,
            typmod: column.typmod,
        }
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        let owned = |columns: Vec<OutputColumn>| columns.into_iter().map(Column::from).collect();
        match output {
            Output::Rows { columns, batches, tag } => {
                Outcome::Rows { columns: owned(columns), batches, tag }
            }
            Output::Command { tag } => Outcome::Command { tag },
            Output::Empty => Outcome::Empty,
            Output::CopyOut { columns, batches } => {
                Outcome::CopyOut { columns: owned(columns), batches }
            }
        }
    }
}

impl From<query::Error> for Failure {
    fn from(error: query::Error) -> Failure {
        let (severity, detail, hint) = match &error {
            query::Error::Commit(commit) => of_commit(commit),
            _ => (Severity::Error, error.detail(), error.hint()),
        };
        let position = error.position().and_then(|position| u32::try_from(position).ok());
        Failure {
            severity,
            state: of_query(&error),
            message: error_text(&error),
            detail,
            hint,
            position,
        }
    }
}

/// Severity, detail and hint of a commit that failed.
fn of_commit(error: &CommitError) -> (Severity, Option<String>, Option<String>) {
    let hint = |text: &str| Some(text.to_owned());
    match error {
        CommitError::NotPrimary { primary } => {
            let hint = primary.as_ref().map(|primary| format!("The primary is at {primary}."));
            (Severity::Error, None, hint)
        }
        CommitError::NotNow { .. } => (Severity::Error, None, hint("Try again in a moment.")),
        CommitError::NewReign => {
            (Severity::Error, None, hint("The transaction might succeed if retried."))
        }
        CommitError::Conflict { relation } => {
            let detail = format!("Another transaction has changed \"{relation}\".");
            (Severity::Error, Some(detail), hint("The transaction might succeed if retried."))
        }
        CommitError::Unknown { .. } => {
            (Severity::Error, None, hint("Look whether the change is there before you repeat it."))
        }
        CommitError::Terminated => (Severity::Fatal, None, None),
    }
}
