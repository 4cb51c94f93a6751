//! The state machine of a segment agent: when to send heartbeats, when not, and what to answer.
//!
//! Heartbeats go to every master that is configured or named in the cluster state, each on its own
//! schedule, so that one that does not answer delays no other. While the segment's PostgreSQL is
//! not reachable none is sent: liveness covers the process that is served (HAWQ-272). What a
//! master asks to be remembered is answered only when it is durable.
//!
//! * No fencing call is answered before everything asked earlier is durable.
//! * At most one heartbeat a master, one check of directories and one of PostgreSQL is under way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::types::{ClusterId, ClusterState, Epoch, Heartbeat, Instant};

use super::event::{Effect, Event, FenceRequest, MasterAddress, Severity};
use super::fence::{FenceState, Verdict};
use super::schedule::{Check, Jitter, Target};

/// Masters that are spoken to, configured and learned together.
const MASTERS_MAX: usize = 16;

/// Probes and fencing calls that may wait, of each kind.
const WAITING_MAX: usize = 64;

/// A master that does not answer, and a PostgreSQL that does not, are tried again this soon.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A master may not ask for more heartbeats than this.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    pub cluster: ClusterId,
    /// What every heartbeat says; directories and epochs are filled in.
    pub heartbeat: Heartbeat,
    pub heartbeat_interval: Duration,
    /// How often the temporary directories are checked.
    pub directory_interval: Duration,
    pub check_postgres: bool,
    pub masters: Vec<MasterAddress>,
    /// Random; spreads the heartbeats of many agents.
    pub jitter_seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    ticket: u64,
    accepted: bool,
    /// Answered when this is persisted.
    after: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    settings: AgentSettings,
    fence: FenceState,
    targets: BTreeMap<MasterAddress, Target>,
    directories: Check,
    /// `None` until the first check is done.
    failed_directories: Option<Vec<String>>,
    postgres: Check,
    /// Why PostgreSQL is not reachable; `None` until the first check is done.
    postgres_failure: Option<Option<String>>,
    probes: Vec<u64>,
    answers: VecDeque<Waiting>,
    persist_asked: u64,
    persisted: u64,
    /// The last attempt failed: what is in memory is not on disk.
    unsaved: bool,
    jitter: Jitter,
}

impl Agent {
    #[must_use]
    pub fn new(settings: AgentSettings, fence: FenceState, now: Instant) -> Agent {
        let first = Check { next: now, under_way: false };
        let mut agent = Agent {
            jitter: Jitter(settings.jitter_seed),
            settings,
            fence,
            targets: BTreeMap::new(),
            directories: first,
            failed_directories: None,
            postgres: first,
            postgres_failure: None,
            probes: Vec::new(),
            answers: VecDeque::new(),
            persist_asked: 0,
            persisted: 0,
            unsaved: false,
        };
        agent.aim(now);
        agent
    }

    #[must_use]
    pub fn fence(&self) -> &FenceState {
        &self.fence
    }

    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Deadline => {}
            Event::DirectoriesChecked { failed } => self.directories_checked(now, failed, effects),
            Event::PostgresChecked { failure } => self.postgres_checked(now, failure, effects),
            Event::HeartbeatAnswered { master, epoch, reigning, record, interval } => {
                self.heard(now, &master, interval, effects);
                self.learn(now, epoch, reigning, record.map(|record| *record), effects);
            }
            Event::HeartbeatFailed { master, reason } => {
                self.unheard(now, &master, &reason, effects);
            }
            Event::ProbeAsked { ticket } => self.probe(now, ticket, effects),
            Event::FenceAsked { ticket, request } => self.ask_fence(now, ticket, request, effects),
            Event::Persisted { ticket } => {
                self.persisted = self.persisted.max(ticket);
                self.unsaved = self.unsaved && ticket < self.persist_asked;
                self.answer(None, effects);
            }
            Event::PersistFailed { ticket, reason } => {
                self.persisted = self.persisted.max(ticket);
                self.unsaved = true;
                self.answer(Some(&reason), effects);
                effects.push(warning(format!("fence file could not be written: {reason}")));
            }
        }
        self.begin(now, effects);
    }

    /// When `Event::Deadline` is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let checks = [(true, self.directories), (self.settings.check_postgres, self.postgres)];
        let checks = checks.into_iter().filter(|(on, check)| *on && !check.under_way);
        let checks = checks.map(|(_, check)| check.next);
        let speaks = self.may_send();
        let targets = self.targets.values().filter(|target| speaks && !target.in_flight);
        targets.map(|target| target.next).chain(checks).min()
    }

    /// A first heartbeat waits for the first checks: it says how things are.
    fn may_send(&self) -> bool {
        let postgres_answers = !self.settings.check_postgres || self.postgres_failure == Some(None);
        self.failed_directories.is_some() && postgres_answers
    }

    fn begin(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.directories.is_due(now) {
            self.directories.under_way = true;
            effects.push(Effect::CheckDirectories);
        }
        if self.settings.check_postgres && self.postgres.is_due(now) {
            self.postgres.under_way = true;
            effects.push(Effect::CheckPostgres);
        }
        if !self.may_send() {
            return;
        }
        let heartbeat = Heartbeat {
            failed_directories: self.failed_directories.clone().unwrap_or_default(),
            followed: self.fence.followed,
            promised: self.fence.promised,
            ..self.settings.heartbeat.clone()
        };
        for (to, target) in &mut self.targets {
            if target.next <= now && !target.in_flight {
                target.in_flight = true;
                target.next = now.after(self.jitter.within(target.interval));
                let heartbeat = heartbeat.clone();
                effects.push(Effect::SendHeartbeat { to: to.clone(), heartbeat });
            }
        }
    }

    /// Every master hears at once of what has just changed, but not all agents in one instant.
    fn hurry(&mut self, now: Instant) {
        let within = self.settings.heartbeat_interval.min(RETRY_MAX) / 8;
        for target in self.targets.values_mut() {
            target.next = target.next.min(now.after(self.jitter.below(within)));
        }
    }

    /// Speaks to the configured masters and to those of the cluster state.
    fn aim(&mut self, now: Instant) {
        let learned = self.fence.record.iter().flat_map(|record| record.members.values());
        let learned = learned
            .map(|entry| MasterAddress { host: entry.host.clone(), rpc_port: entry.rpc_port });
        let mut masters: Vec<MasterAddress> = learned.collect();
        masters.extend(self.settings.masters.iter().cloned());
        masters.truncate(MASTERS_MAX);
        self.targets.retain(|master, _| masters.contains(master));
        let interval = self.settings.heartbeat_interval;
        let fresh = Target { next: now, in_flight: false, reachable: None, interval };
        for master in masters {
            self.targets.entry(master).or_insert(fresh);
        }
    }

    fn directories_checked(
        &mut self,
        now: Instant,
        failed: Vec<String>,
        effects: &mut Vec<Effect>,
    ) {
        self.directories =
            Check { next: now.after(self.settings.directory_interval), under_way: false };
        let before = self.failed_directories.replace(failed);
        let failed = self.failed_directories.as_deref().unwrap_or_default();
        if before.as_deref().unwrap_or_default() != failed {
            effects.push(match failed {
                [] => info("temporary directories are writable again".to_owned()),
                list => warning(format!("failed temporary directory: {}", list.join(","))),
            });
            self.hurry(now);
        }
    }

    fn postgres_checked(
        &mut self,
        now: Instant,
        failure: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let interval = self.settings.heartbeat_interval;
        let pause = if failure.is_some() { interval.min(RETRY_MAX) } else { interval };
        self.postgres = Check { next: now.after(pause), under_way: false };
        for ticket in std::mem::take(&mut self.probes) {
            effects.push(Effect::AnswerProbe { ticket, failure: failure.clone() });
        }
        let before = self.postgres_failure.replace(failure.clone()).flatten();
        match (before, failure) {
            (None, Some(reason)) => effects.push(warning(format!(
                "PostgreSQL is not reachable, heartbeats are suspended: {reason}"
            ))),
            (Some(_), None) => {
                effects.push(info("PostgreSQL is reachable, heartbeats go on".to_owned()));
                self.targets.values_mut().for_each(|target| target.next = now);
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    fn heard(
        &mut self,
        now: Instant,
        master: &MasterAddress,
        interval: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let Some(target) = self.targets.get_mut(master) else { return };
        target.in_flight = false;
        if !interval.is_zero() {
            target.interval = interval.max(INTERVAL_MIN);
            target.next = target.next.min(now.after(target.interval));
        }
        if target.reachable.replace(true) != Some(true) {
            effects.push(info(format!("master {master} hears this segment")));
        }
    }

    fn unheard(
        &mut self,
        now: Instant,
        master: &MasterAddress,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let Some(target) = self.targets.get_mut(master) else { return };
        target.in_flight = false;
        let pause = self.jitter.within(target.interval.min(RETRY_MAX));
        target.next = target.next.min(now.after(pause));
        if target.reachable.replace(false) != Some(false) {
            effects.push(warning(format!("master {master} does not hear this segment: {reason}")));
        }
    }

    fn learn(
        &mut self,
        now: Instant,
        epoch: Epoch,
        reigning: bool,
        record: Option<ClusterState>,
        effects: &mut Vec<Effect>,
    ) {
        let before = self.fence.highest();
        let record = record.filter(|record| record.cluster_id == self.settings.cluster);
        let changed = if reigning {
            self.fence.follow(epoch, record) == Verdict::Changed
        } else {
            record.is_some_and(|record| self.fence.learn(record))
        };
        if changed {
            self.persist(effects);
            self.changed(now, before, effects);
        }
    }

    fn changed(&mut self, now: Instant, before: Epoch, effects: &mut Vec<Effect>) {
        self.aim(now);
        let highest = self.fence.highest();
        if highest > before {
            let FenceState { followed, promised, .. } = &self.fence;
            let text = format!("epoch={highest} (followed={followed} promised={promised})");
            effects.push(info(text));
            self.hurry(now);
        }
    }

    fn probe(&mut self, now: Instant, ticket: u64, effects: &mut Vec<Effect>) {
        if !self.settings.check_postgres {
            return effects.push(Effect::AnswerProbe { ticket, failure: None });
        }
        if self.probes.len() >= WAITING_MAX {
            let failure = Some("too many probes are waiting".to_owned());
            return effects.push(Effect::AnswerProbe { ticket, failure });
        }
        self.probes.push(ticket);
        self.postgres.next = now;
    }

    fn ask_fence(
        &mut self,
        now: Instant,
        ticket: u64,
        request: FenceRequest,
        effects: &mut Vec<Effect>,
    ) {
        if self.answers.len() >= WAITING_MAX {
            let reason = "too many calls are waiting for the disk".to_owned();
            return effects.push(Effect::FailFence { ticket, reason });
        }
        let before = self.fence.highest();
        let text = request.to_string();
        let verdict = match request {
            FenceRequest::Follow { epoch, record } => self.fence.follow(epoch, record),
            FenceRequest::Promise { epoch, candidate } => self.fence.promise(epoch, candidate),
            FenceRequest::StoreSyncState { epoch, version, record } => {
                self.fence.store(epoch, version, record)
            }
        };
        if verdict == Verdict::Refused {
            effects.push(warning(format!("refused: {text}, highest epoch here is {before}")));
        }
        if verdict == Verdict::Changed || self.unsaved {
            self.persist(effects);
        }
        if verdict == Verdict::Changed {
            self.changed(now, before, effects);
        }
        let accepted = verdict != Verdict::Refused;
        self.answers.push_back(Waiting { ticket, accepted, after: self.persist_asked });
        self.answer(None, effects);
    }

    fn persist(&mut self, effects: &mut Vec<Effect>) {
        self.persist_asked += 1;
        let fence = self.fence.clone();
        effects.push(Effect::Persist { ticket: self.persist_asked, fence });
    }

    /// Answers what is durable; what waited for a write that failed gets no answer.
    fn answer(&mut self, failure: Option<&str>, effects: &mut Vec<Effect>) {
        while let Some(waiting) = self.answers.front().copied() {
            if waiting.after > self.persisted {
                return;
            }
            self.answers.pop_front();
            let Waiting { ticket, accepted, .. } = waiting;
            effects.push(match failure {
                None => Effect::AnswerFence { ticket, accepted, fence: self.fence.clone() },
                Some(reason) => {
                    let reason = format!("could not be made durable: {reason}");
                    Effect::FailFence { ticket, reason }
                }
            });
        }
    }
}

fn info(text: String) -> Effect {
    Effect::Report { severity: Severity::Info, text }
}

fn warning(text: String) -> Effect {
    Effect::Report { severity: Severity::Warning, text }
}
