//! What the wire needs of whoever runs the SQL, so that sessions can be tested without it.
//!
//! `engine` implements it for `query::Engine`; nothing here knows a statement's meaning.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ScalarValue;

use super::Failure;
use super::failure::Notice;

/// Who opens a session, after the wire has let him in.
#[derive(Debug, Clone)]
pub struct SessionOpening {
    pub user: String,
    pub database: String,
    pub pid: i32,
    pub read_only: bool,
    /// Settings of the startup packet, those of `options` first.
    pub parameters: Vec<(String, String)>,
    /// The backend sets it while a commit waits for the in-sync set: such a statement is not
    /// cancelled, since nobody could say any more what became of it.
    pub committing: Arc<AtomicBool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub type_oid: u32,
    pub typlen: i16,
    pub typmod: i32,
}

/// What a prepared statement takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    pub parameter_types: Vec<u32>,
    /// Empty when it returns no rows.
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone)]
pub enum Outcome {
    Rows { columns: Vec<Column>, batches: Vec<RecordBatch>, tag: String },
    Command { tag: String },
    Empty,
    CopyOut { columns: Vec<Column>, batches: Vec<RecordBatch> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    Open,
    Failed,
}

pub trait Backend: Send + Sync + 'static {
    type Session: BackendSession;

    fn open(&self, opening: SessionOpening) -> Result<Self::Session, Failure>;
}

/// One session. A statement's future may be dropped: `abandon` follows at once.
pub trait BackendSession: Send + 'static {
    type Statement: Send;
    type Prepared: Send + Sync;

    /// The statements of a text; none when it says nothing.
    fn parse(&mut self, sql: &str) -> Result<Vec<Self::Statement>, Failure>;

    fn prepare(
        &mut self,
        statement: Self::Statement,
        parameter_types: &[Option<u32>],
    ) -> impl Future<Output = Result<Arc<Self::Prepared>, Failure>> + Send;

    fn describe(prepared: &Self::Prepared) -> Description;

    fn execute(
        &mut self,
        prepared: &Self::Prepared,
        parameters: &[ScalarValue],
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    fn transaction_status(&self) -> TransactionStatus;

    /// What follows up to `end_implicit` is one transaction unless it says otherwise.
    fn begin_implicit(&mut self);

    /// Commits what `begin_implicit` began; without effect in a block that the client began.
    fn end_implicit(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// A statement failed on the wire's side, or its future was dropped: an implicit transaction is
    /// rolled back, a block of the client's has failed.
    fn abandon(&mut self);

    fn take_notices(&mut self) -> Vec<Notice>;

    /// Changes of settings that clients are told of.
    fn take_parameter_changes(&mut self) -> Vec<(String, String)>;

    fn initial_parameters(&self) -> Vec<(String, String)>;

    fn statement_timeout(&self) -> Option<Duration>;
}
