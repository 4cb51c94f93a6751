//! Which error has which SQLSTATE.
//!
//! Exhaustive matches without a `_` arm, so that a new kind of error does not compile until it has
//! a code. It never words a message: the error's own `Display` does.

#[cfg(test)]
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
        CommitError::NewReign | CommitError::Conflict { .. } => SqlState::SerializationFailure,
        CommitError::Unknown { .. } => SqlState::TransactionResolutionUnknown,
        CommitError::Terminated => SqlState::AdminShutdown,
    }
}

/// How the catalog refused or failed.
#[must_use]
pub fn of_catalog(error: &catalog::Error) -> SqlState {
    use catalog::Error;
    match error {
        Error::UndefinedTable { .. } => SqlState::UndefinedTable,
        Error::DuplicateTable { .. } => SqlState::DuplicateTable,
        Error::UndefinedSchema { .. } => SqlState::InvalidSchemaName,
        Error::DuplicateSchema { .. } => SqlState::DuplicateSchema,
        Error::UndefinedColumn { .. } => SqlState::UndefinedColumn,
        Error::DuplicateColumn { .. } => SqlState::DuplicateColumn,
        Error::WrongObjectType { .. } | Error::SystemObject { .. } => SqlState::WrongObjectType,
        Error::SchemaNotEmpty { .. } | Error::DependentObjects { .. } => {
            SqlState::DependentObjectsStillExist
        }
        Error::DuplicateKey { .. } => SqlState::UniqueViolation,
        Error::UndefinedRow { .. } => SqlState::UndefinedObject,
        Error::NotNull { .. } => SqlState::NotNullViolation,
        Error::WrongRow { .. } => SqlState::DatatypeMismatch,
        Error::InvalidName { .. } => SqlState::InvalidName,
        Error::ReservedName { .. } => SqlState::ReservedName,
        Error::TooManyColumns { .. } => SqlState::TooManyColumns,
        Error::TransactionTooLarge { .. } => SqlState::ProgramLimitExceeded,
        Error::Type(error) => match error {
            catalog::TypeError::Unknown { .. } => SqlState::UndefinedObject,
            catalog::TypeError::Modifier { .. } => SqlState::InvalidParameterValue,
        },
        Error::Corrupt { .. } => SqlState::DataCorrupted,
        Error::Bootstrap { .. } => SqlState::InternalError,
        Error::Store(_) => SqlState::IoError,
    }
}

/// How a statement failed.
#[must_use]
pub fn of_query(error: &query::Error) -> SqlState {
    use query::Error;
    match error {
        Error::Syntax { .. } => SqlState::SyntaxError,
        Error::UndefinedTable { .. }
        | Error::UndefinedRelation { .. }
        | Error::UndefinedAlias { .. } => SqlState::UndefinedTable,
        Error::UndefinedColumn { .. } => SqlState::UndefinedColumn,
        Error::AmbiguousColumn { .. } => SqlState::AmbiguousColumn,
        Error::UndefinedFunction { .. } | Error::UndefinedObject { kind: "operator", .. } => {
            SqlState::UndefinedFunction
        }
        Error::UndefinedObject { .. } | Error::UnknownSetting { .. } => SqlState::UndefinedObject,
        Error::UndefinedSchema { .. } => SqlState::InvalidSchemaName,
        Error::UndefinedDatabase { .. } => SqlState::InvalidCatalogName,
        Error::UndefinedPrepared { .. } => SqlState::InvalidSqlStatementName,
        Error::DuplicatePrepared { .. } => SqlState::DuplicatePreparedStatement,
        Error::UndefinedCursor { .. } => SqlState::InvalidCursorName,
        Error::UndefinedSavepoint { .. } => SqlState::InvalidSavepointSpecification,
        Error::DuplicateCursor { .. } => SqlState::DuplicateCursor,
        Error::DuplicateTable { .. } => SqlState::DuplicateTable,
        Error::DuplicateSchema { .. } => SqlState::DuplicateSchema,
        Error::DuplicateColumn { .. } => SqlState::DuplicateColumn,
        // HAWQ answers 42809, not 42501, to a catalog change without allow_system_table_mods.
        Error::WrongObjectType { .. } | Error::SystemCatalog { .. } => SqlState::WrongObjectType,
        Error::DependentObjects { .. } => SqlState::DependentObjectsStillExist,
        Error::ReservedName { .. } => SqlState::ReservedName,
        Error::InvalidSettingValue { .. } | Error::InvalidParameter { .. } => {
            SqlState::InvalidParameterValue
        }
        Error::CannotChangeSetting { .. } => SqlState::CannotChangeRuntimeParam,
        Error::ReadOnly { .. } => SqlState::ReadOnlySqlTransaction,
        Error::InFailedTransaction => SqlState::InFailedSqlTransaction,
        Error::NoActiveTransaction { .. } => SqlState::NoActiveSqlTransaction,
        Error::ActiveTransaction { .. } => SqlState::ActiveSqlTransaction,
        Error::Unsupported { .. } => SqlState::FeatureNotSupported,
        Error::DivisionByZero => SqlState::DivisionByZero,
        Error::InvalidText { .. } => SqlState::InvalidTextRepresentation,
        Error::OutOfRange { .. } => SqlState::NumericValueOutOfRange,
        Error::InvalidRegex { .. } => SqlState::InvalidRegularExpression,
        Error::Grouping { .. } => SqlState::GroupingError,
        Error::TypeMismatch { .. } => SqlState::DatatypeMismatch,
        Error::Cardinality => SqlState::CardinalityViolation,
        Error::ParameterCount { .. } => SqlState::ProtocolViolation,
        Error::IndeterminateType { .. } => SqlState::IndeterminateDatatype,
        Error::NotSuperuser { .. } => SqlState::InsufficientPrivilege,
        Error::Management { .. } | Error::Internal { .. } => SqlState::InternalError,
        Error::Commit(error) => of_commit(error),
        Error::Catalog(error) => of_catalog(error),
        Error::Cancelled => SqlState::QueryCanceled,
        Error::TooDeep => SqlState::StatementTooComplex,
        Error::TooLarge { .. } => SqlState::OutOfMemory,
    }
}

/// The table of `docs/sqlstates.md`.
#[cfg(test)]
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
