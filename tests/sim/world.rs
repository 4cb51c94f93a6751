//! The simulated world: one queue of things to come, ordered by time, drawn from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aerie::master::node::{Node, NodeSettings, Timeouts};
use aerie::master::{Control, Event};
use aerie::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Instant, Lsn, Member, MemberEntry, Message, Mode,
    NodeId, Nonce, TimelineHistory,
};

use crate::checker::Checker;
use crate::coordinator::Register;
use crate::faults::{Fault, Links};
use crate::fenced::Fenced;
use crate::host::Host;
use crate::rng::Rng;
use crate::segments::{Agent, Pending, machine};
use crate::storage::Storage;

pub fn control(record: Option<ClusterState>) -> Control {
    Control { followed: Epoch::ZERO, promised: Epoch::ZERO, record }
}

/// The control file's own rule: a record that was written there in between stays if it is newer.
fn keep_newer(control: &mut Control, written: Option<ClusterState>) {
    let rank = |record: &Option<ClusterState>| record.as_ref().map(|r| (r.epoch, r.version));
    if rank(&written) > rank(&control.record) {
        control.record = written;
    }
}

pub const CLUSTER: ClusterId = ClusterId(0xAE21E);

pub const LEASE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: u8,
    pub manual: bool,
    /// Begins in manual mode and is turned to automatic mode and back.
    pub turns: bool,
    pub strict: bool,
    pub trace: bool,
    pub segments: u64,
    /// Old primaries are fenced by scripts that take their time and may fail.
    pub fences: bool,
    pub failovers_max: u32,
    pub auto_rejoin: bool,
    pub lone_stops: bool,
    /// Clocks stand still while a host is stopped, and reads are confirmed.
    pub confirm: bool,
    /// True time with faults, then as long as needed (bounded) without.
    pub stormy: Duration,
    pub calm: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 3,
            manual: false,
            turns: false,
            strict: false,
            trace: std::env::var("SEED").is_ok(),
            segments: 3,
            fences: false,
            failovers_max: 1000,
            auto_rejoin: true,
            lone_stops: false,
            confirm: false,
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
        coordinator: Mode,
    },
    Swap {
        host: NodeId,
        life: u64,
        coordinator: Mode,
        proposed: Box<ClusterState>,
    },
    /// The same for a record that nobody had there before.
    Create {
        host: NodeId,
        life: u64,
        first: Box<ClusterState>,
    },
    /// Somebody enables or disables automatic mode.
    Turn,
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
    /// A supervisor tells of the end of its process.
    Report {
        to: NodeId,
        member: Member,
        upto: Epoch,
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
    /// What an omniscient person would know of a cluster's manual times (`turning`).
    pub by_hand: ClusterState,
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
    pub fenced: Fenced,
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
            mode: if options.manual || options.turns { Mode::Manual } else { Mode::Embedded },
            enabling: None,
            nonce: Nonce(0),
            history: TimelineHistory::default(),
            not_synchronized_since: None,
            paused: false,
            failovers: 0,
            unfenced: None,
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
                reading: None,
                flush_slow: false,
                fts: machine(),
                fts_wake: None,
                woke: Instant(0),
            };
            (*id, host)
        });
        let hosts = hosts.collect();
        let register =
            if options.turns { Register::empty(&record) } else { Register::new(record.clone()) };
        let mut world = World {
            options,
            now: Instant(1_000_000_000),
            rng,
            queue: BTreeMap::new(),
            sequence: 0,
            hosts,
            register,
            by_hand: record,
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
            fenced: Fenced::default(),
        };
        for id in ids {
            world.after(Duration::from_millis(1), Action::Restart { host: id });
        }
        world.after(Duration::from_millis(100), Action::Client);
        world.after(Duration::from_millis(100), Action::Reader);
        world.after(Duration::from_millis(1500), Action::Fault);
        world.after(Duration::from_secs(1), Action::Person);
        if world.options.turns {
            world.after(Duration::from_secs(2), Action::Turn);
        }
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
    pub fn settled(&self) -> bool {
        let open = self.hosts.values().filter(|host| host.open).count();
        let all = self.record().in_sync.len() == self.hosts.len();
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

    pub fn picture(&self) -> String {
        let mut text = format!("{}", self.record());
        for host in self.hosts.values() {
            let view = host.node.as_ref().map(Node::view);
            let role = view.as_ref().map_or("dead", |view| view.role);
            let why = view.map_or(String::new(), |view| view.closed_reason);
            let (end, applied) = (host.storage.end(), host.storage.applied());
            text += &format!("; node {} {role} end={end} applied={applied} {why}", host.id);
        }
        text
    }

    pub fn heal_everything(&mut self) {
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

    pub fn perform(&mut self, action: Action) {
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
                    let storage = &mut self.hosts.get_mut(&host).unwrap().storage;
                    let written = storage.control.record.take();
                    storage.control = *control;
                    keep_newer(&mut storage.control, written);
                    self.step(host, life, Event::Persisted { ticket });
                }
            }
            Action::Read { host, life, attempt, coordinator } => {
                self.read_record((host, life), attempt, coordinator);
            }
            Action::Swap { host, life, coordinator, proposed } => {
                self.swap((host, life), coordinator, &proposed);
            }
            Action::Create { host, life, first } => self.create((host, life), &first),
            Action::Turn => self.turn(),
            Action::Seed { host, life, from } => self.seed(host, life, from),
            Action::Client => self.client(),
            Action::Reader => self.reader(),
            Action::Person => self.person(),
            Action::Fault => self.fault(),
            Action::Heal(fault) => self.heal(fault),
            Action::Restart { host } => self.restart(host),
            Action::Report { to, member, upto } => self.hear_of_end(to, member, upto),
            Action::Beat { agent } => self.beat(agent),
            Action::Fts { host, life, event } => self.fts_step(host, life, event),
            Action::FtsWake { host, life } => self.fts_wake(host, life),
        }
    }

    pub fn busy_with(&self, action: &Action) -> Option<NodeId> {
        match action {
            Action::Deliver { to: host, .. }
            | Action::Report { to: host, .. }
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

    pub fn current(&self, host: NodeId, life: u64) -> bool {
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
        self.answer_reader(id);
        self.arm(id);
    }

    pub fn arm(&mut self, id: NodeId) {
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

    pub fn wake(&mut self, id: NodeId, life: u64) {
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

    fn restart(&mut self, id: NodeId) {
        let lease = LEASE;
        let settings = NodeSettings {
            lease,
            manual: Timeouts { standby: lease * 2, coordinator: lease * 3 / 10 },
            strict: self.options.strict,
            fences: self.options.fences,
            failovers_max: self.options.failovers_max,
            auto_rejoin: self.options.auto_rejoin,
            lone_stops: self.options.lone_stops,
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
