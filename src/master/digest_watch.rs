//! Compares the catalogs of the primary and its standbys at equal positions, from time to time
//! (invariant I7). A standby that differs is reported and told to seed itself anew.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{ReadView, digest_of};
use crate::proto::v1::{DigestReply, DigestRequest, ReseedRequest};
use crate::types::{Lsn, MemberEntry, NodeId};

use super::parts::Parts;
use super::witnesses::control_client;

/// A standby may have passed the position when it is asked; then one further on is tried.
const MARGINS: [u64; 4] = [0, 64 << 10, 1 << 20, 8 << 20];

/// Bound of one comparison.
const COMPARE_MAX: Duration = Duration::from_secs(30);

const CONNECT_MAX: Duration = Duration::from_secs(2);

pub(super) async fn run(parts: Arc<Parts>) {
    let interval = parts.settings.digest_interval;
    let mut node = parts.node.clone();
    while !interval.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            ended = node.wait_for(|_| false) => {
                if ended.is_err() {
                    return;
                }
            }
        }
        let view = parts.view();
        let Some(record) = view.record.clone().filter(|_| view.is_open_primary()) else {
            continue;
        };
        let in_sync = |node: NodeId| record.in_sync.iter().any(|member| member.node == node);
        for (node, entry) in &record.members {
            if *node != view.me.node && in_sync(*node) {
                compare(&parts, *node, entry).await;
            }
        }
    }
}

async fn compare(parts: &Parts, node: NodeId, entry: &MemberEntry) {
    for margin in MARGINS {
        let at = parts.view().write_lsn.advance(margin);
        let compared = tokio::time::timeout(COMPARE_MAX, compare_at(parts, entry, at)).await;
        match compared {
            Ok(Ok(Some((lsn, true)))) => {
                tracing::info!("catalog of node {node} is equal at lsn={lsn}");
                return;
            }
            Ok(Ok(Some((lsn, false)))) => {
                differs(parts, node, entry, lsn).await;
                return;
            }
            Ok(Ok(None)) => {}
            Ok(Err(reason)) => {
                tracing::warn!("cannot compare the catalog of node {node}: {reason}");
                return;
            }
            Err(_) => tracing::debug!("no position in common with node {node} at {at}"),
        }
    }
}

/// Whether both are equal at the first end of a record at or after `at`; `None` when one of the
/// two had passed it already.
async fn compare_at(
    parts: &Parts,
    entry: &MemberEntry,
    at: Lsn,
) -> Result<Option<(Lsn, bool)>, String> {
    let Ok(ours) = parts.digests.ask(at, &parts.catalog) else { return Ok(None) };
    let mut client = control_client(&parts.auth, entry, CONNECT_MAX).await?;
    let epoch = parts.view().epoch.0;
    let theirs = client.digest(DigestRequest { epoch, at_lsn: at.0 });
    let (ours, theirs) = tokio::join!(ours, theirs);
    let theirs: DigestReply = theirs.map_err(|status| status.to_string())?.into_inner();
    let ours = ours.map_err(|_| "the node is stopping".to_owned())?;
    if !theirs.reached || theirs.lsn != ours.lsn().0 {
        return Ok(None);
    }
    let lsn = ours.lsn();
    let digest = tokio::task::spawn_blocking(move || digest_of(&ours)).await;
    let digest = digest.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(Some((lsn, digest.to_string() == theirs.digest)))
}

async fn differs(parts: &Parts, node: NodeId, entry: &MemberEntry, lsn: Lsn) {
    let epoch = parts.view().epoch;
    let reason = format!("its catalog differs from the primary's at lsn={lsn}");
    tracing::error!("standby node {node} is seeded anew epoch={epoch}: {reason}");
    let told = async {
        let mut client = control_client(&parts.auth, entry, CONNECT_MAX).await?;
        let request = ReseedRequest { epoch: epoch.0, reason };
        client.reseed(request).await.map_err(|status| status.to_string())
    };
    match told.await {
        Ok(reply) if reply.get_ref().ok => {}
        Ok(reply) => tracing::error!("node {node} refuses: {}", reply.into_inner().text),
        Err(reason) => tracing::error!("node {node} cannot be told: {reason}"),
    }
}
