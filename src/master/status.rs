//! What a node says of itself to `hawq state` and to other masters.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::segments::{self, Mirroring, MirroringState};
use crate::catalog::{Digest, ReadView};
use crate::fts::SegmentView;
use crate::proto::v1;
use crate::proto::{member_to_wire, record_to_wire};
use crate::types::{Instant, Lsn};

use super::history;
use super::mirroring;
use super::node::{NodeView, StandbyView};
use super::parts::Parts;
use super::segment_rows;

/// A standby not heard for so long is shown as unreachable.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);

/// `with_digest` reads the whole catalog where it has changed: only for who waits for that.
pub(super) async fn reply(parts: &Arc<Parts>, with_digest: bool) -> v1::StatusReply {
    let digest = if with_digest { digest(parts).await } else { None };
    let (view, now) = (parts.view(), parts.clock.now());
    let views = parts.segments.views().await;
    let mirroring = mirroring_state(parts, &view, now);
    let filled = *parts.filled.borrow();
    let closed_reason = match (view.open, filled) {
        (true, false) => "the catalog is being filled".to_owned(),
        _ => view.closed_reason.clone(),
    };
    v1::StatusReply {
        cluster_id: parts.cluster.to_string(),
        member: Some(member_to_wire(view.me)),
        hostname: parts.settings.host.clone(),
        pg_port: u32::from(parts.settings.pg_port),
        rpc_port: u32::from(parts.settings.rpc_port),
        pid: std::process::id(),
        role: view.role.to_string(),
        open: view.open && filled,
        closed_reason,
        epoch: view.epoch.0,
        promised_epoch: view.promised.0,
        write_lsn: view.write_lsn.0,
        flush_lsn: view.flush_lsn.0,
        commit_lsn: view.commit_lsn.0,
        apply_lsn: parts.catalog.snapshot().lsn().0,
        record: view.record.as_ref().map(record_to_wire),
        standbys: view.standbys.iter().map(|standby| standby_status(&view, standby, now)).collect(),
        segments: segment_rows(parts, views, now),
        summary_state: mirroring.state.text().to_owned(),
        detail_state: mirroring.detail.unwrap_or_default(),
        error_message: mirroring.error.unwrap_or_default(),
        heard_primary_ago_ms: view.primary_heard.map(|at| millis(now.since(at))),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sessions: u32::try_from(parts.sessions.count()).unwrap_or(u32::MAX),
        data_dir: parts.data_dir.display().to_string(),
        started_at_us: parts.started_at,
        digest: digest.map_or_else(String::new, |(_, digest)| digest.to_string()),
        digest_lsn: digest.map_or(0, |(lsn, _)| lsn.0),
        commits_wait: view.commits_wait.clone().unwrap_or_default(),
        coordinator_trouble: parts.coordinator_health.trouble().unwrap_or_default(),
        alarm: view.alarm.clone().unwrap_or_default(),
        cannot_stand: view.cannot_stand.clone(),
        not_by_itself: view.not_by_itself.clone(),
        lease_ms: millis(parts.settings.lease),
        lease_left_ms: view
            .readable_until
            .filter(|until| *until < Instant(u64::MAX))
            .map(|until| millis(until.since(now))),
        reign: view.reign.as_ref().map(history::reign_to_wire),
    }
}

async fn digest(parts: &Arc<Parts>) -> Option<(Lsn, Digest)> {
    let reading = Arc::clone(parts);
    let digest = tokio::task::spawn_blocking(move || reading.digest.get(&reading.catalog));
    digest.await.ok().flatten()
}

/// An open primary knows by itself; others show what they have applied.
fn mirroring_state(parts: &Parts, view: &NodeView, now: Instant) -> Mirroring {
    if view.is_open_primary() {
        return mirroring::mirroring(view, now);
    }
    let stored = segments::mirroring(&parts.catalog.snapshot()).ok().flatten();
    let unknown = MirroringState::Unknown;
    stored.unwrap_or(Mirroring { state: unknown, detail: None, log_time: None, error: None })
}

fn standby_status(view: &NodeView, standby: &StandbyView, now: Instant) -> v1::StandbyStatus {
    let entry = view.record.as_ref().and_then(|record| record.members.get(&standby.member.node));
    let silence = now.since(standby.last_heard);
    let lag_bytes = view.write_lsn.bytes_since(standby.flush);
    let state = if silence > UNREACHABLE_AFTER { "unreachable" } else { standby.state };
    v1::StandbyStatus {
        member: Some(member_to_wire(standby.member)),
        host: entry.map_or_else(String::new, |entry| entry.host.clone()),
        state: state.to_owned(),
        in_sync: standby.in_sync,
        sent_lsn: standby.sent.0,
        flush_lsn: standby.flush.0,
        apply_lsn: standby.apply.0,
        lag_bytes,
        lag_ms: if lag_bytes == 0 { 0 } else { millis(silence) },
        heard_ago_ms: millis(silence),
    }
}

/// From the machine where it reigns, else from the catalog.
fn segment_rows(parts: &Parts, views: Vec<SegmentView>, now: Instant) -> Vec<v1::SegmentRow> {
    let rows = if views.is_empty() {
        let stored = segment_rows::load(&parts.catalog.snapshot()).unwrap_or_default();
        stored.into_iter().map(|row| SegmentView { row, heard: None, probing: false }).collect()
    } else {
        views
    };
    let row = |SegmentView { row, heard, .. }: SegmentView| v1::SegmentRow {
        registration_order: i32::try_from(row.order.get()).unwrap_or(i32::MAX),
        status: row.status.column().to_string(),
        port: u32::from(row.port),
        description: row.status.description(),
        hostname: row.hostname,
        address: row.address,
        heard_ago_ms: heard.map_or(0, |at| millis(now.since(at))),
        has_heard: heard.is_some(),
    };
    rows.into_iter().map(row).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
