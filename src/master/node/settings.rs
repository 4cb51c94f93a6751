//! The times and bounds by which a node decides. Checked when the configuration is loaded.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// `ha_lease`: how long an ack forbids its sender to stand.
    pub lease: Duration,
    /// `ha_standby_timeout`: silent or behind for so long, a standby leaves the set.
    pub standby_timeout: Duration,
    /// `ha_coordinator_timeout`: one attempt at the coordinator.
    pub coordinator_timeout: Duration,
    /// `ha_disk_timeout`: no flush for so long and the reign is given up.
    pub disk_timeout: Duration,
    /// `ha_sync_mode = strict`: no acknowledgement by fewer than two.
    pub strict: bool,
    /// Bytes of the log that may be under way to one standby without an ack.
    pub window: u64,
    /// Bytes appended here that may wait to be committed; beyond, proposals are turned away.
    pub backlog: u64,
}

impl NodeSettings {
    /// Heartbeats ride on the replication stream this often (rule 10).
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        self.lease / 8
    }

    /// How often a node that has no primary says hello to everybody.
    #[must_use]
    pub fn hello_interval(&self) -> Duration {
        self.lease / 4
    }

    /// How long a candidate waits for answers to its inquiry.
    #[must_use]
    pub fn inquiry_timeout(&self) -> Duration {
        self.lease / 4
    }

    /// How long an operator waits for a change of the record by a node that is not primary.
    #[must_use]
    pub fn pause_timeout(&self) -> Duration {
        self.coordinator_timeout * 20
    }

    /// How long a handed-back reign may take to finish what is in flight, and how long its old
    /// holder leaves the way free to others.
    #[must_use]
    pub fn release_timeout(&self) -> Duration {
        self.lease * 4
    }
}

impl Default for NodeSettings {
    fn default() -> Self {
        let lease = Duration::from_millis(500);
        NodeSettings {
            lease,
            standby_timeout: lease / 2,
            coordinator_timeout: lease * 3 / 10,
            disk_timeout: Duration::from_secs(2),
            strict: false,
            window: 8 << 20,
            backlog: 256 << 20,
        }
    }
}
