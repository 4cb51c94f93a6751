//! Text literals under a cast, in the spellings that PostgreSQL reads and Arrow does not.

use datafusion::sql::sqlparser::ast::{Array, ArrayElemTypeDef, CastKind, DataType, Expr, Value};

use super::build::null;
use super::error::Error;
use super::names::type_label;

fn text_of(expr: &Expr) -> Option<&String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => text_of(inner),
        _ => None,
    }
}

fn text(text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).with_empty_span())
}

/// `2020-01-01 10:00` is complete without its seconds.
pub(crate) fn complete(expr: &mut Expr, data_type: &DataType) {
    if !type_label(data_type).starts_with("timestamp") {
        return;
    }
    let Some(written) = text_of(expr) else { return };
    let Some((date, time)) = written.split_once(' ') else { return };
    let minutes = time.get(..5).unwrap_or_default();
    let shape = |(at, byte): (usize, u8)| match at {
        2 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    let whole = minutes.len() == 5 && minutes.bytes().enumerate().all(shape);
    let rest = time.get(5..).unwrap_or_default();
    if whole && !rest.starts_with(':') {
        *expr = text(format!("{date} {minutes}:00{rest}"));
    }
}

/// `'{a,b}'::text[]` is an array of its elements; one dimension only.
pub(crate) fn array(expr: &Expr, data_type: &DataType) -> Result<Option<Expr>, Error> {
    let DataType::Array(
        ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element),
    ) = data_type
    else {
        return Ok(None);
    };
    let Some(written) = text_of(expr) else { return Ok(None) };
    let malformed = || Error::InvalidText {
        type_name: type_label(data_type).replacen('_', "array of ", 1),
        value: written.clone(),
    };
    let inner = written.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or_else(malformed)?;
    if inner.trim().is_empty() {
        // An empty array has no element to take its type from.
        return Ok(Some(super::build::call("aerie_no_elements", vec![cast(null(), element)])));
    }
    let elem = elements(inner)
        .ok_or_else(malformed)?
        .into_iter()
        .map(|item| cast(item.map_or_else(null, text), element))
        .collect();
    Ok(Some(Expr::Array(Array { elem, named: true })))
}

fn cast(expr: Expr, data_type: &DataType) -> Expr {
    let (expr, data_type) = (Box::new(expr), data_type.clone());
    Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None }
}

/// Elements of an array literal; `None` among them is NULL, `None` for all is a bad literal.
fn elements(inner: &str) -> Option<Vec<Option<String>>> {
    let mut items = Vec::new();
    let mut characters = inner.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let mut item = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next()? {
                    '"' => break,
                    '\\' => item.push(characters.next()?),
                    other => item.push(other),
                }
            }
            items.push(Some(item));
        } else {
            while let Some(next) = characters.next_if(|c| *c != ',') {
                match next {
                    '{' | '}' | '"' => return None,
                    '\\' => item.push(characters.next()?),
                    other => item.push(other),
                }
            }
            let item = item.trim_end();
            if item.is_empty() {
                return None;
            }
            items.push((!item.eq_ignore_ascii_case("null")).then(|| item.to_owned()));
        }
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        match characters.next() {
            None => return Some(items),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}
