//! What a driver of manual mode asks, on its way to segments, other masters and the disk, and what
//! comes back in time. Each question to several has one deadline, as in the daemon; who does not
//! answer by then is left out. What a segment says reaches the node too (`segment_refusal`).

use std::time::Duration;

use aerie::ha::SwapOutcome;
use aerie::ha::manual_policy::{MasterAnswer, SegmentAnswer};
use aerie::master::node::Node;
use aerie::master::{Event, segment_refusal};
use aerie::segment_rm::FenceRequest;
use aerie::types::{ClusterState, Epoch, NodeId, NodeRole};

use crate::action::Action;
use crate::agents::Calling;
use crate::faults::Way;
use crate::manual::{Question, Reply};
use crate::segments::INTERVAL;
use crate::world::{LEASE, World};

/// `ha_coordinator_timeout`.
const TIMEOUT: Duration = Duration::from_millis(LEASE.as_millis() as u64 * 3 / 10);
/// As the daemon has it: after a start most agents are waited for, at most for their interval.
const WARM_UP_STEP: Duration = Duration::from_millis(50);
/// A primary alone in its set asks the segments that often.
const LONE_INTERVAL: Duration = Duration::from_secs(1);

/// A question of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    pub host: NodeId,
    pub life: u64,
    pub number: u64,
}

/// Answers to a question that was put to several.
#[derive(Debug)]
pub struct Gathering {
    missing: usize,
    reply: Reply,
}

#[derive(Debug)]
pub enum Witnessing {
    Put {
        asker: Asker,
        question: Question,
    },
    Segment {
        asker: Asker,
        answer: SegmentAnswer,
    },
    Status {
        asker: Asker,
        of: NodeId,
    },
    Master {
        asker: Asker,
        answer: MasterAnswer,
    },
    /// Nobody is waited for any longer.
    Due {
        asker: Asker,
    },
    Announce {
        host: NodeId,
        life: u64,
    },
}

impl Witnessing {
    /// Whose host must be awake for that.
    pub fn host(&self) -> NodeId {
        match self {
            Witnessing::Put { asker, .. }
            | Witnessing::Segment { asker, .. }
            | Witnessing::Master { asker, .. }
            | Witnessing::Due { asker } => asker.host,
            Witnessing::Status { of: host, .. } | Witnessing::Announce { host, .. } => *host,
        }
    }
}

impl World {
    pub fn witness(&mut self, witnessing: Witnessing) {
        match witnessing {
            Witnessing::Put { asker, question } if self.current(asker.host, asker.life) => {
                self.put(asker, question);
            }
            Witnessing::Segment { asker, answer } => {
                self.gather(asker, |world, reply| {
                    let told = (answer.followed, answer.promised);
                    world.hear_segment(asker.host, told, answer.record.as_ref());
                    if let Reply::Segments(answers) = reply {
                        answers.push(answer);
                    }
                });
            }
            Witnessing::Status { asker, of } => self.tell_status(asker, of),
            Witnessing::Master { asker, answer } => self.gather(asker, |_, reply| {
                if let Reply::Masters(answers) = reply {
                    answers.push(answer);
                }
            }),
            Witnessing::Due { asker } => self.end_gathering(asker),
            Witnessing::Announce { host, life } if self.current(host, life) => self.announce(host),
            Witnessing::Put { .. } | Witnessing::Announce { .. } => {}
        }
    }

    /// Something that a driver may wait for has come.
    pub fn poll_manual(&mut self, id: NodeId) {
        let host = self.hosts.get_mut(&id).unwrap();
        let (life, registered) = (host.life, host.storage.segments.len());
        let polled = host.manual.poll(host.storage.control.record.as_ref(), registered);
        for text in polled.said {
            self.note(|_| format!("node {id} says {text}"));
        }
        for (number, question) in polled.asked {
            self.put(Asker { host: id, life, number }, question);
        }
        for event in polled.events {
            if let Event::Swapped { outcome, .. } = &event {
                let verdict = verdict(outcome);
                self.note(|world| format!("swap by {id}: {verdict}; {}", world.record()));
            }
            self.soon(10, 1_000, Action::Local { host: id, life, event });
        }
    }

    fn put(&mut self, asker: Asker, question: Question) {
        match question {
            Question::Segments(request) => self.ask_segments(asker, *request),
            Question::Masters(record) => self.ask_masters(asker, &record),
            Question::Replace { expected, proposed } => {
                let written = Action::Replaced { asker, expected, proposed };
                self.soon(100, 2_000, written);
            }
        }
    }

    /// As the control file has it: the record is replaced if it is still the expected one.
    pub fn replaced(&mut self, asker: Asker, expected: &ClusterState, proposed: ClusterState) {
        if !self.current(asker.host, asker.life) {
            return;
        }
        let host = self.hosts.get_mut(&asker.host).unwrap();
        let replaces = host.storage.control.record.as_ref() == Some(expected);
        if replaces {
            // Who was stopped meanwhile, or forced, may be late with what it writes.
            let awake = host.paused_until.after(Duration::from_secs(1)) <= self.now;
            if awake && self.forced == 0 {
                self.checker.written(self.now, expected, &proposed);
            }
            host.storage.control.record = Some(proposed);
        }
        host.manual.reply(asker.number, Reply::Replaced(replaces));
        self.poll_manual(asker.host);
    }

    /// The agents that this master has heard of late, of those that its catalog knows.
    fn ask_segments(&mut self, asker: Asker, request: FenceRequest) {
        let host = &self.hosts[&asker.host];
        let heard = host.fts.agents(host.clock(self.now));
        let rows = &host.storage.segments;
        let known = |hostname: &str| rows.values().any(|row| row.hostname == hostname);
        let found: Vec<u64> =
            heard.iter().filter(|a| known(&a.hostname)).map(|a| a.segment).collect();
        let most = found.len() * 2 > rows.len() || rows.is_empty();
        if !most && self.now < host.started.after(INTERVAL) {
            let again = Witnessing::Put { asker, question: Question::Segments(Box::new(request)) };
            return self.after(WARM_UP_STEP, Action::Witnessing(again));
        }
        self.begin_gathering(asker, found.len(), Reply::Segments(Vec::new()));
        for segment in found {
            let agent = segment as usize - 1;
            let call = Calling::Asked {
                agent,
                life: self.agents[agent].life,
                asker,
                request: request.clone(),
            };
            if self.agent_is_reached(asker.host, agent, Way::There) {
                self.soon(100, 3_000, Action::Calling(call));
            } else if self.rng.percent(30) {
                self.soon(10_000, 2_000_000, Action::Calling(call));
            }
        }
    }

    fn ask_masters(&mut self, asker: Asker, record: &ClusterState) {
        let others = record.members.keys().copied().filter(|node| *node != asker.host);
        let others: Vec<NodeId> = others.filter(|node| self.hosts.contains_key(node)).collect();
        self.begin_gathering(asker, others.len(), Reply::Masters(Vec::new()));
        for of in others {
            if self.master_is_reached(asker.host, of) {
                self.soon(100, 3_000, Action::Witnessing(Witnessing::Status { asker, of }));
            }
        }
    }

    fn master_is_reached(&mut self, from: NodeId, to: NodeId) -> bool {
        !self.links.cut.contains(&(from, to)) && (self.calm || !self.rng.percent(2))
    }

    fn tell_status(&mut self, asker: Asker, of: NodeId) {
        let Some(view) = self.hosts[&of].node.as_ref().map(Node::view) else { return };
        if self.master_is_reached(of, asker.host) {
            let taking_over = view.role == NodeRole::TakingOver;
            let (followed, record) = (view.epoch, view.record);
            let answer = MasterAnswer { node: of, followed, taking_over, record };
            self.soon(100, 3_000, Action::Witnessing(Witnessing::Master { asker, answer }));
        }
    }

    fn begin_gathering(&mut self, asker: Asker, missing: usize, reply: Reply) {
        let host = self.hosts.get_mut(&asker.host).unwrap();
        host.gathered.insert(asker.number, Gathering { missing, reply });
        let wait = if missing == 0 { Duration::ZERO } else { TIMEOUT };
        self.after(wait, Action::Witnessing(Witnessing::Due { asker }));
    }

    /// What comes after the deadline is not heard by anybody.
    fn gather(&mut self, asker: Asker, take: impl FnOnce(&mut World, &mut Reply)) {
        if !self.current(asker.host, asker.life) {
            return;
        }
        let gathered = &mut self.hosts.get_mut(&asker.host).unwrap().gathered;
        let Some(mut gathering) = gathered.remove(&asker.number) else { return };
        take(self, &mut gathering.reply);
        gathering.missing -= 1;
        let complete = gathering.missing == 0;
        let gathered = &mut self.hosts.get_mut(&asker.host).unwrap().gathered;
        gathered.insert(asker.number, gathering);
        if complete {
            self.end_gathering(asker);
        }
    }

    fn end_gathering(&mut self, asker: Asker) {
        if !self.current(asker.host, asker.life) {
            return;
        }
        let host = self.hosts.get_mut(&asker.host).unwrap();
        if let Some(gathering) = host.gathered.remove(&asker.number) {
            host.manual.reply(asker.number, gathering.reply);
            self.poll_manual(asker.host);
        }
    }

    /// Whatever a segment says, in an answer or a heartbeat, may be a refusal of this reign.
    pub fn hear_segment(
        &mut self,
        id: NodeId,
        told: (Epoch, Epoch),
        record: Option<&ClusterState>,
    ) {
        let host = &self.hosts[&id];
        let (life, from) = (host.life, host.member());
        let Some(node) = &host.node else { return };
        if let Some(message) = segment_refusal(node.view().epoch, told, record) {
            let event = Event::Received { from, message };
            self.soon(0, 500, Action::Local { host: id, life, event });
        }
    }

    /// An open primary tells the segments of its reign and of each change of its record, and asks
    /// them again and again while it is alone.
    pub fn announce(&mut self, id: NodeId) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).unwrap();
        let view = host.node.as_ref().filter(|_| host.open).map(Node::view);
        let Some(record) =
            view.filter(|view| view.role == NodeRole::Primary).and_then(|v| v.record)
        else {
            host.announced = None;
            return;
        };
        let key = (record.epoch, record.version);
        let alone = record.in_sync.len() <= 1 && record.members.len() > 1;
        let before = host.announced.filter(|(told, _)| *told == key);
        if before.is_some_and(|(_, at)| !alone || now < at.after(LONE_INTERVAL)) {
            return;
        }
        host.announced = Some((key, now));
        let life = host.life;
        host.manual.tell(record);
        self.poll_manual(id);
        if alone {
            let again = Witnessing::Announce { host: id, life };
            self.after(LONE_INTERVAL, Action::Witnessing(again));
        }
    }
}

fn verdict(outcome: &SwapOutcome) -> String {
    match outcome {
        SwapOutcome::Done => "done".to_owned(),
        SwapOutcome::Failed { reason, .. } | SwapOutcome::Unknown { reason } => reason.clone(),
    }
}
