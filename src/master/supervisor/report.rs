//! Which epochs ended with a process, read from what it left; and the other masters are told.
//!
//! The directory is locked meanwhile: were another process at work in it, that one might reign in
//! an epoch at or below what the file says, and the report would be a lie. Nothing is decided here.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;

use crate::master::control_file::{ControlFile, ControlFileError};
use crate::master::data_dir::{DataDir, DataDirError};
use crate::master::witnesses::control_client;
use crate::proto::member_to_wire;
use crate::proto::v1::ReportEndRequest;
use crate::runtime::{RpcAuth, RpcAuthError};
use crate::types::{Epoch, Member, MemberEntry, NodeId};

/// Bound of one call; a master that lives answers at once.
const CALL_MAX: Duration = Duration::from_millis(500);

const RETRY: Duration = Duration::from_millis(100);

/// So often each master is tried; after that the lease has told it.
const TRIES_MAX: u32 = 20;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Directory(#[from] DataDirError),
    #[error(transparent)]
    Control(#[from] ControlFileError),
    #[error(transparent)]
    Secret(#[from] RpcAuthError),
}

/// The end of one process, and whom to tell.
#[derive(Debug)]
pub(super) struct End {
    pub(super) member: Member,
    /// Every epoch of that process is at most this.
    pub(super) upto: Epoch,
    auth: RpcAuth,
    others: Vec<(NodeId, MemberEntry)>,
}

impl End {
    /// Of a process that is known to be dead.
    pub(super) fn read(root: &Path) -> Result<End, ReportError> {
        let directory = DataDir::open(root)?;
        let _lock = directory.lock()?;
        let identity = directory.identity()?;
        let control = ControlFile::open(&directory.control_file())?.content();
        let auth = RpcAuth::new(identity.cluster, &directory.secret()?)?;
        let members = control.record.into_iter().flat_map(|record| record.members);
        Ok(End {
            member: identity.member(),
            upto: control.followed.max(control.promised),
            auth,
            others: members.filter(|(node, _)| *node != identity.node).collect(),
        })
    }

    /// Until everybody has answered, or was tried often enough.
    pub(super) async fn tell(&self) {
        join_all(self.others.iter().map(|(node, entry)| self.tell_one(*node, entry))).await;
    }

    async fn tell_one(&self, node: NodeId, entry: &MemberEntry) {
        let mut problem = String::new();
        for _ in 0..TRIES_MAX {
            match tokio::time::timeout(CALL_MAX, self.call(entry)).await {
                Ok(Ok(text)) => {
                    tracing::info!(
                        "told node {node} of the end of node {}: {text}",
                        self.member.node
                    );
                    return;
                }
                Ok(Err(error)) => problem = error,
                Err(_) => problem = "no answer in time".to_owned(),
            }
            tokio::time::sleep(RETRY).await;
        }
        tracing::warn!(
            "cannot tell node {node} of the end of node {}: {problem}",
            self.member.node
        );
    }

    async fn call(&self, entry: &MemberEntry) -> Result<String, String> {
        let mut client = control_client(&self.auth, entry, CALL_MAX).await?;
        let member = Some(member_to_wire(self.member));
        let reply = client.report_end(ReportEndRequest { member, epoch: self.upto.0 }).await;
        Ok(reply.map_err(|status| status.to_string())?.into_inner().text)
    }
}
