//! What segments say of epochs, as the node has to hear it (rule 7): a higher epoch that a segment
//! follows or has promised is a refusal of this node's reign, whatever the segment was asked.

use crate::types::{ClusterState, Epoch, Message, RefuseCause};

/// A followed epoch was recorded by whoever brought it; a promised one may come to nothing.
#[must_use]
pub fn segment_refusal(
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
