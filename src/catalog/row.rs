//! Rows as stored and logged: each value says its own type.
//!
//! A row is a version byte, a count and tagged values, so that it can be read without its
//! relation's columns: `get` and `scan` need no lookup, and a replica that applies a transaction
//! needs no schema. Decoding foreign bytes is an error, never a panic.

use super::codec::{CodecError, Reader, put_bytes};
use super::datum::{Datum, Row};

const VERSION: u8 = 1;
/// Arrays of arrays deeper than this are refused: decoding recurses once a level.
const DEPTH_MAX: u32 = 6;

pub(crate) fn encode_row(row: &[Datum]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + row.len() * 8);
    out.push(VERSION);
    out.extend_from_slice(&u16::try_from(row.len()).unwrap_or(u16::MAX).to_be_bytes());
    for datum in row {
        encode_datum(&mut out, datum);
    }
    out
}

/// Length of what `encode_row` gives.
pub(crate) fn encoded_len(row: &[Datum]) -> usize {
    3 + row.iter().map(datum_len).sum::<usize>()
}

fn datum_len(datum: &Datum) -> usize {
    match datum {
        Datum::Null => 1,
        Datum::Bool(_) | Datum::Char(_) => 2,
        Datum::Int2(_) => 3,
        Datum::Int4(_) | Datum::Float4(_) | Datum::Oid(_) => 5,
        Datum::Int8(_) | Datum::Float8(_) | Datum::Timestamptz(_) => 9,
        Datum::Name(text) | Datum::Text(text) => 5 + text.len(),
        Datum::Array(items) => 5 + items.iter().map(datum_len).sum::<usize>(),
    }
}

pub(crate) fn decode_row(bytes: &[u8]) -> Result<Row, CodecError> {
    let mut reader = Reader::new(bytes);
    if reader.u8("row version")? != VERSION {
        return Err(reader.error("row version"));
    }
    let count = usize::from(reader.u16("column count")?);
    let mut row = Row::with_capacity(count.min(reader.remaining()));
    for _ in 0..count {
        row.push(decode_datum(&mut reader, DEPTH_MAX)?);
    }
    reader.end("end of row")?;
    Ok(row)
}

fn encode_datum(out: &mut Vec<u8>, datum: &Datum) {
    match datum {
        Datum::Null => out.push(0),
        Datum::Bool(value) => out.extend_from_slice(&[1, u8::from(*value)]),
        Datum::Char(value) => out.extend_from_slice(&[2, *value]),
        Datum::Int2(value) => tagged(out, 3, &value.to_be_bytes()),
        Datum::Int4(value) => tagged(out, 4, &value.to_be_bytes()),
        Datum::Int8(value) => tagged(out, 5, &value.to_be_bytes()),
        Datum::Float4(value) => tagged(out, 6, &value.to_bits().to_be_bytes()),
        Datum::Float8(value) => tagged(out, 7, &value.to_bits().to_be_bytes()),
        Datum::Oid(value) => tagged(out, 8, &value.to_be_bytes()),
        Datum::Name(text) => {
            out.push(9);
            put_bytes(out, text.as_bytes());
        }
        Datum::Text(text) => {
            out.push(10);
            put_bytes(out, text.as_bytes());
        }
        Datum::Timestamptz(value) => tagged(out, 11, &value.to_be_bytes()),
        Datum::Array(items) => {
            let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
            tagged(out, 12, &count.to_be_bytes());
            for item in items {
                encode_datum(out, item);
            }
        }
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn decode_datum(reader: &mut Reader<'_>, depth: u32) -> Result<Datum, CodecError> {
    Ok(match reader.u8("value tag")? {
        0 => Datum::Null,
        1 => match reader.u8("bool")? {
            0 => Datum::Bool(false),
            1 => Datum::Bool(true),
            _ => return Err(reader.error("bool")),
        },
        2 => Datum::Char(reader.u8("char")?),
        3 => Datum::Int2(reader.u16("int2")?.cast_signed()),
        4 => Datum::Int4(reader.u32("int4")?.cast_signed()),
        5 => Datum::Int8(reader.u64("int8")?.cast_signed()),
        6 => Datum::Float4(f32::from_bits(reader.u32("float4")?)),
        7 => Datum::Float8(f64::from_bits(reader.u64("float8")?)),
        8 => Datum::Oid(reader.u32("oid")?),
        9 => Datum::Name(reader.string("name")?),
        10 => Datum::Text(reader.string("text")?),
        11 => Datum::Timestamptz(reader.u64("timestamptz")?.cast_signed()),
        12 => {
            let deeper = depth.checked_sub(1).ok_or_else(|| reader.error("array depth"))?;
            let count = usize::try_from(reader.u32("array length")?).unwrap_or(usize::MAX);
            let mut items = Vec::with_capacity(count.min(reader.remaining()));
            for _ in 0..count {
                items.push(decode_datum(reader, deeper)?);
            }
            Datum::Array(items)
        }
        _ => return Err(reader.error("value tag")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Row {
        vec![
            Datum::Null,
            Datum::Bool(true),
            Datum::Bool(false),
            Datum::Char(b'u'),
            Datum::Int2(-2),
            Datum::Int4(i32::MIN),
            Datum::Int8(i64::MAX),
            Datum::Float4(f32::NAN),
            Datum::Float8(-0.0),
            Datum::Oid(5036),
            Datum::Name("gp_segment_configuration".to_owned()),
            Datum::Text("a\0ü".to_owned()),
            Datum::Timestamptz(-1),
            Datum::Array(vec![Datum::Int2(1), Datum::Null, Datum::Array(vec![])]),
        ]
    }

    #[test]
    fn every_kind_of_value_survives_a_round_trip() {
        let row = every_kind();
        assert_eq!(encoded_len(&row), encode_row(&row).len());
        assert_eq!(decode_row(&encode_row(&row)), Ok(row));
    }

    #[test]
    fn every_cut_of_a_row_is_refused() {
        let bytes = encode_row(&every_kind());
        for end in 0..bytes.len() {
            assert!(decode_row(&bytes[..end]).is_err(), "cut at {end}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(decode_row(&longer).is_err());
    }

    #[test]
    fn a_huge_count_is_refused_without_allocating() {
        assert!(decode_row(&[1, 0, 1, 12, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        let mut nested = vec![1, 0, 1];
        for _ in 0..100_000 {
            nested.extend_from_slice(&[12, 0, 0, 0, 1]);
        }
        assert!(decode_row(&nested).is_err());
    }
}
