//! Values of settings: what a text means, and how PostgreSQL would show it.

use std::time::Duration;

/// Unit that a duration has when its text names none, and in which `pg_settings` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Seconds,
    Days,
}

impl Unit {
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Days => "d",
        }
    }

    #[must_use]
    pub fn millis(self) -> u64 {
        match self {
            Unit::Milliseconds => 1,
            Unit::Seconds => 1_000,
            Unit::Days => 86_400_000,
        }
    }
}

/// What kind of text a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    Real {
        min: f64,
        max: f64,
    },
    /// Bounds in milliseconds.
    Duration {
        unit: Unit,
        min: u64,
        max: u64,
    },
    /// In megabytes.
    Memory {
        min: u64,
    },
    Choice(&'static [&'static str]),
    Text,
}

impl Kind {
    /// `vartype` of `pg_settings`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Integer { .. } | Kind::Duration { .. } | Kind::Memory { .. } => "integer",
            Kind::Real { .. } => "real",
            Kind::Choice(_) => "enum",
            Kind::Text => "string",
        }
    }

    #[must_use]
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Kind::Duration { unit, .. } => Some(unit.symbol()),
            Kind::Memory { .. } => Some("MB"),
            _ => None,
        }
    }

    #[must_use]
    pub fn bounds(self) -> (Option<String>, Option<String>) {
        match self {
            Kind::Integer { min, max } => (Some(min.to_string()), Some(max.to_string())),
            Kind::Real { min, max } => (Some(min.to_string()), Some(max.to_string())),
            Kind::Duration { unit, min, max } => {
                let shown = |millis: u64| Some((millis / unit.millis()).to_string());
                (shown(min), shown(max))
            }
            Kind::Memory { min } => (Some(min.to_string()), None),
            Kind::Bool | Kind::Choice(_) | Kind::Text => (None, None),
        }
    }

    /// The value in the form in which it is kept and shown, or what is wrong with it.
    pub fn check(self, text: &str) -> Result<String, String> {
        match self {
            Kind::Bool => bool_of(text).map(|on| if on { "on" } else { "off" }.to_owned()),
            Kind::Integer { min, max } => {
                let value: i64 = text.parse().map_err(|_| "expected an integer".to_owned())?;
                within(&value, &min, &max)?;
                Ok(value.to_string())
            }
            Kind::Real { min, max } => {
                let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
                within(&value, &min, &max)?;
                Ok(value.to_string())
            }
            Kind::Duration { unit, min, max } => {
                let value = millis_of(text, unit)?;
                if value < min || value > max {
                    let (min, max) = (show_millis(min), show_millis(max));
                    return Err(format!("it must lie between {min} and {max}"));
                }
                Ok(in_unit(value, unit))
            }
            Kind::Memory { min } => {
                let value = megabytes_of(text)?;
                if value < min {
                    return Err(format!("it must be at least {min}MB"));
                }
                Ok(value.to_string())
            }
            Kind::Choice(choices) => choices
                .iter()
                .find(|choice| choice.eq_ignore_ascii_case(text))
                .map(|choice| (*choice).to_owned())
                .ok_or_else(|| format!("expected one of {}", choices.join(", "))),
            Kind::Text => Ok(text.to_owned()),
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(value: &T, min: &T, max: &T) -> Result<(), String> {
    if value >= min && value <= max {
        return Ok(());
    }
    Err(format!("it must lie between {min} and {max}"))
}

/// PostgreSQL's spellings.
pub fn bool_of(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Ok(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

/// `500ms`, `1.5 s`, `2min`, `1h`, `7d`; a bare number is in `unit`.
pub fn millis_of(text: &str, unit: Unit) -> Result<u64, String> {
    let expected = || {
        let unit = unit.symbol();
        format!("expected a time such as 500ms, 30s, 5min, 1h or 1d (without unit: {unit})")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| expected())?;
    let factor = match suffix.trim() {
        "" => unit.millis(),
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let millis = (number * factor as f64).round() as u64;
    Ok(millis)
}

/// A whole number of `unit` without the unit, as PostgreSQL's `setting` column has it; otherwise
/// in milliseconds with it, so that nothing is lost.
fn in_unit(millis: u64, unit: Unit) -> String {
    if millis.is_multiple_of(unit.millis()) {
        return (millis / unit.millis()).to_string();
    }
    format!("{millis}ms")
}

#[must_use]
pub fn show_millis(millis: u64) -> String {
    for (factor, symbol) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")] {
        if millis >= factor && millis.is_multiple_of(factor) {
            return format!("{}{symbol}", millis / factor);
        }
    }
    format!("{millis}ms")
}

/// `64GB`, `512MB`, `1048576kB`; a bare number is in megabytes.
pub fn megabytes_of(text: &str) -> Result<u64, String> {
    let expected = || "expected a memory size such as 512MB or 64GB (without unit: MB)".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    match suffix.trim().to_ascii_lowercase().as_str() {
        "" | "mb" => Some(number),
        "kb" => Some(number / 1024),
        "gb" => number.checked_mul(1024),
        "tb" => number.checked_mul(1024 * 1024),
        _ => None,
    }
    .ok_or_else(expected)
}

/// A text that `Kind::Duration` has checked.
pub(super) fn duration_of(text: &str, unit: Unit) -> Duration {
    Duration::from_millis(millis_of(text, unit).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Kind = Kind::Duration { unit: Unit::Milliseconds, min: 100, max: 60_000 };
    const HEARTBEAT: Kind = Kind::Duration { unit: Unit::Seconds, min: 1_000, max: 65_535_000 };

    #[test]
    fn values_are_normalised() {
        let rows = [
            (Kind::Bool, "TRUE", "on"),
            (Kind::Bool, "0", "off"),
            (Kind::Integer { min: 1, max: 65535 }, "5432", "5432"),
            (Kind::Real { min: 0.0, max: 1.0 }, "0.25", "0.25"),
            (LEASE, "500", "500"),
            (LEASE, "1.5s", "1500"),
            (LEASE, "1 min", "60000"),
            (HEARTBEAT, "30", "30"),
            (HEARTBEAT, "1500ms", "1500ms"),
            (HEARTBEAT, "5min", "300"),
            (Kind::Memory { min: 1 }, "64gb", "65536"),
            (Kind::Choice(&["available", "strict"]), "Strict", "strict"),
            (Kind::Text, "", ""),
        ];
        for (kind, text, shown) in rows {
            assert_eq!(kind.check(text), Ok(shown.to_owned()), "{kind:?} {text}");
        }
    }

    #[test]
    fn wrong_values_are_explained() {
        let rows = [
            (Kind::Bool, "maybe", "expected on or off"),
            (Kind::Integer { min: 1, max: 65535 }, "70000", "it must lie between 1 and 65535"),
            (Kind::Integer { min: 1, max: 65535 }, "", "expected an integer"),
            (LEASE, "50ms", "it must lie between 100ms and 1min"),
            (Kind::Memory { min: 1 }, "much", "expected a memory size"),
            (Kind::Choice(&["available", "strict"]), "x", "expected one of available, strict"),
        ];
        for (kind, text, problem) in rows {
            let error = kind.check(text).unwrap_err();
            assert!(error.starts_with(problem), "{kind:?} {text}: {error}");
        }
        assert!(LEASE.check("5 parsecs").unwrap_err().contains("(without unit: ms)"));
        assert!(HEARTBEAT.check("-1").unwrap_err().contains("(without unit: s)"));
    }
}
