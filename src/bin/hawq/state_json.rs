//! `hawq state --json`: one object for scripts. Names are stable; new ones may be added.

use aerie::proto::v1::{SegmentRow, StandbyStatus, StatusReply};
use aerie::types::{Epoch, Lsn};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NodeView};
use crate::ha_standing::order_of_standbys;
use crate::state_detail::{alarms, why_no_primary};

pub fn object(cluster: &Cluster) -> Value {
    let primary = cluster.primary();
    let reply = primary.and_then(NodeView::reply);
    let record = cluster.record();
    json!({
        "cluster_id": cluster.nodes.iter().find_map(|v| Some(v.reply()?.cluster_id.clone())),
        "epoch": record.map(|record| Epoch(record.epoch).to_string()),
        "alarms": alarms(cluster),
        "paused": record.map(|record| record.paused),
        "order_of_standbys": record.map(|record| {
            order_of_standbys(record).iter().map(|entry| entry.node).collect::<Vec<_>>()
        }),
        "primary": primary.map(|view| view.node),
        "no_primary_reason": primary.is_none().then(|| why_no_primary(cluster)),
        "mirroring": reply.map(|reply| json!({
            "summary_state": reply.summary_state,
            "detail_state": reply.detail_state,
            "error_message": reply.error_message,
        })),
        "nodes": cluster.nodes.iter().map(node).collect::<Vec<_>>(),
        "standbys": reply.map(|r| r.standbys.iter().map(standby).collect::<Vec<_>>()),
        "segments": reply.map(|r| r.segments.iter().filter(|s| s.registration_order > 0)
            .map(segment).collect::<Vec<_>>()),
    })
}

fn node(view: &NodeView) -> Value {
    let address = json!({
        "node": view.node,
        "host": view.host,
        "rpc_port": view.rpc_port,
        "pg_port": view.pg_port,
    });
    let answer = match &view.answer {
        Ok(reply) => answer(reply),
        Err(problem) => json!({ "answers": false, "problem": problem }),
    };
    let (mut address, answer) = match (address, answer) {
        (Value::Object(address), Value::Object(answer)) => (address, answer),
        (address, _) => return address,
    };
    address.extend(answer);
    Value::Object(address)
}

fn answer(reply: &StatusReply) -> Value {
    json!({
        "answers": true,
        "role": reply.role,
        "open": reply.open,
        "closed_reason": reply.closed_reason,
        "commits_wait": reply.commits_wait,
        "coordinator_trouble": reply.coordinator_trouble,
        "epoch": Epoch(reply.epoch).to_string(),
        "promised_epoch": Epoch(reply.promised_epoch).to_string(),
        "write_lsn": Lsn(reply.write_lsn).to_string(),
        "flush_lsn": Lsn(reply.flush_lsn).to_string(),
        "commit_lsn": Lsn(reply.commit_lsn).to_string(),
        "apply_lsn": Lsn(reply.apply_lsn).to_string(),
        "heard_primary_ago_ms": reply.heard_primary_ago_ms,
        "pid": reply.pid,
        "sessions": reply.sessions,
        "data_dir": reply.data_dir,
        "version": reply.version,
        "digest": reply.digest,
        "digest_lsn": Lsn(reply.digest_lsn).to_string(),
    })
}

fn standby(standby: &StandbyStatus) -> Value {
    json!({
        "node": standby.member.map(|member| member.node),
        "host": standby.host,
        "state": standby.state,
        "in_sync": standby.in_sync,
        "sent_lsn": Lsn(standby.sent_lsn).to_string(),
        "flush_lsn": Lsn(standby.flush_lsn).to_string(),
        "apply_lsn": Lsn(standby.apply_lsn).to_string(),
        "lag_bytes": standby.lag_bytes,
        "lag_ms": standby.lag_ms,
        "heard_ago_ms": standby.heard_ago_ms,
    })
}

fn segment(row: &SegmentRow) -> Value {
    json!({
        "registration_order": row.registration_order,
        "status": row.status,
        "hostname": row.hostname,
        "address": row.address,
        "port": row.port,
        "description": row.description,
        "heard_ago_ms": row.has_heard.then_some(row.heard_ago_ms),
    })
}
