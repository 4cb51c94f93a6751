//! The truth after the block.

use aerie::proto::v1::{ClusterState, Member, MemberEntry};

use super::*;

fn view(node: u32, answer: Result<StatusReply, &str>) -> NodeView {
    NodeView {
        node,
        host: "127.0.0.1".to_owned(),
        rpc_port: 6000 + node,
        pg_port: 5431 + node,
        answer: answer.map(Box::new).map_err(str::to_owned),
    }
}

fn reply(node: u32, role: &str) -> StatusReply {
    StatusReply {
        cluster_id: "c1".to_owned(),
        member: Some(Member { node, incarnation: 1 }),
        role: role.to_owned(),
        open: role == "primary",
        epoch: 3 << 8 | 1,
        flush_lsn: 0x2A0,
        commit_lsn: 0x2A0,
        record: Some(ClusterState {
            epoch: 3 << 8 | 1,
            primary: 1,
            mode: Mode::Manual.into(),
            ..ClusterState::default()
        }),
        ..StatusReply::default()
    }
}

fn standby(node: u32, in_sync: bool) -> StandbyStatus {
    StandbyStatus {
        member: Some(Member { node, incarnation: 1 }),
        host: "127.0.0.1".to_owned(),
        state: if in_sync { "streaming" } else { "unreachable" }.to_owned(),
        in_sync,
        lag_bytes: 128,
        lag_ms: 1_500,
        ..StandbyStatus::default()
    }
}

fn texts(lines: Vec<Line>) -> Vec<String> {
    lines.into_iter().map(|line| line.text.trim_start_matches('-').trim().to_owned()).collect()
}

fn squeezed(lines: Vec<Line>) -> Vec<String> {
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    texts(lines).into_iter().map(words).collect()
}

#[test]
fn a_healthy_pair() {
    let primary = StatusReply {
        standbys: vec![standby(2, true)],
        summary_state: "Synchronized".to_owned(),
        detail_state: "None".to_owned(),
        ..reply(1, "primary")
    };
    let second = StatusReply { heard_primary_ago_ms: Some(60), open: false, ..reply(2, "in-sync") };
    let cluster = Cluster { nodes: vec![view(1, Ok(primary)), view(2, Ok(second))] };
    let lines = lines(&cluster);
    assert!(lines.iter().all(|line| !line.attention), "{lines:?}");
    assert_eq!(
        squeezed(lines)[3..],
        [
            "Cluster id = c1",
            "Epoch = 3.1",
            "Failover mode = manual (hawq activate standby)",
            "Mirroring = Synchronized",
            "Master 1 127.0.0.1:5432 = primary, open, commit 0/2A0, epoch 3.1",
            "Master 2 127.0.0.1:5433 = in-sync, synchronized, streaming, lag 128 bytes 1.500 s, \
             epoch 3.1, heard the primary 0.060 s ago",
        ]
    );
}

#[test]
fn a_lost_standby_and_a_segment_down_need_attention() {
    let primary = StatusReply {
        standbys: vec![standby(2, false)],
        summary_state: "Not Synchronized".to_owned(),
        detail_state: "Connection error".to_owned(),
        segments: vec![SegmentRow {
            registration_order: 3,
            status: "d".to_owned(),
            port: 40_000,
            hostname: "sdw1".to_owned(),
            description: "heartbeat timeout".to_owned(),
            heard_ago_ms: 301_000,
            has_heard: true,
            ..SegmentRow::default()
        }],
        ..reply(1, "primary")
    };
    let nodes = vec![view(1, Ok(primary)), view(2, Err("connection refused"))];
    let attention: Vec<Line> =
        lines(&Cluster { nodes }).into_iter().filter(|line| line.attention).collect();
    assert_eq!(
        squeezed(attention),
        [
            "Mirroring = Not Synchronized: Connection error",
            "Master 2 127.0.0.1:5433 = no answer: connection refused; the primary sees it \
             unreachable",
            "Segment 3 sdw1:40000 = down: heartbeat timeout; last heard 301.000 s ago",
        ]
    );
}

#[test]
fn without_a_primary_each_node_says_why() {
    let second = StatusReply {
        closed_reason: "a standby does not serve".to_owned(),
        heard_primary_ago_ms: Some(9_000),
        ..reply(2, "in-sync")
    };
    let nodes = vec![view(1, Err("connection refused")), view(2, Ok(second))];
    let cluster = Cluster { nodes };
    assert_eq!(
        why_no_primary(&cluster),
        "node 1, the primary of epoch 3.1, does not answer; bring it back, or take over with \
         \"hawq activate standby\""
    );
    assert_eq!(
        squeezed(nodes_of(&cluster)),
        [
            "Master 1 127.0.0.1:5432 = no answer: connection refused",
            "Master 2 127.0.0.1:5433 = in-sync, flushed 0/2A0, epoch 3.1, heard the primary 9.000 \
             s ago; a standby does not serve",
        ]
    );
    let nobody = Cluster { nodes: vec![view(1, Err("connection refused"))] };
    assert!(why_no_primary(&nobody).starts_with("no node of 1 answers"));
}

fn nodes_of(cluster: &Cluster) -> Vec<Line> {
    super::nodes(cluster)
}

/// Three members, of whom `in_sync` are recorded; node 3 has the higher priority.
fn record(in_sync: &[u32]) -> ClusterState {
    let entry = |node| MemberEntry { node, priority: node, ..MemberEntry::default() };
    ClusterState {
        epoch: 3 << 8 | 1,
        primary: 1,
        mode: Mode::Embedded.into(),
        in_sync: in_sync.iter().map(|node| Member { node: *node, incarnation: 1 }).collect(),
        members: (1..4).map(entry).collect(),
        ..ClusterState::default()
    }
}

fn line(lines: &[String], label: &str) -> String {
    let found = lines.iter().filter_map(|line| line.strip_prefix(label)?.strip_prefix(" = "));
    found.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_first_among_the_standbys_is_shown() {
    for (in_sync, shown) in [
        (&[1, 2, 3][..], "node 3 first, then node 2"),
        (&[1, 2], "node 2 first"),
        (&[1], "none in the in-sync set"),
    ] {
        let first = StatusReply { record: Some(record(in_sync)), ..reply(1, "primary") };
        let cluster = Cluster { nodes: vec![view(1, Ok(first))] };
        assert_eq!(line(&squeezed(lines(&cluster)), "Order of standbys"), shown);
    }
}

#[test]
fn without_a_primary_the_rest_is_told_too() {
    let standby = StatusReply {
        record: Some(ClusterState { paused: true, ..record(&[1, 2]) }),
        alarm: "two claims to epoch 3.1".to_owned(),
        coordinator_trouble: "no route to zk1".to_owned(),
        ..reply(2, "in-sync")
    };
    let nodes = vec![view(1, Err("connection refused")), view(2, Ok(standby))];
    let cluster = Cluster { nodes };
    let attention = lines(&cluster).into_iter().filter(|line| line.attention).collect();
    let attention = squeezed(attention);
    assert_eq!(
        attention[..4],
        [
            "Failover mode = automatic, embedded coordinator, PAUSED (hawq ha resume)",
            "ALARM = two claims to epoch 3.1",
            "Primary = none serves",
            "Coordinator = cannot be reached, so nobody takes over until it is back (node 2): no \
             route to zk1",
        ]
    );
}

#[test]
fn whoever_misses_the_coordinator_is_named() {
    let first = StatusReply { record: Some(record(&[1, 2, 3])), ..reply(1, "primary") };
    let cut = |reply: StatusReply| StatusReply { coordinator_trouble: "lost".to_owned(), ..reply };
    let shown = |nodes: Vec<StatusReply>| {
        let nodes = (1..).zip(nodes).map(|(node, reply)| view(node, Ok(reply))).collect();
        line(&squeezed(lines(&Cluster { nodes })), "Coordinator")
    };
    let standby = || reply(2, "in-sync");
    assert_eq!(shown(vec![first.clone(), standby()]), "");
    let second = "node 2 cannot reach it, so it does not take over: lost";
    assert_eq!(shown(vec![first.clone(), cut(standby())]), second);
    let primary = "node 1, the primary, cannot reach it and keeps its set: lost";
    assert_eq!(shown(vec![cut(first), standby()]), primary);
}

#[test]
fn who_is_not_open_or_takes_over_gives_its_reason() {
    for (role, open, why) in [
        ("primary", false, "node 1 is primary and closed: waiting for standby 2"),
        ("taking-over", false, "node 1 is taking over: waiting for standby 2"),
        // From itself: its sessions stay.
        ("taking-over", true, "node 1 is taking over: waiting for standby 2"),
    ] {
        let closed_reason = "waiting for standby 2".to_owned();
        let reply = StatusReply { open, closed_reason, ..reply(1, role) };
        let cluster = Cluster { nodes: vec![view(1, Ok(reply))] };
        assert!(cluster.primary().is_none());
        assert_eq!(why_no_primary(&cluster), why);
    }
}

#[test]
fn commits_that_wait_are_told_and_never_beside_synchronized() {
    let sentence = "node 2 does not ack and most segments are silent; bring segments back";
    let waiting = StatusReply {
        standbys: vec![standby(2, true)],
        summary_state: "Synchronized".to_owned(),
        commits_wait: sentence.to_owned(),
        ..reply(1, "primary")
    };
    let cluster = Cluster { nodes: vec![view(1, Ok(waiting))] };
    let lines = lines(&cluster);
    let alarming: Vec<Line> = lines.iter().filter(|line| line.attention).cloned().collect();
    assert_eq!(
        squeezed(alarming),
        [format!("Mirroring = Unknown: {sentence}"), format!("Commits wait = {sentence}")]
    );
    assert!(!lines.iter().any(|line| line.text.contains("Synchronized")), "{lines:?}");
    let json = crate::state_json::object(&cluster);
    assert_eq!(json["nodes"][0]["commits_wait"], sentence);
}
