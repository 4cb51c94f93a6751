//! The times and bounds by which a node decides. Checked when the configuration is loaded.

use std::time::Duration;

use crate::types::Mode;

/// What depends on who decides: a person gives a standby time, the rules do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `ha_standby_timeout`: silent or behind for so long, a standby leaves the set.
    pub standby: Duration,
    /// `ha_coordinator_timeout`: one attempt at the coordinator.
    pub coordinator: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// `ha_lease`: how long an ack forbids its sender to stand.
    pub lease: Duration,
    pub manual: Timeouts,
    pub embedded: Timeouts,
    pub zookeeper: Timeouts,
    /// `ha_disk_timeout`: no flush for so long and the reign is given up.
    pub disk_timeout: Duration,
    /// `ha_sync_mode = strict`: no acknowledgement by fewer than two.
    pub strict: bool,
    /// `ha_fencing_methods` names some: a takeover by itself waits for one.
    pub fences: bool,
    /// `ha_max_failovers_per_hour`.
    pub failovers_max: u32,
    /// `ha_auto_rejoin`.
    pub auto_rejoin: bool,
    /// `ha_lone_primary = stop`.
    pub lone_stops: bool,
    /// Bytes of the log that may be under way to one standby without an ack.
    pub window: u64,
    /// Bytes appended here that may wait to be committed; beyond, proposals are turned away.
    pub backlog: u64,
}

impl NodeSettings {
    #[must_use]
    pub fn timeouts(&self, mode: Mode) -> Timeouts {
        match mode {
            Mode::Manual => self.manual,
            Mode::Embedded => self.embedded,
            Mode::ZooKeeper => self.zookeeper,
        }
    }

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

    /// After every fencing method has failed.
    #[must_use]
    pub fn fencing_retry(&self) -> Duration {
        self.lease * 2
    }

    /// How long a node that found too many failovers leaves the record alone.
    #[must_use]
    pub fn limit_pause(&self) -> Duration {
        self.lease * 20
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
            manual: Timeouts { standby: lease * 10, coordinator: lease * 4 },
            embedded: Timeouts { standby: lease / 2, coordinator: lease * 3 / 10 },
            zookeeper: Timeouts { standby: lease / 2, coordinator: lease * 4 },
            disk_timeout: Duration::from_secs(2),
            strict: false,
            fences: false,
            failovers_max: 6,
            auto_rejoin: true,
            lone_stops: false,
            window: 8 << 20,
            backlog: 256 << 20,
        }
    }
}
