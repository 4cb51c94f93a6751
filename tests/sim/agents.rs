//! Simulated segments: the real agent, with what it remembers of the reigns on a disk of its own.
//! It sends heartbeats to every master and answers what masters ask, dies, and is started again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aerie::ha::manual_policy::SegmentAnswer;
use aerie::master::node::Node;
use aerie::segment_rm::{
    Agent as Machine, AgentSettings, Effect, Event, FenceRequest, FenceState, MasterAddress,
};
use aerie::types::{ClusterState, Epoch, Heartbeat, Instant, NodeId};

use crate::action::Action;
use crate::faults::Way;
use crate::segments::INTERVAL;
use crate::witnessing::{Asker, Witnessing};
use crate::world::{CLUSTER, World};

/// A heartbeat without an answer has failed after so long.
const BEAT_MAX: Duration = INTERVAL;

pub struct Agent {
    pub number: u64,
    /// Of the process that runs, if one does.
    machine: Option<Machine>,
    /// Counts starts and ends: what belongs to an earlier process is dropped.
    pub life: u64,
    disk: FenceState,
    /// What is being written, in that order, each with its ticket.
    writes: VecDeque<(u64, FenceState)>,
    free_at: Instant,
    /// Since when it has been as it is.
    pub since: Instant,
    /// Calls and heartbeats under way.
    asked: BTreeMap<u64, Asker>,
    beats: BTreeMap<u64, MasterAddress>,
    tickets: u64,
    wake: Option<Instant>,
}

impl Agent {
    /// What it has stored of the cluster state, or is storing.
    pub fn records(&self) -> impl Iterator<Item = &ClusterState> {
        let written = self.writes.iter().map(|(_, fence)| fence);
        written.chain([&self.disk]).filter_map(|fence| fence.record.as_ref())
    }

    pub fn follows(&self) -> Epoch {
        self.disk.followed
    }

    pub fn alive(&self) -> bool {
        self.machine.is_some()
    }

    pub fn hostname(&self) -> String {
        format!("sdw{}", self.number)
    }

    pub fn address(&self) -> String {
        format!("10.0.0.{}", self.number)
    }
}

/// What a master answers to a heartbeat: its epoch, whether it reigns, and the record.
pub type Heard = (Epoch, bool, Option<Box<ClusterState>>);

#[derive(Debug)]
pub enum Calling {
    Wake {
        agent: usize,
        life: u64,
    },
    Written {
        agent: usize,
        life: u64,
    },
    /// A master asks the agent's process of that life.
    Asked {
        agent: usize,
        life: u64,
        asker: Asker,
        request: FenceRequest,
    },
    Beat {
        agent: usize,
        life: u64,
        beat: u64,
        to: NodeId,
        heartbeat: Heartbeat,
    },
    /// What came of a heartbeat; none where no answer did.
    Beaten {
        agent: usize,
        life: u64,
        beat: u64,
        heard: Option<Heard>,
    },
    Start {
        agent: usize,
    },
}

fn address_of(node: NodeId) -> MasterAddress {
    MasterAddress { host: format!("host{node}"), rpc_port: 1 }
}

impl World {
    pub fn add_agents(&mut self, count: u64) {
        for number in 1..=count {
            self.agents.push(Agent {
                number,
                machine: None,
                life: 0,
                disk: FenceState::default(),
                writes: VecDeque::new(),
                free_at: Instant(0),
                since: self.now,
                asked: BTreeMap::new(),
                beats: BTreeMap::new(),
                tickets: 0,
                wake: None,
            });
            self.soon(0, 200_000, Action::Calling(Calling::Start { agent: number as usize - 1 }));
        }
    }

    pub fn start_agent(&mut self, number: usize) {
        self.started += 1;
        let (now, started_at, jitter_seed) = (self.now, self.started, self.rng.next());
        let masters = self.hosts.keys().map(|id| address_of(*id)).collect();
        let agent = &mut self.agents[number];
        if agent.alive() {
            return;
        }
        let heartbeat = Heartbeat {
            segment: agent.number,
            hostname: agent.hostname(),
            addresses: vec![agent.address()],
            port: 40000,
            rpc_port: 5438,
            memory_mb: 1024,
            cores: 2,
            failed_directories: Vec::new(),
            started_at,
            followed: Epoch::ZERO,
            promised: Epoch::ZERO,
        };
        let settings = AgentSettings {
            cluster: CLUSTER,
            heartbeat,
            heartbeat_interval: INTERVAL,
            directory_interval: Duration::from_secs(3600),
            check_postgres: false,
            masters,
            jitter_seed,
        };
        agent.life += 1;
        agent.since = now;
        agent.machine = Some(Machine::new(settings, agent.disk.clone(), now));
        self.note(|_| format!("segment {} starts", number + 1));
        self.step_agent(number, Event::Deadline);
    }

    /// What was being written is there or is not.
    pub fn stop_agent(&mut self, number: usize) {
        let written = self.rng.percent(50);
        let agent = &mut self.agents[number];
        if agent.machine.take().is_none() {
            return;
        }
        agent.life += 1;
        agent.since = self.now;
        agent.asked.clear();
        agent.beats.clear();
        agent.wake = None;
        let newest = std::mem::take(&mut agent.writes).pop_front();
        if let Some((_, fence)) = newest.filter(|_| written) {
            agent.disk = fence;
        }
        self.note(|_| format!("segment {} dies", number + 1));
    }

    pub fn turn_agent(&mut self, number: usize) {
        if self.agents[number].alive() {
            self.stop_agent(number);
        } else {
            self.start_agent(number);
        }
    }

    fn is_life(&self, agent: usize, life: u64) -> bool {
        self.agents[agent].life == life && self.agents[agent].alive()
    }

    pub fn call(&mut self, calling: Calling) {
        match calling {
            Calling::Start { agent } => self.start_agent(agent),
            Calling::Wake { agent, life } if self.is_life(agent, life) => {
                self.agents[agent].wake = None;
                self.step_agent(agent, Event::Deadline);
            }
            Calling::Written { agent, life } if self.is_life(agent, life) => {
                let writer = &mut self.agents[agent];
                let (ticket, fence) = writer.writes.pop_front().expect("a write is under way");
                writer.disk = fence;
                self.step_agent(agent, Event::Persisted { ticket });
            }
            Calling::Asked { agent, life, asker, request } if self.is_life(agent, life) => {
                let asked = &mut self.agents[agent];
                asked.tickets += 1;
                let ticket = asked.tickets;
                asked.asked.insert(ticket, asker);
                self.step_agent(agent, Event::FenceAsked { ticket, request });
            }
            Calling::Beat { agent, life, beat, to, heartbeat } => {
                self.hear_heartbeat((agent, life, beat), to, heartbeat);
            }
            Calling::Beaten { agent, life, beat, heard } if self.is_life(agent, life) => {
                let Some(master) = self.agents[agent].beats.remove(&beat) else { return };
                let event = match heard {
                    Some((epoch, reigning, record)) => {
                        let interval = Duration::ZERO;
                        Event::HeartbeatAnswered { master, epoch, reigning, record, interval }
                    }
                    None => Event::HeartbeatFailed { master, reason: "no answer".to_owned() },
                };
                self.step_agent(agent, event);
            }
            _ => {}
        }
    }

    fn step_agent(&mut self, number: usize, event: Event) {
        let now = self.now;
        let agent = &mut self.agents[number];
        let Some(machine) = &mut agent.machine else { return };
        let mut effects = Vec::new();
        machine.step(now, event, &mut effects);
        for effect in effects {
            self.perform_agent(number, effect);
        }
        let agent = &mut self.agents[number];
        let at = agent.machine.as_ref().and_then(Machine::deadline).map(|at| at.max(now));
        if at.is_some() && at != agent.wake {
            agent.wake = at;
            let wake = Calling::Wake { agent: number, life: agent.life };
            self.after(at.unwrap_or(now).since(now), Action::Calling(wake));
        }
    }

    fn perform_agent(&mut self, number: usize, effect: Effect) {
        let life = self.agents[number].life;
        match effect {
            Effect::SendHeartbeat { to, heartbeat } => self.send_heartbeat(number, to, heartbeat),
            Effect::CheckDirectories => {
                self.step_agent(number, Event::DirectoriesChecked { failed: Vec::new() });
            }
            Effect::Persist { ticket, fence } => {
                let span = self.rng.between(Duration::from_micros(100), Duration::from_millis(5));
                let agent = &mut self.agents[number];
                agent.writes.push_back((ticket, fence));
                agent.free_at = agent.free_at.max(self.now).after(span);
                let wait = agent.free_at.since(self.now);
                self.after(wait, Action::Calling(Calling::Written { agent: number, life }));
            }
            Effect::AnswerFence { ticket, accepted, fence } => {
                let Some(asker) = self.agents[number].asked.remove(&ticket) else { return };
                let FenceState { followed, promised, record } = fence;
                let answer = SegmentAnswer { accepted, followed, promised, record };
                self.note(|_| {
                    let verdict = if accepted { "accepts" } else { "refuses" };
                    let told = format!("followed={followed} promised={promised}");
                    format!("segment {} {verdict} for node {}: {told}", number + 1, asker.host)
                });
                if self.agent_is_reached(asker.host, number, Way::Back) {
                    let told = Witnessing::Segment { asker, answer };
                    self.soon(100, 3_000, Action::Witnessing(told));
                }
            }
            Effect::FailFence { ticket, .. } => {
                self.agents[number].asked.remove(&ticket);
            }
            Effect::Report { .. } => self.note(|_| format!("segment {}: {effect}", number + 1)),
            Effect::AnswerProbe { .. } | Effect::CheckPostgres => {}
        }
    }

    /// Between a master and an agent.
    pub fn agent_is_reached(&mut self, id: NodeId, agent: usize, way: Way) -> bool {
        !self.links.agents.contains(&(id, agent, way)) && (self.calm || !self.rng.percent(1))
    }

    fn send_heartbeat(&mut self, agent: usize, to: MasterAddress, heartbeat: Heartbeat) {
        let id = self.hosts.keys().copied().find(|id| address_of(*id) == to);
        let id = id.expect("a master of this world");
        let sender = &mut self.agents[agent];
        sender.tickets += 1;
        let (life, beat) = (sender.life, sender.tickets);
        sender.beats.insert(beat, to);
        let failed = Calling::Beaten { agent, life, beat, heard: None };
        self.after(BEAT_MAX, Action::Calling(failed));
        if self.agent_is_reached(id, agent, Way::Back) {
            let beat = Calling::Beat { agent, life, beat, to: id, heartbeat };
            self.soon(100, 5_000, Action::Calling(beat));
        }
    }

    fn hear_heartbeat(&mut self, of: (usize, u64, u64), id: NodeId, heartbeat: Heartbeat) {
        let Some(view) = self.hosts[&id].node.as_ref().map(Node::view) else { return };
        let (agent, life, beat) = of;
        self.hear_segment(id, (heartbeat.followed, heartbeat.promised), None);
        let peer_address = heartbeat.addresses[0].clone();
        let event = aerie::fts::Event::HeartbeatReceived { heartbeat, peer_address };
        self.fts_step(id, self.hosts[&id].life, event);
        if self.agent_is_reached(id, agent, Way::There) {
            let reigning = view.is_open_primary();
            let heard = Some((view.epoch, reigning, view.record.map(Box::new)));
            let beaten = Calling::Beaten { agent, life, beat, heard };
            self.soon(100, 3_000, Action::Calling(beaten));
        }
    }
}
