//! What goes wrong, drawn from the seed: crashes, stops, cut links, a deaf coordinator, slow disks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aerie::types::{Instant, Message, NodeId};

use crate::rng::Rng;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Crash {
        node: NodeId,
        power: bool,
        down: Duration,
    },
    CrashAll {
        power: bool,
    },
    Pause {
        node: NodeId,
        span: Duration,
    },
    /// Nothing gets from the first to the second; both ways where `both`.
    Cut {
        from: NodeId,
        to: NodeId,
        both: bool,
        span: Duration,
    },
    CoordinatorDown {
        span: Duration,
    },
    /// One host cannot reach the coordinator.
    CoordinatorCut {
        node: NodeId,
        span: Duration,
    },
    SlowDisk {
        node: NodeId,
        span: Duration,
    },
    /// The host's data directory is lost; it comes back as a new life.
    Wipe {
        node: NodeId,
    },
    Release {
        node: NodeId,
    },
    /// Somebody holds takeovers up, and lets them go on later, through any node.
    Hold {
        node: NodeId,
        span: Duration,
    },
    /// A segment's agent dies, or comes back.
    Segment {
        agent: u64,
    },
    /// An agent dies and is back soon.
    SegmentCrash {
        agent: u64,
        down: Duration,
    },
    /// Nothing gets from a master to an agent, or back.
    SegmentCut {
        node: NodeId,
        agent: u64,
        way: Way,
        span: Duration,
    },
    /// A master is cut from all others and all segments, though not from its clients.
    Isolation {
        node: NodeId,
        span: Duration,
    },
}

/// Between a master and an agent: towards the agent, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    There,
    Back,
}

pub fn draw(rng: &mut Rng, nodes: &[NodeId]) -> Fault {
    let pick = |rng: &mut Rng| nodes[rng.below(nodes.len() as u64) as usize];
    let node = pick(rng);
    let span = rng.between(Duration::from_millis(50), Duration::from_millis(3000));
    let power = rng.percent(50);
    match rng.below(100) {
        0..8 => Fault::Segment { agent: rng.next() },
        8..30 => Fault::Crash { node, power, down: span },
        30..34 => Fault::CrashAll { power },
        34..50 => Fault::Pause { node, span },
        50..56 => Fault::SlowDisk { node, span },
        56..60 => Fault::Release { node },
        60..80 => {
            let to = pick(rng);
            Fault::Cut { from: node, to, both: rng.percent(50), span }
        }
        80..88 => Fault::CoordinatorDown { span },
        88..95 => Fault::CoordinatorCut { node, span },
        95..98 => Fault::Hold { node, span },
        _ => Fault::Wipe { node },
    }
}

/// Where a person decides, segments are witnesses, and there is no coordinator.
pub fn draw_by_hand(rng: &mut Rng, nodes: &[NodeId]) -> Fault {
    let pick = |rng: &mut Rng| nodes[rng.below(nodes.len() as u64) as usize];
    let (node, agent) = (pick(rng), rng.next());
    let span = rng.between(Duration::from_millis(50), Duration::from_millis(3000));
    let power = rng.percent(50);
    match rng.below(100) {
        0..12 => Fault::SegmentCrash { agent, down: span },
        12..30 => Fault::Crash { node, power, down: span },
        30..35 => Fault::CrashAll { power },
        35..46 => Fault::Pause { node, span },
        46..50 => Fault::SlowDisk { node, span },
        50..53 => Fault::Release { node },
        53..70 => {
            let to = pick(rng);
            Fault::Cut { from: node, to, both: rng.percent(50), span }
        }
        70..84 => {
            let way = if rng.percent(50) { Way::There } else { Way::Back };
            Fault::SegmentCut { node, agent, way, span }
        }
        _ => Fault::Isolation { node, span },
    }
}

#[derive(Debug, Clone, Default)]
pub struct Links {
    pub cut: BTreeSet<(NodeId, NodeId)>,
    pub no_coordinator: BTreeSet<NodeId>,
    /// Between masters and agents.
    pub agents: BTreeSet<(NodeId, usize, Way)>,
    /// When the last of those was mended.
    pub agents_mended: Instant,
    /// Messages of that kind get lost on that link (scenarios only).
    pub lost: BTreeSet<(NodeId, NodeId, String)>,
    /// When the newest message on each link arrives.
    pub delivered: BTreeMap<(NodeId, NodeId), Instant>,
}

impl Links {
    pub fn loses(&self, (from, to): (NodeId, NodeId), message: &Message) -> bool {
        let kind = match message {
            Message::Align { .. } => "align",
            Message::Append { .. } => "append",
            _ => return self.cut.contains(&(from, to)),
        };
        self.cut.contains(&(from, to)) || self.lost.contains(&(from, to, kind.to_owned()))
    }
}
