//! Health over HTTP: Patroni's paths and status codes, so that what is known of proxies in front of
//! Patroni works here, and Kubernetes' `/healthz` and `/readyz`.
//!
//! `HEAD` and `OPTIONS` answer like `GET`, without a body. It only shows what `master` reports; it
//! has no state and takes no orders.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a proxy may want of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Serves as primary: reads are linearizable, writes are taken.
    Primary,
    /// Follows a primary, whether or not it serves sessions.
    Standby,
    /// A standby of the in-sync set that hears its primary.
    InSync,
    /// A standby outside that set.
    OutOfSync,
    /// A standby that serves read-only sessions.
    Replica,
    /// Serves sessions, as primary or as a standby.
    ReadOnly,
    /// Serves sessions, as primary or as a standby of the in-sync set.
    ReadOnlyInSync,
    /// Serves as primary, or follows one.
    Running,
    /// Always fulfilled: only the description is wanted.
    Described,
}

/// Patroni's paths; the primary has older names there too.
const CHECKS: &[(&str, Check)] = &[
    ("/", Check::Primary),
    ("/primary", Check::Primary),
    ("/read-write", Check::Primary),
    ("/leader", Check::Primary),
    ("/master", Check::Primary),
    ("/standby", Check::Standby),
    ("/sync", Check::InSync),
    ("/synchronous", Check::InSync),
    ("/async", Check::OutOfSync),
    ("/asynchronous", Check::OutOfSync),
    ("/replica", Check::Replica),
    ("/read-only", Check::ReadOnly),
    ("/read-only-sync", Check::ReadOnlyInSync),
    ("/health", Check::Running),
    ("/readiness", Check::Running),
    ("/patroni", Check::Described),
];

/// What `master` knows about this node.
pub trait Health: Send + Sync + 'static {
    /// `Err` says why this process should be restarted.
    fn alive(&self) -> Result<(), String>;
    /// `Ok` names the role in which this node serves; `Err` says why it does not.
    fn ready(&self) -> Result<String, String>;
    /// Whether this node is what is wanted, now, and if it is a standby then at most `lag` bytes
    /// behind.
    fn is(&self, check: Check, lag: Option<u64>) -> bool;
    /// This node, in Patroni's words where it has them.
    fn node(&self) -> Value;
    /// In Prometheus' text format.
    fn metrics(&self) -> String;
    /// Nodes, their roles and positions, as this node sees them.
    fn cluster(&self) -> Value;
    /// The reigns that this node knows of, the first one first. It may read from disk.
    fn history(&self) -> Result<Value, String>;
}

type Shown = State<Arc<dyn Health>>;

/// The running HTTP server.
pub struct Http {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Http {
    pub async fn start(address: SocketAddr, health: Arc<dyn Health>) -> std::io::Result<Http> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let server = axum::serve(listener, router(health));
        let task = tokio::spawn(async move {
            tokio::select! {
                served = server => if let Err(error) = served {
                    tracing::warn!(%error, "the HTTP server ended");
                },
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
        Ok(Http { address, stop, task })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends at once: an answer under way is cut off.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        // A task that panicked has ended as well.
        let _ = self.task.await;
    }
}

fn router(health: Arc<dyn Health>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz).options(healthz))
        .route("/liveness", get(healthz).options(healthz))
        .route("/readyz", get(readyz).options(readyz))
        .route("/metrics", get(metrics))
        .route("/cluster", get(cluster))
        .route("/history", get(history));
    for (path, check) in CHECKS {
        router = router.route(path, checked(*check));
    }
    router.with_state(health)
}

fn checked(check: Check) -> MethodRouter<Arc<dyn Health>> {
    let page = async move |State(health): Shown, RawQuery(asked): RawQuery| {
        let status = status(&*health, check, asked.as_deref());
        (status, axum::Json(body(&*health, status))).into_response()
    };
    let bare = async move |State(health): Shown, RawQuery(asked): RawQuery| {
        status(&*health, check, asked.as_deref()).into_response()
    };
    get(page).options(bare)
}

fn status(health: &dyn Health, check: Check, asked: Option<&str>) -> StatusCode {
    let mut pairs = asked.unwrap_or_default().split('&');
    let lag = match pairs.find_map(|pair| pair.strip_prefix("lag=")).map(bytes) {
        Some(None) => return StatusCode::BAD_REQUEST,
        Some(lag) => lag,
        None => None,
    };
    let is = health.is(check, lag);
    if is { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn body(health: &dyn Health, status: StatusCode) -> Value {
    if status == StatusCode::BAD_REQUEST {
        return json!({"error": "lag is a number of bytes, such as 1048576, 16kB, 64MB or 1GB"});
    }
    health.node()
}

/// As Patroni reads `lag`: a number of bytes, or with a unit of PostgreSQL's.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

async fn healthz(State(health): Shown) -> Response {
    verdict(health.alive().map(|()| "ok".to_owned()))
}

async fn readyz(State(health): Shown) -> Response {
    verdict(health.ready())
}

fn verdict(verdict: Result<String, String>) -> Response {
    match verdict {
        Ok(text) => (StatusCode::OK, text + "\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn metrics(State(health): Shown) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, health.metrics()).into_response()
}

async fn cluster(State(health): Shown) -> Response {
    axum::Json(health.cluster()).into_response()
}

async fn history(State(health): Shown) -> Response {
    match tokio::task::spawn_blocking(move || health.history()).await {
        Ok(Ok(reigns)) => axum::Json(reigns).into_response(),
        Ok(Err(reason)) => (StatusCode::INTERNAL_SERVER_ERROR, reason + "\n").into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
