//! What the node's machine takes from the settings of its process.

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
        ..NodeSettings::default()
    }
}
