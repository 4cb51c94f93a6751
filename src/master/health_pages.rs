//! The JSON pages: this node, the cluster, its reigns; Patroni's field names where it has the same
//! thing, ours beside them.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::proto::v1::ReignEntry;
use crate::types::{ClusterState, Epoch, Lsn, MemberEntry, NodeId, NodeRole};

use super::health_facts::Facts;
use super::node::{NodeView, StandbyView};

/// As `server_version_num` has it.
const SERVER_VERSION: u32 = 150_000;

/// This node: what Patroni tells at `/patroni`.
pub(super) fn node(facts: &Facts, cluster: &str, started_at_micros: i64) -> Value {
    let view = &facts.view;
    let started = OffsetDateTime::from_unix_timestamp_nanos(i128::from(started_at_micros) * 1_000);
    let started = started.map(|at| at.replace_nanosecond(0).unwrap_or(at).to_string());
    let role = if view.role == NodeRole::Primary { "primary" } else { "replica" };
    let running = facts.is_primary() || facts.is_standby();
    let xlog = if view.role == NodeRole::Primary {
        json!({"location": view.write_lsn.0})
    } else {
        json!({"received_location": view.flush_lsn.0, "replayed_location": facts.applied.0})
    };
    let record = view.record.as_ref();
    let mut page = json!({
        "state": if running { "running" } else { "starting" },
        "role": role,
        "postmaster_start_time": started.ok(),
        "server_version": SERVER_VERSION,
        "xlog": xlog,
        "timeline": view.epoch.0,
        "replication": view.standbys.iter().map(|s| replication(view, s)).collect::<Vec<_>>(),
        "database_system_identifier": cluster,
        "cluster_unlocked": record.is_none(),
        "patroni": {
            "version": env!("CARGO_PKG_VERSION"),
            "scope": cluster,
            "name": name(view.me.node),
        },
        "node": view.me.node.get(),
        "node_role": view.role.as_str(),
        "epoch": view.epoch.to_string(),
        "closed_reason": facts.ready().err(),
        "coordinator_trouble": facts.coordinator_trouble,
        "lease_remaining_ms": facts.lease_left().map(|left| {
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        }),
        "lag": facts.lag(),
    });
    // Patroni has these only where they are true.
    for (key, holds) in [
        ("sync_standby", facts.is_in_sync()),
        ("pause", record.is_some_and(|record| record.paused)),
    ] {
        if let (true, Some(fields)) = (holds, page.as_object_mut()) {
            fields.insert(key.to_owned(), Value::Bool(true));
        }
    }
    page
}

fn replication(view: &NodeView, standby: &StandbyView) -> Value {
    let entry = view.record.as_ref().and_then(|record| record.members.get(&standby.member.node));
    json!({
        "application_name": name(standby.member.node),
        "client_addr": entry.map(|entry| &entry.host),
        "state": standby.state,
        "sync_state": if standby.in_sync { "sync" } else { "async" },
        "sync_priority": entry.map_or(0, |entry| entry.priority),
    })
}

fn name(node: NodeId) -> String {
    format!("node{node}")
}

/// The cluster as this node sees it.
pub(super) fn cluster(facts: &Facts, cluster: &str) -> Value {
    let view = &facts.view;
    let record = view.record.as_ref();
    let members: Vec<Value> = record
        .iter()
        .flat_map(|record| record.members.iter().map(|(node, entry)| (*record, *node, entry)))
        .map(|(record, node, entry)| member(view, record, (node, entry)))
        .collect();
    json!({
        "scope": cluster,
        "cluster_id": cluster,
        "node": view.me.node.get(),
        "role": view.role.as_str(),
        "open": view.open,
        "closed_reason": view.closed_reason,
        "mode": record.map(|record| record.mode.to_string()),
        "pause": record.is_some_and(|record| record.paused),
        "epoch": view.epoch.0,
        "primary": record.map(|record| record.primary.get()),
        "in_sync": record.map(|record| {
            record.in_sync.iter().map(|member| member.node.get()).collect::<Vec<_>>()
        }),
        "commit_lsn": view.commit_lsn.to_string(),
        "members": members,
        "standbys": view.standbys.iter().map(standby).collect::<Vec<_>>(),
    })
}

/// State and lag of others are known to the primary alone.
fn member(view: &NodeView, record: &ClusterState, (node, entry): (NodeId, &MemberEntry)) -> Value {
    let in_sync = record.in_sync.iter().any(|member| member.node == node);
    let role = match (node == record.primary, in_sync) {
        (true, _) => "leader",
        (false, true) => "sync_standby",
        (false, false) => "replica",
    };
    let seen = view.standbys.iter().find(|standby| standby.member.node == node);
    let state = match seen {
        Some(standby) => standby.state,
        None if node == view.me.node && (view.is_open_primary() || role != "leader") => "running",
        None => "unknown",
    };
    json!({
        "name": name(node),
        "node": node.get(),
        "role": role,
        "state": state,
        "host": entry.host,
        "port": entry.pg_port,
        "rpc_port": entry.rpc_port,
        "pg_port": entry.pg_port,
        "timeline": (node == record.primary).then_some(record.epoch.0),
        "lag": seen.map(|standby| view.write_lsn.bytes_since(standby.flush)),
    })
}

fn standby(standby: &StandbyView) -> Value {
    json!({
        "node": standby.member.node.get(),
        "state": standby.state,
        "in_sync": standby.in_sync,
        "flush_lsn": standby.flush.to_string(),
        "apply_lsn": standby.apply.to_string(),
    })
}

/// Each reign: where it began, when, why, and after which gap, as far as that is known.
pub(super) fn history(reigns: &[ReignEntry]) -> Value {
    let reign = |reign: &ReignEntry| {
        let (epoch, start) = (Epoch(reign.epoch), Lsn(reign.start_lsn));
        json!({
            "timeline": epoch.0,
            "epoch": epoch.to_string(),
            "new_leader": epoch.node().map(name),
            "node": epoch.node().map(NodeId::get),
            "lsn": start.0,
            "start_lsn": start.to_string(),
            "reason": Some(&reign.cause).filter(|cause| !cause.is_empty()),
            "timestamp": (reign.at_us > 0).then(|| timestamp(reign.at_us)).flatten(),
            "gap_us": reign.gap_us,
        })
    };
    reigns.iter().map(reign).collect::<Vec<_>>().into()
}

fn timestamp(micros: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
    at.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::super::health_facts::tests::{facts, primary, standby};
    use super::super::mirroring::tests::view;
    use super::*;

    #[test]
    fn pages_tell_the_view() {
        let seen = view(2, &[1, 2], Some(("streaming", 99)));
        let reigning = facts(NodeView { standbys: seen.standbys, ..primary() });
        let shown = cluster(&reigning, "c");
        assert_eq!((&shown["primary"], &shown["in_sync"]), (&json!(1), &json!([1, 2])));
        assert_eq!(shown["standbys"][0]["state"], "streaming");
        assert_eq!(shown["members"][0]["role"], "leader");
        let other = &shown["members"][1];
        assert_eq!((&other["node"], &other["role"]), (&json!(2), &json!("sync_standby")));
        assert_eq!((&other["state"], &other["lag"]), (&json!("streaming"), &json!(0)));

        let shown = node(&reigning, "c", 1_700_000_000_000_000);
        assert_eq!((&shown["role"], &shown["state"]), (&json!("primary"), &json!("running")));
        assert_eq!(shown["postmaster_start_time"], "2023-11-14 22:13:20.0 +00:00:00");
        assert_eq!(shown["replication"][0]["sync_state"], "sync");
        assert_eq!((&shown["sync_standby"], &shown["pause"]), (&Value::Null, &Value::Null));
        assert_eq!(shown["lease_remaining_ms"], 300);

        let shown = node(&facts(standby(NodeRole::InSync)), "c", 0);
        assert_eq!((&shown["role"], &shown["sync_standby"]), (&json!("replica"), &json!(true)));
        assert_eq!(
            (&shown["lag"], &shown["xlog"]["replayed_location"]),
            (&json!(100), &json!(900))
        );
        assert_eq!(shown["closed_reason"], "in-sync: standby of node 2");
    }

    #[test]
    fn a_reign_tells_when_and_why_it_began() {
        let known = ReignEntry {
            epoch: Epoch::new(2, NodeId::new(1).unwrap()).0,
            node: 1,
            start_lsn: 0x28,
            at_us: 1_700_000_000_000_000,
            cause: "switchover from node 2".to_owned(),
            gap_us: Some(7_000),
        };
        let old = ReignEntry { at_us: 0, cause: String::new(), gap_us: None, ..known.clone() };
        let shown = history(&[old, known]);
        assert_eq!(shown[0]["reason"], Value::Null);
        assert_eq!(shown[0]["timestamp"], Value::Null);
        assert_eq!(shown[1]["new_leader"], "node1");
        assert_eq!(shown[1]["reason"], "switchover from node 2");
        assert_eq!(shown[1]["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!((&shown[1]["lsn"], &shown[1]["gap_us"]), (&json!(0x28), &json!(7_000)));
    }
}
