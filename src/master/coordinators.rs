//! The coordinators that a node can ask, by the mode that its kernel names. It decides nothing:
//! which of them holds the record is the kernel's knowledge (`node::enabling`).

use tokio::runtime::Handle;

use crate::ha::{Authority, Coordinator, Presence, ReadOutcome, SwapOutcome, ZooKeeperCoordinator};
use crate::runtime::config::MasterSettings;
use crate::types::{ClusterState, Mode};

use super::data_dir::NodeIdentity;

pub(super) struct Coordinators<M> {
    pub(super) manual: M,
    /// Where `ha_zookeeper_quorum` is set.
    pub(super) zookeeper: Option<ZooKeeperCoordinator>,
}

impl<M: Coordinator> Coordinators<M> {
    pub(super) async fn read(&self, of: Mode, authority: Authority) -> ReadOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.read(authority).await,
            (Mode::ZooKeeper, Some(zookeeper)) => zookeeper.read(authority).await,
            _ => ReadOutcome::Unavailable { reason: missing(of) },
        }
    }

    pub(super) async fn swap(
        &self,
        of: Mode,
        authority: Authority,
        proposed: ClusterState,
    ) -> SwapOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.compare_and_swap(authority, proposed).await,
            (Mode::ZooKeeper, Some(zookeeper)) => {
                zookeeper.compare_and_swap(authority, proposed).await
            }
            _ => SwapOutcome::Unknown { reason: missing(of) },
        }
    }

    pub(super) async fn create(&self, of: Mode, first: ClusterState) -> SwapOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.create(first).await,
            (Mode::ZooKeeper, Some(zookeeper)) => zookeeper.create(first).await,
            _ => SwapOutcome::Unknown { reason: missing(of) },
        }
    }
}

/// Connects when it is first asked.
pub(super) fn zookeeper(
    settings: &MasterSettings,
    identity: &NodeIdentity,
    tasks: &Handle,
) -> Option<ZooKeeperCoordinator> {
    let reached = settings.zookeeper.clone()?;
    let MasterSettings { host, rpc_port, pg_port, .. } = settings;
    let text = format!("{host}:{rpc_port}:{pg_port} {}", identity.incarnation);
    let presence = Some(Presence { node: identity.node, text });
    Some(ZooKeeperCoordinator::new(reached, identity.cluster, presence, tasks.clone()))
}

/// Nothing was asked, so nothing is known either.
fn missing(mode: Mode) -> String {
    match mode {
        Mode::ZooKeeper => "ha_zookeeper_quorum is not set on this node".to_owned(),
        Mode::Manual | Mode::Embedded => format!("this node has no {mode} coordinator"),
    }
}
