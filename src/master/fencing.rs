//! Tells the node what segments say of epochs (`testimony`). What a primary does about it is the
//! node's.

use std::sync::Arc;

use tokio::sync::watch;

use crate::types::{ClusterState, Epoch, Member};

use super::inbox::Inbox;
use super::node::NodeView;
use super::testimony::segment_refusal;

#[derive(Clone)]
pub(super) struct Fencing {
    pub(super) me: Member,
    pub(super) node: watch::Receiver<Arc<NodeView>>,
    pub(super) inbox: Arc<Inbox>,
}

impl Fencing {
    /// Every answer of a segment comes by here. The node is told of each that is above its epoch,
    /// again and again, since messages may be dropped where too much waits.
    pub(super) fn heard(&self, followed: Epoch, promised: Epoch, record: Option<&ClusterState>) {
        let mine = self.node.borrow().epoch;
        if let Some(refusal) = segment_refusal(mine, (followed, promised), record) {
            tracing::debug!("a segment refuses epoch {mine}: {refusal}");
            self.inbox.leave(self.me, refusal);
        }
    }
}

#[cfg(test)]
#[path = "fencing_tests.rs"]
mod tests;
