//! Reads values out of Arrow columns. The downcast is done once for a column of a batch, not once
//! for a value.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray,
    LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::frontend::Failure;

/// One value of a column.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float4(f32),
    Float8(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Microseconds since 1970, without a zone or in UTC.
    Timestamp(i64),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    Decimal {
        unscaled: i128,
        scale: i8,
    },
    Interval {
        months: i32,
        days: i32,
        micros: i64,
    },
    List(ArrayRef),
}

/// A column of one batch, ready to be read.
pub enum Column {
    Null,
    Bool(BooleanArray),
    Int8(PrimitiveArray<Int8Type>),
    Int16(PrimitiveArray<Int16Type>),
    Int32(PrimitiveArray<Int32Type>),
    Int64(PrimitiveArray<Int64Type>),
    Unsigned8(PrimitiveArray<UInt8Type>),
    Unsigned16(PrimitiveArray<UInt16Type>),
    Unsigned32(PrimitiveArray<UInt32Type>),
    Unsigned64(PrimitiveArray<UInt64Type>),
    Float4(PrimitiveArray<Float32Type>),
    Float8(PrimitiveArray<Float64Type>),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    LargeBytes(LargeBinaryArray),
    BytesView(BinaryViewArray),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    Decimal(PrimitiveArray<Decimal128Type>, i8),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    List(ArrayRef),
}

impl Column {
    pub fn new(array: &ArrayRef) -> Result<Column, Failure> {
        Ok(match array.data_type() {
            DataType::Null => Column::Null,
            DataType::Boolean => Column::Bool(array.as_boolean().clone()),
            DataType::Int8 => Column::Int8(array.as_primitive().clone()),
            DataType::Int16 => Column::Int16(array.as_primitive().clone()),
            DataType::Int32 => Column::Int32(array.as_primitive().clone()),
            DataType::Int64 => Column::Int64(array.as_primitive().clone()),
            DataType::UInt8 => Column::Unsigned8(array.as_primitive().clone()),
            DataType::UInt16 => Column::Unsigned16(array.as_primitive().clone()),
            DataType::UInt32 => Column::Unsigned32(array.as_primitive().clone()),
            DataType::UInt64 => Column::Unsigned64(array.as_primitive().clone()),
            DataType::Float32 => Column::Float4(array.as_primitive().clone()),
            DataType::Float64 => Column::Float8(array.as_primitive().clone()),
            DataType::Utf8 => Column::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Column::LargeText(array.as_string().clone()),
            DataType::Utf8View => Column::TextView(array.as_string_view().clone()),
            DataType::Binary => Column::Bytes(array.as_binary().clone()),
            DataType::LargeBinary => Column::LargeBytes(array.as_binary().clone()),
            DataType::BinaryView => Column::BytesView(array.as_binary_view().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Column::Timestamp(array.as_primitive().clone())
            }
            DataType::Date32 => Column::Date(array.as_primitive().clone()),
            DataType::Time64(TimeUnit::Microsecond) => Column::Time(array.as_primitive().clone()),
            DataType::Decimal128(_, scale) => Column::Decimal(array.as_primitive().clone(), *scale),
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Column::Interval(array.as_primitive().clone())
            }
            DataType::List(_) => Column::List(array.clone()),
            other => return Column::converted(array, other),
        })
    }

    /// The rarer Arrow types, made into one of the above.
    fn converted(array: &ArrayRef, data_type: &DataType) -> Result<Column, Failure> {
        let target = match data_type {
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            DataType::Date64 => DataType::Date32,
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
            DataType::Float16 => DataType::Float32,
            DataType::Interval(_) | DataType::Duration(_) => {
                DataType::Interval(IntervalUnit::MonthDayNano)
            }
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                DataType::List(item.clone())
            }
            _ => DataType::Utf8,
        };
        let converted = (target != *data_type).then(|| cast(array, &target));
        match converted {
            Some(Ok(converted)) => Column::new(&converted),
            Some(Err(_)) | None => {
                Err(Failure::internal(format!("cannot show values of type {data_type}")))
            }
        }
    }

    #[must_use]
    pub fn value(&self, row: usize) -> Value<'_> {
        match self {
            Column::Null => Value::Null,
            Column::Bool(a) if a.is_valid(row) => Value::Bool(a.value(row)),
            Column::Int8(a) if a.is_valid(row) => Value::Int(a.value(row).into()),
            Column::Int16(a) if a.is_valid(row) => Value::Int(a.value(row).into()),
            Column::Int32(a) if a.is_valid(row) => Value::Int(a.value(row).into()),
            Column::Int64(a) if a.is_valid(row) => Value::Int(a.value(row)),
            Column::Unsigned8(a) if a.is_valid(row) => Value::Int(a.value(row).into()),
            Column::Unsigned16(a) if a.is_valid(row) => Value::Int(a.value(row).into()),
            Column::Unsigned32(a) if a.is_valid(row) => Value::Int(a.value(row).into()),
            Column::Unsigned64(a) if a.is_valid(row) => Value::Unsigned(a.value(row)),
            Column::Float4(a) if a.is_valid(row) => Value::Float4(a.value(row)),
            Column::Float8(a) if a.is_valid(row) => Value::Float8(a.value(row)),
            Column::Text(a) if a.is_valid(row) => Value::Text(a.value(row)),
            Column::LargeText(a) if a.is_valid(row) => Value::Text(a.value(row)),
            Column::TextView(a) if a.is_valid(row) => Value::Text(a.value(row)),
            Column::Bytes(a) if a.is_valid(row) => Value::Bytes(a.value(row)),
            Column::LargeBytes(a) if a.is_valid(row) => Value::Bytes(a.value(row)),
            Column::BytesView(a) if a.is_valid(row) => Value::Bytes(a.value(row)),
            Column::Timestamp(a) if a.is_valid(row) => Value::Timestamp(a.value(row)),
            Column::Date(a) if a.is_valid(row) => Value::Date(a.value(row)),
            Column::Time(a) if a.is_valid(row) => Value::Time(a.value(row)),
            Column::Decimal(a, scale) if a.is_valid(row) => {
                Value::Decimal { unscaled: a.value(row), scale: *scale }
            }
            Column::Interval(a) if a.is_valid(row) => {
                let interval = a.value(row);
                let micros = interval.nanoseconds / 1_000;
                Value::Interval { months: interval.months, days: interval.days, micros }
            }
            Column::List(a) if a.is_valid(row) => Value::List(a.as_list::<i32>().value(row)),
            _ => Value::Null,
        }
    }
}
