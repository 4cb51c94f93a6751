//! Which error has which SQLSTATE.
//!
//! Exhaustive matches without a `_` arm, so that a new kind of error does not compile until it has
//! a code. It never words a message: the error's own `Display` does.

use std::fmt::Write as _;

use crate::catalog::{self, CommitError};
use crate::query;

use super::SqlState;

/// How a commit failed.
#[must_use]
pub fn of_commit(error: &CommitError) -> SqlState {
    match error {
        CommitError::NotPrimary { .. } => SqlState::ReadOnlySqlTransaction,
        CommitError::NotNow { .. } => SqlState::CannotConnectNow,
        CommitError::Conflict { .. } => SqlState::SerializationFailure,
        CommitError::Unknown { .. } => SqlState::TransactionResolutionUnknown,
        CommitError::Terminated => SqlState::AdminShutdown,
    }
}

/// How a statement failed.
#[must_use]
pub fn of_query(error: &query::Error) -> SqlState {
    use query::Error as E;
    match error {
        E::Syntax { .. } => SqlState::SyntaxError,
        E::UndefinedTable { .. } | E::UndefinedRelation { .. } | E::UndefinedAlias { .. } => {
            SqlState::UndefinedTable
        }
        E::UndefinedColumn { .. } => SqlState::UndefinedColumn,
        E::AmbiguousColumn { .. } => SqlState::AmbiguousColumn,
        E::UndefinedFunction { .. } => SqlState::UndefinedFunction,
        E::UndefinedObject { .. } | E::UnknownSetting { .. } => SqlState::UndefinedObject,
        E::UndefinedSchema { .. } => SqlState::InvalidSchemaName,
        E::UndefinedDatabase { .. } => SqlState::InvalidCatalogName,
        E::UndefinedPrepared { .. } => SqlState::InvalidSqlStatementName,
        E::DuplicatePrepared { .. } => SqlState::DuplicatePreparedStatement,
        E::UndefinedCursor { .. } => SqlState::InvalidCursorName,
        E::DuplicateCursor { .. } => SqlState::DuplicateCursor,
        E::DuplicateTable { .. } => SqlState::DuplicateTable,
        E::DuplicateSchema { .. } => SqlState::DuplicateSchema,
        E::DuplicateColumn { .. } => SqlState::DuplicateColumn,
        E::WrongObjectType { .. } => SqlState::WrongObjectType,
        E::SystemCatalog { .. } | E::NotSuperuser { .. } => SqlState::InsufficientPrivilege,
        E::DependentObjects { .. } => SqlState::DependentObjectsStillExist,
        E::ReservedName { .. } => SqlState::InvalidName,
        E::InvalidSettingValue { .. } | E::InvalidParameter { .. } | E::InvalidRegex { .. } => {
            SqlState::InvalidParameterValue
        }
        E::CannotChangeSetting { .. } => SqlState::CannotChangeRuntimeParam,
        E::ReadOnly { .. } => SqlState::ReadOnlySqlTransaction,
        E::InFailedTransaction => SqlState::InFailedSqlTransaction,
        E::NoActiveTransaction { .. } => SqlState::NoActiveSqlTransaction,
        E::ActiveTransaction { .. } => SqlState::ActiveSqlTransaction,
        E::Unsupported { .. } => SqlState::FeatureNotSupported,
        E::DivisionByZero => SqlState::DivisionByZero,
        E::InvalidText { .. } => SqlState::InvalidTextRepresentation,
        E::OutOfRange { .. } => SqlState::NumericValueOutOfRange,
        E::Grouping { .. } => SqlState::GroupingError,
        E::TypeMismatch { .. } => SqlState::DatatypeMismatch,
        E::Cardinality => SqlState::CardinalityViolation,
        E::ParameterCount { .. } => SqlState::ProtocolViolation,
        E::IndeterminateType { .. } => SqlState::IndeterminateDatatype,
        E::Management { .. } | E::Internal { .. } => SqlState::InternalError,
        E::Commit(error) => of_commit(error),
        E::Catalog(error) => of_catalog(error),
        E::Cancelled => SqlState::QueryCanceled,
        E::TooDeep | E::TooLarge { .. } => SqlState::ProgramLimitExceeded,
    }
}

/// What the catalog refused.
#[must_use]
pub fn of_catalog(error: &catalog::Error) -> SqlState {
    use catalog::Error as E;
    match error {
        E::UndefinedTable { .. } => SqlState::UndefinedTable,
        E::DuplicateTable { .. } => SqlState::DuplicateTable,
        E::UndefinedSchema { .. } => SqlState::InvalidSchemaName,
        E::DuplicateSchema { .. } => SqlState::DuplicateSchema,
        E::UndefinedColumn { .. } => SqlState::UndefinedColumn,
        E::DuplicateColumn { .. } => SqlState::DuplicateColumn,
        E::WrongObjectType { .. } => SqlState::WrongObjectType,
        E::SchemaNotEmpty { .. } | E::DependentObjects { .. } => {
            SqlState::DependentObjectsStillExist
        }
        E::DuplicateKey { .. } => SqlState::UniqueViolation,
        E::UndefinedRow { .. } => SqlState::UndefinedObject,
        E::NotNull { .. } => SqlState::NotNullViolation,
        E::WrongRow { .. } | E::Type(_) => SqlState::DatatypeMismatch,
        E::InvalidName { .. } | E::ReservedName { .. } => SqlState::InvalidName,
        E::SystemObject { .. } => SqlState::InsufficientPrivilege,
        E::TooManyColumns { .. } => SqlState::ProgramLimitExceeded,
        E::Corrupt { .. } => SqlState::DataCorrupted,
        E::Bootstrap { .. } => SqlState::InternalError,
        E::Store(_) => SqlState::IoError,
    }
}

/// The table of `docs/sqlstates.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# SQLSTATEs\n\nWhat this server answers and when. Printed from \
         `src/frontend/sqlstate.rs`; a test compares.\n\n\
         | SQLSTATE | Condition | When |\n|---|---|---|\n",
    );
    for state in SqlState::all() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {} |", state.code(), state.name(), state.when());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_errors_row_by_row() {
        let text = String::new;
        let rows = [
            (CommitError::NotPrimary { primary: None }, "25006"),
            (CommitError::NotNow { reason: text() }, "57P03"),
            (CommitError::Conflict { relation: text() }, "40001"),
            (CommitError::Unknown { xid: 7, reason: text() }, "08007"),
            (CommitError::Terminated, "57P01"),
        ];
        for (error, code) in rows {
            assert_eq!(of_commit(&error).code(), code, "{error}");
        }
    }

    /// `UPDATE_DOCS=1 cargo test` writes the file anew.
    #[test]
    fn the_documented_table_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sqlstates.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/sqlstates.md is stale: run with UPDATE_DOCS=1");
    }
}
