//! The coordinators that a node can ask, by the mode that its kernel names. It decides nothing:
//! which of them holds the record is the kernel's knowledge (`node::enabling`).

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::ha::{
    Authority, Coordinator, EmbeddedCoordinator, Presence, ReadOutcome, RpcVoters, Seat,
    SwapOutcome, ZooKeeperCoordinator,
};
use crate::runtime::RpcAuth;
use crate::runtime::config::MasterSettings;
use crate::types::{ClusterState, Mode};

use super::ControlFile;
use super::data_dir::NodeIdentity;

pub(super) struct Coordinators<M> {
    pub(super) manual: M,
    pub(super) embedded: EmbeddedCoordinator<ControlFile, RpcVoters>,
    /// Where `ha_zookeeper_quorum` is set.
    pub(super) zookeeper: Option<ZooKeeperCoordinator>,
}

impl<M: Coordinator> Coordinators<M> {
    pub(super) async fn read(&self, of: Mode, authority: Authority) -> ReadOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.read(authority).await,
            (Mode::Embedded, _) => self.embedded.read(authority).await,
            (Mode::ZooKeeper, Some(zookeeper)) => zookeeper.read(authority).await,
            (Mode::ZooKeeper, None) => ReadOutcome::Unavailable { reason: missing() },
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
            (Mode::Embedded, _) => self.embedded.compare_and_swap(authority, proposed).await,
            (Mode::ZooKeeper, Some(zookeeper)) => {
                zookeeper.compare_and_swap(authority, proposed).await
            }
            (Mode::ZooKeeper, None) => SwapOutcome::Unknown { reason: missing() },
        }
    }

    pub(super) async fn create(&self, of: Mode, first: ClusterState) -> SwapOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.create(first).await,
            (Mode::Embedded, _) => self.embedded.create(first).await,
            (Mode::ZooKeeper, Some(zookeeper)) => zookeeper.create(first).await,
            (Mode::ZooKeeper, None) => SwapOutcome::Unknown { reason: missing() },
        }
    }
}

/// The register, of which this process may host a voter.
pub(super) fn embedded(
    settings: &MasterSettings,
    identity: &NodeIdentity,
    control: &ControlFile,
    (auth, seat): (&RpcAuth, &Seat),
) -> EmbeddedCoordinator<ControlFile, RpcVoters> {
    let timeout = settings.coordinator_timeout(Mode::Embedded);
    let voters = Arc::new(RpcVoters::new(auth.clone(), seat.clone(), timeout));
    let place = (identity.cluster, identity.node);
    EmbeddedCoordinator::new(place, Arc::new(control.clone()), voters, timeout)
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
fn missing() -> String {
    "ha_zookeeper_quorum is not set on this node".to_owned()
}
