//! Values: what one column of one stored row holds.
//!
//! Decides equality and order of values, nothing else. It never converts between types: a value is
//! stored as its column's type says, or refused by whoever builds the row.

use std::cmp::Ordering;

/// A row in the order of its relation's columns.
pub type Row = Vec<Datum>;

/// One value.
///
/// * Equality and order are total, floats included (by bits: `NaN = NaN`, `-0.0 < 0.0`), so that
///   rows can be compared on any node with one answer.
/// * Null is greater than every other value, as in PostgreSQL's default order.
#[derive(Debug, Clone)]
pub enum Datum {
    Null,
    Bool(bool),
    /// PostgreSQL's `"char"`: one byte.
    Char(u8),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Oid(u32),
    Name(String),
    Text(String),
    /// Microseconds since 1970 UTC.
    Timestamptz(i64),
    Array(Vec<Datum>),
}

impl Datum {
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Datum::Bool(value) => Some(*value),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_char(&self) -> Option<u8> {
        match self {
            Datum::Char(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of any integer type, oids and timestamps included.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Datum::Int2(value) => Some(i64::from(*value)),
            Datum::Int4(value) => Some(i64::from(*value)),
            Datum::Int8(value) | Datum::Timestamptz(value) => Some(*value),
            Datum::Oid(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_oid(&self) -> Option<u32> {
        match self {
            Datum::Oid(value) => Some(*value),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Datum::Name(text) | Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_array(&self) -> Option<&[Datum]> {
        match self {
            Datum::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Position of the variant in the order of values of different kinds.
    fn rank(&self) -> u8 {
        match self {
            Datum::Bool(_) => 0,
            Datum::Char(_) => 1,
            Datum::Int2(_) => 2,
            Datum::Int4(_) => 3,
            Datum::Int8(_) => 4,
            Datum::Float4(_) => 5,
            Datum::Float8(_) => 6,
            Datum::Oid(_) => 7,
            Datum::Name(_) => 8,
            Datum::Text(_) => 9,
            Datum::Timestamptz(_) => 10,
            Datum::Array(_) => 11,
            Datum::Null => 12,
        }
    }
}

impl Ord for Datum {
    fn cmp(&self, other: &Datum) -> Ordering {
        match (self, other) {
            (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
            (Datum::Char(a), Datum::Char(b)) => a.cmp(b),
            (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
            (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
            (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
            (Datum::Float4(a), Datum::Float4(b)) => a.total_cmp(b),
            (Datum::Float8(a), Datum::Float8(b)) => a.total_cmp(b),
            (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
            (Datum::Name(a), Datum::Name(b)) | (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
            (Datum::Timestamptz(a), Datum::Timestamptz(b)) => a.cmp(b),
            (Datum::Array(a), Datum::Array(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Datum) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Datum) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Datum {}
