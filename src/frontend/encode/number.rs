//! Numbers as PostgreSQL writes them: shortest floats, decimals, and `numeric`'s binary digits.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

/// The shortest text that reads back as the same `float8`.
pub fn float8(value: f64, out: &mut String) {
    shortest(&format!("{value:e}"), 15, out);
}

/// The shortest text that reads back as the same `float4`.
pub fn float4(value: f32, out: &mut String) {
    shortest(&format!("{value:e}"), 6, out);
}

/// Rust's `{:e}` gives the shortest digits; PostgreSQL shows an exponent below -4 and from the
/// type's decimal digits on, with a sign and at least two digits.
fn shortest(scientific: &str, digits_max: i32, out: &mut String) {
    let (sign, magnitude) = match scientific.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", scientific),
    };
    let Some((mantissa, exponent)) = magnitude.split_once('e') else {
        let special = if magnitude == "inf" { "Infinity" } else { magnitude };
        out.push_str(sign);
        return out.push_str(special);
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    out.push_str(sign);
    if exponent < -4 || exponent >= digits_max {
        out.push_str(mantissa);
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{exponent_sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
    if exponent < 0 {
        out.push_str("0.");
        out.push_str(&"0".repeat(places - 1));
        return out.push_str(&digits);
    }
    let whole = places + 1;
    if digits.len() <= whole {
        out.push_str(&digits);
        return out.push_str(&"0".repeat(whole - digits.len()));
    }
    let (integral, fraction) = digits.split_at(whole);
    out.push_str(integral);
    out.push('.');
    out.push_str(fraction);
}

pub fn decimal(unscaled: i128, scale: i8, out: &mut String) {
    let digits = unscaled.unsigned_abs().to_string();
    if unscaled < 0 {
        out.push('-');
    }
    let Ok(places) = usize::try_from(scale) else {
        // A negative scale counts zeros that are not stored.
        out.push_str(&digits);
        let zeros = if unscaled == 0 { 0 } else { usize::from(scale.unsigned_abs()) };
        return out.push_str(&"0".repeat(zeros));
    };
    if places == 0 {
        return out.push_str(&digits);
    }
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (integral, fraction) = padded.split_at(padded.len() - places);
    out.push_str(integral);
    out.push('.');
    out.push_str(fraction);
}

/// `numeric`'s binary form of a decimal text: digits in base 10,000 around the point.
pub fn numeric_binary(text: &str, out: &mut BytesMut) {
    const POSITIVE: u16 = 0x0000;
    const NEGATIVE: u16 = 0x4000;
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (NEGATIVE, magnitude),
        None => (POSITIVE, text),
    };
    let (integral, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let integral = integral.trim_start_matches('0');
    let head = format!("{integral:0>width$}", width = integral.len().next_multiple_of(4));
    let tail = format!("{fraction:0<width$}", width = fraction.len().next_multiple_of(4));
    let mut groups: Vec<u16> =
        [head.as_str(), tail.as_str()].concat().as_bytes().chunks(4).map(group).collect();
    let mut weight = i16::try_from(head.len() / 4).unwrap_or(i16::MAX) - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or(0);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_u16(u16::try_from(groups.len()).unwrap_or(u16::MAX));
    out.put_i16(weight);
    out.put_u16(if groups.is_empty() { POSITIVE } else { sign });
    out.put_u16(u16::try_from(fraction.len()).unwrap_or(u16::MAX));
    for group in groups {
        out.put_u16(group);
    }
}

fn group(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit.wrapping_sub(b'0')))
}

/// The text of `numeric`'s binary form; `None` when it is not one.
#[must_use]
pub fn numeric_text(mut bytes: &[u8]) -> Option<String> {
    let mut word = || {
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        bytes = rest;
        Some(u16::from_be_bytes(*head))
    };
    let (count, weight, sign, places) = (word()?, word()?.cast_signed(), word()?, word()?);
    let places = usize::from(places);
    if sign == 0xC000 {
        return Some("NaN".to_owned());
    }
    if !matches!(sign, 0x0000 | 0x4000) || places > 16_383 || !(-5_000..=5_000).contains(&weight) {
        return None;
    }
    let groups: Option<Vec<u16>> = (0..count).map(|_| word()).collect();
    let groups = groups?;
    if groups.iter().any(|group| *group > 9_999) {
        return None;
    }
    let at = |place: i32| {
        let index = i32::from(weight) - place;
        usize::try_from(index).ok().and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    let integral: String = (0..=i32::from(weight)).rev().map(|p| format!("{:04}", at(p))).collect();
    let groups_after = i32::try_from(places.div_ceil(4)).ok()?;
    let fraction: String = (1..=groups_after).map(|p| format!("{:04}", at(-p))).collect();
    let integral = integral.trim_start_matches('0');
    let integral = if integral.is_empty() { "0" } else { integral };
    let minus = if sign == 0x4000 { "-" } else { "" };
    Some(match fraction.get(..places) {
        Some(fraction) if places > 0 => format!("{minus}{integral}.{fraction}"),
        _ => format!("{minus}{integral}"),
    })
}
