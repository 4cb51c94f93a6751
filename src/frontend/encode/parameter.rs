//! Parameters of Bind: text or binary in the client's format, to a value of the parameter's type.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::frontend::message::utf8;
use crate::frontend::{Failure, SqlState};
use crate::types::Lsn;

use super::array;
use super::calendar::{self, DAYS_TO_2000, MICROS_TO_2000, Zone};
use super::number;
use super::oid;
use super::rows::Format;

/// Arrow's name of the zone in which a timestamp with time zone is stored.
const STORED_ZONE: &str = "+00:00";
/// Precision and scale of a numeric in a plan.
const NUMERIC_PRECISION: u8 = 38;
const NUMERIC_SCALE: i8 = 10;

/// The value of one parameter; `None` is NULL.
pub fn decode_parameter(
    bytes: Option<&[u8]>,
    type_oid: u32,
    format: Format,
    zone: &Zone,
) -> Result<ScalarValue, Failure> {
    let Some(bytes) = bytes else {
        let null = ScalarValue::try_from(&arrow_type(type_oid));
        return null.map_err(|error| Failure::internal(error.to_string()));
    };
    match format {
        Format::Text => {
            let text = utf8(bytes)?;
            from_text(&text, type_oid, zone).ok_or_else(|| bad_text(&text, type_oid))
        }
        Format::Binary => from_binary(bytes, type_oid)?.ok_or_else(|| {
            let message = "incorrect binary data format in bind parameter";
            Failure::error(SqlState::InvalidBinaryRepresentation, message)
        }),
    }
}

fn bad_text(text: &str, type_oid: u32) -> Failure {
    let name = oid::name(type_oid);
    let number = text.trim().parse::<i128>().is_ok();
    match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID if number => Failure::error(
            SqlState::NumericValueOutOfRange,
            format!("value \"{text}\" is out of range for type {name}"),
        ),
        _ => {
            let state = match type_oid {
                oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
                    SqlState::InvalidDatetimeFormat
                }
                _ => SqlState::InvalidTextRepresentation,
            };
            let message = format!("invalid input syntax for type {name}: \"{text}\"");
            Failure::error(state, message)
        }
    }
}

/// The Arrow type in which a value of this type travels through a plan.
#[must_use]
pub fn arrow_type(type_oid: u32) -> DataType {
    use datafusion::arrow::datatypes::{Field, TimeUnit};
    match type_oid {
        oid::BOOL => DataType::Boolean,
        oid::INT2 => DataType::Int16,
        oid::INT4 => DataType::Int32,
        oid::INT8 => DataType::Int64,
        oid::OID
        | oid::XID
        | oid::CID
        | oid::REGPROC
        | oid::REGPROCEDURE
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::REGNAMESPACE
        | oid::REGROLE => DataType::UInt32,
        oid::PG_LSN | oid::XID8 => DataType::UInt64,
        oid::FLOAT4 => DataType::Float32,
        oid::FLOAT8 => DataType::Float64,
        oid::BYTEA => DataType::Binary,
        oid::DATE => DataType::Date32,
        oid::TIME => DataType::Time64(TimeUnit::Microsecond),
        oid::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        oid::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some(STORED_ZONE.into())),
        oid::NUMERIC => DataType::Decimal128(NUMERIC_PRECISION, NUMERIC_SCALE),
        other => match oid::element(other) {
            None => DataType::Utf8,
            Some(element) => {
                DataType::List(Arc::new(Field::new_list_field(arrow_type(element), true)))
            }
        },
    }
}

fn from_text(text: &str, type_oid: u32, zone: &Zone) -> Option<ScalarValue> {
    let plain = text.trim();
    Some(match type_oid {
        oid::BOOL => ScalarValue::Boolean(Some(boolean(plain)?)),
        oid::INT2 => ScalarValue::Int16(Some(plain.parse().ok()?)),
        oid::INT4 => ScalarValue::Int32(Some(plain.parse().ok()?)),
        oid::INT8 => ScalarValue::Int64(Some(plain.parse().ok()?)),
        oid::FLOAT4 => ScalarValue::Float32(Some(plain.parse().ok()?)),
        oid::FLOAT8 => ScalarValue::Float64(Some(plain.parse().ok()?)),
        oid::PG_LSN => ScalarValue::UInt64(Some(plain.parse::<Lsn>().ok()?.0)),
        oid::XID8 => ScalarValue::UInt64(Some(plain.parse().ok()?)),
        oid::BYTEA => ScalarValue::Binary(Some(bytea(text)?)),
        oid::DATE => ScalarValue::Date32(Some(calendar::parse_date(plain)?)),
        oid::TIME => ScalarValue::Time64Microsecond(Some(calendar::parse_time(plain)?)),
        oid::TIMESTAMP => {
            ScalarValue::TimestampMicrosecond(Some(calendar::parse_timestamp(plain, None)?), None)
        }
        oid::TIMESTAMPTZ => {
            let micros = calendar::parse_timestamp(plain, Some(zone))?;
            ScalarValue::TimestampMicrosecond(Some(micros), Some(STORED_ZONE.into()))
        }
        oid::NUMERIC => numeric(plain)?,
        other => match arrow_type(other) {
            DataType::UInt32 => ScalarValue::UInt32(Some(plain.parse().ok()?)),
            DataType::List(_) => {
                let element = oid::element(other)?;
                let elements = array::parse_text(text)?;
                let values = elements.iter().map(|text| match text {
                    Some(text) => from_text(text, element, zone),
                    None => ScalarValue::try_from(&arrow_type(element)).ok(),
                });
                list(values.collect::<Option<Vec<ScalarValue>>>()?, element)
            }
            _ => ScalarValue::Utf8(Some(text.to_owned())),
        },
    })
}

fn list(values: Vec<ScalarValue>, element: u32) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list_nullable(&values, &arrow_type(element)))
}

fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(text.as_str());
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        return Some(true);
    }
    (begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0").then_some(false)
}

fn bytea(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("\\x") else {
        // The escape format, of which only plain characters and `\\` are usual.
        return Some(text.replace("\\\\", "\\").into_bytes());
    };
    let nibbles: Option<Vec<u8>> = digits
        .chars()
        .filter(|digit| !digit.is_ascii_whitespace())
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let nibbles = nibbles.filter(|nibbles| nibbles.len() % 2 == 0)?;
    Some(nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, half| byte << 4 | half)).collect())
}

/// A decimal in the fewest places after the point that hold it, so that nothing is rounded.
fn numeric(text: &str) -> Option<ScalarValue> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (integral, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, integral) = match integral.strip_prefix('-') {
        Some(integral) => ("-", integral),
        None => ("", integral.strip_prefix('+').unwrap_or(integral)),
    };
    let digits = format!("{integral}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unscaled: i128 = format!("{sign}{digits}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let places = i8::try_from(scale.max(i32::from(NUMERIC_SCALE))).ok().filter(|s| *s <= 38)?;
    let factor = 10i128.checked_pow(u32::try_from(i32::from(places) - scale).ok()?)?;
    let unscaled = unscaled.checked_mul(factor)?;
    (unscaled.unsigned_abs() < 10u128.pow(38)).then_some(ScalarValue::Decimal128(
        Some(unscaled),
        NUMERIC_PRECISION,
        places,
    ))
}

/// `None` when the length does not fit the type.
fn from_binary(bytes: &[u8], type_oid: u32) -> Result<Option<ScalarValue>, Failure> {
    Ok(match type_oid {
        oid::BOOL => fixed::<1>(bytes).map(|[byte]| ScalarValue::Boolean(Some(byte != 0))),
        oid::INT2 => fixed(bytes).map(|b| ScalarValue::Int16(Some(i16::from_be_bytes(b)))),
        oid::INT4 => fixed(bytes).map(|b| ScalarValue::Int32(Some(i32::from_be_bytes(b)))),
        oid::INT8 => fixed(bytes).map(|b| ScalarValue::Int64(Some(i64::from_be_bytes(b)))),
        oid::FLOAT4 => fixed(bytes).map(|b| ScalarValue::Float32(Some(f32::from_be_bytes(b)))),
        oid::FLOAT8 => fixed(bytes).map(|b| ScalarValue::Float64(Some(f64::from_be_bytes(b)))),
        oid::BYTEA => Some(ScalarValue::Binary(Some(bytes.to_vec()))),
        oid::DATE => fixed(bytes).map(|b| {
            let days = i32::from_be_bytes(b);
            ScalarValue::Date32(Some(days.saturating_add(DAYS_TO_2000)))
        }),
        oid::TIME => {
            fixed(bytes).map(|b| ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(b))))
        }
        oid::TIMESTAMP | oid::TIMESTAMPTZ => fixed(bytes).map(|b| {
            let micros = i64::from_be_bytes(b).saturating_add(MICROS_TO_2000);
            let zone = (type_oid == oid::TIMESTAMPTZ).then(|| STORED_ZONE.into());
            ScalarValue::TimestampMicrosecond(Some(micros), zone)
        }),
        oid::NUMERIC => number::numeric_text(bytes).and_then(|text| numeric(&text)),
        oid::CHAR => fixed::<1>(bytes).map(|[byte]| {
            let text = if byte == 0 { String::new() } else { char::from(byte).to_string() };
            ScalarValue::Utf8(Some(text))
        }),
        other => match arrow_type(other) {
            DataType::UInt32 => {
                fixed(bytes).map(|b| ScalarValue::UInt32(Some(u32::from_be_bytes(b))))
            }
            DataType::UInt64 => {
                fixed(bytes).map(|b| ScalarValue::UInt64(Some(u64::from_be_bytes(b))))
            }
            DataType::List(_) => binary_list(bytes)?,
            _ => Some(ScalarValue::Utf8(Some(utf8(bytes)?))),
        },
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// An array of at most one dimension, whose element type the client names.
fn binary_list(mut bytes: &[u8]) -> Result<Option<ScalarValue>, Failure> {
    let mut word = || {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        bytes = rest;
        Some(i32::from_be_bytes(*head))
    };
    let (Some(dimensions), Some(_nulls), Some(element)) = (word(), word(), word()) else {
        return Ok(None);
    };
    let element = element.cast_unsigned();
    let count = match dimensions {
        0 => 0,
        1 => word().and_then(|count| word().map(|_lower_bound| count)).unwrap_or(-1),
        _ => {
            let message = "arrays of more than one dimension are not supported as parameters";
            return Err(Failure::error(SqlState::FeatureNotSupported, message));
        }
    };
    let Ok(count) = usize::try_from(count) else { return Ok(None) };
    // Every element brings at least its length word: the count is bounded by what was sent.
    if count > bytes.len() / 4 {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        bytes = rest;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*head)) else {
            values.push(ScalarValue::try_from(&arrow_type(element)).unwrap_or(ScalarValue::Null));
            continue;
        };
        let Some((value, rest)) = bytes.split_at_checked(length) else { return Ok(None) };
        bytes = rest;
        let Some(value) = from_binary(value, element)? else { return Ok(None) };
        values.push(value);
    }
    Ok(bytes.is_empty().then(|| list(values, element)))
}
