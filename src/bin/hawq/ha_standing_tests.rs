//! Judgements on the answers of nodes that are made up.

use aerie::proto::v1::Member;

use super::*;

fn member(node: u32) -> Member {
    Member { node, incarnation: 1 }
}

fn entry(node: u32, priority: u32) -> MemberEntry {
    MemberEntry { node, priority, host: "h".to_owned(), ..MemberEntry::default() }
}

/// Node 1 was primary; `in_sync` beside it.
fn record(version: u64, in_sync: &[u32]) -> ClusterState {
    ClusterState {
        version,
        epoch: 3 << 8 | 1,
        primary: 1,
        in_sync: in_sync.iter().map(|node| member(*node)).collect(),
        members: vec![entry(1, 9), entry(2, 1), entry(3, 5), entry(4, 0), entry(5, 9)],
        ..ClusterState::default()
    }
}

fn standby(node: u32, flush_lsn: u64, record: ClusterState) -> NodeView {
    let reply = StatusReply {
        member: Some(member(node)),
        role: "in-sync".to_owned(),
        flush_lsn,
        record: Some(record),
        ..StatusReply::default()
    };
    view(node, Ok(reply))
}

pub(crate) fn view(node: u32, answer: Result<StatusReply, &str>) -> NodeView {
    NodeView {
        node,
        host: "h".to_owned(),
        rpc_port: 1,
        pg_port: 1,
        answer: answer.map(Box::new).map_err(str::to_owned),
    }
}

fn change(view: &mut NodeView, change: impl FnOnce(&mut StatusReply)) {
    change(view.answer.as_mut().expect("it answers"));
}

fn chosen(nodes: &[NodeView], own: u32) -> Result<u32, String> {
    best(&Cluster { nodes: nodes.to_vec() }, own).map(|view| view.node)
}

#[test]
fn the_order_is_that_of_priority_among_those_in_sync() {
    let record = record(1, &[1, 2, 3, 4]);
    let order: Vec<u32> = order_of_standbys(&record).iter().map(|entry| entry.node).collect();
    assert_eq!(order, [3, 2]);
}

#[test]
fn who_loses_nothing_comes_before_who_is_further_and_before_ones_own() {
    let set = || record(7, &[1, 2, 3]);
    let mut nodes = vec![
        view(1, Err("connection refused")),
        standby(2, 10, set()),
        standby(3, 20, set()),
        // It was dropped and has not heard of it: its own word is that it is in sync.
        standby(4, 30, record(6, &[1, 2, 3, 4])),
    ];
    for own in [1, 2, 4] {
        assert_eq!(chosen(&nodes, own), Ok(3), "the furthest in the set, whoever asks");
    }
    change(&mut nodes[1], |reply| reply.flush_lsn = 20);
    assert_eq!((chosen(&nodes, 1), chosen(&nodes, 3)), (Ok(2), Ok(3)), "alike: one's own");
    change(&mut nodes[2], |reply| reply.coordinator_trouble = "no route".to_owned());
    assert_eq!(chosen(&nodes, 3), Ok(2), "without the coordinator nobody takes over");
    change(&mut nodes[1], |reply| reply.cannot_stand = vec!["rule 13: being seeded".to_owned()]);
    assert_eq!(chosen(&nodes, 4), Ok(3));
    // Another life of the node is not the member that the record knows.
    change(&mut nodes[2], |reply| reply.member = Some(Member { node: 3, incarnation: 2 }));
    assert_eq!(chosen(&nodes, 1), Ok(4), "where all could lose something: the furthest");
    change(&mut nodes[3], |reply| reply.role = "primary".to_owned());
    assert_eq!(chosen(&nodes, 1), Ok(2), "a primary that is closed is no standby");
    let dead = [view(1, Err("connection refused"))];
    assert!(chosen(&dead, 1).unwrap_err().starts_with("no standby answers"));
}

#[test]
fn a_loss_is_not_accepted_where_another_standby_loses_nothing() {
    let set = || record(7, &[1, 2]);
    let mut nodes = vec![
        view(1, Err("connection refused")),
        standby(2, 0x50, set()),
        standby(3, 0x30, record(6, &[1, 2, 3])),
    ];
    change(&mut nodes[1], |reply| reply.commit_lsn = 0x40);
    let asked = |nodes: &[NodeView], accepted| {
        let cluster = Cluster { nodes: nodes.to_vec() };
        agreed(&cluster, &nodes[2], ("--allow-data-loss", accepted))
    };
    let loss = "node 3: rule 6: it is not in the in-sync set of the newest record that a node \
                knows; its log ends at 0/30, and whatever was acknowledged after that would be \
                lost (16 bytes of it are known of)";
    for accepted in [false, true] {
        let refused = asked(&nodes, accepted).unwrap_err();
        let other = "; node 2 could take over and lose nothing: name that one, or stop it first";
        assert_eq!(refused, format!("{loss}{other}"));
    }
    change(&mut nodes[1], |reply| reply.coordinator_trouble = "no route".to_owned());
    assert_eq!(asked(&nodes, false), Err(format!("{loss}; --allow-data-loss accepts that")));
    let told = Agreed { loss: Some(loss.to_owned()), allow_data_loss: true };
    assert_eq!(asked(&nodes, true), Ok(told));
}

#[test]
fn a_node_is_told_of_a_loss_only_where_a_person_was() {
    let asked = |mode: Mode, accepted| {
        let record = ClusterState { mode: mode.into(), ..record(7, &[1, 2]) };
        let cluster = Cluster { nodes: vec![standby(2, 10, record)] };
        agreed(&cluster, &cluster.nodes[0], ("--allow-data-loss", accepted)).unwrap()
    };
    let agreed = |allow_data_loss| Agreed { loss: None, allow_data_loss };
    assert_eq!(asked(Mode::Embedded, true), agreed(false), "the record tells that it loses none");
    assert_eq!(asked(Mode::Manual, true), agreed(true), "there nobody may be able to exclude it");
    assert_eq!(asked(Mode::Manual, false), agreed(false));
}

#[test]
fn nobody_follows_a_primary_that_hands_back_where_nobody_may() {
    let automatic = |in_sync: &[u32]| {
        let mode = Mode::Embedded.into();
        ClusterState { mode, ..record(7, in_sync) }
    };
    let after = |record: ClusterState, trouble: &str| {
        let mut second = standby(2, 10, record);
        change(&mut second, |reply| reply.coordinator_trouble = trouble.to_owned());
        let cluster = Cluster { nodes: vec![second, view(3, Err("connection refused"))] };
        successor(&cluster).map(|view| view.node)
    };
    assert_eq!(after(automatic(&[1, 2, 3]), ""), Ok(2), "the first that can");
    let refused = |record, trouble, part: &str| {
        let reason = after(record, trouble).unwrap_err();
        assert!(reason.contains(part), "{reason}");
    };
    refused(record(7, &[1, 2]), "", "in manual mode");
    refused(ClusterState { paused: true, ..automatic(&[1, 2]) }, "", "hawq ha resume");
    refused(automatic(&[1]), "", "no other node that may stand is in the in-sync set");
    refused(automatic(&[1, 4]), "", "no other node that may stand");
    refused(automatic(&[1, 3]), "", "node 3: it does not answer: connection refused");
    refused(automatic(&[1, 2]), "no route", "node 2: rule 15: ");
}
