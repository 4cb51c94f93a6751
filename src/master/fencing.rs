//! What segments say of epochs, as the node has to hear it (rule 7): a higher epoch that a segment
//! follows or has promised is a refusal of this node's reign, whatever the segment was asked. Only
//! says it; what a primary does about it is the node's.

use std::sync::Arc;

use tokio::sync::watch;

use crate::types::{ClusterState, Epoch, Member, Message, RefuseCause};

use super::inbox::Inbox;
use super::node::NodeView;

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
        if let Some(refusal) = refusal(mine, (followed, promised), record) {
            tracing::debug!("a segment refuses epoch {mine}: {refusal}");
            self.inbox.leave(self.me, refusal);
        }
    }
}

/// A followed epoch was recorded by whoever brought it; a promised one may come to nothing.
fn refusal(
    mine: Epoch,
    (followed, promised): (Epoch, Epoch),
    record: Option<&ClusterState>,
) -> Option<Message> {
    let (higher, cause) = if followed > mine {
        (followed, RefuseCause::Recorded)
    } else if promised > mine {
        (promised, RefuseCause::Promised)
    } else {
        return None;
    };
    // A record of this very reign may be one that was only proposed.
    let record = record.filter(|record| record.epoch > mine).cloned();
    Some(Message::Refuse { refused: mine, higher, cause, record })
}

#[cfg(test)]
#[path = "fencing_tests.rs"]
mod tests;
