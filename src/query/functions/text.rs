//! Functions of text and arrays in PostgreSQL's spelling.

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;

use crate::query::context::quote_if_needed;
use crate::query::error::Error;
use crate::query::rows::internal;
use crate::query::types::{INT4, TEXT, TEXT_ARRAY};

use super::{Call, Function, Kind, NO_ELEMENTS, function, lax, optional_text, text_value};

pub(super) static FUNCTIONS: &[Function] = &[
    lax(function("array_to_string", (2, 3), TEXT, Kind::Pure, array_to_string)),
    function("array_upper", (2, 2), INT4, Kind::Pure, |call| bound(call, true)),
    function("array_lower", (2, 2), INT4, Kind::Pure, |call| bound(call, false)),
    lax(function("aerie_array_or_empty", (1, 1), 0, Kind::Pure, array_or_empty)),
    lax(function("aerie_no_elements", (1, 1), NO_ELEMENTS, Kind::Pure, |call| {
        let element = call.args.first().map_or(DataType::Utf8, ScalarValue::data_type);
        Ok(ScalarValue::List(ScalarValue::new_list(&[], &element, true)))
    })),
    lax(function("aerie_prefix_each", (2, 2), TEXT_ARRAY, Kind::Pure, prefix_each)),
    function("quote_ident", (1, 1), TEXT, Kind::Pure, |call| {
        text_value(quote_if_needed(&call.required(0)?))
    }),
    function("quote_literal", (1, 1), TEXT, Kind::Pure, |call| {
        text_value(format!("'{}'", call.required(0)?.replace('\'', "''")))
    }),
    function("aerie_time_out", (1, 1), TEXT, Kind::Bound, time_out),
    function("pg_size_pretty", (1, 1), TEXT, Kind::Pure, |call| {
        text_value(size_pretty(call.integer(0)?.unwrap_or(0)))
    }),
];

fn elements(value: &ScalarValue) -> Result<Option<Vec<ScalarValue>>, Error> {
    if value.is_null() {
        return Ok(None);
    }
    let ScalarValue::List(list) = value else {
        return Err(Error::TypeMismatch { message: "argument is not an array".to_owned() });
    };
    let values = list.value(0);
    let items = (0..values.len()).map(|at| ScalarValue::try_from_array(&values, at));
    items.collect::<Result<_, _>>().map(Some).map_err(internal)
}

fn array_to_string(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let Some(first) = call.args.first() else { return optional_text(None) };
    let (Some(items), Some(separator)) = (elements(first)?, call.text(1)?) else {
        return optional_text(None);
    };
    let null = call.text(2)?;
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        match item.cast_to(&DataType::Utf8).map_err(internal)? {
            ScalarValue::Utf8(Some(text)) => parts.push(text),
            _ => parts.extend(null.clone()),
        }
    }
    text_value(parts.join(&separator))
}

fn bound(call: &Call<'_>, upper: bool) -> Result<ScalarValue, Error> {
    let count = match call.args.first().map(elements).transpose()?.flatten() {
        Some(items) if !items.is_empty() && call.integer(1)? == Some(1) => items.len(),
        _ => return Ok(ScalarValue::Int32(None)),
    };
    Ok(ScalarValue::Int32(if upper { i32::try_from(count).ok() } else { Some(1) }))
}

/// What `array(select …)` gives for no rows: an empty array, where `array_agg` gives null.
fn array_or_empty(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let Some(value) = call.args.first() else { return Err(Error::internal("no argument")) };
    match value.data_type() {
        DataType::List(item) if value.is_null() => {
            Ok(ScalarValue::List(ScalarValue::new_list(&[], item.data_type(), true)))
        }
        _ => Ok(value.clone()),
    }
}

/// `array(select 'prefix' || x from unnest(array) x)`, which psql asks for storage options.
fn prefix_each(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let prefix = call.text(1)?.unwrap_or_default();
    let items = call.args.first().map(elements).transpose()?.flatten().unwrap_or_default();
    let prefixed = items
        .into_iter()
        .map(|item| match item.cast_to(&DataType::Utf8).map_err(internal)? {
            ScalarValue::Utf8(Some(text)) => text_value(format!("{prefix}{text}")),
            _ => optional_text(None),
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list(&prefixed, &DataType::Utf8, true)))
}

/// A time as text in the session's time zone: `2026-11-22 05:13:15.12+00`.
fn time_out(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let value = call.args.first().ok_or_else(|| Error::internal("no argument"))?;
    let zoned = matches!(value.data_type(), DataType::Timestamp(_, Some(_)));
    let zone =
        if zoned { Some(call.context()?.setting("TimeZone").unwrap_or_default()) } else { None };
    let zone = zone.map(|name| match name.to_ascii_uppercase().as_str() {
        "UTC" | "GMT" | "Z" | "ETC/UTC" | "" => "+00:00".to_owned(),
        _ => name,
    });
    let target = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let local = value.cast_to(&target).map_err(internal)?.to_array().map_err(internal)?;
    let format = if zoned { "%Y-%m-%d %H:%M:%S%.6f%:z" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    let options = FormatOptions::new()
        .with_timestamp_format(Some(format))
        .with_timestamp_tz_format(Some(format));
    let shown = ArrayFormatter::try_new(local.as_ref(), &options).map_err(internal)?;
    let shown = shown.value(0).to_string();
    let (time, offset) = shown.split_at(shown.len() - if zoned { 6 } else { 0 });
    let time = time.trim_end_matches('0').trim_end_matches('.');
    text_value(format!("{time}{}", offset.trim_end_matches(":00")))
}

fn size_pretty(size: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if size.unsigned_abs() < 10 * 1024 {
        return format!("{size} bytes");
    }
    let mut halves = i128::from(size) * 2 / 1024;
    let mut unit = 0;
    while halves.unsigned_abs() >= 20 * 1024 - 1 && unit + 1 < UNITS.len() {
        halves /= 1024;
        unit += 1;
    }
    format!("{} {}", (halves + halves.signum()) / 2, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size_pretty;

    #[test]
    fn sizes_read_as_in_postgresql() {
        let rows =
            [(0, "0 bytes"), (10_239, "10239 bytes"), (10_240, "10 kB"), (1 << 30, "1024 MB")];
        for (size, text) in rows {
            assert_eq!(size_pretty(size), text);
        }
    }
}
