//! `/metrics`: the numbers of this node in Prometheus' text format. Names are
//! `hawq_<module>_<noun>_<unit>`.

use std::fmt::Write;

use crate::types::NodeRole;

use super::health_facts::Facts;
use super::node::NodeView;

/// A lease longer than a day has no end: nobody else could reign.
const LEASE_SHOWN_MAX: f64 = 86_400.0;

pub(super) fn text(facts: &Facts, sessions: usize) -> String {
    let view = &facts.view;
    let mut page = Page::default();
    for (name, help, value) in master_rows(facts, sessions) {
        page.gauge(&format!("hawq_master_{name}"), help, &[("", value)]);
    }
    for (name, help, value) in ha_rows(facts) {
        page.gauge(&format!("hawq_ha_{name}"), help, &[("", value)]);
    }
    // Every role has a row, so that none disappears.
    let shown =
        |role: NodeRole| (format!("role=\"{role}\""), f64::from(u8::from(role == view.role)));
    let roles: Vec<(String, f64)> = NodeRole::ALL.map(shown).into();
    page.gauge("hawq_ha_role_info", "1 for the role of this node", &roles);
    if let Some(record) = &view.record {
        let mode = [(format!("mode=\"{}\"", record.mode), 1.0)];
        page.gauge("hawq_ha_mode_info", "who decides on a takeover", &mode);
    }
    page.gauge("hawq_ha_standby_lag_bytes", "log that a standby has not flushed", &lags(view));
    page.text
}

fn master_rows(facts: &Facts, sessions: usize) -> [(&'static str, &'static str, f64); 9] {
    let view = &facts.view;
    let in_sync = view.standbys.iter().filter(|standby| standby.in_sync).count();
    [
        ("open_primary_count", "1 while this node serves as primary", flag(facts.is_primary())),
        ("epoch_number", "epoch that this node follows", number(view.epoch.0)),
        ("write_lsn_bytes", "end of this node's log", number(view.write_lsn.0)),
        ("flush_lsn_bytes", "durable end of this node's log", number(view.flush_lsn.0)),
        ("commit_lsn_bytes", "durable on the whole in-sync set", number(view.commit_lsn.0)),
        ("apply_lsn_bytes", "applied to the catalog", number(facts.applied.0)),
        ("session_count", "sessions of clients", count(sessions)),
        ("standby_count", "standbys that this primary knows", count(view.standbys.len())),
        ("standby_in_sync_count", "standbys in the in-sync set", count(in_sync)),
    ]
}

fn ha_rows(facts: &Facts) -> Vec<(&'static str, &'static str, f64)> {
    let view = &facts.view;
    let lease = facts.lease_left().map_or(0.0, |left| left.as_secs_f64().min(LEASE_SHOWN_MAX));
    let mut rows = vec![
        ("lease_remaining_seconds", "how long reads are allowed; a day: without end", lease),
        ("commit_wait_count", "1 while commits wait for the record, or for a second member", {
            flag(view.commits_wait.is_some())
        }),
        ("coordinator_trouble_count", "1 while what holds the cluster state does not answer", {
            flag(facts.coordinator_trouble.is_some())
        }),
        ("conflicting_claims_count", "1 once two claims to one epoch were met", {
            flag(view.alarm.is_some())
        }),
        ("promised_epoch_number", "epoch that this node has promised", number(view.promised.0)),
    ];
    if let Some(at) = view.primary_heard {
        let silence = facts.now.since(at).as_secs_f64();
        rows.push(("primary_silence_seconds", "since the primary was last heard", silence));
    }
    if let Some(lag) = facts.lag() {
        rows.push(("apply_lag_bytes", "committed log that is not applied here", number(lag)));
    }
    if let Some(record) = &view.record {
        let reigns = record.history.entries().len();
        rows.extend([
            ("record_version_number", "version of the cluster state", number(record.version)),
            ("in_sync_count", "members of the in-sync set", count(record.in_sync.len())),
            ("member_count", "masters of the cluster", count(record.members.len())),
            ("reign_count", "reigns so far", count(reigns)),
            ("paused_count", "1 while takeovers are paused", flag(record.paused)),
        ]);
    }
    rows
}

fn lags(view: &NodeView) -> Vec<(String, f64)> {
    let lag = |standby: &super::node::StandbyView| {
        let node = format!("node=\"{}\"", standby.member.node);
        (node, number(view.write_lsn.bytes_since(standby.flush)))
    };
    view.standbys.iter().map(lag).collect()
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn count(value: usize) -> f64 {
    number(value as u64)
}

/// Prometheus has nothing but floating point; beyond 2^53 the last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "the format has no integers")]
fn number(value: u64) -> f64 {
    value as f64
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Nothing where there are no rows.
    fn gauge(&mut self, name: &str, help: &str, rows: &[(impl AsRef<str>, f64)]) {
        if !rows.is_empty() {
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        }
        for (labels, value) in rows {
            let labels = labels.as_ref();
            let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
            let _ = writeln!(self.text, "{name}{open}{labels}{close} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::health_facts::tests::{facts, primary, standby};
    use super::super::mirroring::tests::view;
    use super::*;

    #[test]
    fn numbers_tell_the_view() {
        let seen = view(2, &[1, 2], Some(("streaming", 99)));
        let page = text(&facts(NodeView { standbys: seen.standbys, ..primary() }), 3);
        for line in [
            "hawq_master_open_primary_count 1",
            "hawq_master_apply_lsn_bytes 900",
            "hawq_master_session_count 3",
            "hawq_master_standby_in_sync_count 1",
            "hawq_ha_lease_remaining_seconds 0.3",
            "hawq_ha_in_sync_count 2",
            "hawq_ha_role_info{role=\"primary\"} 1",
            "hawq_ha_role_info{role=\"in-sync\"} 0",
            "hawq_ha_standby_lag_bytes{node=\"2\"} 0",
            "# TYPE hawq_ha_mode_info gauge",
        ] {
            assert!(page.lines().any(|found| found == line), "{line:?} is not in {page}");
        }
        let alarm = Some("two claims to epoch 3.1: ...".to_owned());
        let page = text(&facts(NodeView { alarm, ..primary() }), 0);
        assert!(page.lines().any(|line| line == "hawq_ha_conflicting_claims_count 1"), "{page}");
        let page = text(&facts(standby(NodeRole::InSync)), 0);
        for line in ["hawq_ha_apply_lag_bytes 100", "hawq_ha_primary_silence_seconds 1"] {
            assert!(page.lines().any(|found| found == line), "{line:?} is not in {page}");
        }
        let unique = |line: &&str| line.starts_with("# TYPE");
        let types: Vec<&str> = page.lines().filter(unique).collect();
        let names: std::collections::BTreeSet<&&str> = types.iter().collect();
        assert_eq!(names.len(), types.len(), "{page}");
    }
}
