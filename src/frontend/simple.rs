//! The simple protocol: one text of any number of statements.
//!
//! Several statements are one transaction unless they say otherwise; an error drops the rest.

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};

use super::backend::{BackendSession, Column, Outcome, TransactionStatus};
use super::encode::{RowWriter, copy_row};
use super::session::{Broken, Layout, Session};
use super::wire::Stop;
use super::{Failure, SqlState};

/// COPY lines gathered for one CopyData message.
const COPY_BYTES: usize = 16 << 10;

impl<S: BackendSession> Session<S> {
    pub async fn query(&mut self, sql: &str) -> Result<(), Stop> {
        self.orders.begin_statement();
        self.registration.begin_statement(sql);
        // A simple query takes the unnamed statement and portal away.
        self.statements.remove("");
        self.portals.remove("");
        match self.query_statements(sql).await {
            Ok(()) => {}
            Err(Broken::Session(stop)) => return Err(stop),
            Err(Broken::Statement(failure)) => {
                self.backend.abandon();
                self.put_failure(&failure)?;
            }
        }
        self.in_pipeline = false;
        self.ready().await
    }

    async fn query_statements(&mut self, sql: &str) -> Result<(), Broken> {
        let statements = self.backend.parse(sql)?;
        if statements.is_empty() {
            return Ok(self.put_empty()?);
        }
        let several = statements.len() > 1;
        for statement in statements {
            // Also after a COMMIT among the statements: what follows is together again.
            if several && self.backend.transaction_status() == TransactionStatus::Idle {
                self.backend.begin_implicit();
            }
            let prepared = self.prepare(statement, &[]).await?;
            if !S::describe(&prepared).parameter_types.is_empty() {
                let message = "there is no parameter $1";
                return Err(Failure::error(SqlState::UndefinedParameter, message).into());
            }
            let outcome = self.execute(&prepared, &[]).await?;
            self.put_outcome(outcome).await?;
            self.put_parameter_changes()?;
        }
        if several { self.end_implicit().await } else { Ok(()) }
    }

    async fn put_outcome(&mut self, outcome: Outcome) -> Result<(), Broken> {
        match outcome {
            Outcome::Rows { columns, batches, tag } => {
                let layout = Layout::text(&columns);
                self.put_row_description(&columns, &layout)?;
                self.put_rows(&batches, &layout, (0, usize::MAX)).await?;
                self.put_complete(&tag)?;
            }
            Outcome::Command { tag } => self.put_complete(&tag)?,
            Outcome::Empty => self.put_empty()?,
            Outcome::CopyOut { columns, batches } => self.put_copy(&columns, &batches).await?,
        }
        Ok(())
    }

    /// COPY TO STDOUT in the text format, the same in both protocols.
    pub async fn put_copy(
        &mut self,
        columns: &[Column],
        batches: &[RecordBatch],
    ) -> Result<(), Broken> {
        let layout = Layout::text(columns);
        let count = i16::try_from(columns.len()).unwrap_or(i16::MAX);
        self.connection.put(&CopyOutResponse::new(0, count, vec![0; columns.len()]))?;
        let zone = self.zone;
        let mut rows = 0;
        let mut lines = BytesMut::new();
        for batch in batches {
            let mut writer = RowWriter::new(batch, &layout.types, &layout.formats, &zone)?;
            for row in 0..batch.num_rows() {
                copy_row(&mut writer, row, &mut lines)?;
                rows += 1;
                if lines.len() >= COPY_BYTES {
                    self.connection.put(&CopyData::new(lines.split().freeze()))?;
                    self.connection.flush_if_large().await?;
                }
            }
        }
        if !lines.is_empty() {
            self.connection.put(&CopyData::new(lines.freeze()))?;
        }
        self.connection.put(&CopyDone::new())?;
        Ok(self.put_complete(&format!("COPY {rows}"))?)
    }
}
