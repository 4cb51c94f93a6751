//! How long the machine waits for what, with HAWQ's names where HAWQ has one.

use std::time::Duration;

/// Checked by `check`; the relations matter, not only the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `hawq_rm_segment_heartbeat_interval`: how often a segment is expected to be heard.
    pub heartbeat_interval: Duration,
    /// `hawq_rm_segment_heartbeat_timeout`: a segment not heard for so long is down. HAWQ scans
    /// once per timeout and so needs up to twice as long; here it is at most one `tick` more.
    pub heartbeat_timeout: Duration,
    /// The shortest time between two scans for silent segments.
    pub tick: Duration,
    /// A segment silent for so long is probed. HAWQ probes only what a dispatcher reports.
    pub suspect_after: Duration,
    /// Bound of one probe, longer than an agent takes to give its PostgreSQL up. HAWQ has none.
    pub probe_timeout: Duration,
    /// Pause before the one retry of a probe that did not say "alive".
    pub probe_retry: Duration,
    /// Pause before a catalog write that failed is repeated.
    pub store_retry: Duration,
}

/// Heartbeats that may be missing before a segment is suspected.
const MISSED_HEARTBEATS: u32 = 3;

impl Settings {
    /// Everything else follows from HAWQ's two settings.
    pub fn new(interval: Duration, timeout: Duration) -> Result<Settings, SettingsError> {
        let settings = Settings {
            heartbeat_interval: interval,
            heartbeat_timeout: timeout,
            tick: (interval / 10).clamp(Duration::from_millis(10), Duration::from_secs(1)),
            suspect_after: interval * MISSED_HEARTBEATS,
            probe_timeout: interval.clamp(Duration::from_secs(5), Duration::from_secs(10)),
            probe_retry: (interval / 10).clamp(Duration::from_millis(50), Duration::from_secs(1)),
            store_retry: Duration::from_secs(1),
        };
        settings.check()?;
        Ok(settings)
    }

    pub fn check(&self) -> Result<(), SettingsError> {
        let positive = [
            ("hawq_rm_segment_heartbeat_interval", self.heartbeat_interval),
            ("the scan tick", self.tick),
            ("the probe timeout", self.probe_timeout),
            ("the pause before a write is repeated", self.store_retry),
        ];
        for (name, value) in positive {
            if value.is_zero() {
                return Err(SettingsError::Zero { name });
            }
        }
        if self.heartbeat_timeout <= self.heartbeat_interval {
            return Err(SettingsError::TimeoutTooShort {
                timeout: self.heartbeat_timeout,
                interval: self.heartbeat_interval,
            });
        }
        Ok(())
    }
}

impl Default for Settings {
    /// HAWQ's defaults: 30 s and 300 s.
    fn default() -> Settings {
        Settings {
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(300),
            tick: Duration::from_secs(1),
            suspect_after: Duration::from_secs(90),
            probe_timeout: Duration::from_secs(10),
            probe_retry: Duration::from_secs(1),
            store_retry: Duration::from_secs(1),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{name} must be greater than zero")]
    Zero { name: &'static str },
    #[error(
        "hawq_rm_segment_heartbeat_timeout ({timeout:?}) must be greater than \
         hawq_rm_segment_heartbeat_interval ({interval:?})"
    )]
    TimeoutTooShort { timeout: Duration, interval: Duration },
}
