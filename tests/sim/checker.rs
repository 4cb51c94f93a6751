//! The invariants of the protocol, checked at every step of every seed.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::time::Duration;

use aerie::types::{ClusterState, Epoch, Instant, Lsn, NodeId};

use crate::storage::Entry;

/// Above every epoch.
const LAST: Epoch = Epoch(u64::MAX);

/// What clients were told, and what nodes applied.
#[derive(Debug, Default)]
pub struct Checker {
    /// Manual mode where a primary goes on alone at its own word: its standby may be activated
    /// beside it, and then two lines of the log are served. What is acknowledged alone is not
    /// promised there, and what is applied is compared within the line that an epoch began.
    pub several_lines: bool,
    /// End LSN of each acknowledged write and the write's number.
    pub acked: BTreeMap<Lsn, u64>,
    /// What was applied at each position (of each line), by whichever node came first.
    applied: BTreeMap<(Lsn, Epoch), u64>,
    /// Who acknowledged in which epoch.
    acked_by: BTreeMap<Epoch, NodeId>,
    /// The epoch of each acknowledged write.
    epochs: BTreeMap<Lsn, Epoch>,
    pub highest_acked: Lsn,
    /// The highest epoch that was ever open.
    pub newest: Epoch,
    pub acked_alone: u64,
    /// Manual mode: when each takeover from another node was written on its disk.
    taken_over: BTreeMap<Epoch, Instant>,
    pub reads: u64,
    pub opens: u64,
    pub faults: u64,
    /// Primaries that let go for want of their coordinator.
    pub lone_stops: u64,
}

impl Checker {
    /// I4 and I7: what one node applies at a position, every node applies there.
    pub fn applied(&mut self, node: NodeId, at: Range<Lsn>, entry: Entry) {
        let (start, end) = (at.start, at.end);
        let line = if self.several_lines { entry.epoch } else { Epoch::ZERO };
        let between = (Bound::Excluded((start, LAST)), Bound::Excluded((end, Epoch::ZERO)));
        let within = self.applied.range(between).find(|((_, of), _)| *of == line);
        assert!(within.is_none(), "I4: node {node} applied {start} to {end} over {within:?}");
        let first = *self.applied.entry((end, line)).or_insert(entry.content);
        assert!(first == entry.content, "I4: node {node} applied other content at {end}");
    }

    /// I2: one node acknowledges in an epoch, and what epochs acknowledged never overlaps.
    pub fn acknowledged(
        &mut self,
        (node, epoch): (NodeId, Epoch),
        end: Lsn,
        write: u64,
        alone: bool,
    ) {
        let by = *self.acked_by.entry(epoch).or_insert(node);
        assert!(by == node, "I2: nodes {by} and {node} both acknowledged in epoch {epoch}");
        if alone {
            self.acked_alone += 1;
            return;
        }
        let known = self.acked.insert(end, write);
        assert!(known.is_none(), "I2: {end} was acknowledged as write {known:?} and as {write}");
        let before = self.epochs.range(..end).next_back().map(|(_, epoch)| *epoch);
        let after = self.epochs.range(end..).next().map(|(_, epoch)| *epoch);
        assert!(before.is_none_or(|before| before <= epoch), "I2: {epoch} after {before:?}");
        assert!(after.is_none_or(|after| epoch <= after), "I2: {epoch} before {after:?}");
        self.epochs.insert(end, epoch);
        self.highest_acked = self.highest_acked.max(end);
    }

    /// I1: a new primary's log holds every acknowledged write of the reigns before it; what it has
    /// recycled (below `first`) it had applied, and so had compared with what others applied there.
    pub fn opened(
        &mut self,
        (node, epoch): (NodeId, Epoch),
        first: Lsn,
        at: impl Fn(Lsn) -> Option<u64>,
    ) {
        self.opens += 1;
        self.newest = self.newest.max(epoch);
        let before = self.acked.iter().filter(|(end, _)| self.epochs[end] <= epoch);
        for (end, write) in before {
            let mut applied = self.applied.range((*end, Epoch::ZERO)..=(*end, LAST));
            let recycled = || {
                applied.find(|(_, found)| *end <= first && *found == write).map(|(_, found)| *found)
            };
            let found = at(*end).or_else(recycled);
            assert!(found == Some(*write), "I1: node {node} opened without write {write} at {end}");
        }
    }

    /// Manual mode, section 6: whoever takes over from itself has asked first whether somebody has
    /// taken over from it. What was written while it last asked it cannot know.
    pub fn written(&mut self, now: Instant, before: &ClusterState, record: &ClusterState) {
        if record.primary != before.primary {
            self.taken_over.insert(record.epoch, now);
        } else if record.epoch > before.epoch {
            let above = (Bound::Excluded(before.epoch), Bound::Unbounded);
            let known = |at: &Instant| at.after(Duration::from_millis(300)) < now;
            let missed = self.taken_over.range(above).find(|(_, at)| known(at));
            assert!(missed.is_none(), "{record} takes over from itself; {missed:?} came before");
        }
    }

    pub fn read(&mut self, node: NodeId, applied: Lsn) {
        self.read_since(node, applied, self.highest_acked);
    }

    /// I5: a read sees every write that was acknowledged before it began.
    pub fn read_since(&mut self, node: NodeId, applied: Lsn, newest: Lsn) {
        self.reads += 1;
        assert!(applied >= newest, "I5: node {node} served a read at {applied}, acked {newest}");
    }
}
