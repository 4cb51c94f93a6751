//! Every kind of error against its SQLSTATE, row by row.

use super::sqlstate::{markdown, of_catalog, of_commit, of_query};
use crate::catalog::{self, CommitError, TypeError};
use crate::query;

fn text() -> String {
    "x".to_owned()
}

#[test]
fn commit_errors_row_by_row() {
    let rows = [
        (CommitError::NotPrimary { primary: None }, "25006"),
        (CommitError::NotNow { reason: text() }, "57P03"),
        (CommitError::NewReign, "40001"),
        (CommitError::Conflict { relation: text() }, "40001"),
        (CommitError::Unknown { xid: 7, reason: text() }, "08007"),
        (CommitError::Terminated, "57P01"),
    ];
    for (error, code) in rows {
        assert_eq!(of_commit(&error).code(), code, "{error}");
    }
}

#[test]
fn catalog_errors_row_by_row() {
    use catalog::Error;
    let name = text;
    let rows = [
        (Error::UndefinedTable { name: name() }, "42P01"),
        (Error::DuplicateTable { name: name() }, "42P07"),
        (Error::UndefinedSchema { name: name() }, "3F000"),
        (Error::DuplicateSchema { name: name() }, "42P06"),
        (Error::UndefinedColumn { relation: text(), column: text() }, "42703"),
        (Error::DuplicateColumn { column: text() }, "42701"),
        (Error::WrongObjectType { name: name(), expected: "table" }, "42809"),
        (Error::SchemaNotEmpty { name: name(), objects: 1 }, "2BP01"),
        (Error::DependentObjects { name: name(), dependents: Vec::new() }, "2BP01"),
        (Error::DuplicateKey { relation: text() }, "23505"),
        (Error::UndefinedRow { relation: text() }, "42704"),
        (Error::NotNull { relation: text(), column: text() }, "23502"),
        (Error::WrongRow { relation: text(), reason: text() }, "42804"),
        (Error::InvalidName { name: name(), reason: "long" }, "42602"),
        (Error::ReservedName { name: name() }, "42939"),
        (Error::SystemObject { name: name() }, "42809"),
        (Error::TooManyColumns { count: 2, max: 1 }, "54011"),
        (Error::Type(TypeError::Unknown { name: name() }), "42704"),
        (Error::Type(TypeError::Modifier { name: name(), reason: "x" }), "22023"),
        (Error::Corrupt { what: text(), source: None }, "XX001"),
        (Error::Bootstrap { file: "x", reason: text() }, "XX000"),
    ];
    for (error, code) in rows {
        assert_eq!(of_catalog(&error).code(), code, "{error}");
    }
}

fn query_rows() -> Vec<(query::Error, &'static str)> {
    use query::Error;
    let (name, message) = (text, text);
    vec![
        (Error::Syntax { message: message(), position: None }, "42601"),
        (Error::UndefinedTable { name: name(), position: None }, "42P01"),
        (Error::UndefinedRelation { kind: "view", name: name() }, "42P01"),
        (Error::UndefinedColumn { name: name(), position: None }, "42703"),
        (Error::UndefinedAlias { name: name() }, "42P01"),
        (Error::AmbiguousColumn { name: name() }, "42702"),
        (Error::UndefinedFunction { name: name() }, "42883"),
        (Error::UndefinedObject { kind: "type", name: name() }, "42704"),
        (Error::UndefinedObject { kind: "operator", name: name() }, "42883"),
        (Error::UndefinedSchema { name: name() }, "3F000"),
        (Error::UndefinedDatabase { name: name() }, "3D000"),
        (Error::UndefinedPrepared { name: name() }, "26000"),
        (Error::DuplicatePrepared { name: name() }, "42P05"),
        (Error::UndefinedCursor { name: name() }, "34000"),
        (Error::UndefinedSavepoint { name: name() }, "3B001"),
        (Error::DuplicateCursor { name: name() }, "42P03"),
        (Error::DuplicateTable { name: name() }, "42P07"),
        (Error::DuplicateSchema { name: name() }, "42P06"),
        (Error::DuplicateColumn { name: name() }, "42701"),
        (Error::WrongObjectType { name: name(), kind: "table" }, "42809"),
        (Error::SystemCatalog { name: name() }, "42809"),
        (Error::DependentObjects { object: text(), detail: text() }, "2BP01"),
        (Error::ReservedName { name: name() }, "42939"),
        (Error::UnknownSetting { name: name() }, "42704"),
        (Error::InvalidSettingValue { name: name(), value: text(), hint: None }, "22023"),
        (Error::CannotChangeSetting { name: name(), when: "now" }, "55P02"),
        (Error::ReadOnly { command: text(), hint: None }, "25006"),
        (Error::InFailedTransaction, "25P02"),
        (Error::NoActiveTransaction { command: "x" }, "25P01"),
        (Error::ActiveTransaction { command: "x" }, "25001"),
        (Error::Unsupported { what: text(), hint: None }, "0A000"),
        (Error::DivisionByZero, "22012"),
        (Error::InvalidText { type_name: text(), value: text() }, "22P02"),
        (Error::OutOfRange { type_name: text() }, "22003"),
        (Error::InvalidParameter { message: message() }, "22023"),
        (Error::InvalidRegex { message: message() }, "2201B"),
        (Error::Grouping { message: message() }, "42803"),
        (Error::TypeMismatch { message: message() }, "42804"),
        (Error::Cardinality, "21000"),
        (Error::ParameterCount { given: 1, expected: 2 }, "08P01"),
        (Error::IndeterminateType { number: 1 }, "42P18"),
        (Error::NotSuperuser { what: "x" }, "42501"),
        (Error::Management { message: message() }, "XX000"),
        (Error::Commit(CommitError::Terminated), "57P01"),
        (Error::Catalog(catalog::Error::UndefinedTable { name: name() }), "42P01"),
        (Error::Cancelled, "57014"),
        (Error::TooDeep, "54001"),
        (Error::TooLarge { what: text() }, "53200"),
        (Error::Internal { message: message() }, "XX000"),
    ]
}

#[test]
fn query_errors_row_by_row() {
    for (error, code) in query_rows() {
        assert_eq!(of_query(&error).code(), code, "{error}");
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
