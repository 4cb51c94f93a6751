//! What a master tells of itself over HTTP (`ha_http_port`): whether it lives, whether it serves
//! and as what, its numbers, and the cluster as it sees it. It only reads the node's last view.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::ReadView;
use crate::frontend::{Check, Health, Http};
use crate::runtime::error_text;

use super::health_facts::Facts;
use super::parts::Parts;
use super::services::rpc_host;
use super::start::StartError;
use super::{health_metrics as metrics, health_pages as pages, history};

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

impl MasterHealth {
    fn facts(&self) -> Facts {
        Facts {
            coordinator_trouble: self.parts.coordinator_health.trouble(),
            view: self.parts.view(),
            now: self.parts.clock.now(),
            filled: *self.parts.filled.borrow(),
            stopping: self.parts.stop.borrow().is_some(),
            hot_standby: self.parts.settings.hot_standby,
            applied: self.parts.catalog.snapshot().lsn(),
        }
    }
}

impl Health for MasterHealth {
    fn alive(&self) -> Result<(), String> {
        let ended = self.parts.node.has_changed().is_err();
        if ended { Err("the node's loop has ended".to_owned()) } else { Ok(()) }
    }

    fn ready(&self) -> Result<String, String> {
        self.facts().ready()
    }

    fn is(&self, check: Check, lag: Option<u64>) -> bool {
        self.facts().is(check, lag)
    }

    fn node(&self) -> Value {
        let cluster = self.parts.cluster.to_string();
        pages::node(&self.facts(), &cluster, self.parts.started_at)
    }

    fn metrics(&self) -> String {
        metrics::text(&self.facts(), self.parts.sessions.count())
    }

    fn cluster(&self) -> Value {
        pages::cluster(&self.facts(), &self.parts.cluster.to_string())
    }

    fn history(&self) -> Result<Value, String> {
        let reigns = history::reigns(&self.parts).map_err(|error| error_text(&error))?;
        Ok(pages::history(&reigns))
    }
}
