//! What a master tells of itself over HTTP (`ha_http_port`): whether it lives, whether it serves,
//! its numbers, and the cluster as it sees it. It only reads the node's last view.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::ReadView;
use crate::frontend::{Health, Http};
use crate::types::MemberEntry;

use super::node::{NodeView, StandbyView};
use super::parts::Parts;
use super::services::rpc_host;
use super::start::StartError;
use super::status::is_open_primary;

struct MasterHealth {
    parts: Arc<Parts>,
}

/// Serves the pages where a port is set for them.
pub(super) async fn serve(parts: &Arc<Parts>) -> Result<Option<Http>, StartError> {
    let Some(port) = parts.settings.http_port else { return Ok(None) };
    let address = SocketAddr::new(rpc_host(&parts.settings).await?, port.get());
    let health = Arc::new(MasterHealth { parts: Arc::clone(parts) });
    let http = Http::start(address, health).await;
    http.map(Some).map_err(|source| StartError::ListenHttp { address, source })
}

impl Health for MasterHealth {
    fn alive(&self) -> Result<(), String> {
        let ended = self.parts.node.has_changed().is_err();
        if ended { Err("the node's loop has ended".to_owned()) } else { Ok(()) }
    }

    fn ready(&self) -> Result<String, String> {
        let filled = *self.parts.filled.borrow();
        ready(&self.parts.view(), filled, self.parts.settings.hot_standby)
    }

    fn metrics(&self) -> String {
        let applied = self.parts.catalog.snapshot().lsn().0;
        metrics(&self.parts.view(), applied, self.parts.sessions.count())
    }

    fn cluster(&self) -> Value {
        cluster(&self.parts.view(), &self.parts.cluster.to_string())
    }
}

/// As the gate for clients has it: a standby serves only where it is a hot one.
fn ready(view: &NodeView, filled: bool, hot_standby: bool) -> Result<String, String> {
    let serves = match view.role {
        "in-sync" | "catching-up" => hot_standby,
        _ => is_open_primary(view),
    };
    if serves && filled {
        return Ok(view.role.to_owned());
    }
    let reason = match view.closed_reason.as_str() {
        "" if !filled => "the catalog is being filled",
        "" => "no sessions here",
        reason => reason,
    };
    Err(format!("{}: {reason}", view.role))
}

fn metrics(view: &NodeView, applied: u64, sessions: usize) -> String {
    let in_sync = view.standbys.iter().filter(|standby| standby.in_sync).count();
    let rows = [
        ("open_primary_count", "1 while this node serves as primary", {
            u64::from(is_open_primary(view))
        }),
        ("epoch_number", "epoch that this node follows", view.epoch.0),
        ("write_lsn_bytes", "end of this node's log", view.write_lsn.0),
        ("flush_lsn_bytes", "durable end of this node's log", view.flush_lsn.0),
        ("commit_lsn_bytes", "durable on the whole in-sync set", view.commit_lsn.0),
        ("apply_lsn_bytes", "applied to the catalog", applied),
        ("session_count", "sessions of clients", sessions as u64),
        ("standby_count", "standbys that this primary knows", view.standbys.len() as u64),
        ("standby_in_sync_count", "standbys in the in-sync set", in_sync as u64),
    ];
    let mut text = String::new();
    for (name, help, value) in rows {
        let name = format!("hawq_master_{name}");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    }
    text
}

fn cluster(view: &NodeView, cluster: &str) -> Value {
    let record = view.record.as_ref();
    let members: Vec<Value> = record
        .iter()
        .flat_map(|record| &record.members)
        .map(|(node, entry)| member(node.get(), entry))
        .collect();
    json!({
        "cluster_id": cluster,
        "node": view.me.node.get(),
        "role": view.role,
        "open": view.open,
        "closed_reason": view.closed_reason,
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

fn member(node: u8, entry: &MemberEntry) -> Value {
    json!({
        "node": node,
        "host": entry.host,
        "rpc_port": entry.rpc_port,
        "pg_port": entry.pg_port,
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

#[cfg(test)]
mod tests {
    use super::super::mirroring::tests::view;
    use super::*;

    #[test]
    fn who_is_ready_row_by_row() {
        let at = |role, open, reason: &str| NodeView {
            role,
            open,
            closed_reason: reason.to_owned(),
            ..view(2, &[1, 2], None)
        };
        let rows = [
            (at("primary", true, ""), true, false, Ok("primary")),
            (at("primary", true, ""), false, false, Err("primary: the catalog is being filled")),
            (at("primary", false, "the lease ran out"), true, false, {
                Err("primary: the lease ran out")
            }),
            (at("in-sync", false, ""), true, true, Ok("in-sync")),
            (at("in-sync", false, ""), true, false, Err("in-sync: no sessions here")),
            (at("joining", false, "no primary"), true, true, Err("joining: no primary")),
        ];
        for (view, filled, hot, expected) in rows {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(ready(&view, filled, hot), expected);
        }
    }

    #[test]
    fn numbers_and_cluster_tell_the_view() {
        let view = view(2, &[1, 2], Some(("streaming", 99)));
        let text = metrics(&view, 7, 3);
        for line in [
            "\nhawq_master_open_primary_count 1\n",
            "\nhawq_master_apply_lsn_bytes 7\n",
            "\nhawq_master_session_count 3\n",
            "\nhawq_master_standby_in_sync_count 1\n",
        ] {
            assert!(format!("\n{text}").contains(line), "{line:?} is not in {text}");
        }
        let shown = cluster(&view, "c");
        assert_eq!((&shown["primary"], &shown["in_sync"]), (&json!(1), &json!([1, 2])));
        assert_eq!(shown["standbys"][0]["state"], "streaming");
        assert_eq!(shown["members"][1]["node"], 2);
    }
}
