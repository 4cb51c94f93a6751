//! Stored rows and computed rows to Arrow batches.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, Float32Array, Float64Array, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StringArray,
};
use datafusion::arrow::datatypes::{
    DataType, Int16Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType, UInt32Type,
};
use datafusion::common::ScalarValue;

use crate::catalog::{Datum, Row};

use super::error::Error;

/// One column of stored rows. A value that does not fit the column's type is corruption.
pub(crate) fn stored_column(
    rows: &[Row],
    at: usize,
    data_type: &DataType,
) -> Result<ArrayRef, Error> {
    column_of(rows.iter().map(|row| row.get(at).unwrap_or(&Datum::Null)), data_type)
}

fn column_of<'a>(
    values: impl Iterator<Item = &'a Datum>,
    data_type: &DataType,
) -> Result<ArrayRef, Error> {
    Ok(match data_type {
        DataType::Boolean => Arc::new(fitting::<_, BooleanArray>(values, Datum::as_bool)?),
        DataType::Int16 => Arc::new(integers::<Int16Type>(values)?),
        DataType::Int32 => Arc::new(integers::<Int32Type>(values)?),
        DataType::Int64 => Arc::new(integers::<Int64Type>(values)?),
        DataType::UInt32 => Arc::new(integers::<UInt32Type>(values)?),
        DataType::Utf8 => Arc::new(fitting::<_, StringArray>(values, text)?),
        DataType::Timestamp(_, zone) => {
            let times = integers::<TimestampMicrosecondType>(values)?;
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        DataType::Float32 => Arc::new(fitting::<_, Float32Array>(values, |value| match value {
            Datum::Float4(number) => Some(*number),
            _ => None,
        })?),
        DataType::Float64 => Arc::new(fitting::<_, Float64Array>(values, |value| match value {
            Datum::Float8(number) => Some(*number),
            _ => None,
        })?),
        other => {
            let scalars: Vec<ScalarValue> =
                values.map(|value| scalar(value, other)).collect::<Result<_, _>>()?;
            computed_column(scalars, other)?
        }
    })
}

fn integers<'a, T>(values: impl Iterator<Item = &'a Datum>) -> Result<PrimitiveArray<T>, Error>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i64>,
{
    values.map(integer::<T::Native>).collect()
}

/// An array of what `pick` finds; it finds nothing in nulls, and in values that do not fit.
fn fitting<'a, V, A: FromIterator<Option<V>>>(
    values: impl Iterator<Item = &'a Datum>,
    pick: impl Fn(&'a Datum) -> Option<V>,
) -> Result<A, Error> {
    values.map(|value| checked(value, pick(value))).collect()
}

fn checked<T>(value: &Datum, found: Option<T>) -> Result<Option<T>, Error> {
    if found.is_none() && !value.is_null() {
        return Err(misfit(value));
    }
    Ok(found)
}

fn misfit(value: &Datum) -> Error {
    Error::internal(format!("stored value {value:?} does not fit its column"))
}

fn integer<T: TryFrom<i64>>(value: &Datum) -> Result<Option<T>, Error> {
    match (value, value.as_i64()) {
        (Datum::Null, _) => Ok(None),
        (_, Some(number)) => T::try_from(number).map(Some).map_err(|_| misfit(value)),
        (_, None) => Err(misfit(value)),
    }
}

/// Text of the types that travel as text.
fn text(value: &Datum) -> Option<String> {
    match value {
        Datum::Char(0) => Some(String::new()),
        Datum::Char(byte) => Some(char::from(*byte).to_string()),
        Datum::Array(items) => {
            // int2vector and oidvector: "1 2 3".
            let parts: Option<Vec<String>> =
                items.iter().map(|item| item.as_i64().map(|n| n.to_string())).collect();
            parts.map(|parts| parts.join(" "))
        }
        other => other.as_str().map(str::to_owned),
    }
}

/// A stored value as a scalar of the column's Arrow type.
pub(crate) fn scalar(value: &Datum, data_type: &DataType) -> Result<ScalarValue, Error> {
    if value.is_null() {
        return ScalarValue::try_from(data_type).map_err(internal);
    }
    if let (DataType::List(item), Datum::Array(items)) = (data_type, value) {
        let scalars: Vec<ScalarValue> = items
            .iter()
            .map(|element| scalar(element, item.data_type()))
            .collect::<Result<_, _>>()?;
        return Ok(ScalarValue::List(ScalarValue::new_list(&scalars, item.data_type(), true)));
    }
    let column = column_of(std::iter::once(value), data_type)?;
    ScalarValue::try_from_array(&column, 0).map_err(internal)
}

/// A value as a key of the store, where it has the column's type.
pub(crate) fn datum(value: &ScalarValue, like: &crate::catalog::ColumnType) -> Option<Datum> {
    use crate::catalog::ColumnType;
    Some(match (like, value) {
        (ColumnType::Bool, ScalarValue::Boolean(Some(v))) => Datum::Bool(*v),
        (ColumnType::Int2, ScalarValue::Int16(Some(v))) => Datum::Int2(*v),
        (ColumnType::Int4, ScalarValue::Int32(Some(v))) => Datum::Int4(*v),
        (ColumnType::Int8, ScalarValue::Int64(Some(v))) => Datum::Int8(*v),
        (ColumnType::Oid, ScalarValue::UInt32(Some(v))) => Datum::Oid(*v),
        (ColumnType::Name, ScalarValue::Utf8(Some(v))) => Datum::Name(v.clone()),
        (ColumnType::Text | ColumnType::Varchar, ScalarValue::Utf8(Some(v))) => {
            Datum::Text(v.clone())
        }
        (ColumnType::Char, ScalarValue::Utf8(Some(v))) if v.len() == 1 => {
            Datum::Char(v.as_bytes()[0])
        }
        (ColumnType::Timestamptz, ScalarValue::TimestampMicrosecond(Some(v), _)) => {
            Datum::Timestamptz(*v)
        }
        _ => return None,
    })
}

pub(crate) fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal(error.to_string())
}

fn computed_column(scalars: Vec<ScalarValue>, data_type: &DataType) -> Result<ArrayRef, Error> {
    if scalars.is_empty() {
        return Ok(datafusion::arrow::array::new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(scalars).map_err(internal)
}

/// Rows that were computed rather than stored, in the order of the schema's columns.
pub(crate) fn computed_batch(
    schema: &SchemaRef,
    rows: Vec<Vec<ScalarValue>>,
) -> Result<RecordBatch, Error> {
    let count = rows.len();
    let mut columns: Vec<Vec<ScalarValue>> =
        schema.fields().iter().map(|_| Vec::with_capacity(count)).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let arrays = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(column, field)| computed_column(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    batch(schema, arrays, count)
}

pub(crate) fn batch(
    schema: &SchemaRef,
    arrays: Vec<ArrayRef>,
    count: usize,
) -> Result<RecordBatch, Error> {
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(internal)
}
