//! A session after it was let in: reads messages and answers them until it ends.
//!
//! The simple and the extended protocol are in files of their own; here is what they share: the
//! statement raced against its interruptions, results on the wire, errors, and ReadyForQuery.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus as WireStatus,
};
use pgwire::messages::startup::ParameterStatus;

use super::Failure;
use super::SqlState;
use super::backend::{BackendSession, Column, Outcome, TransactionStatus};
use super::encode::{Format, RowWriter, Zone, data_row};
use super::extended::{Named, Portal};
use super::message::ClientMessage;
use super::race::{Orders, Raced};
use super::sessions::{Activity, Registration};
use super::wire::{Connection, Stop};

pub(crate) struct Session<S: BackendSession> {
    pub connection: Connection,
    pub backend: S,
    pub registration: Registration,
    pub orders: Orders,
    pub zone: Zone,
    pub statements: BTreeMap<String, Named<S::Prepared>>,
    pub portals: BTreeMap<String, Portal<S::Prepared>>,
    /// After an error in the extended protocol everything up to Sync is skipped.
    pub skipping: bool,
    /// Between the first Execute and Sync.
    pub in_pipeline: bool,
}

/// An answer that failed for the statement alone, or with the session.
pub(crate) enum Broken {
    Statement(Failure),
    Session(Stop),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        if failure.is_fatal() {
            Broken::Session(failure.into())
        } else {
            Broken::Statement(failure)
        }
    }
}

impl From<Stop> for Broken {
    fn from(stop: Stop) -> Broken {
        Broken::Session(stop)
    }
}

impl<S: BackendSession> Session<S> {
    pub fn new(connection: Connection, backend: S, registration: Registration) -> Session<S> {
        let orders = Orders {
            ending: registration.ending(),
            cancels: registration.cancels(),
            committing: registration.committing(),
        };
        Session {
            connection,
            backend,
            registration,
            orders,
            zone: Zone::Utc,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            skipping: false,
            in_pipeline: false,
        }
    }

    /// Serves until the client goes or the session is told to end.
    pub async fn run(&mut self) -> Stop {
        if let Err(stop) = self.ready().await {
            return stop;
        }
        loop {
            let stop = match self.connection.next().await {
                Ok(Ok(ClientMessage::Terminate)) => Err(Stop::Gone),
                Ok(Ok(message)) => self.answer(message).await,
                Ok(Err(failure)) => self.refuse_message(failure).await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = stop {
                return stop;
            }
        }
    }

    async fn answer(&mut self, message: ClientMessage) -> Result<(), Stop> {
        match message {
            ClientMessage::Sync => return self.sync().await,
            _ if self.skipping => return Ok(()),
            ClientMessage::Query { sql } => return self.query(&sql).await,
            ClientMessage::FunctionCall => {
                let failure = Failure::error(
                    SqlState::FeatureNotSupported,
                    "function calls by message are not supported",
                );
                self.put_failure(&failure)?;
                return self.ready().await;
            }
            ClientMessage::Flush => return self.connection.flush().await,
            // Left over from a COPY that has failed.
            ClientMessage::Copy | ClientMessage::Terminate => return Ok(()),
            _ => {}
        }
        match self.extended(message).await {
            Ok(()) => Ok(()),
            Err(Broken::Session(stop)) => Err(stop),
            Err(Broken::Statement(failure)) => self.fail_pipeline(&failure).await,
        }
    }

    /// A message that could not be read although its frame was whole. Whether Sync follows depends
    /// on its kind, which is not known here; PostgreSQL gives the session up as well.
    async fn refuse_message(&mut self, failure: Failure) -> Result<(), Stop> {
        if self.skipping { Ok(()) } else { Err(failure.into()) }
    }

    async fn fail_pipeline(&mut self, failure: &Failure) -> Result<(), Stop> {
        self.backend.abandon();
        self.put_failure(failure)?;
        self.skipping = true;
        self.connection.flush().await
    }

    /// Runs a statement until it is done or interrupted.
    pub async fn execute(
        &mut self,
        prepared: &S::Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Outcome, Broken> {
        let limit = self.backend.statement_timeout();
        let work = self.backend.execute(prepared, parameters);
        let raced = self.orders.race_with(work, limit, self.connection.gone()).await;
        self.settle(raced)
    }

    pub async fn prepare(
        &mut self,
        statement: S::Statement,
        parameter_types: &[Option<u32>],
    ) -> Result<Arc<S::Prepared>, Broken> {
        let limit = self.backend.statement_timeout();
        let work = self.backend.prepare(statement, parameter_types);
        let raced = self.orders.race(work, limit).await;
        self.settle(raced)
    }

    pub async fn end_implicit(&mut self) -> Result<(), Broken> {
        let raced = self.orders.race(self.backend.end_implicit(), None).await;
        self.settle(raced)
    }

    fn settle<T>(&mut self, raced: Raced<T>) -> Result<T, Broken> {
        match raced {
            Raced::Done(done) => done.map_err(Broken::from),
            Raced::Dropped(failure) => {
                self.backend.abandon();
                Err(Broken::Statement(failure))
            }
            Raced::Stopped(stop) => Err(Broken::Session(stop)),
        }
    }

    /// Rows `from..` of a result, `rows_max` at most; says how many were written.
    pub async fn put_rows(
        &mut self,
        batches: &[RecordBatch],
        layout: &Layout,
        (from, rows_max): (usize, usize),
    ) -> Result<usize, Broken> {
        let mut skip = from;
        let mut written = 0;
        for batch in batches {
            if skip >= batch.num_rows() {
                skip -= batch.num_rows();
                continue;
            }
            let zone = self.zone;
            let mut writer = RowWriter::new(batch, &layout.types, &layout.formats, &zone)?;
            for row in skip..batch.num_rows() {
                if written == rows_max {
                    return Ok(written);
                }
                data_row(&mut writer, row, &mut self.connection.output)?;
                written += 1;
                self.connection.flush_if_large().await?;
            }
            skip = 0;
        }
        Ok(written)
    }

    pub fn put_row_description(&mut self, columns: &[Column], layout: &Layout) -> Result<(), Stop> {
        let fields = columns.iter().zip(&layout.formats).map(|(column, format)| {
            FieldDescription::new(
                column.name.clone(),
                0,
                0,
                column.type_oid,
                column.typlen,
                column.typmod,
                i16::from(*format == Format::Binary),
            )
        });
        self.connection.put(&RowDescription::new(fields.collect()))
    }

    pub fn put_complete(&mut self, tag: &str) -> Result<(), Stop> {
        self.put_notices()?;
        self.connection.put(&CommandComplete::new(tag.to_owned()))
    }

    pub fn put_empty(&mut self) -> Result<(), Stop> {
        self.connection.put(&EmptyQueryResponse::new())
    }

    pub fn put_failure(&mut self, failure: &Failure) -> Result<(), Stop> {
        self.put_notices()?;
        self.connection.put(&failure.response())
    }

    fn put_notices(&mut self) -> Result<(), Stop> {
        for notice in self.backend.take_notices() {
            self.connection.put(&notice.response())?;
        }
        Ok(())
    }

    /// Settings that changed; the encoders must know the time zone before the next row.
    pub fn put_parameter_changes(&mut self) -> Result<(), Stop> {
        for (name, value) in self.backend.take_parameter_changes() {
            self.put_parameter(name, value)?;
        }
        Ok(())
    }

    pub fn put_parameter(&mut self, name: String, value: String) -> Result<(), Stop> {
        if name.eq_ignore_ascii_case("timezone") {
            self.zone = Zone::parse(&value).unwrap_or_default();
        }
        if name == "application_name" {
            self.registration.rename_application(&value);
        }
        self.connection.put(&ParameterStatus::new(name, value))
    }

    /// ReadyForQuery, with what must be known before the next statement.
    pub async fn ready(&mut self) -> Result<(), Stop> {
        self.put_parameter_changes()?;
        let (status, activity) = match self.backend.transaction_status() {
            TransactionStatus::Idle => (WireStatus::Idle, Activity::Idle),
            TransactionStatus::Open => (WireStatus::Transaction, Activity::IdleInTransaction),
            TransactionStatus::Failed => (WireStatus::Error, Activity::IdleInFailedTransaction),
        };
        if status == WireStatus::Idle {
            self.portals.clear();
        }
        self.registration.rest(activity);
        self.connection.put(&ReadyForQuery::new(status))?;
        self.connection.flush().await
    }
}

/// Types and formats of a result's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub types: Vec<u32>,
    pub formats: Vec<Format>,
}

impl Layout {
    pub fn text(columns: &[Column]) -> Layout {
        let types: Vec<u32> = columns.iter().map(|column| column.type_oid).collect();
        let formats = vec![Format::Text; types.len()];
        Layout { types, formats }
    }
}
