//! Removes what a cluster has in ZooKeeper, so that automatic mode can be enabled there anew
//! (`hawq ha format`). It refuses while masters are shown there; whether anybody is asked first is
//! the command's business.

use zookeeper_client::{Client, Error};

use crate::runtime::config::ZooKeeperSettings;
use crate::types::{ClusterId, ClusterState};

use super::shared::Shared;
use super::tree::Tree;
use super::{ZooKeeperError, session};

/// A cluster has a handful of znodes; more is not ours.
const ZNODES_MAX: usize = 1_000;

/// A cluster's tree, looked at by a command.
pub struct ZooKeeperTree {
    shared: Shared,
    client: Client,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub path: String,
    pub exists: bool,
    /// `None`: there is no record, or it cannot be read.
    pub record: Option<ClusterState>,
    /// Masters with a session, as they show themselves.
    pub nodes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error(transparent)]
    ZooKeeper(#[from] ZooKeeperError),
    #[error("{path} is in use by {}; run \"hawq ha disable\" first", nodes.join(", "))]
    InUse { path: String, nodes: Vec<String> },
    #[error("{path} has more than {ZNODES_MAX} znodes, which is not the tree of a cluster")]
    TooMuch { path: String },
}

impl ZooKeeperTree {
    pub async fn open(
        settings: ZooKeeperSettings,
        cluster: ClusterId,
    ) -> Result<ZooKeeperTree, ZooKeeperError> {
        let shared = Shared::new(settings, cluster, None);
        let opened = session::open(&shared.settings).await;
        let client = opened.map_err(|error| session::unopened(&shared, error))?;
        Ok(ZooKeeperTree { shared, client })
    }

    pub async fn look(&self) -> Result<Present, ZooKeeperError> {
        let (client, paths) = (&self.client, &self.shared.paths);
        let base = paths.base().to_owned();
        let exists = client.check_stat(&base).await;
        let exists = exists.map_err(|error| paths.failed(&base, error))?.is_some();
        let mut nodes = Vec::new();
        for name in self.children(&paths.nodes()).await? {
            let path = format!("{}/{name}", paths.nodes());
            match client.get_data(&path).await {
                Ok((bytes, _)) => nodes.push(String::from_utf8_lossy(&bytes).into_owned()),
                Err(Error::NoNode) => {}
                Err(error) => return Err(paths.failed(&path, error)),
            }
        }
        let record = match Tree::new(paths, client).load().await {
            Ok(held) => held.map(|held| held.record),
            Err(ZooKeeperError::NotARecord { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Present { path: base, exists, record, nodes })
    }

    /// Removes everything of the cluster, unless a master is shown there.
    pub async fn remove(&self) -> Result<(), FormatError> {
        let paths = &self.shared.paths;
        let Present { path, nodes, .. } = self.look().await?;
        if !nodes.is_empty() {
            return Err(FormatError::InUse { path, nodes });
        }
        // Parents stand before their children.
        let mut found = vec![path.clone()];
        let mut at = 0;
        while let Some(parent) = found.get(at).cloned() {
            for name in self.children(&parent).await? {
                found.push(format!("{parent}/{name}"));
            }
            at += 1;
            if found.len() > ZNODES_MAX {
                return Err(FormatError::TooMuch { path });
            }
        }
        for path in found.iter().rev() {
            match self.client.delete(path, None).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(paths.failed(path, error).into()),
            }
        }
        Ok(())
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, ZooKeeperError> {
        match self.client.list_children(path).await {
            Ok(names) => Ok(names),
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(self.shared.paths.failed(path, error)),
        }
    }
}
