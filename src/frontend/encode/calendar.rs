//! Dates and times as PostgreSQL writes and reads them in the ISO style.
//!
//! The proleptic Gregorian calendar over the whole range of the types, years before Christ
//! included. The time zone database is the one that is compiled in.

use std::fmt::Write as _;
use std::str::FromStr;

use chrono::{DateTime, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;

const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Days from 1970-01-01 to 2000-01-01, the zero of PostgreSQL's binary formats.
pub const DAYS_TO_2000: i32 = 10_957;
pub const MICROS_TO_2000: i64 = DAYS_TO_2000 as i64 * MICROS_PER_DAY;

/// A session's TimeZone.
#[derive(Debug, Clone, Copy, Default)]
pub enum Zone {
    #[default]
    Utc,
    Named(Tz),
}

impl Zone {
    /// Names of the database and fixed offsets (`+08:00`, `+8`); `None` when it is neither.
    #[must_use]
    pub fn parse(name: &str) -> Option<Zone> {
        let plain = name.trim().trim_matches('\'');
        if ["utc", "gmt", "z", "etc/utc", "zulu", "uct"].contains(&plain.to_lowercase().as_str()) {
            return Some(Zone::Utc);
        }
        // Arrow reads +HH:MM but not a lone number of hours, which PostgreSQL takes as well.
        if let Ok(hours) = plain.parse::<i8>() {
            let sign = if hours < 0 { '-' } else { '+' };
            let fixed = format!("{sign}{:02}:00", hours.unsigned_abs());
            return Tz::from_str(&fixed).ok().map(Zone::Named);
        }
        Tz::from_str(plain).ok().map(Zone::Named)
    }

    /// Seconds east of UTC at a moment.
    #[must_use]
    pub fn offset_at(&self, micros: i64) -> i64 {
        let Zone::Named(zone) = self else { return 0 };
        let Some(moment) = DateTime::from_timestamp_micros(micros) else { return 0 };
        i64::from(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc())
    }
}

/// Year (astronomical: 0 is 1 BC), month and day of a number of days since 1970.
#[must_use]
pub fn civil(days: i64) -> (i64, u32, u32) {
    // Howard Hinnant's days-to-civil: eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// The reverse of `civil`.
#[must_use]
pub fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2026-01-02`, without the ` BC`; true when that must follow.
fn push_date(days: i64, out: &mut String) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let shown = if before_christ { 1 - year } else { year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    before_christ
}

fn push_time(micros_of_day: i64, out: &mut String) {
    let seconds = micros_of_day / MICROS_PER_SECOND;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
    push_fraction(micros_of_day % MICROS_PER_SECOND, out);
}

/// `.5` for half a second: no trailing zeros, nothing for none.
pub fn push_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let digits = format!("{:06}", micros.unsigned_abs());
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

pub fn date(days: i32, out: &mut String) {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        days => {
            if push_date(days.into(), out) {
                out.push_str(" BC");
            }
        }
    }
}

pub fn time(micros: i64, out: &mut String) {
    push_time(micros.clamp(0, MICROS_PER_DAY), out);
}

/// A timestamp; with a zone also its offset (`+00`, `+05:30`).
pub fn timestamp(micros: i64, zone: Option<&Zone>, out: &mut String) {
    match micros {
        i64::MAX => return out.push_str("infinity"),
        i64::MIN => return out.push_str("-infinity"),
        _ => {}
    }
    let offset = zone.map_or(0, |zone| zone.offset_at(micros));
    let local = micros.saturating_add(offset * MICROS_PER_SECOND);
    let before_christ = push_date(local.div_euclid(MICROS_PER_DAY), out);
    out.push(' ');
    push_time(local.rem_euclid(MICROS_PER_DAY), out);
    if zone.is_some() {
        push_offset(offset, out);
    }
    if before_christ {
        out.push_str(" BC");
    }
}

fn push_offset(offset: i64, out: &mut String) {
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.abs();
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{sign}{hours:02}");
    if minutes != 0 || rest != 0 {
        let _ = write!(out, ":{minutes:02}");
    }
    if rest != 0 {
        let _ = write!(out, ":{rest:02}");
    }
}

/// PostgreSQL's `postgres` interval style: `1 year 2 mons 3 days 04:05:06.7`.
pub fn interval(months: i32, days: i32, micros: i64, out: &mut String) {
    let start = out.len();
    // After a negative part a positive one says so, as PostgreSQL's output does.
    let mut after_negative = false;
    for (number, name) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if number != 0 {
            let gap = if out.len() == start { "" } else { " " };
            let sign = if after_negative && number > 0 { "+" } else { "" };
            let plural = if number == 1 { "" } else { "s" };
            let _ = write!(out, "{gap}{sign}{number} {name}{plural}");
            after_negative = number < 0;
        }
    }
    if micros == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.push(' ');
    }
    if micros < 0 {
        out.push('-');
    } else if after_negative {
        out.push('+');
    }
    let magnitude = i64::try_from(micros.unsigned_abs()).unwrap_or(i64::MAX);
    push_time(magnitude, out);
}

/// Reads `2026-01-02` with an optional ` BC`.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    match text.trim() {
        "infinity" => return Some(i32::MAX),
        "-infinity" => return Some(i32::MIN),
        _ => {}
    }
    let (text, before_christ) = without_era(text.trim());
    i32::try_from(parse_days(text, before_christ)?).ok()
}

fn without_era(text: &str) -> (&str, bool) {
    match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(" AD").unwrap_or(text), false),
    }
}

fn parse_days(text: &str, before_christ: bool) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year: i64 = number(parts.next()?)?;
    let month = u32::try_from(number(parts.next()?)?).ok()?;
    let day = u32::try_from(number(parts.next()?)?).ok()?;
    if year == 0 || year > 294_276 || !(1..=12).contains(&month) {
        return None;
    }
    let year = if before_christ { 1 - year } else { year };
    let days = days_of(year, month, day);
    // A day that the month does not have would come back as another one.
    (civil(days) == (year, month, day)).then_some(days)
}

/// Digits only: a sign or a space is not part of a field.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Reads `04:05:06.789` or `04:05`.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = clock.splitn(3, ':');
    let hour = number(parts.next()?)?;
    let minute = number(parts.next()?)?;
    let second = parts.next().map_or(Some(0), number)?;
    if hour > 24 || minute > 59 || second > 60 || (hour == 24 && minute + second > 0) {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(seconds * MICROS_PER_SECOND + micros)
}

/// Reads a timestamp. `zone` makes it one with a zone: text without an offset is local there.
#[must_use]
pub fn parse_timestamp(text: &str, zone: Option<&Zone>) -> Option<i64> {
    let text = text.trim();
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, before_christ) = without_era(text);
    let (date, rest) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let (clock, offset) = split_offset(rest.trim());
    let days = parse_days(date, before_christ)?;
    let time = if clock.is_empty() { 0 } else { parse_time(clock)? };
    let local = days.checked_mul(MICROS_PER_DAY)?.checked_add(time)?;
    let Some(zone) = zone else { return Some(local) };
    let offset = match offset {
        Some(offset) => parse_offset(offset)?,
        // The offset at the local time read as UTC, then at the moment that this gives.
        None => zone.offset_at(local - zone.offset_at(local) * MICROS_PER_SECOND),
    };
    local.checked_sub(offset * MICROS_PER_SECOND)
}

fn split_offset(text: &str) -> (&str, Option<&str>) {
    match text.find(['+', '-', 'Z', 'z']) {
        Some(place) => (text[..place].trim_end(), Some(&text[place..])),
        None => (text, None),
    }
}

/// `+05`, `+0530`, `-05:30:10`, `Z`, in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.get(1..)?.split(':').collect();
    let field = |from: usize| digits.get(from..from + 2).map_or(Some(0), number);
    if !digits.len().is_multiple_of(2) || !(2..=6).contains(&digits.len()) {
        return None;
    }
    let (hours, minutes, seconds) = (field(0)?, field(2)?, field(4)?);
    (hours <= 15 && minutes < 60 && seconds < 60)
        .then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}
