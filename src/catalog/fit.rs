//! Whether a row may be stored in a relation.

use super::column_type::ColumnType;
use super::datum::{Datum, Row};
use super::error::Error;
use super::layout::NAME_BYTES_MAX;
use super::relation::{Column, Relation};

/// A value longer than this has no place in a catalog, nor in a record of the log.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Checks every value against its column; gives the row's key.
pub(crate) fn check(relation: &Relation, row: &Row) -> Result<Vec<Datum>, Error> {
    let wrong = |reason: String| Error::WrongRow { relation: relation.name.clone(), reason };
    if row.len() != relation.columns.len() {
        let (has, wants) = (row.len(), relation.columns.len());
        return Err(wrong(format!("{has} values for {wants} columns")));
    }
    for (column, value) in relation.columns.iter().zip(row) {
        if value.is_null() && column.not_null {
            return Err(Error::NotNull {
                relation: relation.name.clone(),
                column: column.name.clone(),
            });
        }
        if !value.is_null() && !fits(&column.column_type, value) {
            return Err(wrong(misfit(column)));
        }
    }
    relation.key_of(row).ok_or_else(|| wrong("no key".to_owned()))
}

fn misfit(column: &Column) -> String {
    format!("column \"{}\" is of type {}", column.name, column.type_name())
}

fn fits(column_type: &ColumnType, value: &Datum) -> bool {
    match (column_type, value) {
        (ColumnType::Bool, Datum::Bool(_))
        | (ColumnType::Char, Datum::Char(_))
        | (ColumnType::Int2, Datum::Int2(_))
        | (ColumnType::Int4, Datum::Int4(_))
        | (ColumnType::Int8, Datum::Int8(_))
        | (ColumnType::Float4, Datum::Float4(_))
        | (ColumnType::Float8, Datum::Float8(_))
        | (ColumnType::Oid, Datum::Oid(_))
        | (ColumnType::Timestamptz, Datum::Timestamptz(_)) => true,
        (ColumnType::Name, Datum::Name(text)) => text.len() <= NAME_BYTES_MAX,
        (
            ColumnType::Text | ColumnType::Varchar | ColumnType::Bpchar | ColumnType::Aclitem,
            Datum::Text(text),
        ) => text.len() <= VALUE_BYTES_MAX,
        (ColumnType::Array(element), Datum::Array(items)) => {
            items.len() <= VALUE_BYTES_MAX
                && items.iter().all(|item| item.is_null() || fits(element, item))
        }
        _ => false,
    }
}
