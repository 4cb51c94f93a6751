//! The agent's machine: what follows from what, without a network or a disk.

use std::time::Duration;

use crate::proto::test_record;
use crate::types::{ClusterState, Epoch, Heartbeat, Incarnation, Instant, Member, NodeId};

use super::{Agent, AgentSettings, Effect, Event, FenceRequest, FenceState, MasterAddress};

const INTERVAL: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

fn epoch(counter: u64, node: u8) -> Epoch {
    Epoch::new(counter, NodeId::new(node).unwrap())
}

fn master(number: u16) -> MasterAddress {
    MasterAddress { host: format!("mdw{number}"), rpc_port: 5437 + number }
}

fn agent(check_postgres: bool) -> Agent {
    let heartbeat = Heartbeat {
        segment: 7,
        hostname: "sdw1".to_owned(),
        addresses: Vec::new(),
        port: 40_000,
        rpc_port: 5438,
        memory_mb: 1,
        cores: 1,
        failed_directories: Vec::new(),
        started_at: 5,
        followed: Epoch::ZERO,
        promised: Epoch::ZERO,
    };
    let settings = AgentSettings {
        cluster: test_record().cluster_id,
        heartbeat,
        heartbeat_interval: INTERVAL,
        directory_interval: INTERVAL,
        check_postgres,
        masters: vec![master(1), master(9)],
        jitter_seed: 1,
    };
    Agent::new(settings, FenceState::default(), at(0))
}

fn step(agent: &mut Agent, now: Instant, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    agent.step(now, event, &mut effects);
    effects
}

fn sent_to(effects: &[Effect]) -> Vec<MasterAddress> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::SendHeartbeat { to, .. } => Some(to.clone()),
            _ => None,
        })
        .collect()
}

fn checked(failed: &[&str]) -> Event {
    Event::DirectoriesChecked { failed: failed.iter().map(|d| (*d).to_owned()).collect() }
}

fn failed(master: MasterAddress) -> Event {
    Event::HeartbeatFailed { master, reason: "refused".to_owned() }
}

fn answered(master: MasterAddress, reigning: bool, record: Option<ClusterState>) -> Event {
    Event::HeartbeatAnswered {
        master,
        epoch: record.as_ref().map_or(Epoch::ZERO, |record| record.epoch),
        reigning,
        record: record.map(Box::new),
        interval: Duration::ZERO,
    }
}

fn record(epoch: Epoch, version: u64) -> ClusterState {
    ClusterState { epoch, version, ..test_record() }
}

fn promise(ticket: u64, epoch: Epoch) -> Event {
    let candidate = Member { node: epoch.node().unwrap(), incarnation: Incarnation(1) };
    Event::FenceAsked { ticket, request: FenceRequest::Promise { epoch, candidate } }
}

#[test]
fn the_first_heartbeat_goes_to_every_master_once_the_directories_are_checked() {
    let mut agent = agent(false);
    assert_eq!(step(&mut agent, at(0), Event::Deadline), [Effect::CheckDirectories]);
    assert_eq!(agent.deadline(), None, "it waits for the check only");
    let effects = step(&mut agent, at(0), checked(&["/d1"]));
    assert_eq!(sent_to(&effects), [master(1), master(9)]);
    let says = |effect: &Effect| match effect {
        Effect::SendHeartbeat { heartbeat, .. } => heartbeat.failed_directories == ["/d1"],
        _ => true,
    };
    assert!(effects.iter().all(says));
}

#[test]
fn each_master_has_its_own_schedule() {
    let mut agent = agent(false);
    step(&mut agent, at(0), Event::Deadline);
    step(&mut agent, at(0), checked(&[]));
    step(&mut agent, at(1), answered(master(1), false, None));
    // The other one does not answer yet: it gets no second heartbeat.
    let due = agent.deadline().unwrap();
    assert!(due >= at(26) && due <= at(30), "due at {due}");
    assert_eq!(sent_to(&step(&mut agent, at(30), Event::Deadline)), [master(1)]);
    // Once it has failed it is its turn again.
    assert_eq!(sent_to(&step(&mut agent, at(31), failed(master(9)))), [master(9)]);
    // A master that fails is tried again after seconds, not after the interval.
    assert_eq!(sent_to(&step(&mut agent, at(32), failed(master(9)))), []);
    assert_eq!(sent_to(&step(&mut agent, at(35), Event::Deadline)), []);
    assert_eq!(sent_to(&step(&mut agent, at(37), Event::Deadline)), [master(9)]);
}

#[test]
fn a_change_of_the_directories_is_told_soon() {
    let mut agent = agent(false);
    step(&mut agent, at(0), Event::Deadline);
    step(&mut agent, at(0), checked(&[]));
    step(&mut agent, at(0), answered(master(1), false, None));
    step(&mut agent, at(0), answered(master(9), false, None));
    step(&mut agent, at(10), checked(&["/d1"]));
    assert_eq!(sent_to(&step(&mut agent, at(11), Event::Deadline)).len(), 2);
}

#[test]
fn without_its_postgresql_it_is_silent_and_says_so_to_a_probe() {
    let mut agent = agent(true);
    step(&mut agent, at(0), Event::Deadline);
    let effects = step(&mut agent, at(0), checked(&[]));
    assert_eq!(sent_to(&effects), [], "PostgreSQL is not checked yet");
    let effects = step(&mut agent, at(0), Event::PostgresChecked { failure: None });
    assert_eq!(sent_to(&effects).len(), 2);
    // A probe checks anew.
    let effects = step(&mut agent, at(1), Event::ProbeAsked { ticket: 8 });
    assert_eq!(effects, [Effect::CheckPostgres]);
    let failure = Some("refused".to_owned());
    let effects = step(&mut agent, at(2), Event::PostgresChecked { failure: failure.clone() });
    assert!(effects.contains(&Effect::AnswerProbe { ticket: 8, failure }), "{effects:?}");
    step(&mut agent, at(2), answered(master(1), false, None));
    step(&mut agent, at(2), answered(master(9), false, None));
    let effects = step(&mut agent, at(40), Event::Deadline);
    assert_eq!(sent_to(&effects), [], "heartbeats are suspended");
    assert!(effects.contains(&Effect::CheckPostgres), "but it looks again");
    let effects = step(&mut agent, at(41), Event::PostgresChecked { failure: None });
    assert_eq!(sent_to(&effects).len(), 2, "healthy again, at once");
}

#[test]
fn a_probe_without_a_configured_postgresql_is_answered_at_once() {
    let mut agent = agent(false);
    let effects = step(&mut agent, at(1), Event::ProbeAsked { ticket: 8 });
    assert!(effects.contains(&Effect::AnswerProbe { ticket: 8, failure: None }));
}

#[test]
fn a_promise_is_answered_only_when_it_is_durable() {
    let mut agent = agent(false);
    let effects = step(&mut agent, at(1), promise(3, epoch(6, 2)));
    let persists =
        |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Persist { .. }));
    let answers = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::AnswerFence { .. }))
    };
    assert!(persists(&effects) && !answers(&effects), "{effects:?}");
    // The same asked again waits for the same write.
    let effects = step(&mut agent, at(1), promise(4, epoch(6, 2)));
    assert!(!persists(&effects) && !answers(&effects), "{effects:?}");
    let effects = step(&mut agent, at(1), Event::Persisted { ticket: 1 });
    for ticket in [3, 4] {
        let fence = agent.fence().clone();
        assert!(effects.contains(&Effect::AnswerFence { ticket, accepted: true, fence }));
    }
}

#[test]
fn a_write_that_failed_is_no_answer_and_is_made_again() {
    let mut agent = agent(false);
    step(&mut agent, at(1), promise(3, epoch(6, 2)));
    let failed = Event::PersistFailed { ticket: 1, reason: "disk full".to_owned() };
    let effects = step(&mut agent, at(1), failed);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::FailFence { ticket: 3, .. })));
    // In memory it is promised: a lower epoch is refused, yet nothing is said before it is durable.
    let effects = step(&mut agent, at(2), promise(4, epoch(5, 1)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Persist { ticket: 2, .. })));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::AnswerFence { .. })));
    let effects = step(&mut agent, at(2), Event::Persisted { ticket: 2 });
    let fence = agent.fence().clone();
    assert!(effects.contains(&Effect::AnswerFence { ticket: 4, accepted: false, fence }));
}

#[test]
fn calls_that_wait_for_the_disk_are_bounded() {
    let mut agent = agent(false);
    step(&mut agent, at(1), promise(0, epoch(6, 2)));
    let refused = (1..=100)
        .flat_map(|ticket| step(&mut agent, at(1), promise(ticket, epoch(6, 2))))
        .filter(|effect| matches!(effect, Effect::FailFence { .. }))
        .count();
    assert_eq!(refused, 37);
}

#[test]
fn masters_are_learned_from_the_cluster_state_and_told_the_new_epoch_at_once() {
    let mut agent = agent(false);
    step(&mut agent, at(0), Event::Deadline);
    step(&mut agent, at(0), checked(&[]));
    step(&mut agent, at(0), answered(master(9), false, None));
    let reign = answered(master(1), true, Some(record(epoch(6, 2), 1)));
    let effects = step(&mut agent, at(1), reign);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Persist { .. })));
    assert_eq!(agent.fence().followed, epoch(6, 2));
    let effects: Vec<Effect> =
        effects.into_iter().chain(step(&mut agent, at(2), Event::Deadline)).collect();
    // mdw1:5438 was configured and mdw2:5439 is new; mdw9 was only configured.
    let mut sent = sent_to(&effects);
    sent.sort();
    assert_eq!(sent, [master(1), master(2), master(9)]);
}

#[test]
fn what_a_deposed_primary_or_a_foreign_cluster_says_is_not_learned() {
    let mut agent = agent(false);
    step(&mut agent, at(0), promise(1, epoch(6, 2)));
    let before = agent.fence().clone();
    step(&mut agent, at(1), answered(master(1), true, Some(record(epoch(5, 1), 9))));
    let foreign =
        ClusterState { cluster_id: crate::types::ClusterId(99), ..record(epoch(9, 1), 9) };
    step(&mut agent, at(1), answered(master(1), false, Some(foreign)));
    assert_eq!(*agent.fence(), before);
}

#[test]
fn a_master_may_ask_for_other_intervals_within_bounds() {
    let mut agent = agent(false);
    step(&mut agent, at(0), Event::Deadline);
    step(&mut agent, at(0), checked(&[]));
    let mut answer = answered(master(1), false, None);
    if let Event::HeartbeatAnswered { interval, .. } = &mut answer {
        *interval = Duration::from_nanos(1);
    }
    step(&mut agent, at(1), answer);
    assert_eq!(agent.deadline(), Some(at(1).after(Duration::from_millis(50))));
}
