//! One-dimensional arrays, and the vector types of the catalog, in both formats.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef};

use crate::frontend::Failure;

use super::binary;
use super::calendar::Zone;
use super::oid;
use super::text;
use super::value::{Column, Value};

/// `{a,"b c",NULL}`; `1 2 3` for int2vector and oidvector.
pub fn write_text(
    list: &ArrayRef,
    type_oid: u32,
    zone: &Zone,
    out: &mut String,
) -> Result<(), Failure> {
    let column = Column::new(list)?;
    let element = oid::element(type_oid).unwrap_or(oid::TEXT);
    let vector = matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR);
    let separator = if vector { ' ' } else { ',' };
    if !vector {
        out.push('{');
    }
    let mut shown = String::new();
    for row in 0..list.len() {
        if row > 0 {
            out.push(separator);
        }
        match column.value(row) {
            Value::Null => out.push_str("NULL"),
            // A list in a list is another dimension of the same array.
            Value::List(inner) => write_text(&inner, type_oid, zone, out)?,
            value => {
                shown.clear();
                text::write(&value, element, zone, &mut shown)?;
                push_element(&shown, out);
            }
        }
    }
    if !vector {
        out.push('}');
    }
    Ok(())
}

fn push_element(element: &str, out: &mut String) {
    let special = |c: char| {
        matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace() || c == '\x0b'
    };
    let quoted =
        element.is_empty() || element.eq_ignore_ascii_case("null") || element.contains(special);
    if !quoted {
        return out.push_str(element);
    }
    out.push('"');
    for character in element.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

pub fn write_binary(list: &ArrayRef, type_oid: u32, out: &mut BytesMut) -> Result<(), Failure> {
    let column = Column::new(list)?;
    let element = oid::element(type_oid).unwrap_or(oid::TEXT);
    let vector = matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR);
    out.put_i32(i32::from(!list.is_empty()));
    out.put_i32(i32::from(list.null_count() > 0));
    out.put_u32(element);
    if list.is_empty() {
        return Ok(());
    }
    out.put_i32(length(list.len())?);
    // The vectors of the catalog count from zero.
    out.put_i32(i32::from(!vector));
    for row in 0..list.len() {
        write_sized(&column.value(row), out, |value, out| binary::write(value, element, out))?;
    }
    Ok(())
}

/// A value behind its length; -1 for NULL.
pub fn write_sized(
    value: &Value<'_>,
    out: &mut BytesMut,
    write: impl FnOnce(&Value<'_>, &mut BytesMut) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if matches!(value, Value::Null) {
        out.put_i32(-1);
        return Ok(());
    }
    let place = out.len();
    out.put_i32(0);
    write(value, out)?;
    let written = length(out.len() - place - 4)?;
    if let Some(word) = out.get_mut(place..place + 4) {
        word.copy_from_slice(&written.to_be_bytes());
    }
    Ok(())
}

pub fn length(length: usize) -> Result<i32, Failure> {
    i32::try_from(length).map_err(|_| {
        Failure::error(crate::frontend::SqlState::ProgramLimitExceeded, "value is too long")
    })
}

/// The elements of an array literal; `None` marks NULL. Only one dimension is read.
pub fn parse_text(literal: &str) -> Option<Vec<Option<String>>> {
    let inner = literal.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut characters = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(elements);
    }
    loop {
        while characters.next_if(char::is_ascii_whitespace).is_some() {}
        let quoted = characters.next_if_eq(&'"').is_some();
        let element =
            if quoted { quoted_element(&mut characters)? } else { bare(&mut characters)? };
        elements.push(match element {
            bare if !quoted && bare.eq_ignore_ascii_case("null") => None,
            element => Some(element),
        });
        while characters.next_if(char::is_ascii_whitespace).is_some() {}
        match characters.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted_element(characters: &mut Characters<'_>) -> Option<String> {
    let mut element = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(element),
            '\\' => element.push(characters.next()?),
            character => element.push(character),
        }
    }
}

fn bare(characters: &mut Characters<'_>) -> Option<String> {
    let mut element = String::new();
    while let Some(character) = characters.next_if(|c| *c != ',') {
        match character {
            '{' | '}' | '"' => return None,
            '\\' => element.push(characters.next()?),
            character => element.push(character),
        }
    }
    let element = element.trim_end().to_owned();
    (!element.is_empty()).then_some(element)
}
