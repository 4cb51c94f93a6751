//! What kind of world a seed is played in.

use std::time::Duration;

use aerie::ha::ManualShrink;

#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: u8,
    pub manual: bool,
    /// `ha_manual_shrink`.
    pub shrink: ManualShrink,
    /// Begins in manual mode and is turned to automatic mode and back.
    pub turns: bool,
    /// The coordinator is the embedded register with its voters.
    pub voters: bool,
    pub strict: bool,
    pub trace: bool,
    pub segments: u64,
    /// Old primaries are fenced by scripts that take their time and may fail.
    pub fences: bool,
    pub failovers_max: u32,
    pub auto_rejoin: bool,
    pub lone_stops: bool,
    /// Clocks stand still while a host is stopped, and reads are confirmed.
    pub confirm: bool,
    /// `ha_lease` differs between nodes and from one start to the next.
    pub leases: bool,
    /// True time with faults, then as long as needed (bounded) without.
    pub stormy: Duration,
    pub calm: Duration,
}

impl Options {
    /// Somebody decides on takeovers, at least at times.
    pub fn by_person(&self) -> bool {
        self.manual || self.turns
    }

    /// A primary may go on alone at its own word, as HAWQ's does.
    pub fn unwitnessed(&self) -> bool {
        self.by_person() && (self.segments == 0 || self.shrink == ManualShrink::Local)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 3,
            manual: false,
            shrink: ManualShrink::Witnessed,
            turns: false,
            voters: false,
            strict: false,
            trace: std::env::var("SEED").is_ok(),
            segments: 3,
            fences: false,
            failovers_max: 1000,
            auto_rejoin: true,
            lone_stops: false,
            confirm: false,
            leases: false,
            stormy: Duration::from_secs(20),
            calm: Duration::from_secs(30),
        }
    }
}
