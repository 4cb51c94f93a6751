//! The commit point: the position up to which everybody who must has flushed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{Instant, Lsn, Member, NodeId};

use super::progress::{Progress, Stage};

/// The lowest flush position over the required set, our own included; `None` while somebody in it
/// has not been aligned in this epoch, or while `strict` finds fewer than two members.
#[must_use]
pub fn commit_point(
    me: (Member, Lsn),
    required: &BTreeSet<Member>,
    standbys: &BTreeMap<NodeId, Progress>,
    strict: bool,
) -> Option<Lsn> {
    let (me, own_flush) = me;
    if strict && required.len() < 2 {
        return None;
    }
    let mut lowest = own_flush;
    for member in required.iter().filter(|member| **member != me) {
        let progress = standbys.get(&member.node)?;
        if progress.member != *member || progress.stage != Stage::Streaming {
            return None;
        }
        lowest = lowest.min(progress.acked);
    }
    Some(lowest)
}

/// Until when reads may be served: every required member has promised not to stand for `lease`,
/// of which nine tenths are counted, from when the message was sent that its ack echoes. Alone in
/// the set nobody else may stand and there is no limit; `None` while a promise is missing.
#[must_use]
pub fn lease_until(
    me: Member,
    required: &BTreeSet<Member>,
    standbys: &BTreeMap<NodeId, Progress>,
    lease: Duration,
) -> Option<Instant> {
    let mut until = Instant(u64::MAX);
    for member in required.iter().filter(|member| **member != me) {
        let progress = standbys.get(&member.node)?;
        if progress.member != *member {
            return None;
        }
        until = until.min(progress.echo?.after(lease * 9 / 10));
    }
    Some(until)
}
