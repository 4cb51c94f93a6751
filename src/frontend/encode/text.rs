//! Values in PostgreSQL's text format.

use std::fmt::Write as _;

use crate::frontend::Failure;
use crate::types::Lsn;

use super::array;
use super::calendar::{self, Zone};
use super::number;
use super::oid;
use super::value::Value;

/// Appends the text of a value that is not null.
pub fn write(
    value: &Value<'_>,
    type_oid: u32,
    zone: &Zone,
    out: &mut String,
) -> Result<(), Failure> {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        Value::Int(value) => integer(*value, type_oid, out),
        Value::Unsigned(value) => match type_oid {
            oid::PG_LSN => {
                let _ = write!(out, "{}", Lsn(*value));
            }
            _ => {
                let _ = write!(out, "{value}");
            }
        },
        Value::Float4(value) => number::float4(*value, out),
        Value::Float8(value) if type_oid == oid::FLOAT4 => number::float4(*value as f32, out),
        Value::Float8(value) => number::float8(*value, out),
        Value::Text(value) => out.push_str(value),
        Value::Bytes(value) => bytea(value, out),
        Value::Timestamp(micros) => match type_oid {
            oid::TIMESTAMPTZ => calendar::timestamp(*micros, Some(zone), out),
            _ => calendar::timestamp(*micros, None, out),
        },
        Value::Date(days) => calendar::date(*days, out),
        Value::Time(micros) => calendar::time(*micros, out),
        Value::Decimal { unscaled, scale } => number::decimal(*unscaled, *scale, out),
        Value::Interval { months, days, micros } => {
            calendar::interval(*months, *days, *micros, out);
        }
        Value::List(list) => array::write_text(list, type_oid, zone, out)?,
    }
    Ok(())
}

fn integer(value: i64, type_oid: u32, out: &mut String) {
    match type_oid {
        oid::BOOL => out.push(if value == 0 { 'f' } else { 't' }),
        oid::PG_LSN => {
            let _ = write!(out, "{}", Lsn(value.cast_unsigned()));
        }
        // The "char" type as a number of its byte.
        oid::CHAR => {
            if let Ok(byte @ 1..) = u8::try_from(value) {
                out.push(char::from(byte));
            }
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

fn bytea(bytes: &[u8], out: &mut String) {
    out.push_str("\\x");
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}
