//! What can go wrong with a statement, named for what the client is told.
//!
//! Messages, details and hints are PostgreSQL's wording; the SQLSTATE of each variant is chosen in
//! `frontend` alone. Nothing here decides whether a transaction goes on: `session` does.

use crate::catalog::{self, CommitError};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `position` counts characters from 1, as the protocol's `P` field does.
    #[error("{message}")]
    Syntax { message: String, position: Option<usize> },
    #[error("relation \"{name}\" does not exist")]
    UndefinedTable { name: String, position: Option<usize> },
    #[error("column {name} does not exist")]
    UndefinedColumn { name: String, position: Option<usize> },
    #[error("missing FROM-clause entry for table \"{name}\"")]
    UndefinedAlias { name: String },
    #[error("column reference \"{name}\" is ambiguous")]
    AmbiguousColumn { name: String },
    #[error("function {name} does not exist")]
    UndefinedFunction { name: String },
    /// A type, role, database, portal … that is not there: `kind` names it.
    #[error("{kind} \"{name}\" does not exist")]
    UndefinedObject { kind: &'static str, name: String },
    /// What DROP TABLE or DROP VIEW did not find.
    #[error("{kind} \"{name}\" does not exist")]
    UndefinedRelation { kind: &'static str, name: String },
    #[error("schema \"{name}\" does not exist")]
    UndefinedSchema { name: String },
    #[error("database \"{name}\" does not exist")]
    UndefinedDatabase { name: String },
    #[error("prepared statement \"{name}\" does not exist")]
    UndefinedPrepared { name: String },
    #[error("prepared statement \"{name}\" already exists")]
    DuplicatePrepared { name: String },
    #[error("cursor \"{name}\" does not exist")]
    UndefinedCursor { name: String },
    #[error("cursor \"{name}\" already exists")]
    DuplicateCursor { name: String },
    #[error("savepoint \"{name}\" does not exist")]
    UndefinedSavepoint { name: String },
    #[error("relation \"{name}\" already exists")]
    DuplicateTable { name: String },
    #[error("schema \"{name}\" already exists")]
    DuplicateSchema { name: String },
    #[error("column \"{name}\" specified more than once")]
    DuplicateColumn { name: String },
    #[error("\"{name}\" is not a {kind}")]
    WrongObjectType { name: String, kind: &'static str },
    /// Catalog rows and relations may be changed only under `allow_system_table_mods`.
    #[error("permission denied: \"{name}\" is a system catalog")]
    SystemCatalog { name: String },
    #[error("cannot drop {object} because other objects depend on it")]
    DependentObjects { object: String, detail: String },
    #[error("unacceptable schema name \"{name}\"")]
    ReservedName { name: String },
    #[error("unrecognized configuration parameter \"{name}\"")]
    UnknownSetting { name: String },
    #[error("invalid value for parameter \"{name}\": \"{value}\"")]
    InvalidSettingValue { name: String, value: String, hint: Option<String> },
    #[error("parameter \"{name}\" cannot be changed{}", after_space(.when))]
    CannotChangeSetting { name: String, when: &'static str },
    /// A write on a standby, or in a read-only transaction.
    #[error("cannot execute {command} in a read-only transaction")]
    ReadOnly { command: String, hint: Option<String> },
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    InFailedTransaction,
    #[error("{command} can only be used in transaction blocks")]
    NoActiveTransaction { command: &'static str },
    #[error("{command} cannot run inside a transaction block")]
    ActiveTransaction { command: &'static str },
    #[error("{what}")]
    Unsupported { what: String, hint: Option<String> },
    #[error("division by zero")]
    DivisionByZero,
    #[error("invalid input syntax for type {type_name}: \"{value}\"")]
    InvalidText { type_name: String, value: String },
    #[error("{type_name} out of range")]
    OutOfRange { type_name: String },
    #[error("{message}")]
    InvalidParameter { message: String },
    #[error("invalid regular expression: {message}")]
    InvalidRegex { message: String },
    #[error("{message}")]
    Grouping { message: String },
    #[error("{message}")]
    TypeMismatch { message: String },
    #[error("more than one row returned by a subquery used as an expression")]
    Cardinality,
    #[error("bind message supplies {given} parameters, but the statement requires {expected}")]
    ParameterCount { given: usize, expected: usize },
    #[error("could not determine data type of parameter ${number}")]
    IndeterminateType { number: usize },
    #[error("must be superuser{}", after_space(.what))]
    NotSuperuser { what: &'static str },
    /// HAWQ's `elog(ERROR)` of a management function.
    #[error("{message}")]
    Management { message: String },
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error("canceling statement due to user request")]
    Cancelled,
    #[error("stack depth limit exceeded")]
    TooDeep,
    #[error("{what}")]
    TooLarge { what: String },
    #[error("{message}")]
    Internal { message: String },
}

fn after_space(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text}") }
}

impl Error {
    #[must_use]
    pub fn unsupported(what: impl Into<String>) -> Error {
        Error::Unsupported { what: what.into(), hint: None }
    }

    #[must_use]
    pub fn syntax_near(token: &str, position: usize) -> Error {
        let message = if token.is_empty() {
            "syntax error at end of input".to_owned()
        } else {
            format!("syntax error at or near \"{token}\"")
        };
        Error::Syntax { message, position: Some(position) }
    }

    #[must_use]
    pub fn internal(message: impl Into<String>) -> Error {
        Error::Internal { message: message.into() }
    }

    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Error::DependentObjects { detail, .. } => Some(detail.clone()),
            Error::ReservedName { .. } => {
                Some("The prefix \"pg_\" is reserved for system schemas.".to_owned())
            }
            _ => None,
        }
    }

    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::UndefinedFunction { .. } => Some(
                "No function matches the given name and argument types. You might need to add \
                 explicit type casts."
                    .to_owned(),
            ),
            Error::DependentObjects { .. } => {
                Some("Use DROP ... CASCADE to drop the dependent objects too.".to_owned())
            }
            Error::InvalidSettingValue { hint, .. }
            | Error::ReadOnly { hint, .. }
            | Error::Unsupported { hint, .. } => hint.clone(),
            Error::SystemCatalog { .. } => {
                Some("SET allow_system_table_mods = 'dml' allows it.".to_owned())
            }
            Error::TooDeep => Some("Write the statement with fewer nested expressions.".to_owned()),
            _ => None,
        }
    }

    /// Character position in the statement, from 1.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        match self {
            Error::Syntax { position, .. }
            | Error::UndefinedTable { position, .. }
            | Error::UndefinedColumn { position, .. } => *position,
            _ => None,
        }
    }
}
