//! The coordinators that a node can ask, by the mode that its kernel names. It decides nothing:
//! which of them holds the record is the kernel's knowledge (`node::enabling`).

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::ha::{
    Authority, Coordinator, EmbeddedCoordinator, ManualCoordinator, ManualShrink, Presence,
    ReadOutcome, RpcVoters, Seat, SwapOutcome, ZooKeeperCoordinator,
};
use crate::runtime::RpcAuth;
use crate::runtime::config::{ManualShrink as ShrinkSetting, MasterSettings};
use crate::types::{ClusterState, Mode};

use super::ControlFile;
use super::data_dir::NodeIdentity;
use super::witnesses::RpcWitnesses;

pub(super) struct Coordinators {
    manual: ManualCoordinator<ControlFile, RpcWitnesses>,
    embedded: EmbeddedCoordinator<ControlFile, RpcVoters>,
    /// Where `ha_zookeeper_quorum` is set.
    zookeeper: Option<ZooKeeperCoordinator>,
}

/// What they are made of.
pub(super) struct Means<'a> {
    pub(super) settings: &'a MasterSettings,
    pub(super) identity: &'a NodeIdentity,
    pub(super) control: &'a ControlFile,
    pub(super) auth: &'a RpcAuth,
    pub(super) seat: &'a Seat,
    pub(super) witnesses: &'a Arc<RpcWitnesses>,
    pub(super) tasks: &'a Handle,
}

impl Means<'_> {
    /// None of them connects before it is asked.
    pub(super) fn coordinators(&self) -> Coordinators {
        let (manual, embedded) = (self.manual(), self.embedded());
        Coordinators { manual, embedded, zookeeper: self.zookeeper() }
    }

    fn manual(&self) -> ManualCoordinator<ControlFile, RpcWitnesses> {
        let shrink = match self.settings.manual_shrink {
            ShrinkSetting::Witnessed => ManualShrink::Witnessed,
            ShrinkSetting::Local => ManualShrink::Local,
        };
        let store = Arc::new(self.control.clone());
        ManualCoordinator::new(self.identity.node, shrink, store, Arc::clone(self.witnesses))
    }

    fn embedded(&self) -> EmbeddedCoordinator<ControlFile, RpcVoters> {
        let timeout = self.settings.coordinator_timeout(Mode::Embedded);
        let voters = Arc::new(RpcVoters::new(self.auth.clone(), self.seat.clone(), timeout));
        let store = Arc::new(self.control.clone());
        let whose = (self.identity.cluster, self.identity.node);
        EmbeddedCoordinator::new(whose, store, voters, timeout)
    }

    fn zookeeper(&self) -> Option<ZooKeeperCoordinator> {
        let reached = self.settings.zookeeper.clone()?;
        let MasterSettings { host, rpc_port, pg_port, .. } = self.settings;
        let text = format!("{host}:{rpc_port}:{pg_port} {}", self.identity.incarnation);
        let presence = Some(Presence { node: self.identity.node, text });
        let (cluster, tasks) = (self.identity.cluster, self.tasks.clone());
        Some(ZooKeeperCoordinator::new(reached, cluster, presence, tasks))
    }
}

impl Coordinators {
    /// The record lies elsewhere now: this node is no longer shown where it was.
    pub(super) fn leave(&self, mode: Mode) {
        if let (Mode::ZooKeeper, Some(zookeeper)) = (mode, &self.zookeeper) {
            zookeeper.disconnect();
        }
    }

    pub(super) async fn read(&self, of: Mode, authority: Authority) -> ReadOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.read(authority).await,
            (Mode::Embedded, _) => self.embedded.read(authority).await,
            (Mode::ZooKeeper, Some(zookeeper)) => zookeeper.read(authority).await,
            (Mode::ZooKeeper, None) => ReadOutcome::Unavailable { reason: no_zookeeper() },
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
            (Mode::ZooKeeper, None) => SwapOutcome::Unknown { reason: no_zookeeper() },
        }
    }

    pub(super) async fn create(&self, of: Mode, first: ClusterState) -> SwapOutcome {
        match (of, &self.zookeeper) {
            (Mode::Manual, _) => self.manual.create(first).await,
            (Mode::Embedded, _) => self.embedded.create(first).await,
            (Mode::ZooKeeper, Some(zookeeper)) => zookeeper.create(first).await,
            (Mode::ZooKeeper, None) => SwapOutcome::Unknown { reason: no_zookeeper() },
        }
    }
}

/// Nothing was asked, so nothing is known either.
fn no_zookeeper() -> String {
    "ha_zookeeper_quorum is not set on this node".to_owned()
}
