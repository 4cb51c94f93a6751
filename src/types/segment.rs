//! Segments: registration order, status, and why one is down.

use std::fmt;
use std::num::NonZeroU32;

use super::Epoch;

/// The id in `gp_segment_configuration`: standby -1, master 0, segments from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrationOrder {
    Standby,
    Master,
    Segment(NonZeroU32),
}

impl RegistrationOrder {
    /// The column's value. The only place where the magic numbers stand.
    #[must_use]
    pub fn to_column(self) -> i32 {
        match self {
            RegistrationOrder::Standby => -1,
            RegistrationOrder::Master => 0,
            RegistrationOrder::Segment(order) => i32::try_from(order.get()).unwrap_or(i32::MAX),
        }
    }

    #[must_use]
    pub fn from_column(value: i32) -> Option<RegistrationOrder> {
        match value {
            -1 => Some(RegistrationOrder::Standby),
            0 => Some(RegistrationOrder::Master),
            _ => NonZeroU32::new(u32::try_from(value).ok()?).map(RegistrationOrder::Segment),
        }
    }
}

/// What `gp_configuration_history.description` says when the last reason goes.
pub const UP_HISTORY_TEXT: &str = "segment is up";

/// HAWQ's six reasons for which a segment is down, in the order of its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    HeartbeatTimeout,
    FailedProbing,
    CommunicationError,
    FailedTemporaryDirectory,
    ResourceManagerReset,
    NoGlobalNodeReport,
}

impl Reason {
    pub const ALL: [Reason; 6] = [
        Reason::HeartbeatTimeout,
        Reason::FailedProbing,
        Reason::CommunicationError,
        Reason::FailedTemporaryDirectory,
        Reason::ResourceManagerReset,
        Reason::NoGlobalNodeReport,
    ];

    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Reason::HeartbeatTimeout => "heartbeat timeout",
            Reason::FailedProbing => "failed probing segment",
            Reason::CommunicationError => "communication error",
            Reason::FailedTemporaryDirectory => "failed temporary directory",
            Reason::ResourceManagerReset => "resource manager process was reset",
            Reason::NoGlobalNodeReport => "no global node report",
        }
    }

    #[must_use]
    pub fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A set of reasons and the temporary directories that failed.
///
/// * The directory list is empty if and only if `FailedTemporaryDirectory` is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasons {
    bits: u8,
    failed_directories: Vec<String>,
}

impl Reasons {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }

    #[must_use]
    pub fn contains(&self, reason: Reason) -> bool {
        self.bits & reason.bit() != 0
    }

    /// Adds a reason other than a failed directory (see `set_failed_directories`).
    pub fn insert(&mut self, reason: Reason) {
        assert!(reason != Reason::FailedTemporaryDirectory, "directories come with their names");
        self.bits |= reason.bit();
    }

    pub fn remove(&mut self, reason: Reason) {
        assert!(reason != Reason::FailedTemporaryDirectory, "directories come with their names");
        self.bits &= !reason.bit();
    }

    pub fn set_failed_directories(&mut self, directories: Vec<String>) {
        let bit = Reason::FailedTemporaryDirectory.bit();
        self.bits = if directories.is_empty() { self.bits & !bit } else { self.bits | bit };
        self.failed_directories = directories;
    }

    #[must_use]
    pub fn failed_directories(&self) -> &[String] {
        &self.failed_directories
    }

    /// Reads back what `Display` wrote into the catalog; `None` for a text of unknown reasons.
    #[must_use]
    pub fn parse(text: &str) -> Option<Reasons> {
        let mut reasons = Reasons::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, directories) =
                part.split_once(':').map_or((part, None), |(n, d)| (n, Some(d)));
            let reason = Reason::ALL.into_iter().find(|reason| reason.text() == name)?;
            match (reason, directories) {
                (Reason::FailedTemporaryDirectory, Some(list)) => {
                    reasons.set_failed_directories(list.split(',').map(str::to_owned).collect())
                }
                (Reason::FailedTemporaryDirectory, None) | (_, Some(_)) => return None,
                (other, None) => reasons.insert(other),
            }
        }
        Some(reasons)
    }
}

impl fmt::Display for Reasons {
    /// HAWQ's description: low bit first, `;` between reasons, `:` and `,` for directories.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for reason in Reason::ALL.into_iter().filter(|reason| self.contains(*reason)) {
            if !first {
                f.write_str(";")?;
            }
            first = false;
            f.write_str(reason.text())?;
            if reason == Reason::FailedTemporaryDirectory {
                write!(f, ":{}", self.failed_directories.join(","))?;
            }
        }
        Ok(())
    }
}

/// Whether a segment may be handed out. A segment that is down without a reason cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentStatus {
    Up,
    Down(Reasons),
}

impl SegmentStatus {
    #[must_use]
    pub fn of(reasons: Reasons) -> SegmentStatus {
        if reasons.is_empty() { SegmentStatus::Up } else { SegmentStatus::Down(reasons) }
    }

    /// The value of `gp_segment_configuration.status`.
    #[must_use]
    pub fn column(&self) -> char {
        match self {
            SegmentStatus::Up => 'u',
            SegmentStatus::Down(_) => 'd',
        }
    }

    /// The value of `gp_segment_configuration.description`.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            SegmentStatus::Up => String::new(),
            SegmentStatus::Down(reasons) => reasons.to_string(),
        }
    }
}

/// What a segment agent says of itself (HAWQ's IMAlive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Stable identity: random, made when the agent's data directory is made.
    pub segment: u64,
    pub hostname: String,
    /// The first is the one that is registered (HAWQ: the peer address).
    pub addresses: Vec<String>,
    /// The segment's PostgreSQL port (`hawq_segment_address_port`).
    pub port: u16,
    /// Where the agent answers RUAlive and fencing calls.
    pub rpc_port: u16,
    pub memory_mb: u32,
    pub cores: u32,
    pub failed_directories: Vec<String>,
    /// Changes whenever the agent process starts anew (microseconds, HAWQ's RMStartTimestamp).
    pub started_at: u64,
    /// The highest epoch that a primary of the record has brought.
    pub followed: Epoch,
    /// The highest epoch promised to a candidate.
    pub promised: Epoch,
}

impl Heartbeat {
    /// Nothing lower is obeyed.
    #[must_use]
    pub fn highest(&self) -> Epoch {
        self.followed.max(self.promised)
    }
}

/// How a probe (HAWQ's RUAlive) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeOutcome {
    Alive,
    /// The agent answered that its PostgreSQL is not reachable, or it could not even be asked.
    Failed,
    /// The connection broke or the deadline passed.
    CommunicationError,
}
