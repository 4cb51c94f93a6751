//! What can be wrong with ZooKeeper, each with the settings to look at.

use std::time::Duration;

use crate::types::ClusterId;

#[derive(Debug, thiserror::Error)]
pub enum ZooKeeperError {
    #[error("{why}")]
    Unconnected { why: String },
    #[error("ZooKeeper cannot be reached (ha_zookeeper_quorum = \"{quorum}\"): {why}")]
    Unreachable { quorum: String, why: String },

    #[error(
        "ZooKeeper has not answered within {limit:?} (ha_coordinator_timeout; \
         ha_zookeeper_quorum = \"{quorum}\")"
    )]
    Unanswered { quorum: String, limit: Duration },

    #[error(
        "ZooKeeper refuses {path} to {whom}; set ha_zookeeper_auth to an identity that its ACL \
         names, or change that ACL"
    )]
    NotAuthorized { path: String, whom: String },

    #[error("ZooKeeper does not take ha_zookeeper_acl = \"{acl}\" (as {whom}): {source}")]
    InvalidAcl { acl: String, whom: String, source: zookeeper_client::Error },

    #[error("ZooKeeper does not accept the identity in ha_zookeeper_auth ({whom})")]
    AuthFailed { whom: String },

    #[error(
        "ZooKeeper holds no record of cluster {cluster} at {path} (ha_zookeeper_path): the tree \
         was wiped, or is another one; put its data back or correct the setting. It is not made \
         anew, since the record may be newer than what this node knows"
    )]
    Empty { cluster: ClusterId, path: String },

    #[error("{path} in ZooKeeper belongs to cluster {found}, and this node to cluster {ours}")]
    Foreign { path: String, found: ClusterId, ours: ClusterId },

    #[error(
        "{path} in ZooKeeper holds version {found} of the record although version {known} was \
         there before: its data were put back to an older state; put the newer ones back"
    )]
    Older { path: String, found: u64, known: u64 },

    #[error("{path} in ZooKeeper is not a record of Aerie: {why}")]
    NotARecord { path: String, why: String },

    #[error("{path} in ZooKeeper was changed by others each time; tried again later")]
    Contended { path: String },

    #[error("ZooKeeper, at {path}: {source}")]
    Request { path: String, source: zookeeper_client::Error },
}
