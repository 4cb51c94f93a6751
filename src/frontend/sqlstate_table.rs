//! The SQLSTATEs that this server may answer, and the table that documents them.
//!
//! It never decides which error has which code: `sqlstate` does.

/// A SQLSTATE that this server may answer; its numbers are places in `TABLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SqlState {
    TransactionResolutionUnknown,
    ProtocolViolation,
    FeatureNotSupported,
    CardinalityViolation,
    InvalidParameterValue,
    NumericValueOutOfRange,
    InvalidDatetimeFormat,
    DatetimeFieldOverflow,
    DivisionByZero,
    InvalidRegularExpression,
    CharacterNotInRepertoire,
    InvalidTextRepresentation,
    InvalidBinaryRepresentation,
    NotNullViolation,
    UniqueViolation,
    InvalidTransactionState,
    ActiveSqlTransaction,
    ReadOnlySqlTransaction,
    NoActiveSqlTransaction,
    InFailedSqlTransaction,
    InvalidSqlStatementName,
    InvalidAuthorizationSpecification,
    DependentObjectsStillExist,
    InvalidCursorName,
    InvalidSavepointSpecification,
    InvalidSchemaName,
    InvalidCatalogName,
    SerializationFailure,
    InsufficientPrivilege,
    SyntaxError,
    InvalidName,
    UndefinedColumn,
    UndefinedObject,
    AmbiguousColumn,
    DuplicateColumn,
    DuplicateObject,
    GroupingError,
    ReservedName,
    DatatypeMismatch,
    WrongObjectType,
    UndefinedFunction,
    UndefinedTable,
    UndefinedParameter,
    DuplicateCursor,
    DuplicateDatabase,
    DuplicatePreparedStatement,
    DuplicateSchema,
    DuplicateTable,
    InvalidTableDefinition,
    IndeterminateDatatype,
    OutOfMemory,
    TooManyConnections,
    ProgramLimitExceeded,
    StatementTooComplex,
    TooManyColumns,
    ObjectNotInPrerequisiteState,
    CannotChangeRuntimeParam,
    QueryCanceled,
    AdminShutdown,
    CannotConnectNow,
    IoError,
    InternalError,
    DataCorrupted,
}

struct Row {
    state: SqlState,
    code: &'static str,
    name: &'static str,
    when: &'static str,
}

const fn row(state: SqlState, code: &'static str, name: &'static str, when: &'static str) -> Row {
    Row { state, code, name, when }
}

#[rustfmt::skip]
static TABLE: [Row; 63] = [
    row(SqlState::TransactionResolutionUnknown, "08007", "transaction_resolution_unknown",
        "fenced, or the in-sync set was lost: the commit may or may not have happened"),
    row(SqlState::ProtocolViolation, "08P01", "protocol_violation",
        "a message that is malformed or not expected"),
    row(SqlState::FeatureNotSupported, "0A000", "feature_not_supported",
        "SQL or protocol that this server does not offer"),
    row(SqlState::CardinalityViolation, "21000", "cardinality_violation",
        "a scalar subquery gave more than one row"),
    row(SqlState::InvalidParameterValue, "22023", "invalid_parameter_value",
        "a setting or argument outside its domain"),
    row(SqlState::NumericValueOutOfRange, "22003", "numeric_value_out_of_range",
        "a number that does not fit its type"),
    row(SqlState::InvalidDatetimeFormat, "22007", "invalid_datetime_format",
        "text that is no date or time"),
    row(SqlState::DatetimeFieldOverflow, "22008", "datetime_field_overflow",
        "a date or time outside the range of its type"),
    row(SqlState::DivisionByZero, "22012", "division_by_zero",
        "a division by zero"),
    row(SqlState::InvalidRegularExpression, "2201B", "invalid_regular_expression",
        "a regular expression that does not parse"),
    row(SqlState::CharacterNotInRepertoire, "22021", "character_not_in_repertoire",
        "bytes that are not UTF-8"),
    row(SqlState::InvalidTextRepresentation, "22P02", "invalid_text_representation",
        "text that is no value of its type"),
    row(SqlState::InvalidBinaryRepresentation, "22P03", "invalid_binary_representation",
        "bytes that are no value of their type"),
    row(SqlState::NotNullViolation, "23502", "not_null_violation",
        "NULL for a column that is not null"),
    row(SqlState::UniqueViolation, "23505", "unique_violation",
        "a key that is there already"),
    row(SqlState::InvalidTransactionState, "25000", "invalid_transaction_state",
        "a transaction command that does not fit the transaction"),
    row(SqlState::ActiveSqlTransaction, "25001", "active_sql_transaction",
        "a command that cannot run inside a transaction block"),
    row(SqlState::ReadOnlySqlTransaction, "25006", "read_only_sql_transaction",
        "a write sent to a standby or in a read-only transaction"),
    row(SqlState::NoActiveSqlTransaction, "25P01", "no_active_sql_transaction",
        "a command that needs a transaction block"),
    row(SqlState::InFailedSqlTransaction, "25P02", "in_failed_sql_transaction",
        "a statement in a transaction that has failed"),
    row(SqlState::InvalidSqlStatementName, "26000", "invalid_sql_statement_name",
        "a prepared statement that does not exist"),
    row(SqlState::InvalidAuthorizationSpecification, "28000", "invalid_authorization_specification",
        "no or a rejecting line of pg_hba.conf, or an unknown role"),
    row(SqlState::DependentObjectsStillExist, "2BP01", "dependent_objects_still_exist",
        "DROP of something that others depend on"),
    row(SqlState::InvalidCursorName, "34000", "invalid_cursor_name",
        "a portal that does not exist"),
    row(SqlState::InvalidSavepointSpecification, "3B001", "invalid_savepoint_specification",
        "a savepoint that does not exist"),
    row(SqlState::InvalidSchemaName, "3F000", "invalid_schema_name",
        "a schema that does not exist"),
    row(SqlState::InvalidCatalogName, "3D000", "invalid_catalog_name",
        "a database that does not exist"),
    row(SqlState::SerializationFailure, "40001", "serialization_failure",
        "a conflict with a concurrent change, or the primary took over from itself; certainly not \
         applied, try again"),
    row(SqlState::InsufficientPrivilege, "42501", "insufficient_privilege",
        "the role may not do that"),
    row(SqlState::SyntaxError, "42601", "syntax_error",
        "text that does not parse"),
    row(SqlState::InvalidName, "42602", "invalid_name",
        "a name that is not allowed"),
    row(SqlState::UndefinedColumn, "42703", "undefined_column",
        "a column that does not exist"),
    row(SqlState::UndefinedObject, "42704", "undefined_object",
        "a setting, type or role that does not exist"),
    row(SqlState::AmbiguousColumn, "42702", "ambiguous_column",
        "a column name that fits more than one relation"),
    row(SqlState::DuplicateColumn, "42701", "duplicate_column",
        "a column named twice"),
    row(SqlState::DuplicateObject, "42710", "duplicate_object",
        "an object that exists already"),
    row(SqlState::GroupingError, "42803", "grouping_error",
        "a column that is neither grouped nor aggregated"),
    row(SqlState::ReservedName, "42939", "reserved_name",
        "a schema name that begins with pg_"),
    row(SqlState::DatatypeMismatch, "42804", "datatype_mismatch",
        "types that do not go together"),
    row(SqlState::WrongObjectType, "42809", "wrong_object_type",
        "an object of another kind, or a catalog change without allow_system_table_mods"),
    row(SqlState::UndefinedFunction, "42883", "undefined_function",
        "a function or operator that does not exist"),
    row(SqlState::UndefinedTable, "42P01", "undefined_table",
        "a relation that does not exist"),
    row(SqlState::UndefinedParameter, "42P02", "undefined_parameter",
        "a parameter number without a value"),
    row(SqlState::DuplicateCursor, "42P03", "duplicate_cursor",
        "a portal name in use"),
    row(SqlState::DuplicateDatabase, "42P04", "duplicate_database",
        "a database that exists already"),
    row(SqlState::DuplicatePreparedStatement, "42P05", "duplicate_prepared_statement",
        "a prepared statement name in use"),
    row(SqlState::DuplicateSchema, "42P06", "duplicate_schema",
        "a schema that exists already"),
    row(SqlState::DuplicateTable, "42P07", "duplicate_table",
        "a relation that exists already"),
    row(SqlState::InvalidTableDefinition, "42P16", "invalid_table_definition",
        "a table that cannot be made so"),
    row(SqlState::IndeterminateDatatype, "42P18", "indeterminate_datatype",
        "a parameter whose type cannot be told"),
    row(SqlState::OutOfMemory, "53200", "out_of_memory",
        "a result or message larger than this server keeps"),
    row(SqlState::TooManyConnections, "53300", "too_many_connections",
        "max_connections sessions are there already"),
    row(SqlState::ProgramLimitExceeded, "54000", "program_limit_exceeded",
        "a statement beyond a limit of this server"),
    row(SqlState::StatementTooComplex, "54001", "statement_too_complex",
        "a statement nested too deeply"),
    row(SqlState::TooManyColumns, "54011", "too_many_columns",
        "a table with more columns than there may be"),
    row(SqlState::ObjectNotInPrerequisiteState, "55000", "object_not_in_prerequisite_state",
        "a portal that was run already, or a command that does not fit the state"),
    row(SqlState::CannotChangeRuntimeParam, "55P02", "cant_change_runtime_param",
        "a setting that cannot be changed in a session"),
    row(SqlState::QueryCanceled, "57014", "query_canceled",
        "a cancel request or a timeout"),
    row(SqlState::AdminShutdown, "57P01", "admin_shutdown",
        "shut down, stepped down, or pg_terminate_backend()"),
    row(SqlState::CannotConnectNow, "57P03", "cannot_connect_now",
        "starting, taking over, standby without hot_standby, or shutting down"),
    row(SqlState::IoError, "58030", "io_error",
        "a file could not be read or written"),
    row(SqlState::InternalError, "XX000", "internal_error",
        "a bug of this server"),
    row(SqlState::DataCorrupted, "XX001", "data_corrupted",
        "stored data that cannot be right"),
];

impl SqlState {
    pub fn all() -> impl Iterator<Item = SqlState> {
        TABLE.iter().map(|row| row.state)
    }

    /// The five characters that a client compares.
    #[must_use]
    pub fn code(self) -> &'static str {
        TABLE[self as usize].code
    }

    /// PostgreSQL's name of the condition.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// When this server answers it.
    #[must_use]
    pub fn when(self) -> &'static str {
        TABLE[self as usize].when
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_stands_in_its_place() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.state as usize, place, "{:?}", row.state);
        }
        assert_eq!(SqlState::DataCorrupted as usize + 1, TABLE.len());
    }

    #[test]
    fn every_code_is_unique_and_has_five_characters() {
        let mut codes: Vec<&str> = SqlState::all().map(SqlState::code).collect();
        assert!(codes.iter().all(|code| code.len() == 5), "{codes:?}");
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }
}
