//! Health over HTTP: `/healthz`, `/readyz`, `/metrics`, `/cluster`.
//!
//! It only shows what `master` reports; it has no state and takes no orders.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What `master` knows about this node.
pub trait Health: Send + Sync + 'static {
    /// `Err` says why this process should be restarted.
    fn alive(&self) -> Result<(), String>;
    /// `Ok` names the role in which this node serves; `Err` says why it does not.
    fn ready(&self) -> Result<String, String>;
    /// In Prometheus' text format.
    fn metrics(&self) -> String;
    /// Nodes, their roles and positions, as this node sees them.
    fn cluster(&self) -> serde_json::Value;
}

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
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/cluster", get(cluster))
        .with_state(health)
}

async fn healthz(State(health): State<Arc<dyn Health>>) -> Response {
    verdict(health.alive().map(|()| "ok".to_owned()))
}

async fn readyz(State(health): State<Arc<dyn Health>>) -> Response {
    verdict(health.ready())
}

fn verdict(verdict: Result<String, String>) -> Response {
    match verdict {
        Ok(text) => (StatusCode::OK, text + "\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn metrics(State(health): State<Arc<dyn Health>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, health.metrics()).into_response()
}

async fn cluster(State(health): State<Arc<dyn Health>>) -> Response {
    axum::Json(health.cluster()).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    struct Sick;

    impl Health for Sick {
        fn alive(&self) -> Result<(), String> {
            Ok(())
        }

        fn ready(&self) -> Result<String, String> {
            Err("no primary".to_owned())
        }

        fn metrics(&self) -> String {
            "hawq_up 1\n".to_owned()
        }

        fn cluster(&self) -> serde_json::Value {
            serde_json::json!({"nodes": []})
        }
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn every_page_row_by_row() {
        let http = Http::start("127.0.0.1:0".parse().unwrap(), Arc::new(Sick)).await.unwrap();
        let rows = [
            ("/healthz", "200 OK", "ok\n"),
            ("/readyz", "503 Service Unavailable", "no primary\n"),
            ("/metrics", "200 OK", "hawq_up 1\n"),
            ("/cluster", "200 OK", "{\"nodes\":[]}"),
            ("/other", "404 Not Found", ""),
        ];
        for (path, status, body) in rows {
            let answer = fetch(http.address(), path).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
            assert!(answer.ends_with(body), "{path}: {answer}");
        }
        http.shutdown().await;
    }
}
