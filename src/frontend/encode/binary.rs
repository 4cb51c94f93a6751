//! Values in PostgreSQL's binary format. The type's oid alone decides it: a value that does not
//! fit that type is an error, never another type's bytes.

use bytes::{BufMut, BytesMut};

use crate::frontend::{Failure, SqlState};
use crate::types::Lsn;

use super::array;
use super::calendar::{DAYS_TO_2000, MICROS_TO_2000, Zone};
use super::number;
use super::oid;
use super::text;
use super::value::Value;

/// Appends the bytes of a value that is not null.
pub fn write(value: &Value<'_>, type_oid: u32, out: &mut BytesMut) -> Result<(), Failure> {
    match type_oid {
        oid::BOOL => out.put_u8(u8::from(boolean(value, type_oid)?)),
        oid::INT2 => out.put_i16(narrow(value, type_oid)?),
        oid::INT4 => out.put_i32(narrow(value, type_oid)?),
        oid::INT8 => out.put_i64(narrow(value, type_oid)?),
        oid::OID
        | oid::XID
        | oid::CID
        | oid::REGPROC
        | oid::REGPROCEDURE
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::REGNAMESPACE
        | oid::REGROLE => out.put_u32(narrow(value, type_oid)?),
        oid::XID8 | oid::PG_LSN => out.put_u64(position(value, type_oid)?),
        oid::FLOAT4 => out.put_f32(float(value, type_oid)? as f32),
        oid::FLOAT8 => out.put_f64(float(value, type_oid)?),
        oid::CHAR => character(value, out)?,
        oid::BYTEA => match value {
            Value::Bytes(bytes) => out.put_slice(bytes),
            _ => return Err(misfit(type_oid)),
        },
        oid::DATE => match value {
            Value::Date(days @ (i32::MAX | i32::MIN)) => out.put_i32(*days),
            Value::Date(days) => out.put_i32(days.saturating_sub(DAYS_TO_2000)),
            _ => return Err(misfit(type_oid)),
        },
        oid::TIME => match value {
            Value::Time(micros) => out.put_i64(*micros),
            _ => return Err(misfit(type_oid)),
        },
        oid::TIMESTAMP | oid::TIMESTAMPTZ => match value {
            Value::Timestamp(micros @ (i64::MAX | i64::MIN)) => out.put_i64(*micros),
            Value::Timestamp(micros) => out.put_i64(micros.saturating_sub(MICROS_TO_2000)),
            _ => return Err(misfit(type_oid)),
        },
        oid::INTERVAL => match value {
            Value::Interval { months, days, micros } => {
                out.put_i64(*micros);
                out.put_i32(*days);
                out.put_i32(*months);
            }
            _ => return Err(misfit(type_oid)),
        },
        oid::NUMERIC => number::numeric_binary(&shown(value, type_oid)?, out),
        oid::UUID => uuid(value, out)?,
        _ => return other(value, type_oid, out),
    }
    Ok(())
}

/// Arrays, and the types whose binary format is their text.
fn other(value: &Value<'_>, type_oid: u32, out: &mut BytesMut) -> Result<(), Failure> {
    match value {
        Value::List(list) => array::write_binary(list, type_oid, out),
        Value::Text(value) if oid::element(type_oid).is_none() => {
            out.put_slice(value.as_bytes());
            Ok(())
        }
        _ if oid::element(type_oid).is_some() => Err(misfit(type_oid)),
        _ => {
            out.put_slice(shown(value, type_oid)?.as_bytes());
            Ok(())
        }
    }
}

fn shown(value: &Value<'_>, type_oid: u32) -> Result<String, Failure> {
    let mut shown = String::new();
    text::write(value, type_oid, &Zone::Utc, &mut shown)?;
    Ok(shown)
}

fn misfit(type_oid: u32) -> Failure {
    let name = oid::name(type_oid);
    Failure::internal(format!("cannot write a value as binary {name} (oid {type_oid})"))
}

fn boolean(value: &Value<'_>, type_oid: u32) -> Result<bool, Failure> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Int(value) => Ok(*value != 0),
        _ => Err(misfit(type_oid)),
    }
}

fn narrow<T: TryFrom<i128>>(value: &Value<'_>, type_oid: u32) -> Result<T, Failure> {
    let wide = match value {
        Value::Int(value) => i128::from(*value),
        Value::Unsigned(value) => i128::from(*value),
        Value::Text(text) => text.parse().map_err(|_| misfit(type_oid))?,
        _ => return Err(misfit(type_oid)),
    };
    T::try_from(wide).map_err(|_| {
        let message = format!("{} out of range", oid::name(type_oid));
        Failure::error(SqlState::NumericValueOutOfRange, message)
    })
}

fn position(value: &Value<'_>, type_oid: u32) -> Result<u64, Failure> {
    match value {
        Value::Unsigned(value) => Ok(*value),
        Value::Int(value) => Ok(value.cast_unsigned()),
        Value::Text(text) if type_oid == oid::PG_LSN => {
            text.parse::<Lsn>().map(|lsn| lsn.0).map_err(|_| misfit(type_oid))
        }
        Value::Text(text) => text.parse().map_err(|_| misfit(type_oid)),
        _ => Err(misfit(type_oid)),
    }
}

fn float(value: &Value<'_>, type_oid: u32) -> Result<f64, Failure> {
    match value {
        Value::Float4(value) => Ok(f64::from(*value)),
        Value::Float8(value) => Ok(*value),
        _ => Err(misfit(type_oid)),
    }
}

/// One byte; a zero byte for the empty "char".
fn character(value: &Value<'_>, out: &mut BytesMut) -> Result<(), Failure> {
    let byte = match value {
        Value::Text(text) => text.bytes().next().unwrap_or(0),
        _ => narrow(value, oid::CHAR)?,
    };
    out.put_u8(byte);
    Ok(())
}

fn uuid(value: &Value<'_>, out: &mut BytesMut) -> Result<(), Failure> {
    let Value::Text(text) = value else { return Err(misfit(oid::UUID)) };
    let digits: String = text.chars().filter(|digit| *digit != '-').collect();
    let number = u128::from_str_radix(&digits, 16).map_err(|_| misfit(oid::UUID))?;
    out.put_u128(number);
    Ok(())
}
