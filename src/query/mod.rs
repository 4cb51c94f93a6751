//! SQL text to catalog changes or rows (DataFusion).
//!
//! PostgreSQL's behaviour is the specification, HAWQ's surface the content. It never decides what
//! is committed (`catalog::Commit`), knows no protocol (`frontend`), and reads the running server
//! through `Live` alone.

mod error;
mod live;
mod types;

mod lexer;
mod statement;
mod ddl;

mod names;
mod empty;
mod prune;
mod rewrite;

mod setting_table;
mod settings;

mod context;
mod rows;
mod table;
mod functions;
mod procedures;
mod live_tables;
mod system_tables;
mod relations;
mod plan_error;
mod semantics;
mod planner;

mod block;
mod engine;
mod session;
mod query_run;
mod utility;
mod effects;
mod ddl_run;
mod run;


pub use block::TransactionStatus;
pub use engine::Engine;
pub use error::Error;
pub use live::{Live, ReplicationRow, ServerState, SessionRow, SettingRow};
pub use session::{
    Notice, Output, OutputColumn, Prepared, Session, SessionStart, Severity,
};
pub use statement::Statement;
