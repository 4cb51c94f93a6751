//! The simulated world: one queue of things to come, ordered by time, drawn from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aerie::master::{Control, Event};
use aerie::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Instant, Member, MemberEntry, Mode, NodeId,
};

use crate::action::Action;
use crate::agents::{Agent, Calling};
use crate::checker::Checker;
use crate::coordinator::Register;
use crate::faults::Links;
use crate::fenced::Fenced;
use crate::host::Host;
use crate::manual::Manual;
use crate::options::Options;
use crate::rng::Rng;
use crate::segments::Pending;
use crate::storage::Storage;
use crate::voters::{Seat, seats, voters};

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

/// True time when a world begins.
pub const START: Instant = Instant(1_000_000_000);

pub const LEASE: Duration = Duration::from_millis(500);

pub struct World {
    pub options: Options,
    pub now: Instant,
    pub rng: Rng,
    pub queue: BTreeMap<(Instant, u64), Action>,
    pub sequence: u64,
    /// What nodes have done, but for what goes on all the time (`double`).
    pub steps: u64,
    pub hosts: BTreeMap<NodeId, Host>,
    pub register: Register,
    /// The voters of the embedded register, where it is the coordinator.
    pub seats: BTreeMap<Incarnation, Seat>,
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
    /// How often a primary had to be started by force in the end.
    pub forced: u64,
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
        let first = Member { node: ids[0], incarnation: incarnation(ids[0]) };
        let record = ClusterState {
            voters: if options.voters { voters(options.nodes) } else { BTreeSet::new() },
            mode: if options.by_person() { Mode::Manual } else { Mode::Embedded },
            ..ClusterState::first(CLUSTER, first, members.collect())
        };
        let hosts = ids.iter().map(|id| {
            let (seed, disk) = (rng.next(), control(Some(record.clone())));
            let member = Member { node: *id, incarnation: incarnation(*id) };
            let mut host = Host::new(member, Storage::new(seed, member.incarnation, disk));
            (host.skew, host.offset) = (rng.below(20_000), rng.below(1 << 40));
            host.clock_stops = options.confirm;
            host.shrink = options.shrink;
            host.manual = Manual::new(*id, options.shrink);
            (*id, host)
        });
        let hosts = hosts.collect();
        let register =
            if options.turns { Register::empty(&record) } else { Register::new(record.clone()) };
        let seats = seats(options.nodes, &record);
        let mut world = World {
            options,
            now: START,
            rng,
            queue: BTreeMap::new(),
            sequence: 0,
            steps: 0,
            hosts,
            register,
            seats,
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
            forced: 0,
        };
        world.checker.several_lines = world.options.unwitnessed();
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
        world.add_agents(world.options.segments);
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
                    self.announce(host);
                }
            }
            Action::Read { host, life, attempt, authority, coordinator } => {
                self.read_record((host, life), attempt, (authority, coordinator));
            }
            Action::Swap { host, life, authority, coordinator, proposed } => {
                self.swap((host, life), (authority, coordinator), &proposed);
            }
            Action::Create { host, life, first } => self.create((host, life), &first),
            Action::Voting(voting) => self.vote(voting),
            Action::Turn => self.turn(),
            Action::Seed { host, life, from } => self.seed(host, life, from),
            Action::Client => self.client(),
            Action::Reader => self.reader(),
            Action::Person => self.person(),
            Action::Activate { host } => self.activate(host, false),
            Action::Fault => self.fault(),
            Action::Heal(fault) => self.heal(fault),
            Action::Restart { host } => self.restart(host),
            Action::Report { to, member, upto } => self.hear_of_end(to, member, upto),
            Action::Calling(calling) => self.call(calling),
            Action::Witnessing(witnessing) => self.witness(witnessing),
            Action::Replaced { asker, expected, proposed } => {
                self.replaced(asker, &expected, *proposed);
            }
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
            Action::Voting(voting) => self.busy_with_voting(voting),
            Action::Witnessing(witnessing) => Some(witnessing.host()),
            Action::Replaced { asker, .. } => Some(asker.host),
            Action::Calling(Calling::Beat { to, .. }) => Some(*to),
            _ => None,
        }
    }
}
