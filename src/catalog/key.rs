//! Keys: values encoded so that the order of bytes is the order of values.
//!
//! Keys are written, compared and never read back: every key column is also in the row. Integers
//! of all widths and oids share one class, as do `name` and `text`, so a lookup need not know the
//! exact width of the column.

use super::datum::Datum;

/// Where a row lives: its relation and its encoded key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub relation: u32,
    pub key: Vec<u8>,
}

impl RowKey {
    #[must_use]
    pub fn new(relation: u32, values: &[Datum]) -> RowKey {
        RowKey { relation, key: encode_key(values) }
    }

    /// The key in the store: relation first, so that a relation's rows lie together.
    #[must_use]
    pub(crate) fn stored(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.key.len());
        out.extend_from_slice(&self.relation.to_be_bytes());
        out.extend_from_slice(&self.key);
        out
    }
}

const BOOL: u8 = 0x10;
const CHAR: u8 = 0x12;
const INTEGER: u8 = 0x14;
const TIMESTAMP: u8 = 0x16;
const FLOAT: u8 = 0x18;
const TEXT: u8 = 0x1A;
const ARRAY: u8 = 0x1C;
/// Nulls last.
const NULL: u8 = 0xFF;
/// Below every class, so that a shorter array sorts first.
const ARRAY_END: u8 = 0x01;

#[must_use]
pub(crate) fn encode_key(values: &[Datum]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() * 10);
    for value in values {
        encode(&mut out, value);
    }
    out
}

fn encode(out: &mut Vec<u8>, value: &Datum) {
    match value {
        Datum::Null => out.push(NULL),
        Datum::Bool(value) => out.extend_from_slice(&[BOOL, u8::from(*value)]),
        Datum::Char(value) => out.extend_from_slice(&[CHAR, *value]),
        Datum::Int2(value) => integer(out, INTEGER, i64::from(*value)),
        Datum::Int4(value) => integer(out, INTEGER, i64::from(*value)),
        Datum::Int8(value) => integer(out, INTEGER, *value),
        Datum::Oid(value) => integer(out, INTEGER, i64::from(*value)),
        Datum::Timestamptz(value) => integer(out, TIMESTAMP, *value),
        Datum::Float4(value) => float(out, f64::from(*value)),
        Datum::Float8(value) => float(out, *value),
        Datum::Name(text) | Datum::Text(text) => string(out, text),
        Datum::Array(items) => {
            out.push(ARRAY);
            for item in items {
                encode(out, item);
            }
            out.push(ARRAY_END);
        }
    }
}

/// With the sign bit turned, the order of bytes is the order of numbers.
fn integer(out: &mut Vec<u8>, class: u8, value: i64) {
    out.push(class);
    out.extend_from_slice(&(value.cast_unsigned() ^ (1 << 63)).to_be_bytes());
}

/// IEEE 754: positive numbers get the sign bit, negative ones are inverted as a whole.
fn float(out: &mut Vec<u8>, value: f64) {
    let bits = value.to_bits();
    let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    out.push(FLOAT);
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// A zero byte becomes `00 FF` and the end is `00 01`, so that a prefix sorts before what it begins
/// and no value runs into the next column.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(TEXT);
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_ascending(values: &[Vec<Datum>]) {
        for pair in values.windows(2) {
            let (low, high) = (encode_key(&pair[0]), encode_key(&pair[1]));
            assert!(low < high, "{:?} must sort before {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn order_of_bytes_is_order_of_values() {
        check_ascending(&[
            vec![Datum::Int4(i32::MIN)],
            vec![Datum::Int2(-1)],
            vec![Datum::Int8(0)],
            vec![Datum::Oid(7)],
            vec![Datum::Int8(i64::MAX)],
            vec![Datum::Null],
        ]);
        check_ascending(&[
            vec![Datum::Float8(f64::NEG_INFINITY)],
            vec![Datum::Float4(-1.5)],
            vec![Datum::Float8(-0.0)],
            vec![Datum::Float8(0.0)],
            vec![Datum::Float8(2.0)],
        ]);
        let text = |text: &str, number| vec![Datum::Text(text.to_owned()), Datum::Int4(number)];
        check_ascending(&[
            text("", 9),
            text("a", 9),
            text("a\0", 1),
            text("a\0b", 0),
            text("aa", -5),
            text("aa", 5),
            text("b", 0),
        ]);
        check_ascending(&[
            vec![Datum::Array(vec![])],
            vec![Datum::Array(vec![Datum::Int2(1)])],
            vec![Datum::Array(vec![Datum::Int2(1), Datum::Int2(0)])],
            vec![Datum::Array(vec![Datum::Int2(2)])],
        ]);
    }

    #[test]
    fn widths_of_integers_and_kinds_of_text_share_a_key() {
        assert_eq!(encode_key(&[Datum::Int2(5)]), encode_key(&[Datum::Oid(5)]));
        let (name, text) = (Datum::Name("x".to_owned()), Datum::Text("x".to_owned()));
        assert_eq!(encode_key(&[name]), encode_key(&[text]));
    }
}
