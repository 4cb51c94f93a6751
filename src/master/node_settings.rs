//! The node's times and bounds from the settings of the process; no value is made up here.

use crate::runtime::config::{MasterSettings, SyncMode};
use crate::types::Mode;

use super::node::{NodeSettings, Timeouts};

pub(super) fn node_settings(settings: &MasterSettings) -> NodeSettings {
    let timeouts = |mode| Timeouts {
        standby: settings.standby_timeout(mode),
        coordinator: settings.coordinator_timeout(mode),
    };
    NodeSettings {
        lease: settings.lease,
        manual: timeouts(Mode::Manual),
        embedded: timeouts(Mode::Embedded),
        zookeeper: timeouts(Mode::ZooKeeper),
        disk_timeout: settings.disk_timeout,
        strict: settings.sync_mode == SyncMode::Strict,
        fences: !settings.fencing_methods.is_empty(),
        failovers_max: settings.failovers_per_hour_max,
        auto_rejoin: settings.auto_rejoin,
        lone_stops: settings.lone_stops,
        ..NodeSettings::default()
    }
}
