//! What can go wrong in the catalog, by what the caller can say of it.

use super::codec::CodecError;
use super::column_type::TypeError;
use super::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("relation \"{name}\" does not exist")]
    UndefinedTable { name: String },
    #[error("relation \"{name}\" already exists")]
    DuplicateTable { name: String },
    #[error("schema \"{name}\" does not exist")]
    UndefinedSchema { name: String },
    #[error("schema \"{name}\" already exists")]
    DuplicateSchema { name: String },
    #[error("column \"{column}\" of relation \"{relation}\" does not exist")]
    UndefinedColumn { relation: String, column: String },
    #[error("column \"{column}\" specified more than once")]
    DuplicateColumn { column: String },
    #[error("\"{name}\" is not a {expected}")]
    WrongObjectType { name: String, expected: &'static str },
    #[error("cannot drop schema \"{name}\" because other objects depend on it")]
    SchemaNotEmpty { name: String, objects: usize },
    #[error("cannot drop {name} because other objects depend on it")]
    DependentObjects { name: String, dependents: Vec<String> },
    #[error("duplicate key value violates unique constraint of \"{relation}\"")]
    DuplicateKey { relation: String },
    #[error("row to change does not exist in \"{relation}\"")]
    UndefinedRow { relation: String },
    #[error("null value in column \"{column}\" of relation \"{relation}\"")]
    NotNull { relation: String, column: String },
    #[error("row does not fit relation \"{relation}\": {reason}")]
    WrongRow { relation: String, reason: String },
    #[error("invalid name \"{name}\": {reason}")]
    InvalidName { name: String, reason: &'static str },
    #[error(
        "unacceptable schema name \"{name}\": the prefix \"pg_\" is reserved for system schemas"
    )]
    ReservedName { name: String },
    #[error("permission denied: \"{name}\" is a system catalog")]
    SystemObject { name: String },
    #[error("tables can have at most {max} columns, not {count}")]
    TooManyColumns { count: usize, max: usize },
    #[error("transaction changes more than {max} bytes of the catalog")]
    TransactionTooLarge { max: usize },
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The stored or logged bytes are not what this program wrote.
    #[error("catalog is corrupt: {what}")]
    Corrupt {
        what: String,
        #[source]
        source: Option<CodecError>,
    },
    #[error("bootstrap script {file}: {reason}")]
    Bootstrap { file: &'static str, reason: String },
    #[error("catalog store")]
    Store(#[from] StoreError),
}

impl Error {
    pub(crate) fn corrupt(what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into(), source: None }
    }
}

impl From<CodecError> for Error {
    fn from(source: CodecError) -> Error {
        Error::Corrupt { what: source.to_string(), source: Some(source) }
    }
}
