//! One reign in a line of `gp_configuration_history`: who, since when, why, and how long nobody
//! served before. Pure: the node makes it, the open primary's upkeep stores it, `hawq ha history`
//! reads it back. The line is also what a person reads with SQL.

use std::fmt;
use std::time::Duration;

use crate::types::{Epoch, Lsn};

const FIRST_WORD: &str = "reign";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReignNote {
    pub epoch: Epoch,
    pub start: Lsn,
    pub cause: String,
    /// From the last sign of service elsewhere until this reign opened, where that is known.
    pub gap: Option<Duration>,
}

impl ReignNote {
    /// `None`: this line tells of something else.
    #[must_use]
    pub fn parse(line: &str) -> Option<ReignNote> {
        let rest = line.strip_prefix(FIRST_WORD)?.strip_prefix(' ')?;
        let (epoch, rest) = rest.split_once(" from ")?;
        let (start, rest) = rest.split_once(": ")?;
        let (counter, node) = epoch.split_once('.')?;
        let (counter, node): (u64, u8) = (counter.parse().ok()?, node.parse().ok()?);
        let (cause, gap) = match rest.rsplit_once(", gap ") {
            Some((cause, gap)) => (cause, Some(gap_value(gap)?)),
            None => (rest, None),
        };
        Some(ReignNote {
            epoch: Epoch(counter.checked_mul(256)? | u64::from(node)),
            start: start.parse().ok()?,
            cause: cause.to_owned(),
            gap,
        })
    }
}

fn gap_value(text: &str) -> Option<Duration> {
    let (whole, part) = text.strip_suffix(" ms")?.split_once('.')?;
    let (whole, part): (u64, u64) = (whole.parse().ok()?, part.parse().ok()?);
    Some(Duration::from_micros(whole.checked_mul(1_000)?.checked_add(part)?))
}

impl fmt::Display for ReignNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FIRST_WORD} {} from {}: {}", self.epoch, self.start, self.cause)?;
        let Some(gap) = self.gap else { return Ok(()) };
        let micros = gap.as_micros();
        write!(f, ", gap {}.{:03} ms", micros / 1_000, micros % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let with_gap = ReignNote {
            epoch: Epoch(3 << 8 | 2),
            start: Lsn(0x28),
            cause: "failover: node 1, of epoch 2.1, was not heard".to_owned(),
            gap: Some(Duration::from_micros(612_034)),
        };
        let line = with_gap.to_string();
        let expected = "reign 3.2 from 0/28: failover: node 1, of epoch 2.1, was not heard, \
                        gap 612.034 ms";
        assert_eq!(line, expected);
        assert_eq!(ReignNote::parse(&line), Some(with_gap.clone()));
        let without = ReignNote { gap: None, cause: "restart".to_owned(), ..with_gap };
        assert_eq!(ReignNote::parse(&without.to_string()), Some(without));
        for other in ["master activated at epoch 1.1", "reign x from 0/0: y", "reign", ""] {
            assert_eq!(ReignNote::parse(other), None, "{other}");
        }
    }
}
