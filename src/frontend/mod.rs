//! Clients: the PostgreSQL protocol over TCP and Unix sockets, who may come in, and HTTP health.
//!
//! It never parses SQL (`query` does) and never decides who is primary: `master` sets the `Gate`.
//! Every error of a client's is given its SQLSTATE here, in `sqlstate` alone.

#[cfg(test)]
mod admission_tests;
mod backend;
mod encode;
mod engine;
#[cfg(test)]
mod engine_tests;
mod extended;
mod failure;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod frontend_tests;
mod gate;
mod hba;
mod hba_file;
mod http;
mod message;
mod options;
mod race;
#[cfg(test)]
mod raw_client;
mod server;
mod session;
mod sessions;
mod simple;
mod socket_file;
mod sqlstate;
mod sqlstate_table;
#[cfg(test)]
mod sqlstate_tests;
mod startup;
mod wire;

pub use backend::{
    Backend, BackendSession, Column, Description, Outcome, SessionOpening, TransactionStatus,
};
pub use failure::{Failure, Notice, Severity};
pub use gate::Gate;
pub use hba::{Hba, HbaError};
pub use hba_file::{HbaFileError, load_hba};
pub use http::{Check, Health, Http};
pub use server::{Error, Frontend, FrontendOptions, Listeners, Shutdown, resolve};
pub use sessions::Sessions;
pub use socket_file::SocketError;
pub use sqlstate_table::SqlState;
