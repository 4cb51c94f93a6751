//! Queries that would never end: all that may stop one does, and others are served meanwhile.

use std::time::Instant;

use super::*;

/// Rows that are only counted, and pairs of which none is wanted.
const COUNTED: &str =
    "select count(*) from pg_attribute a, pg_attribute b, pg_attribute c, pg_attribute d";
const UNWANTED: &str = "select a.attname from pg_attribute a, pg_attribute b, pg_attribute c, \
                        pg_attribute d where a.attnum + b.attnum + c.attnum + d.attnum = 1000000";
/// Left alone these queries take hours, so that one which has ended within this was stopped.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// One that runs on a connection of its own, which the handles end.
struct Heavy {
    pid: i32,
    cancel: tokio_postgres::CancelToken,
    query: tokio::task::JoinHandle<Option<String>>,
    connection: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn heavy(&self, sql: &'static str) -> Heavy {
        let port = self.frontend.addresses()[0].port();
        let config = format!("host=127.0.0.1 port={port} user=gpadmin dbname=postgres");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        let connection = tokio::spawn(async { drop(connection.await) });
        let pid = rows(&client, "select pg_backend_pid()").await[0].parse().unwrap();
        let cancel = client.cancel_token();
        let query = tokio::spawn(async move {
            let error = client.simple_query(sql).await.unwrap_err();
            error.code().map(|code| code.code().to_owned())
        });
        Heavy { pid, cancel, query, connection }
    }

    async fn until_running(&self, count: usize) {
        let reached = async {
            while self.engine.running() != count {
                tokio::task::yield_now().await;
            }
        };
        let running = tokio::time::timeout(STOPPED_WITHIN, reached).await;
        assert!(running.is_ok(), "{} run instead of {count}", self.engine.running());
    }
}

impl Heavy {
    async fn ends_with(self, expected: Option<&str>) {
        let code = tokio::time::timeout(STOPPED_WITHIN, self.query).await.unwrap().unwrap();
        assert_eq!(code.as_deref(), expected);
    }
}

#[tokio::test]
async fn a_timeout_stops_a_query() {
    let server = start().await;
    let client = server.gpadmin().await;
    client.batch_execute("set statement_timeout = 300").await.unwrap();
    for sql in [COUNTED, UNWANTED] {
        let began = Instant::now();
        assert_eq!(code(&client, sql).await, "57014");
        assert!(began.elapsed() < STOPPED_WITHIN, "{sql}: {:?}", began.elapsed());
        server.until_running(0).await;
    }
    // The limit still holds, and a busy machine may take longer for this too.
    let goes_on = async {
        while let Err(error) = client.simple_query("select 1").await {
            assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{error:?}");
        }
    };
    tokio::time::timeout(STOPPED_WITHIN, goes_on).await.unwrap();
}

#[tokio::test]
async fn a_cancel_request_stops_a_query() {
    let server = start().await;
    for sql in [COUNTED, UNWANTED] {
        let heavy = server.heavy(sql).await;
        server.until_running(1).await;
        heavy.cancel.cancel_query(NoTls).await.unwrap();
        heavy.ends_with(Some("57014")).await;
        server.until_running(0).await;
    }
}

#[tokio::test]
async fn the_end_of_its_session_stops_a_query() {
    let server = start().await;
    let heavy = server.heavy(COUNTED).await;
    server.until_running(1).await;
    let client = server.gpadmin().await;
    let sql = format!("select pg_terminate_backend({})", heavy.pid);
    assert_eq!(rows(&client, &sql).await, ["t"]);
    heavy.ends_with(Some("57P01")).await;
    server.until_running(0).await;
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_query() {
    let server = start().await;
    let heavy = server.heavy(UNWANTED).await;
    server.until_running(1).await;
    heavy.connection.abort();
    heavy.ends_with(None).await;
    server.until_running(0).await;
}

#[tokio::test]
async fn others_are_served_while_heavy_queries_run() {
    let server = start().await;
    let mut heavy = Vec::new();
    for sql in [COUNTED, UNWANTED, COUNTED, UNWANTED, UNWANTED, COUNTED] {
        heavy.push(server.heavy(sql).await);
    }
    server.until_running(6).await;
    for _ in 0..3 {
        let began = Instant::now();
        let client = server.gpadmin().await;
        let sql = "select count(*) from pg_database d, pg_authid a";
        assert_eq!(rows(&client, sql).await.len(), 1);
        assert!(began.elapsed() < STOPPED_WITHIN, "{:?}", began.elapsed());
    }
    for one in heavy {
        one.cancel.cancel_query(NoTls).await.unwrap();
        one.ends_with(Some("57014")).await;
    }
    server.until_running(0).await;
}

#[tokio::test]
async fn memory_between_operators_is_bounded() {
    let server = start().await;
    let client = server.gpadmin().await;
    let sql = "select a.attname from pg_attribute a, pg_attribute b, pg_attribute c \
               order by a.attname || b.attname || c.attname";
    assert_eq!(code(&client, sql).await, "53200");
    assert_eq!(rows(&client, "select 1").await, ["1"]);
    server.until_running(0).await;
}
