//! One simulated host: a disk, a clock of its own, and perhaps a running node.

use std::collections::BTreeMap;
use std::time::Duration;

use aerie::fts::Machine;
use aerie::ha::ManualShrink;
use aerie::master::node::Node;
use aerie::types::{Epoch, Incarnation, Instant, Lsn, Member, NodeId};

use crate::manual::Manual;
use crate::proposing::Asking;
use crate::segments::machine;
use crate::storage::Storage;
use crate::witnessing::Gathering;

pub struct Host {
    pub id: NodeId,
    pub incarnation: Incarnation,
    pub storage: Storage,
    pub node: Option<Node>,
    /// Counts starts: what belongs to an earlier process is dropped.
    pub life: u64,
    /// Stopped (SIGSTOP): events wait until then.
    pub paused_until: Instant,
    /// A virtual machine: its clock stands still while it is stopped.
    pub clock_stops: bool,
    /// Parts per million by which this clock runs fast, and where it began.
    pub skew: u64,
    pub offset: u64,
    pub open: bool,
    /// Writes in the log that a client waits for, by where they end.
    pub waiting: BTreeMap<Lsn, u64>,
    pub tickets: BTreeMap<u64, u64>,
    pub wake: Option<Instant>,
    pub asking: Asking,
    pub shrink: ManualShrink,
    pub manual: Manual,
    pub gathered: BTreeMap<u64, Gathering>,
    /// The record that the segments were last told of, and when.
    pub announced: Option<((Epoch, u64), Instant)>,
    /// A read that waits for its confirmation: when it came (this clock), what was acked by then.
    pub reading: Option<(Instant, Lsn)>,
    pub flush_slow: bool,
    /// For whom it asks the primary to hand its reign over.
    pub asks_release: u64,
    pub fts: Machine,
    pub fts_wake: Option<Instant>,
    /// When it was last started, and when started or woken: what came before may still be waiting.
    pub started: Instant,
    pub woke: Instant,
}

impl Host {
    pub fn new(member: Member, storage: Storage) -> Host {
        Host {
            id: member.node,
            incarnation: member.incarnation,
            storage,
            node: None,
            life: 0,
            paused_until: Instant(0),
            clock_stops: false,
            skew: 0,
            offset: 0,
            open: false,
            waiting: BTreeMap::new(),
            tickets: BTreeMap::new(),
            wake: None,
            asking: Asking::new(member.node),
            shrink: ManualShrink::Witnessed,
            manual: Manual::new(member.node, ManualShrink::Witnessed),
            gathered: BTreeMap::new(),
            announced: None,
            reading: None,
            flush_slow: false,
            asks_release: 0,
            fts: machine(),
            fts_wake: None,
            started: Instant(0),
            woke: Instant(0),
        }
    }

    pub fn member(&self) -> Member {
        Member { node: self.id, incarnation: self.incarnation }
    }

    /// Stopped until then, at least.
    pub fn pause(&mut self, now: Instant, span: Duration) {
        let from = self.paused_until.max(now);
        self.paused_until = from.max(now.after(span));
        self.woke = self.paused_until;
        if self.clock_stops {
            let stands = self.paused_until.since(from).as_nanos() as u64;
            self.offset = self.offset.saturating_sub(stands);
        }
    }

    /// Runs again, at once where it was stopped for longer. A clock never goes back.
    pub fn resume(&mut self, now: Instant) {
        if self.clock_stops && self.paused_until > now {
            self.offset += self.paused_until.since(now).as_nanos() as u64;
        }
        self.paused_until = now;
        self.woke = self.woke.min(now);
    }

    /// This host's clock at true time `now`.
    pub fn clock(&self, now: Instant) -> Instant {
        let drift = u128::from(now.0) * u128::from(self.skew) / 1_000_000;
        Instant(now.0 + self.offset + drift as u64)
    }

    /// The true time at which this host's clock will show `local` (rounded up).
    pub fn true_time(&self, local: Instant) -> Instant {
        let since = u128::from(local.0.saturating_sub(self.offset));
        Instant((since * 1_000_000 / u128::from(1_000_000 + self.skew)) as u64 + 1)
    }
}
