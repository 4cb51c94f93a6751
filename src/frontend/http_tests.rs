//! Paths, methods, codes and bodies, over a real socket.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A standby of the in-sync set that serves no sessions and lags 100 bytes.
struct Closed;

impl Health for Closed {
    fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<String, String> {
        Err("no sessions here".to_owned())
    }

    fn is(&self, check: Check, lag: Option<u64>) -> bool {
        let is = matches!(check, Check::Standby | Check::InSync | Check::Running);
        (is && lag.is_none_or(|lag| lag >= 100)) || check == Check::Described
    }

    fn node(&self) -> Value {
        json!({"role": "replica"})
    }

    fn metrics(&self) -> String {
        "hawq_up 1\n".to_owned()
    }

    fn cluster(&self) -> Value {
        json!({"members": []})
    }

    fn history(&self) -> Result<Value, String> {
        Ok(json!([]))
    }
}

async fn fetch(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn every_page_row_by_row() {
    let http = Http::start("127.0.0.1:0".parse().unwrap(), Arc::new(Closed)).await.unwrap();
    let node = "{\"role\":\"replica\"}";
    let rows = [
        ("/healthz", 200, "ok\n"),
        ("/liveness", 200, "ok\n"),
        ("/readyz", 503, "no sessions here\n"),
        ("/metrics", 200, "hawq_up 1\n"),
        ("/cluster", 200, "{\"members\":[]}"),
        ("/history", 200, "[]"),
        ("/", 503, node),
        ("/primary", 503, node),
        ("/read-write", 503, node),
        ("/leader", 503, node),
        ("/standby", 200, node),
        ("/standby?lag=100", 200, node),
        ("/standby?lag=99", 503, node),
        ("/sync", 200, node),
        ("/synchronous?lag=1kB", 200, node),
        ("/async", 503, node),
        ("/replica?lag=1GB", 503, node),
        ("/read-only", 503, node),
        ("/readiness", 200, node),
        ("/patroni", 200, node),
        ("/sync?lag=much", 400, "16kB, 64MB or 1GB\"}"),
        ("/other", 404, ""),
    ];
    for (path, status, body) in rows {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let has_options = !["/metrics", "/cluster", "/history"].contains(&path);
            if method == "OPTIONS" && !has_options {
                continue;
            }
            let answer = fetch(http.address(), method, path).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{method} {path}: {answer}"
            );
            assert!(method != "GET" || answer.ends_with(body), "{path}: {answer}");
        }
    }
    let head = fetch(http.address(), "OPTIONS", "/sync").await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert!(fetch(http.address(), "POST", "/primary").await.starts_with("HTTP/1.1 405 "));
    http.shutdown().await;
}

#[test]
fn lag_is_read_as_patroni_reads_it() {
    let rows = [
        ("0", Some(0)),
        ("1048576", Some(1 << 20)),
        ("16kB", Some(16 << 10)),
        ("64MB", Some(64 << 20)),
        ("1 GB", Some(1 << 30)),
        ("", None),
        ("-1", None),
        ("10 parsecs", None),
        ("99999999999TB", None),
    ];
    for (text, expected) in rows {
        assert_eq!(bytes(text), expected, "{text}");
    }
}
