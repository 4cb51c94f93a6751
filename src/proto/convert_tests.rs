//! Every message to the wire's bytes and back; every bad field named.

use std::time::Duration;

use prost::Message as _;

use super::*;
use crate::types::{Envelope, Instant, Message, RefuseCause};

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn member(number: u8) -> Member {
    Member { node: node(number), incarnation: Incarnation(0xABC0 + u64::from(number)) }
}

fn history() -> TimelineHistory {
    let entries = vec![(Epoch(257), Lsn(8)), (Epoch(514), Lsn(4096))];
    TimelineHistory::from_entries(entries).unwrap()
}

fn state() -> ClusterState {
    let entry = |number: u8| MemberEntry {
        incarnation: member(number).incarnation,
        host: format!("host{number}"),
        rpc_port: 5000 + u16::from(number),
        pg_port: 6000,
        priority: 3,
    };
    let voter = |name: &str| Voter {
        name: name.to_owned(),
        incarnation: Incarnation(5),
        host: "h".to_owned(),
        rpc_port: 7,
    };
    // Every field by its name: whoever adds one is to think of it here.
    ClusterState {
        version: 12,
        cluster_id: ClusterId(0xDEAD_BEEF << 64 | 1),
        epoch: Epoch(514),
        primary: node(2),
        in_sync: [member(1), member(2)].into(),
        members: [(node(1), entry(1)), (node(2), entry(2))].into(),
        voters: [voter("a"), voter("b")].into(),
        next_voters: Some([voter("c")].into()),
        mode: Mode::Embedded,
        enabling: None,
        nonce: Nonce(77 << 100),
        history: history(),
        not_synchronized_since: Some(Lsn(0)),
        paused: true,
        failovers: 3,
        unfenced: Some(Unfenced { node: node(2), epoch: Epoch(514) }),
        lease: std::time::Duration::from_micros(250_001),
    }
}

fn messages() -> Vec<Message> {
    let (epoch, record) = (Epoch(514), Some(state()));
    let answer = |reigning, record| Message::InquiryAnswer {
        attempt: 4,
        reigning,
        hears_primary: true,
        followed: epoch,
        promised: Epoch(600),
        flush_lsn: Lsn(88),
        record,
    };
    vec![
        Message::Hello {
            followed: epoch,
            end: Lsn(100),
            commit_lsn: Lsn(90),
            history: history(),
            seeding: true,
        },
        Message::Align { epoch, cut: Lsn(50), history: history(), record: state() },
        Message::SeedRequired { epoch, judged: Lsn(5), reason: "recycled".to_owned() },
        Message::Append {
            epoch,
            from: Lsn(8),
            records: vec![1, 2, 3],
            commit_lsn: Lsn(8),
            sent_at: Instant(99),
        },
        Message::Heartbeat {
            epoch,
            write_lsn: Lsn(9),
            commit_lsn: Lsn(8),
            sent_at: Instant(1),
            record: record.clone(),
        },
        Message::Ack {
            epoch,
            flush_lsn: Lsn(7),
            apply_lsn: Lsn(6),
            record_version: 5,
            echo: Instant(4),
        },
        Message::Refuse {
            refused: Epoch(1),
            higher: epoch,
            cause: RefuseCause::Promised,
            record: None,
        },
        Message::Refuse {
            refused: Epoch(1),
            higher: epoch,
            cause: RefuseCause::Recorded,
            record: record.clone(),
        },
        Message::Inquiry { attempt: 3 },
        answer(None, None),
        answer(Some(Epoch::ZERO), record),
        Message::Release {
            epoch,
            end: Lsn(11),
            to: None,
            planned: false,
            stopped_for: Duration::ZERO,
        },
        Message::Release {
            epoch,
            end: Lsn(11),
            to: Some(node(9)),
            planned: true,
            stopped_for: Duration::from_micros(77),
        },
    ]
}

fn wire(message: Message) -> v1::Envelope {
    let cluster = ClusterId(42);
    Envelope { cluster, from: member(1), to: node(2), message }.into()
}

#[test]
fn every_message_round_trips_through_bytes() {
    for message in messages() {
        let sent = Envelope {
            cluster: ClusterId(42),
            from: member(1),
            to: node(2),
            message: message.clone(),
        };
        let bytes = v1::Envelope::from(sent.clone()).encode_to_vec();
        let received = v1::Envelope::decode(bytes.as_slice()).unwrap();
        assert_eq!(Envelope::try_from(received), Ok(sent), "{message}");
    }
}

#[test]
fn cluster_states_round_trip_with_and_without_optional_parts() {
    let plain = ClusterState {
        next_voters: None,
        voters: BTreeSet::new(),
        not_synchronized_since: None,
        paused: false,
        failovers: 0,
        unfenced: None,
        lease: std::time::Duration::ZERO,
        mode: Mode::Manual,
        ..state()
    };
    let announced = Some(Enabling::Announced(Mode::ZooKeeper));
    let decided = Some(Enabling::Decided(Mode::Embedded));
    for state in [
        state(),
        plain.clone(),
        ClusterState { enabling: announced, ..plain.clone() },
        ClusterState { enabling: decided, ..plain },
        ClusterState { mode: Mode::ZooKeeper, ..state() },
    ] {
        let bytes = v1::ClusterState::from(state.clone()).encode_to_vec();
        let back = v1::ClusterState::decode(bytes.as_slice()).unwrap();
        assert_eq!(ClusterState::try_from(back), Ok(state));
    }
}

/// A change that breaks one field of a sound message, and the path that must be named.
type Break<T> = (fn(&mut T), &'static str);

#[test]
fn bad_fields_of_the_cluster_state_are_named() {
    let rows: [Break<v1::ClusterState>; 13] = [
        (|s| s.cluster_id = "x".to_owned(), "cluster_id"),
        (|s| s.primary = 0, "primary"),
        (|s| s.primary = 256, "primary"),
        (|s| s.in_sync[1].node = 300, "in_sync[1].node"),
        (|s| s.members[0].host.clear(), "members[0].host"),
        (|s| s.members[1].rpc_port = 65_536, "members[1].rpc_port"),
        (|s| s.members[1].pg_port = 0, "members[1].pg_port"),
        (|s| s.members[1].node = 1, "members[1]"),
        (|s| s.voters.as_mut().unwrap().voters[1].rpc_port = 0, "voters.voters[1].rpc_port"),
        (|s| s.next_voters.as_mut().unwrap().voters[0].name.clear(), "next_voters.voters[0].name"),
        (|s| s.mode = 0, "mode"),
        (|s| s.nonce.truncate(15), "nonce"),
        (|s| s.history.reverse(), "history"),
    ];
    for (break_it, field) in rows {
        let mut bad = v1::ClusterState::from(state());
        break_it(&mut bad);
        assert_eq!(ClusterState::try_from(bad).unwrap_err().field, field);
    }
}

#[test]
fn bad_fields_of_envelopes_are_named_by_their_path() {
    let rows: [Break<v1::Envelope>; 5] = [
        (|e| e.cluster_id.clear(), "cluster_id"),
        (|e| e.from = None, "from"),
        (|e| e.from.as_mut().unwrap().node = 0, "from.node"),
        (|e| e.to = 999, "to"),
        (|e| e.message = None, "message"),
    ];
    for (break_it, field) in rows {
        let mut bad = wire(Message::Inquiry { attempt: 1 });
        break_it(&mut bad);
        assert_eq!(Envelope::try_from(bad).unwrap_err().field, field);
    }
    use v1::envelope::Message as Wire;
    let nested: [Break<Wire>; 5] = [
        (
            |m| {
                if let Wire::Align(a) = m {
                    a.record = None
                }
            },
            "align.record",
        ),
        (
            |m| {
                if let Wire::Hello(h) = m {
                    h.history.reverse()
                }
            },
            "hello.history",
        ),
        (
            |m| {
                if let Wire::Refuse(r) = m {
                    r.cause = 9
                }
            },
            "refuse.cause",
        ),
        (
            |m| {
                if let Wire::Release(r) = m {
                    r.to = 256
                }
            },
            "release.to",
        ),
        (
            |m| {
                if let Wire::Heartbeat(h) = m {
                    h.record.as_mut().unwrap().members[1].rpc_port = 0;
                }
            },
            "heartbeat.record.members[1].rpc_port",
        ),
    ];
    for (break_it, field) in nested {
        let errors: Vec<String> = messages()
            .into_iter()
            .filter_map(|message| {
                let mut bad = wire(message);
                break_it(bad.message.as_mut().unwrap());
                Envelope::try_from(bad).err().map(|error| error.field)
            })
            .collect();
        assert!(!errors.is_empty() && errors.iter().all(|found| found == field), "{errors:?}");
    }
}
