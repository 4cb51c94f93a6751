//! The coordinator of a cluster in which a person decides (`enable_master_auto_ha = off`).
//!
//! The record is the copy in this node's control file, behind `RecordStore`; segments and the
//! other masters are asked through `Witnesses`. Every decision is `manual_policy`'s: this driver
//! asks, lets it decide, writes durably, and tells the segments. It never takes over by itself.

use std::future::Future;
use std::io;
use std::sync::Arc;

use crate::types::{ClusterState, Epoch, Member, NodeId};

use super::manual_change::Change;
use super::manual_policy::{self as policy, Heard, MasterAnswer, SegmentAnswer, Verdict};
use super::{Authority, Coordinator, ReadOutcome, SwapOutcome};

/// The durable local copy of the record.
pub trait RecordStore: Send + Sync + 'static {
    fn current(&self) -> Option<ClusterState>;
    /// Replaces the record durably if `expected` is still the current one. `Ok(false)`: it is not.
    fn replace(
        &self,
        expected: &ClusterState,
        proposed: &ClusterState,
    ) -> impl Future<Output = io::Result<bool>> + Send;
}

/// Whom the record is witnessed by. Every question is bounded in time by the implementer; who does
/// not answer is left out.
pub trait Witnesses: Send + Sync + 'static {
    /// How many segments are registered in the catalog.
    fn registered(&self) -> usize;

    /// Tells the segments of the reign in `record`, durably, and hears what they follow.
    fn follow(&self, record: ClusterState) -> impl Future<Output = Vec<SegmentAnswer>> + Send;
    /// Asks the segments to refuse epochs below `epoch`, durably.
    fn promise(
        &self,
        epoch: Epoch,
        candidate: Member,
    ) -> impl Future<Output = Vec<SegmentAnswer>> + Send;
    /// Has the segments follow `epoch`, durably, of which there is no record yet.
    fn begin(&self, epoch: Epoch) -> impl Future<Output = Vec<SegmentAnswer>> + Send;
    /// Has the segments store the record (who is in sync), durably.
    fn store(&self, record: ClusterState) -> impl Future<Output = Vec<SegmentAnswer>> + Send;
    /// Asks the other masters of the record what they follow.
    fn masters(&self, record: ClusterState) -> impl Future<Output = Vec<MasterAnswer>> + Send;
    /// A sentence for the operator: what a takeover knew.
    fn say(&self, text: String);
}

/// `ha_manual_shrink`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualShrink {
    /// Most of the registered segments must have stored that the standby is out of sync.
    Witnessed,
    /// Go on alone at once, as HAWQ does.
    Local,
}

pub struct ManualCoordinator<S, W> {
    node: NodeId,
    shrink: ManualShrink,
    store: Arc<S>,
    witnesses: Arc<W>,
}

impl<S: RecordStore, W: Witnesses> ManualCoordinator<S, W> {
    pub fn new(node: NodeId, shrink: ManualShrink, store: Arc<S>, witnesses: Arc<W>) -> Self {
        ManualCoordinator { node, shrink, store, witnesses }
    }

    /// The answers to a question for the segments, with those of the masters where they count.
    async fn hear(&self, record: &ClusterState, change: Asked<'_>) -> Heard {
        let registered = self.witnesses.registered();
        let segments = async {
            match change {
                Asked::Follow => self.witnesses.follow(record.clone()).await,
                Asked::Promise(proposed) => match proposed.member(proposed.primary) {
                    Some(candidate) => self.witnesses.promise(proposed.epoch, candidate).await,
                    None => Vec::new(),
                },
                Asked::Begin(proposed) => self.witnesses.begin(proposed.epoch).await,
                Asked::Store(proposed) => self.witnesses.store(proposed.clone()).await,
            }
        };
        let masters = async {
            match change {
                Asked::Begin(_) | Asked::Store(_) => Vec::new(),
                Asked::Follow | Asked::Promise(_) => self.witnesses.masters(record.clone()).await,
            }
        };
        let (segments, masters) = tokio::join!(segments, masters);
        Heard { registered, segments, masters }
    }

    async fn decide(
        &self,
        authority: Authority,
        current: &ClusterState,
        proposed: &ClusterState,
    ) -> Verdict {
        match Change::of(current, proposed) {
            Change::Restart => {
                let heard = self.hear(current, Asked::Promise(proposed)).await;
                policy::decide_restart(authority, current, proposed, &heard)
            }
            Change::Takeover => {
                if authority == Authority::Rules {
                    let nobody = Heard::default();
                    return policy::decide_takeover(authority, current, proposed, &nobody, false);
                }
                self.decide_by_person(authority, current, proposed).await
            }
            Change::Shrink => {
                let heard = self.hear(current, Asked::Store(proposed)).await;
                let local = self.shrink == ManualShrink::Local;
                policy::decide_shrink(proposed, &heard, local)
            }
            Change::Other => Verdict::Write { says: None },
        }
    }

    /// Promises are asked for only when the takeover will go on: one that is given to a takeover
    /// that is then refused stands in the way of the primary that goes on reigning. What has
    /// changed between the questions shows in the later answers. Promised is not taken over yet:
    /// another may get a higher promise before the segments know of this reign.
    async fn decide_by_person(
        &self,
        authority: Authority,
        current: &ClusterState,
        proposed: &ClusterState,
    ) -> Verdict {
        let local = self.shrink == ManualShrink::Local;
        let before = self.hear(current, Asked::Follow).await.before_promise(proposed.epoch);
        let verdict = policy::decide_takeover(authority, current, proposed, &before, local);
        if matches!(verdict, Verdict::Answer(_)) {
            return verdict;
        }
        let heard = self.hear(current, Asked::Promise(proposed)).await;
        let verdict = policy::decide_takeover(authority, current, proposed, &heard, local);
        let Verdict::Write { says } = verdict else { return verdict };
        let heard = self.hear(current, Asked::Begin(proposed)).await;
        policy::decide_begin(authority, proposed, &heard, says)
    }

    async fn write(&self, current: &ClusterState, proposed: &ClusterState) -> SwapOutcome {
        match self.store.replace(current, proposed).await {
            Ok(true) => SwapOutcome::Done,
            Ok(false) => self.changed(),
            // The file may have been replaced before the error; only a store that has not ended
            // the process gets here.
            Err(error) => {
                SwapOutcome::Unknown { reason: format!("write the control file: {error}") }
            }
        }
    }

    fn changed(&self) -> SwapOutcome {
        SwapOutcome::Failed {
            current: self.store.current().map(Box::new),
            reason: "the record has changed meanwhile".to_owned(),
            met: Epoch::ZERO,
        }
    }
}

/// What the segments are asked.
#[derive(Debug, Clone, Copy)]
enum Asked<'a> {
    Follow,
    Promise(&'a ClusterState),
    Begin(&'a ClusterState),
    Store(&'a ClusterState),
}

impl<S: RecordStore, W: Witnesses> Coordinator for ManualCoordinator<S, W> {
    async fn read(&self, authority: Authority) -> ReadOutcome {
        let Some(mine) = self.store.current() else {
            let reason = "this node has not learned the cluster state yet".to_owned();
            return ReadOutcome::Unavailable { reason };
        };
        let alone = mine.members.len() <= 1 && self.witnesses.registered() == 0;
        if matches!(authority, Authority::Person { .. }) || alone {
            return ReadOutcome::Record(Box::new(mine));
        }
        let heard = self.hear(&mine, Asked::Follow).await;
        policy::decide_read(&mine, self.node, &heard)
    }

    async fn compare_and_swap(&self, authority: Authority, proposed: ClusterState) -> SwapOutcome {
        let Some(current) = self.store.current() else {
            let reason = "this node has not learned the cluster state yet".to_owned();
            return SwapOutcome::Failed { current: None, reason, met: Epoch::ZERO };
        };
        if current.nonce == proposed.nonce && current.version == proposed.version {
            return SwapOutcome::Done;
        }
        if current.version.checked_add(1) != Some(proposed.version)
            || current.epoch > proposed.epoch
        {
            return self.changed();
        }
        match self.decide(authority, &current, &proposed).await {
            Verdict::Answer(outcome) => outcome,
            Verdict::Write { says } => {
                let outcome = self.write(&current, &proposed).await;
                if let (SwapOutcome::Done, Some(text)) = (&outcome, says) {
                    self.witnesses.say(text);
                }
                outcome
            }
        }
    }

    /// The record of a cluster in manual mode is made by `hawq init`.
    async fn create(&self, _: ClusterState) -> SwapOutcome {
        let reason = "manual mode keeps the record in the control file".to_owned();
        SwapOutcome::Failed {
            current: self.store.current().map(Box::new),
            reason,
            met: Epoch::ZERO,
        }
    }
}

#[cfg(test)]
#[path = "manual_tests.rs"]
mod tests;
