//! Relations: what the catalog knows about a table or view.

use super::column_type::ColumnType;
use super::datum::{Datum, Row};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    /// PostgreSQL's type modifier, -1 for none (`varchar(10)`: 14).
    pub typmod: i32,
    pub not_null: bool,
}

impl Column {
    /// The type as `format_type` writes it: `character varying(10)`.
    #[must_use]
    pub fn type_name(&self) -> String {
        self.column_type.format(self.typmod)
    }
}

/// How a user table's rows are spread over segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distribution {
    Randomly,
    /// Names of the hashed columns, in order; never empty.
    Columns(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationKind {
    /// A user's table: described here, its rows are elsewhere.
    Table,
    /// A stored catalog table: its rows are here.
    System,
    View {
        sql: String,
    },
}

/// A table or view.
///
/// * `key` names positions in `columns`. A system relation without key columns holds one row.
/// * A view has no columns here: they follow from its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub namespace: u32,
    pub namespace_name: String,
    pub name: String,
    pub kind: RelationKind,
    pub columns: Vec<Column>,
    pub key: Vec<usize>,
    pub shared: bool,
    pub owner: u32,
    pub distribution: Option<Distribution>,
}

impl Relation {
    #[must_use]
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The key values of a row; `None` when the row is too short.
    #[must_use]
    pub fn key_of(&self, row: &Row) -> Option<Vec<Datum>> {
        self.key.iter().map(|at| row.get(*at).cloned()).collect()
    }
}
