//! What kind of world a seed is played in.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: u8,
    pub manual: bool,
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

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 3,
            manual: false,
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
