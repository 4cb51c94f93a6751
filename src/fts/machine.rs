//! The state machine of segment fault tolerance: registration, status, suspicion.
//!
//! Heartbeats are heard in every role; only in a reign, once the catalog's rows are loaded, does
//! anything follow from them. A segment is the row that its random identity has claimed; a row that
//! nobody claimed yet (after a takeover, the catalog does not store identities) is claimed by host
//! name and port, so registration orders stay what they were. Segments that vanish all at once are
//! recorded as what they are, down: what follows from that is for the gate (`allocate`) to say.
//! It never forgets a segment by itself and never decides who is primary.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::types::{Heartbeat, Instant, ProbeOutcome, Reason, Reasons, SegmentStatus};

use super::allocate::SegmentAddress;
use super::detector::{Detector, Silence};
use super::event::{Effect, Event, SegmentRow, Severity, Suspect, Write};
use super::probes::{Probes, Verdict};
use super::registered::{Heard, Registered, place, report_replaced, report_two_agents};
use super::segment::{self, SignOfLife};
use super::settings::Settings;
use super::store::Storage;

/// Identities that are remembered; a cluster has some thousands of segments at most.
const SEGMENTS_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reign {
    /// Not the primary: only listening.
    None,
    /// Primary, the catalog's rows are being read.
    Loading {
        since: Instant,
    },
    Open,
}

/// * A segment is up if and only if it has no reason.
/// * Orders are given from 1 in order of first registration and never to another segment.
/// * Nothing is asked for outside a reign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub(super) settings: Settings,
    reign: Reign,
    pub(super) heard: BTreeMap<u64, Heard>,
    pub(super) registered: BTreeMap<NonZeroU32, Registered>,
    claims: BTreeMap<u64, NonZeroU32>,
    highest_order: u32,
    generation: u64,
    detector: Detector,
    pub(super) probes: Probes,
}

impl Machine {
    #[must_use]
    pub fn new(settings: Settings) -> Machine {
        Machine {
            settings,
            reign: Reign::None,
            heard: BTreeMap::new(),
            registered: BTreeMap::new(),
            claims: BTreeMap::new(),
            highest_order: 0,
            generation: 0,
            detector: Detector::new(&settings),
            probes: Probes::new(&settings),
        }
    }

    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::HeartbeatReceived { heartbeat, peer_address } => {
                self.heartbeat(now, heartbeat, peer_address, effects);
            }
            Event::ReignBegan => {
                self.leave_reign();
                self.reign = Reign::Loading { since: now };
            }
            Event::ReignEnded => self.leave_reign(),
            Event::Loaded { rows } => self.load(now, rows, effects),
            Event::ProbeFinished { order, attempt, outcome } => {
                self.probed(now, order, attempt, outcome);
            }
            Event::Suspected(suspect) => self.suspect(now, &suspect, effects),
            Event::Stored { order, generation } => {
                if let Some(known) = self.registered.get_mut(&order) {
                    known.storage.stored(generation);
                }
            }
            Event::StoreFailed { order, generation, error } => {
                if let Some(known) = self.registered.get_mut(&order)
                    && known.storage.failed(now, generation, self.settings.store_retry)
                {
                    let text = format!("segment {order} could not be stored ({error:?}), again");
                    effects.push(Effect::Report { severity: Severity::Warning, text });
                }
            }
            Event::Removed { order } => self.remove(order),
            Event::Deadline => self.scan(now, effects),
        }
        self.ask(now, effects);
    }

    /// When `Event::Deadline` is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let stores = self.registered.values().filter_map(|known| known.storage.deadline());
        stores.chain(self.detector.next_scan()).chain(self.probes.deadline()).min()
    }

    fn leave_reign(&mut self) {
        self.reign = Reign::None;
        self.registered.clear();
        self.claims.clear();
        self.highest_order = 0;
        self.detector.clear();
        self.probes.clear();
    }

    fn load(&mut self, now: Instant, rows: Vec<SegmentRow>, effects: &mut Vec<Effect>) {
        let Reign::Loading { since } = self.reign else { return };
        self.reign = Reign::Open;
        for row in rows {
            self.load_row(row, since);
        }
        // What was heard before the reign says who is who and where; what a status should be is
        // only taken from heartbeats of this reign, the recorded one may be younger than others.
        let warm: Vec<u64> = self.heard.keys().copied().collect();
        for segment in warm {
            let Some(heard) = self.heard.get(&segment).cloned() else { continue };
            if heard.at >= since {
                self.apply_heartbeat(heard.at, heard, false, effects);
            } else if now.since(heard.at) <= self.settings.heartbeat_timeout
                && let Some(order) = self.unclaimed_row(&heard.heartbeat)
            {
                self.claim(segment, order);
            }
        }
    }

    fn load_row(&mut self, row: SegmentRow, since: Instant) {
        let stored_up = row.status == SegmentStatus::Up;
        let mut reasons = match row.status {
            SegmentStatus::Up => Reasons::default(),
            SegmentStatus::Down(reasons) => reasons,
        };
        let mut storage = Storage::loaded(stored_up);
        if reasons.contains(Reason::NoGlobalNodeReport) {
            // Only a global resource manager could take it back, and none is configured.
            reasons.remove(Reason::NoGlobalNodeReport);
            storage.note_change(Some(segment::history_text(&reasons)));
        }
        let SegmentRow { order, hostname, address, port, .. } = row;
        let known = Registered { hostname, address, port, reasons, segment: None, storage };
        self.registered.insert(order, known);
        self.highest_order = self.highest_order.max(order.get());
        self.detector.signal(order, since);
    }

    fn heartbeat(
        &mut self,
        now: Instant,
        heartbeat: Heartbeat,
        peer_address: String,
        effects: &mut Vec<Effect>,
    ) {
        let before = self.heard.get(&heartbeat.segment);
        if before.is_none() && self.heard.len() >= SEGMENTS_MAX {
            let text = format!("heartbeat ignored: more than {SEGMENTS_MAX} segments");
            effects.push(Effect::Report { severity: Severity::Warning, text });
            return;
        }
        let last_start = before.map(|heard| heard.heartbeat.started_at);
        let started_anew = last_start.is_some_and(|start| start != heartbeat.started_at);
        let mut started_before = before.and_then(|heard| heard.started_before);
        if started_anew {
            if started_before == Some(heartbeat.started_at) {
                effects.push(report_two_agents(&heartbeat, &peer_address));
            }
            started_before = last_start;
        }
        let heard = Heard { at: now, heartbeat, peer_address, started_before };
        self.heard.insert(heard.heartbeat.segment, heard.clone());
        if self.reign == Reign::Open {
            self.apply_heartbeat(now, heard, started_anew, effects);
        }
    }

    fn apply_heartbeat(
        &mut self,
        at: Instant,
        heard: Heard,
        started_anew: bool,
        effects: &mut Vec<Effect>,
    ) {
        let segment = heard.heartbeat.segment;
        let claimed = self.claims.get(&segment).copied();
        let Some(order) = claimed.or_else(|| self.row_at(&heard.heartbeat)) else {
            return self.register(at, heard, effects);
        };
        // Another identity at the same host and port: its data directory was made anew.
        let owner = self.registered.get(&order).and_then(|known| known.segment);
        let replaced = owner.filter(|owner| *owner != segment);
        if let Some(owner) = replaced {
            effects.push(report_replaced(order, owner, &heard));
        }
        self.claim(segment, order);
        self.detector.signal(order, at);
        let Some(known) = self.registered.get_mut(&order) else { return };
        let sign = SignOfLife {
            started_anew: started_anew || replaced.is_some(),
            failed_directories: heard.heartbeat.failed_directories.clone(),
        };
        known.set_reasons(segment::after_heartbeat(&known.reasons, sign));
        known.set_place(&heard);
    }

    fn register(&mut self, at: Instant, heard: Heard, effects: &mut Vec<Effect>) {
        let Some(order) = self.highest_order.checked_add(1).and_then(NonZeroU32::new) else {
            return;
        };
        self.highest_order = order.get();
        let (hostname, address) = place(&heard);
        let mut reasons = Reasons::default();
        reasons.set_failed_directories(heard.heartbeat.failed_directories.clone());
        let mut storage = Storage::unregistered();
        storage.note_change(Some(segment::history_text(&reasons)));
        let text = format!("segment registered order={order} host={hostname} address={address}");
        effects.push(Effect::Report { severity: Severity::Info, text });
        let port = heard.heartbeat.port;
        let known = Registered { hostname, address, port, reasons, segment: None, storage };
        self.registered.insert(order, known);
        self.claim(heard.heartbeat.segment, order);
        self.detector.signal(order, at);
    }

    /// The row of the same host name and port, whoever claimed it.
    fn row_at(&self, heartbeat: &Heartbeat) -> Option<NonZeroU32> {
        let same = |known: &Registered| {
            known.port == heartbeat.port && known.hostname == heartbeat.hostname
        };
        self.registered.iter().find(|(_, known)| same(known)).map(|(order, _)| *order)
    }

    fn unclaimed_row(&self, heartbeat: &Heartbeat) -> Option<NonZeroU32> {
        self.row_at(heartbeat)
            .filter(|order| self.registered.get(order).is_some_and(|row| row.segment.is_none()))
    }

    fn claim(&mut self, segment: u64, order: NonZeroU32) {
        let Some(known) = self.registered.get_mut(&order) else { return };
        if let Some(owner) = known.segment.replace(segment) {
            self.claims.remove(&owner);
        }
        self.claims.insert(segment, order);
    }

    fn remove(&mut self, order: NonZeroU32) {
        if let Some(Registered { segment: Some(segment), .. }) = self.registered.remove(&order) {
            self.claims.remove(&segment);
            self.heard.remove(&segment);
        }
        self.detector.forget(order);
        self.probes.forget(order);
    }

    fn suspect(&mut self, now: Instant, suspect: &Suspect, effects: &mut Vec<Effect>) {
        let matches = |order: NonZeroU32, known: &Registered| match suspect {
            Suspect::Order(wanted) => *wanted == order,
            Suspect::Host(host) => known.hostname == *host || known.address == *host,
        };
        let found: Vec<NonZeroU32> = self
            .registered
            .iter()
            .filter(|(order, known)| matches(**order, known))
            .map(|(order, _)| *order)
            .collect();
        if found.is_empty() && self.reign == Reign::Open {
            let text = format!("suspected segment is not registered: {suspect}");
            effects.push(Effect::Report { severity: Severity::Warning, text });
        }
        for order in found {
            if self.agent_of(order).is_some() {
                self.suspect_one(now, order);
            } else if let Some(known) = self.registered.get_mut(&order) {
                // Reported, and it cannot even be asked (HAWQ: the probe could not be started).
                known.set_reasons(segment::after_probe(&known.reasons, ProbeOutcome::Failed));
            }
        }
    }

    /// One that is down already is not probed: nothing would be recorded.
    fn suspect_one(&mut self, now: Instant, order: NonZeroU32) {
        if self.registered.get(&order).is_some_and(|known| known.reasons.is_empty()) {
            self.probes.suspect(order, now);
        }
    }

    fn scan(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (order, attempt) in self.probes.overdue(now) {
            self.probed(now, order, attempt, ProbeOutcome::CommunicationError);
        }
        for (order, silence) in self.detector.scan(now) {
            match silence {
                Silence::Suspect if self.agent_of(order).is_some() => self.suspect_one(now, order),
                // Not heard in this reign and nobody knows where: only time will tell.
                Silence::Suspect => {}
                Silence::TimedOut => self.time_out(order, effects),
            }
        }
    }

    fn time_out(&mut self, order: NonZeroU32, effects: &mut Vec<Effect>) {
        self.probes.forget(order);
        if let Some(known) = self.registered.get_mut(&order) {
            known.set_reasons(segment::after_timeout(&known.reasons));
            let text =
                format!("segment {order} at {} is silent: heartbeat timeout", known.hostname);
            effects.push(Effect::Report { severity: Severity::Warning, text });
        }
    }

    fn probed(&mut self, now: Instant, order: NonZeroU32, attempt: u64, outcome: ProbeOutcome) {
        if let Verdict::Final(outcome) = self.probes.finish(now, order, attempt, outcome)
            && let Some(known) = self.registered.get_mut(&order)
        {
            known.set_reasons(segment::after_probe(&known.reasons, outcome));
        }
    }

    /// Asks for the probes and writes that may begin now.
    fn ask(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.reign != Reign::Open {
            return;
        }
        for (order, attempt) in self.probes.begin(now) {
            if let Some(SegmentAddress { address, rpc_port, .. }) = self.agent_of(order) {
                effects.push(Effect::Probe { order, address, rpc_port, attempt });
            }
        }
        for (order, known) in &mut self.registered {
            let generation = self.generation + 1;
            let up = known.reasons.is_empty();
            if let Some(history) = known.storage.begin(now, generation, up) {
                self.generation = generation;
                let write = Write { row: known.row(*order), generation, history };
                let registered = known.storage.is_registered();
                effects.push(if registered {
                    Effect::Change(write)
                } else {
                    Effect::Register(write)
                });
            }
        }
    }

    fn agent_of(&self, order: NonZeroU32) -> Option<SegmentAddress> {
        let heard = self.heard.get(&self.registered.get(&order)?.segment?)?;
        (heard.heartbeat.rpc_port != 0).then(|| heard.agent())
    }
}
