//! Tables over the machine's public face: every stored status against every event, and the parts
//! that are not flat.

use std::num::NonZeroU32;

use crate::types::{Epoch, Heartbeat, Instant, ProbeOutcome, Reason, Reasons, SegmentStatus};

use super::{Effect, Event, Machine, SegmentRow, Settings, Suspect};

const SECOND: u64 = 1_000_000_000;

fn order(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn heartbeat(started_at: u64, failed: &[&str]) -> Event {
    let heartbeat = Heartbeat {
        segment: 1,
        hostname: "sdw1".to_owned(),
        addresses: vec!["10.0.0.1".to_owned()],
        port: 40_000,
        rpc_port: 5438,
        memory_mb: 1,
        cores: 1,
        failed_directories: failed.iter().map(|d| (*d).to_owned()).collect(),
        started_at,
        followed: Epoch::ZERO,
        promised: Epoch::ZERO,
    };
    Event::HeartbeatReceived { heartbeat, peer_address: "10.0.0.1".to_owned() }
}

/// The sets of reasons that can be stored in a row of this machine, as bits.
fn stored_sets() -> impl Iterator<Item = (u8, SegmentStatus)> {
    (0u8..32).map(|bits| {
        let mut reasons = Reasons::default();
        for reason in Reason::ALL {
            if bits & reason.bit() != 0 && reason != Reason::FailedTemporaryDirectory {
                reasons.insert(reason);
            }
        }
        if bits & 0x08 != 0 {
            reasons.set_failed_directories(vec!["/a".to_owned()]);
        }
        (bits, SegmentStatus::of(reasons))
    })
}

fn bits_of(status: &SegmentStatus) -> u8 {
    match status {
        SegmentStatus::Up => 0,
        SegmentStatus::Down(reasons) => {
            Reason::ALL.into_iter().filter(|r| reasons.contains(*r)).map(Reason::bit).sum()
        }
    }
}

/// A primary whose catalog says `status` of the segment that it has heard before its reign.
fn primary_with(status: SegmentStatus) -> Machine {
    let mut machine = Machine::new(Settings::default());
    let mut effects = Vec::new();
    let now = Instant(SECOND);
    machine.step(now, heartbeat(1, &[]), &mut effects);
    machine.step(Instant(2 * SECOND), Event::ReignBegan, &mut effects);
    let row = SegmentRow {
        order: order(1),
        hostname: "sdw1".to_owned(),
        address: "10.0.0.1".to_owned(),
        port: 40_000,
        status,
    };
    machine.step(Instant(2 * SECOND), Event::Loaded { rows: vec![row] }, &mut effects);
    assert_eq!(effects, [], "nothing follows from the rows alone");
    machine
}

fn deadlines_until(machine: &mut Machine, end: Instant) -> Vec<Effect> {
    let mut effects = Vec::new();
    while let Some(deadline) = machine.deadline().filter(|deadline| *deadline <= end) {
        machine.step(deadline, Event::Deadline, &mut effects);
        let probes: Vec<(NonZeroU32, u64)> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Probe { order, attempt, .. } => Some((*order, *attempt)),
                _ => None,
            })
            .collect();
        for (order, attempt) in probes {
            let outcome = ProbeOutcome::Alive;
            machine.step(deadline, Event::ProbeFinished { order, attempt, outcome }, &mut effects);
        }
    }
    effects
}

fn status_written(effects: &[Effect]) -> Option<u8> {
    let writes: Vec<&SegmentStatus> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Change(write) => {
                assert_eq!(write.history.len(), 1, "one line of history a change");
                let description = write.row.status.description();
                let text = if description.is_empty() { "segment is up" } else { &description };
                assert_eq!(write.history[0], text);
                Some(&write.row.status)
            }
            Effect::Register(_) => panic!("a known row is never registered"),
            _ => None,
        })
        .collect();
    assert!(writes.len() <= 1, "one transaction a change");
    writes.first().map(|status| bits_of(status))
}

fn check(bits: u8, expected: u8, effects: &[Effect]) {
    let written = status_written(effects);
    assert_eq!(written.unwrap_or(bits), expected, "from {bits:#x}");
    if expected == bits {
        assert_eq!(written, None, "nothing is written for no change, from {bits:#x}");
    }
}

#[test]
fn every_status_meets_every_kind_of_heartbeat() {
    for (bits, status) in stored_sets() {
        let after = |event: Event| {
            let mut effects = Vec::new();
            primary_with(status.clone()).step(Instant(3 * SECOND), event, &mut effects);
            effects
        };
        check(bits, 0, &after(heartbeat(1, &[])));
        check(bits, 0x08, &after(heartbeat(1, &["/a"])));
        let reset = if bits & 0x07 == 0 { 0x10 } else { 0 };
        check(bits, reset, &after(heartbeat(2, &[])));
        check(bits, reset | 0x08, &after(heartbeat(2, &["/a"])));
    }
}

#[test]
fn every_status_meets_the_timeout() {
    for (bits, status) in stored_sets() {
        let mut machine = primary_with(status);
        assert_eq!(status_written(&deadlines_until(&mut machine, Instant(302 * SECOND - 1))), None);
        check(bits, bits | 0x01, &deadlines_until(&mut machine, Instant(303 * SECOND)));
    }
}

#[test]
fn every_status_meets_every_outcome_of_a_probe() {
    let outcomes = [
        (ProbeOutcome::Alive, 0),
        (ProbeOutcome::Failed, 0x02),
        (ProbeOutcome::CommunicationError, 0x04),
    ];
    for (bits, status) in stored_sets() {
        for (outcome, reason) in outcomes {
            let mut machine = primary_with(status.clone());
            let mut effects = Vec::new();
            let now = Instant(3 * SECOND);
            machine.step(now, Event::Suspected(Suspect::Order(order(1))), &mut effects);
            assert_eq!(!effects.is_empty(), bits == 0, "only one that is up is probed");
            for attempt in 1..=2 {
                let now = Instant((4 + attempt * 2) * SECOND);
                let finished = Event::ProbeFinished { order: order(1), attempt, outcome };
                machine.step(now, finished, &mut effects);
                machine.step(
                    now.after(Settings::default().probe_retry),
                    Event::Deadline,
                    &mut effects,
                );
            }
            check(bits, if bits == 0 { reason } else { bits }, &effects);
        }
    }
}

#[test]
fn only_segments_that_are_up_are_handed_out() {
    for (bits, status) in stored_sets() {
        let available = primary_with(status).available();
        assert_eq!(available.len(), usize::from(bits == 0));
    }
}

#[test]
fn outside_a_reign_nothing_is_asked_for_and_nobody_handed_out() {
    let mut machine = primary_with(SegmentStatus::Up);
    let mut effects = Vec::new();
    machine.step(Instant(3 * SECOND), Event::ReignEnded, &mut effects);
    machine.step(Instant(4 * SECOND), heartbeat(9, &["/a"]), &mut effects);
    machine.step(Instant(5 * SECOND), Event::Suspected(Suspect::Order(order(1))), &mut effects);
    machine.step(Instant(900 * SECOND), Event::Deadline, &mut effects);
    assert_eq!(effects, []);
    assert_eq!(machine.available(), []);
    assert_eq!(machine.deadline(), None);
}

#[test]
fn a_standby_knows_where_the_agents_are() {
    let mut machine = Machine::new(Settings::default());
    machine.step(Instant(SECOND), heartbeat(1, &[]), &mut Vec::new());
    let agents = machine.agents(Instant(2 * SECOND));
    assert_eq!(agents.len(), 1);
    assert_eq!((agents[0].address.as_str(), agents[0].rpc_port), ("10.0.0.1", 5438));
    assert_eq!(machine.agents(Instant(400 * SECOND)), []);
}

#[test]
fn the_same_events_give_the_same_machine() {
    let run = || {
        let mut machine = primary_with(SegmentStatus::Up);
        machine.step(Instant(4 * SECOND), heartbeat(2, &["/a"]), &mut Vec::new());
        deadlines_until(&mut machine, Instant(500 * SECOND));
        machine
    };
    assert_eq!(run(), run());
}

#[test]
fn settings_refuse_a_timeout_that_no_heartbeat_can_meet() {
    let seconds = std::time::Duration::from_secs;
    assert!(Settings::new(seconds(30), seconds(30)).is_err());
    assert!(Settings::new(seconds(0), seconds(30)).is_err());
    assert!(Settings::new(seconds(1), seconds(10)).is_ok());
    assert!(Settings::default().check().is_ok());
}
