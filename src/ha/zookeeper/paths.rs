//! Where a cluster's things lie in ZooKeeper, who may touch them, and how to say so.
//!
//! ```text
//! /aerie/<cluster id>/state                the record
//! /aerie/<cluster id>/state/<life>         made with it: a swap meant for a tree that was removed
//!                                          and made again finds another one here
//! /aerie/<cluster id>/nodes/<node number>  as long as that master has a session
//! ```

use zookeeper_client::{Acl, AuthId, Error, Permission};

use crate::runtime::config::ZooKeeperSettings;
use crate::types::{ClusterId, NodeId};

use super::ZooKeeperError;
use super::decide::{Proposal, Verdict};

pub(super) struct Paths {
    pub(super) cluster: ClusterId,
    /// As whom this node speaks.
    whom: String,
    acl: Vec<Acl>,
    base: String,
}

impl Paths {
    pub(super) fn new(settings: &ZooKeeperSettings, cluster: ClusterId) -> Paths {
        let whom: Vec<String> = settings.auth.iter().map(ToString::to_string).collect();
        let whom = if whom.is_empty() { "world:anyone".to_owned() } else { whom.join(",") };
        let base = format!("{}/{cluster}", settings.path);
        Paths { cluster, whom, acl: acl(settings), base }
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn state(&self) -> String {
        format!("{}/state", self.base)
    }

    pub(super) fn life(&self, life: u128) -> String {
        format!("{}/state/{life:032x}", self.base)
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}/nodes", self.base)
    }

    pub(super) fn node(&self, node: NodeId) -> String {
        format!("{}/nodes/{node}", self.base)
    }

    /// Never empty.
    pub(super) fn acl(&self) -> &[Acl] {
        &self.acl
    }

    /// As in `ha_zookeeper_acl`.
    pub(super) fn acl_text(&self) -> String {
        let shown =
            |acl: &Acl| format!("{}:{}:{}", acl.scheme(), acl.id(), letters(acl.permission()));
        self.acl.iter().map(shown).collect::<Vec<_>>().join(",")
    }

    pub(super) fn empty(&self) -> ZooKeeperError {
        ZooKeeperError::Empty { cluster: self.cluster, path: self.state() }
    }

    pub(super) fn foreign(&self, found: ClusterId) -> ZooKeeperError {
        ZooKeeperError::Foreign { path: self.state(), found, ours: self.cluster }
    }

    /// What a verdict means that keeps a proposal out for good.
    pub(super) fn refused(&self, verdict: &Verdict, proposal: Proposal<'_>) -> ZooKeeperError {
        let (path, known) = (self.state(), proposal.record().version.saturating_sub(1));
        match *verdict {
            Verdict::Foreign(found) => self.foreign(found),
            Verdict::Older(found) => ZooKeeperError::Older { path, found, known },
            _ => self.empty(),
        }
    }

    /// What a failed request about `path` means to an operator.
    pub(super) fn failed(&self, path: &str, source: Error) -> ZooKeeperError {
        let (path, whom) = (path.to_owned(), self.whom.clone());
        match source {
            Error::NoAuth => ZooKeeperError::NotAuthorized { path, whom },
            Error::AuthFailed => ZooKeeperError::AuthFailed { whom },
            Error::InvalidAcl => ZooKeeperError::InvalidAcl { acl: self.acl_text(), whom, source },
            source => ZooKeeperError::Request { path, source },
        }
    }
}

const PERMISSIONS: [(char, Permission); 5] = [
    ('c', Permission::CREATE),
    ('d', Permission::DELETE),
    ('r', Permission::READ),
    ('w', Permission::WRITE),
    ('a', Permission::ADMIN),
];

/// As `ha_zookeeper_acl` says; otherwise all to whoever speaks as we do; otherwise all to all.
fn acl(settings: &ZooKeeperSettings) -> Vec<Acl> {
    if settings.acl.is_empty() {
        let all = if settings.auth.is_empty() { AuthId::anyone() } else { AuthId::authed() };
        return vec![Acl::new(Permission::ALL, all)];
    }
    let entry = |entry: &crate::runtime::config::ZooKeeperAcl| {
        let named = PERMISSIONS.iter().filter(|(letter, _)| entry.permissions.contains(*letter));
        let permission = named.fold(Permission::NONE, |sum, (_, one)| sum | *one);
        Acl::new(permission, AuthId::new(&entry.scheme, &entry.identity))
    };
    settings.acl.iter().map(entry).collect()
}

pub(super) fn letters(permission: Permission) -> String {
    PERMISSIONS.iter().filter(|(_, one)| permission.has(*one)).map(|(letter, _)| *letter).collect()
}
