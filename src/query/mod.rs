//! SQL text to catalog changes or rows (DataFusion).
//!
//! PostgreSQL's behaviour is the specification, HAWQ's surface the content. It never decides what
//! is committed (`catalog::Commit`), knows no protocol (`frontend`), and reads the running server
//! through `Live` alone.

mod error;
mod live;
mod types;

mod ddl;
mod lexer;
mod statement;
mod utility_parse;

mod arrays;
mod build;
mod correlate;
mod empty;
mod literal;
mod names;
mod prune;
mod rewrite;

mod in_force;
mod setting_table;
mod settings;

mod context;
mod functions;
mod live_tables;
mod plan_error;
mod planner;
mod procedures;
mod relations;
mod rows;
mod semantics;
mod system_tables;
mod table;

mod block;
mod ddl_run;
mod deep;
mod effects;
mod engine;
mod query_run;
mod run;
mod run_session;
mod savepoint;
mod session;
mod stop;
mod utility;
mod watched;

pub use block::TransactionStatus;
pub use engine::Engine;
pub use error::Error;
pub use live::{Live, ReplicationRow, ServerState, SessionRow};
pub use session::{Notice, Output, OutputColumn, Prepared, Session, SessionStart, Severity};
pub use statement::Statement;

#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod psql_tests;
#[cfg(test)]
mod query_tests;
#[cfg(test)]
mod session_tests;
