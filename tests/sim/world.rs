//! The simulated world: one queue of things to come, ordered by time, drawn from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aerie::ha::{ReadOutcome, SwapOutcome};
use aerie::master::node::{Node, NodeSettings};
use aerie::master::{Control, Effect, Event, Request};
use aerie::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Instant, Lsn, Member, MemberEntry, Message, Mode,
    NodeId, Nonce, TimelineHistory,
};

use crate::checker::Checker;
use crate::coordinator::Register;
use crate::faults::{Fault, Links, draw};
use crate::host::Host;
use crate::rng::Rng;
use crate::segments::{Agent, Pending, machine};
use crate::storage::{Storage, transaction};

fn control(record: Option<ClusterState>) -> Control {
    Control { followed: Epoch::ZERO, promised: Epoch::ZERO, record }
}

pub const CLUSTER: ClusterId = ClusterId(0xAE21E);

#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: u8,
    pub manual: bool,
    pub strict: bool,
    pub trace: bool,
    pub segments: u64,
    /// True time with faults, then as long as needed (bounded) without.
    pub stormy: Duration,
    pub calm: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 3,
            manual: false,
            strict: false,
            trace: std::env::var("SEED").is_ok(),
            segments: 3,
            stormy: Duration::from_secs(20),
            calm: Duration::from_secs(30),
        }
    }
}

#[derive(Debug)]
pub enum Action {
    Deliver {
        to: NodeId,
        from: Member,
        message: Message,
    },
    Local {
        host: NodeId,
        life: u64,
        event: Event,
    },
    Wake {
        host: NodeId,
        life: u64,
    },
    Flushed {
        host: NodeId,
        life: u64,
        epoch: Epoch,
    },
    Applying {
        host: NodeId,
        life: u64,
        lsn: Lsn,
    },
    Control {
        host: NodeId,
        life: u64,
        ticket: u64,
        control: Box<Control>,
    },
    Read {
        host: NodeId,
        life: u64,
        attempt: u64,
    },
    Swap {
        host: NodeId,
        life: u64,
        proposed: Box<ClusterState>,
    },
    Seed {
        host: NodeId,
        life: u64,
        from: NodeId,
    },
    Client,
    Reader,
    Person,
    Fault,
    Heal(Fault),
    Restart {
        host: NodeId,
    },
    /// A segment's agent sends its heartbeat.
    Beat {
        agent: usize,
    },
    Fts {
        host: NodeId,
        life: u64,
        event: aerie::fts::Event,
    },
    FtsWake {
        host: NodeId,
        life: u64,
    },
}

pub struct World {
    pub options: Options,
    pub now: Instant,
    pub rng: Rng,
    pub queue: BTreeMap<(Instant, u64), Action>,
    pub sequence: u64,
    pub hosts: BTreeMap<NodeId, Host>,
    pub register: Register,
    pub links: Links,
    pub checker: Checker,
    pub trace: Vec<String>,
    pub writes: u64,
    pub tickets: u64,
    pub calm: bool,
    pub lives: u64,
    pub agents: Vec<Agent>,
    pub started: u64,
    /// Writes of the fault tolerance machines that are under way, by number.
    pub pending: BTreeMap<u64, Pending>,
    /// The next answers of the coordinator that get lost; what was asked takes effect.
    pub lose_answers: u64,
    /// Swaps take so long to get to the coordinator.
    pub delay_swaps: Duration,
}

impl World {
    pub fn new(seed: u64, options: Options) -> World {
        let mut rng = Rng::new(seed);
        let ids: Vec<NodeId> = (1..=options.nodes).filter_map(NodeId::new).collect();
        let incarnation = |id: NodeId| Incarnation(u64::from(id.get()) << 32);
        let members = ids.iter().map(|id| {
            let entry = MemberEntry {
                incarnation: incarnation(*id),
                host: format!("host{id}"),
                rpc_port: 1,
                pg_port: 1,
                priority: 200 - u32::from(id.get()),
            };
            (*id, entry)
        });
        let record = ClusterState {
            version: 1,
            cluster_id: CLUSTER,
            epoch: Epoch::ZERO,
            primary: ids[0],
            in_sync: BTreeSet::from([Member { node: ids[0], incarnation: incarnation(ids[0]) }]),
            members: members.collect(),
            voters: BTreeSet::new(),
            next_voters: None,
            mode: if options.manual { Mode::Manual } else { Mode::Embedded },
            nonce: Nonce(0),
            history: TimelineHistory::default(),
            not_synchronized_since: None,
        };
        let hosts = ids.iter().map(|id| {
            let host = Host {
                id: *id,
                incarnation: incarnation(*id),
                storage: Storage::new(rng.next(), incarnation(*id), control(Some(record.clone()))),
                node: None,
                life: 0,
                paused_until: Instant(0),
                skew: rng.below(20_000),
                offset: rng.below(1 << 40),
                open: false,
                waiting: BTreeMap::new(),
                tickets: BTreeMap::new(),
                wake: None,
                flush_slow: false,
                fts: machine(),
                fts_wake: None,
                woke: Instant(0),
            };
            (*id, host)
        });
        let hosts = hosts.collect();
        let mut world = World {
            options,
            now: Instant(1_000_000_000),
            rng,
            queue: BTreeMap::new(),
            sequence: 0,
            hosts,
            register: Register::new(record),
            links: Links::default(),
            checker: Checker::default(),
            trace: Vec::new(),
            writes: 0,
            tickets: 0,
            calm: false,
            lives: 0,
            agents: Vec::new(),
            started: 0,
            pending: BTreeMap::new(),
            lose_answers: 0,
            delay_swaps: Duration::ZERO,
        };
        for id in ids {
            world.after(Duration::from_millis(1), Action::Restart { host: id });
        }
        world.after(Duration::from_millis(100), Action::Client);
        world.after(Duration::from_millis(100), Action::Reader);
        world.after(Duration::from_millis(1500), Action::Fault);
        world.after(Duration::from_secs(1), Action::Person);
        world.add_segments(world.options.segments);
        world
    }

    pub fn after(&mut self, wait: Duration, action: Action) {
        self.sequence += 1;
        self.queue.insert((self.now.after(wait), self.sequence), action);
    }

    pub fn soon(&mut self, low_us: u64, high_us: u64, action: Action) {
        let (low, high) = (Duration::from_micros(low_us), Duration::from_micros(high_us));
        let wait = self.rng.between(low, high);
        self.after(wait, action);
    }

    pub fn note(&mut self, line: impl FnOnce(&World) -> String) {
        if self.options.trace {
            let line = line(self);
            let line = format!("{:>9.3}ms {line}", self.now.0 as f64 / 1e6);
            if std::env::var("SEED").is_ok() {
                eprintln!("{line}");
            }
            self.trace.push(line);
        }
    }

    /// Storm, then calm: everything works again and the cluster must come to rest.
    pub fn run(&mut self) {
        let storm_ends = self.now.after(self.options.stormy);
        self.run_until(storm_ends, |_| false);
        self.calm = true;
        self.heal_everything();
        let bound = self.now.after(self.options.calm);
        let settled = self.run_until(bound, World::settled);
        assert!(settled, "I6: not settled in {:?}: {}", self.options.calm, self.picture());
        let writes = self.checker.acked.len();
        let bound = self.now.after(Duration::from_secs(5));
        let goes_on = self.run_until(bound, |world| world.checker.acked.len() > writes + 3);
        assert!(goes_on, "I6: no write is acknowledged after the storm: {}", self.picture());
    }

    pub fn run_until(&mut self, bound: Instant, done: impl Fn(&World) -> bool) -> bool {
        while let Some(((at, _), action)) = self.queue.pop_first() {
            if at > bound {
                self.after(at.since(self.now), action);
                self.now = bound;
                return done(self);
            }
            self.now = at;
            self.perform(action);
            if done(self) {
                return true;
            }
        }
        false
    }

    /// One open primary, everybody in the set, everybody at the same position.
    fn settled(&self) -> bool {
        let open = self.hosts.values().filter(|host| host.open).count();
        let all = self.register.record.in_sync.len() == self.hosts.len();
        let alive = self.hosts.values().all(|host| host.node.is_some());
        let applied: BTreeSet<Lsn> = self.hosts.values().map(|h| h.storage.applied()).collect();
        if open != 1 || !all || !alive || applied.len() != 1 {
            return false;
        }
        let primary = self.hosts.values().find(|host| host.open).map(|host| host.id);
        if !primary.is_some_and(|id| self.segments_settled(id)) {
            return false;
        }
        let digests: BTreeSet<_> = self.hosts.values().map(|h| h.storage.digest()).collect();
        assert!(digests.len() == 1, "I7: catalogs differ at {applied:?}");
        true
    }

    fn picture(&self) -> String {
        let mut text = format!("{}", self.register.record);
        for host in self.hosts.values() {
            let view = host.node.as_ref().map(Node::view);
            let role = view.as_ref().map_or("dead", |view| view.role);
            let why = view.map_or(String::new(), |view| view.closed_reason);
            let (end, applied) = (host.storage.end(), host.storage.applied());
            text += &format!("; node {} {role} end={end} applied={applied} {why}", host.id);
        }
        text
    }

    fn heal_everything(&mut self) {
        self.links = Links::default();
        self.register.up = true;
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            let host = self.hosts.get_mut(&id).unwrap();
            host.paused_until = self.now;
            host.flush_slow = false;
            if host.node.is_none() {
                self.after(Duration::from_millis(1), Action::Restart { host: id });
            }
        }
    }

    fn perform(&mut self, action: Action) {
        // A stopped host does nothing; what comes for it waits.
        if let Some(host) = self.busy_with(&action) {
            let until = self.hosts[&host].paused_until;
            if until > self.now {
                self.after(until.since(self.now) + Duration::from_nanos(1), action);
                return;
            }
        }
        match action {
            Action::Deliver { to, from, message } => {
                let event = Event::Received { from, message };
                let life = self.hosts[&to].life;
                self.step(to, life, event);
            }
            Action::Local { host, life, event } => self.step(host, life, event),
            Action::Wake { host, life } => self.wake(host, life),
            Action::Flushed { host, life, epoch } => self.flushed(host, life, epoch),
            Action::Applying { host, life, lsn } => self.apply(host, life, lsn),
            Action::Control { host, life, ticket, control } => {
                if self.current(host, life) {
                    self.hosts.get_mut(&host).unwrap().storage.control = *control;
                    self.step(host, life, Event::Persisted { ticket });
                }
            }
            Action::Read { host, life, attempt } => self.read_record(host, life, attempt),
            Action::Swap { host, life, proposed } => self.swap(host, life, &proposed),
            Action::Seed { host, life, from } => self.seed(host, life, from),
            Action::Client => self.client(),
            Action::Reader => self.reader(),
            Action::Person => self.person(),
            Action::Fault => self.fault(),
            Action::Heal(fault) => self.heal(fault),
            Action::Restart { host } => self.restart(host),
            Action::Beat { agent } => self.beat(agent),
            Action::Fts { host, life, event } => self.fts_step(host, life, event),
            Action::FtsWake { host, life } => self.fts_wake(host, life),
        }
    }

    fn busy_with(&self, action: &Action) -> Option<NodeId> {
        match action {
            Action::Deliver { to: host, .. }
            | Action::Local { host, .. }
            | Action::Wake { host, .. }
            | Action::Flushed { host, .. }
            | Action::Applying { host, .. }
            | Action::Fts { host, .. }
            | Action::FtsWake { host, .. }
            | Action::Control { host, .. } => Some(*host),
            _ => None,
        }
    }

    fn current(&self, host: NodeId, life: u64) -> bool {
        self.hosts[&host].life == life && self.hosts[&host].node.is_some()
    }

    pub fn step(&mut self, id: NodeId, life: u64, event: Event) {
        if !self.current(id, life) {
            return;
        }
        self.note(|_| format!("node {id} <- {event}"));
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let local = host.clock(now);
        let mut effects = Vec::new();
        let Some(node) = &mut host.node else { return };
        node.step(local, event, &mut effects);
        self.perform_effects(id, effects);
        self.answer_clients(id);
        self.arm(id);
    }

    fn arm(&mut self, id: NodeId) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let deadline = host.node.as_ref().and_then(Node::deadline);
        let at = deadline.map(|local| host.true_time(local).max(now));
        if at.is_some() && at != host.wake {
            host.wake = at;
            let life = host.life;
            let wait = at.unwrap_or(now).since(now);
            self.after(wait, Action::Wake { host: id, life });
        }
    }

    fn wake(&mut self, id: NodeId, life: u64) {
        if !self.current(id, life) {
            return;
        }
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        host.wake = None;
        let local = host.clock(now);
        let due = host.node.as_ref().and_then(Node::deadline).is_some_and(|at| at <= local);
        if due {
            self.step(id, life, Event::Deadline);
        } else {
            self.arm(id);
        }
    }

    fn perform_effects(&mut self, id: NodeId, effects: Vec<Effect>) {
        let life = self.hosts[&id].life;
        for effect in effects {
            self.note(|_| format!("node {id} -> {effect}"));
            match effect {
                Effect::Append { epoch, lsn, commit_lsn, payload } => {
                    let storage = &mut self.hosts.get_mut(&id).unwrap().storage;
                    storage.append(epoch, lsn, commit_lsn, &payload);
                }
                Effect::AppendEncoded { from, records, .. } => {
                    self.hosts.get_mut(&id).unwrap().storage.append_encoded(from, &records);
                }
                Effect::Flush { epoch } => {
                    let slow = self.hosts[&id].flush_slow;
                    let (low, high) = if slow { (100_000, 3_000_000) } else { (100, 3_000) };
                    self.soon(low, high, Action::Flushed { host: id, life, epoch });
                }
                Effect::Cut { at } => {
                    self.hosts.get_mut(&id).unwrap().storage.cut(at);
                    let event = Event::Cut { end: at };
                    self.soon(100, 3_000, Action::Local { host: id, life, event });
                }
                Effect::Ship { to, epoch, from, max_bytes, commit_lsn, sent_at } => {
                    let storage = &mut self.hosts.get_mut(&id).unwrap().storage;
                    let records = storage.read(from, max_bytes.min(400) as usize);
                    let end = from.advance(records.len() as u64);
                    if !records.is_empty() {
                        let message = Message::Append { epoch, from, records, commit_lsn, sent_at };
                        self.send(id, to, message);
                    }
                    let event = Event::Shipped { to, epoch, end };
                    self.after(Duration::ZERO, Action::Local { host: id, life, event });
                }
                Effect::Send { to, message } => self.send(id, to, message),
                Effect::Apply { lsn } => {
                    self.soon(50, 2_000, Action::Applying { host: id, life, lsn });
                }
                Effect::Persist { ticket, control } => {
                    // One file, written in order.
                    let wait = Duration::from_micros(800);
                    self.after(wait, Action::Control { host: id, life, ticket, control });
                }
                Effect::ReadRecord { attempt, .. } => {
                    self.soon(200, 5_000, Action::Read { host: id, life, attempt });
                }
                Effect::Swap { proposed, .. } => {
                    let late = self.delay_swaps.as_micros() as u64;
                    self.soon(200 + late, 5_000 + late, Action::Swap { host: id, life, proposed });
                }
                Effect::Seed { from, .. } => {
                    self.soon(5_000, 400_000, Action::Seed { host: id, life, from });
                }
                Effect::AskRelease { of } => {
                    let event =
                        Event::Request { ticket: 0, request: Request::Release { to: Some(id) } };
                    let life = self.hosts[&of].life;
                    self.soon(200, 5_000, Action::Local { host: of, life, event });
                }
                Effect::Open { .. } => self.opened(id),
                Effect::Close { .. } => {
                    let host = self.hosts.get_mut(&id).unwrap();
                    host.open = false;
                    let lost: Vec<u64> = std::mem::take(&mut host.waiting).into_values().collect();
                    lost.into_iter().for_each(|write| self.settle_segment_write(write, false));
                    let event = aerie::fts::Event::ReignEnded;
                    self.after(Duration::ZERO, Action::Fts { host: id, life, event });
                }
                Effect::Proposed { ticket, end } => {
                    let host = self.hosts.get_mut(&id).unwrap();
                    if let Some(write) = host.tickets.remove(&ticket) {
                        host.waiting.insert(end, write);
                    }
                }
                Effect::Rejected { ticket, .. } => {
                    let write = self.hosts.get_mut(&id).unwrap().tickets.remove(&ticket);
                    if let Some(write) = write {
                        self.settle_segment_write(write, false);
                    }
                }
                Effect::Answer { .. } | Effect::Report { .. } => {}
                Effect::Fatal { reason } => panic!("node {id} gave up: {reason}"),
            }
        }
    }

    fn opened(&mut self, id: NodeId) {
        let storage = &self.hosts[&id].storage;
        let first = storage.first();
        self.checker.opened(id, first, |end| storage.entry_at(end).map(|entry| entry.content));
        let host = self.hosts.get_mut(&id).unwrap();
        let life = host.life;
        let rows = host.storage.segments.values().cloned().collect();
        if !host.open {
            host.open = true;
            for event in [aerie::fts::Event::ReignBegan, aerie::fts::Event::Loaded { rows }] {
                self.after(Duration::ZERO, Action::Fts { host: id, life, event });
            }
        }
    }

    fn answer_clients(&mut self, id: NodeId) {
        loop {
            let host = self.hosts.get_mut(&id).unwrap();
            let applied = host.storage.applied();
            let due = host.waiting.first_key_value().filter(|(end, _)| **end <= applied);
            let Some((end, write)) = due.map(|(end, write)| (*end, *write)) else { return };
            if !host.open {
                return;
            }
            host.waiting.pop_first();
            let entry = host.storage.entry_at(end).expect("an acked write is in the log");
            let epoch = entry.epoch;
            self.checker.acknowledged(id, epoch, end, write);
            self.note(|_| format!("node {id} acked write {write} at {end}"));
            self.settle_segment_write(write, true);
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let lossy = !self.calm;
        if !self.hosts.contains_key(&to) || self.links.cut.contains(&(from, to)) {
            return;
        }
        if lossy && self.rng.percent(1) {
            return;
        }
        let member = self.hosts[&from].member();
        if lossy && self.rng.percent(1) {
            let message = message.clone();
            self.soon(1_000, 400_000, Action::Deliver { to, from: member, message });
        }
        let late = lossy && self.rng.percent(1);
        if late {
            self.soon(100, 200_000, Action::Deliver { to, from: member, message });
            return;
        }
        // A connection keeps its order; what is late or repeated came by another one.
        let wait = self.rng.between(Duration::from_micros(100), Duration::from_micros(3_000));
        let before = self.links.delivered.get(&(from, to)).copied().unwrap_or(Instant(0));
        let at = self.now.after(wait).max(Instant(before.0 + 1));
        self.links.delivered.insert((from, to), at);
        self.after(at.since(self.now), Action::Deliver { to, from: member, message });
    }

    fn flushed(&mut self, id: NodeId, life: u64, epoch: Epoch) {
        if !self.current(id, life) {
            return;
        }
        let end = self.hosts.get_mut(&id).unwrap().storage.flush();
        self.step(id, life, Event::Flushed { epoch, end });
    }

    fn apply(&mut self, id: NodeId, life: u64, lsn: Lsn) {
        if !self.current(id, life) {
            return;
        }
        let (checkpoint, recycle) = (self.rng.percent(10), self.rng.percent(5));
        let storage = &mut self.hosts.get_mut(&id).unwrap().storage;
        let durable = storage.durable();
        assert!(lsn <= durable, "node {id} applies {lsn}, flushed here is {durable}");
        for (end, content) in storage.apply(lsn) {
            self.checker.applied(id, end, content);
        }
        let first = if checkpoint { storage.checkpoint(recycle) } else { None };
        let lsn = storage.applied();
        if let Some(first) = first {
            self.step(id, life, Event::Recycled { first });
        }
        self.step(id, life, Event::Applied { lsn });
    }

    fn reaches_coordinator(&mut self, id: NodeId) -> bool {
        let cut = self.links.no_coordinator.contains(&id) || !self.register.up;
        !cut && (self.calm || !self.rng.percent(3))
    }

    fn read_record(&mut self, id: NodeId, life: u64, attempt: u64) {
        let outcome = if self.reaches_coordinator(id) && self.reaches_coordinator(id) {
            self.register.read()
        } else {
            ReadOutcome::Unavailable { reason: "no answer".to_owned() }
        };
        let wait = if matches!(outcome, ReadOutcome::Record(_)) { 2_000 } else { 100_000 };
        let event = Event::RecordRead { attempt, outcome };
        self.soon(200, wait, Action::Local { host: id, life, event });
    }

    fn swap(&mut self, id: NodeId, life: u64, proposed: &ClusterState) {
        let by = Member { node: id, incarnation: self.hosts[&id].incarnation };
        let nonce = proposed.nonce;
        let lost = SwapOutcome::Unknown { reason: "no answer".to_owned() };
        if !self.reaches_coordinator(id) {
            if self.rng.percent(30) {
                // It will arrive all the same, late.
                let late = Action::Swap { host: id, life, proposed: Box::new(proposed.clone()) };
                self.soon(10_000, 2_000_000, late);
            }
            let event = Event::Swapped { nonce, outcome: lost };
            self.soon(100_000, 150_000, Action::Local { host: id, life, event });
            return;
        }
        let outcome = self.register.swap(proposed, by);
        let verdict = match &outcome {
            SwapOutcome::Done => "done",
            SwapOutcome::Failed { reason, .. } | SwapOutcome::Unknown { reason } => reason,
        };
        let verdict = verdict.to_owned();
        self.note(|world| format!("swap by {id}: {verdict}; {}", world.register.record));
        let lost_one = self.lose_answers > 0;
        self.lose_answers = self.lose_answers.saturating_sub(1);
        let answered = self.reaches_coordinator(id) && !lost_one;
        let outcome = if answered { outcome } else { lost };
        let event = Event::Swapped { nonce, outcome };
        let wait = if answered { 2_000 } else { 150_000 };
        self.soon(200, wait, Action::Local { host: id, life, event });
    }

    fn seed(&mut self, id: NodeId, life: u64, from: NodeId) {
        if !self.current(id, life) {
            return;
        }
        let source = &self.hosts[&from];
        let cut = self.links.cut.contains(&(from, id)) || self.links.cut.contains(&(id, from));
        let reigns = source.node.as_ref().is_some_and(|node| node.view().role == "primary");
        if cut || !reigns {
            let event = Event::SeedFailed { reason: "no primary there".to_owned() };
            self.step(id, life, event);
            return;
        }
        let checkpoint = self.hosts.get_mut(&from).unwrap().storage.checkpoint_for();
        self.lives += 1;
        let incarnation = Incarnation(u64::from(id.get()) << 32 | self.lives);
        let host = self.hosts.get_mut(&id).unwrap();
        host.incarnation = incarnation;
        let log = host.storage.seed(checkpoint, incarnation);
        self.step(id, life, Event::Seeded { incarnation, log });
    }

    fn client(&mut self) {
        self.soon(2_000, 40_000, Action::Client);
        let open: Vec<NodeId> = self.hosts.values().filter(|h| h.open).map(|h| h.id).collect();
        if open.is_empty() {
            return;
        }
        let id = open[self.rng.below(open.len() as u64) as usize];
        self.writes += 1;
        self.tickets += 1;
        let (ticket, write) = (self.tickets, self.writes);
        let host = self.hosts.get_mut(&id).unwrap();
        host.tickets.insert(ticket, write);
        let life = host.life;
        let event = Event::Propose { ticket, payload: transaction(write) };
        self.after(Duration::ZERO, Action::Local { host: id, life, event });
    }

    fn reader(&mut self) {
        self.soon(5_000, 30_000, Action::Reader);
        if self.options.manual {
            return; // An old primary cut off from all but its readers serves old rows there.
        }
        let now = self.now;
        let readable = self.hosts.values().filter(|host| {
            let until = host.node.as_ref().and_then(Node::readable_until);
            host.paused_until <= now && until.is_some_and(|until| host.clock(now) < until)
        });
        let reads: Vec<(NodeId, Lsn)> = readable.map(|h| (h.id, h.storage.applied())).collect();
        for (id, applied) in reads {
            self.checker.read(id, applied);
        }
    }

    /// Manual mode: somebody looks from time to time and activates a standby.
    fn person(&mut self) {
        self.soon(500_000, 2_000_000, Action::Person);
        self.force_the_doubtful();
        let open = self.hosts.values().any(|host| host.open && host.paused_until <= self.now);
        if !self.options.manual || open {
            return;
        }
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        let id = ids[self.rng.below(ids.len() as u64) as usize];
        let life = self.hosts[&id].life;
        let request = Request::Activate { force: false, switchover: self.rng.percent(30) };
        self.step(id, life, Event::Request { ticket: 0, request });
    }

    /// A lone primary whose log has a damaged tail waits for a person; this one knows that a disk
    /// here never loses what it has flushed.
    fn force_the_doubtful(&mut self) {
        let record = &self.register.record;
        let host = &self.hosts[&record.primary];
        let alone = record.in_sync.len() == 1 && record.is_in_sync(host.member());
        let waits = host.node.as_ref().map(Node::view);
        let doubtful = waits.is_some_and(|view| view.closed_reason.contains("damaged"));
        if alone && doubtful {
            let (id, life) = (host.id, host.life);
            self.note(|_| format!("a person forces node {id}"));
            self.step(id, life, Event::Request { ticket: 0, request: Request::ForceOpen });
        }
    }

    fn fault(&mut self) {
        if self.calm {
            return;
        }
        self.soon(50_000, 3_000_000, Action::Fault);
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        let fault = draw(&mut self.rng, &ids, self.options.manual);
        self.note(|_| format!("fault {fault:?}"));
        match fault.clone() {
            Fault::Crash { node, power, down } => {
                self.crash(node, power);
                self.after(down, Action::Restart { host: node });
            }
            Fault::CrashAll { power } => {
                for id in ids {
                    self.crash(id, power);
                    self.soon(10_000, 1_000_000, Action::Restart { host: id });
                }
            }
            Fault::Pause { node, span } => {
                let host = self.hosts.get_mut(&node).unwrap();
                host.paused_until = self.now.after(span);
                host.woke = host.paused_until;
            }
            Fault::Cut { from, to, both, span } => {
                self.links.cut.insert((from, to));
                if both {
                    self.links.cut.insert((to, from));
                }
                self.after(span, Action::Heal(fault));
            }
            Fault::CoordinatorDown { span } => {
                self.register.up = false;
                self.after(span, Action::Heal(fault));
            }
            Fault::CoordinatorCut { node, span } => {
                self.links.no_coordinator.insert(node);
                self.after(span, Action::Heal(fault));
            }
            Fault::SlowDisk { node, span } => {
                self.hosts.get_mut(&node).unwrap().flush_slow = true;
                self.after(span, Action::Heal(fault));
            }
            Fault::Wipe { node } => self.wipe(node),
            Fault::Segment { agent } => self.turn_agent(agent as usize % self.agents.len()),
            Fault::Release { node } => {
                let life = self.hosts[&node].life;
                let request = Request::Release { to: None };
                self.step(node, life, Event::Request { ticket: 0, request });
            }
        }
    }

    fn heal(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { from, to, .. } => {
                self.links.cut.remove(&(from, to));
                self.links.cut.remove(&(to, from));
            }
            Fault::CoordinatorDown { .. } => self.register.up = true,
            Fault::CoordinatorCut { node, .. } => {
                self.links.no_coordinator.remove(&node);
            }
            Fault::SlowDisk { node, .. } => {
                self.hosts.get_mut(&node).unwrap().flush_slow = false;
            }
            _ => {}
        }
    }

    pub fn crash(&mut self, id: NodeId, power: bool) {
        let host = self.hosts.get_mut(&id).unwrap();
        if host.node.take().is_none() {
            return;
        }
        host.life += 1;
        host.open = false;
        host.waiting.clear();
        host.tickets.clear();
        host.wake = None;
        host.fts_wake = None;
        host.paused_until = Instant(0);
        host.storage.crash(power);
    }

    /// Only where another member of the recorded set still has its data: no rule helps otherwise.
    pub fn wipe(&mut self, id: NodeId) {
        let record = &self.register.record;
        let safe =
            self.hosts.values().any(|host| host.id != id && record.is_in_sync(host.member()));
        if !safe {
            return;
        }
        self.crash(id, true);
        self.lives += 1;
        let lives = self.lives;
        let host = self.hosts.get_mut(&id).unwrap();
        host.incarnation = Incarnation(u64::from(id.get()) << 32 | lives);
        host.storage = Storage::new(self.rng.next(), host.incarnation, control(None));
        self.soon(10_000, 1_000_000, Action::Restart { host: id });
    }

    fn restart(&mut self, id: NodeId) {
        let lease = Duration::from_millis(500);
        let settings = NodeSettings {
            lease,
            standby_timeout: if self.options.manual { lease * 2 } else { lease / 2 },
            strict: self.options.strict,
            ..NodeSettings::default()
        };
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        if host.node.is_some() {
            return;
        }
        host.life += 1;
        host.fts = machine();
        host.woke = now;
        let mut effects = Vec::new();
        let found = host.storage.open(host.incarnation);
        let control = host.storage.control.clone();
        let identity = (CLUSTER, host.member());
        let local = host.clock(now);
        let node = Node::new(settings, identity, control, found, (local, &mut effects));
        host.node = Some(node);
        self.note(|_| format!("node {id} starts"));
        self.perform_effects(id, effects);
        self.arm(id);
    }
}
