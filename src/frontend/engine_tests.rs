//! The wire with the real engine behind it, over a bootstrapped catalog in memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::*;
use crate::catalog::{Bootstrap, Catalog, MemoryStore};
use crate::query::harness::DirectCommit;
use crate::query::{Engine, Live, ReplicationRow, ServerState, SessionRow};
use crate::runtime::config::SettingRow;
use crate::types::{Epoch, Lsn, NodeId};

mod heavy;

const PATIENCE: Duration = Duration::from_secs(10);
const NOW: i64 = 1_700_000_000_000_000;

/// The sessions are the real ones.
struct Node {
    sessions: Arc<Sessions>,
}

impl Live for Node {
    fn sessions(&self) -> Vec<SessionRow> {
        self.sessions.rows()
    }

    fn replication(&self) -> Vec<ReplicationRow> {
        Vec::new()
    }

    fn settings(&self) -> Vec<SettingRow> {
        Vec::new()
    }

    fn server(&self) -> ServerState {
        ServerState {
            in_recovery: false,
            write_lsn: Lsn(0x1_0000_0010),
            flush_lsn: Lsn(0x1_0000_0010),
            apply_lsn: Lsn(0x1_0000_0010),
            epoch: "1.1".to_owned(),
            started_at: NOW,
            primary: None,
        }
    }

    fn reload(&self) -> bool {
        true
    }

    fn terminate(&self, pid: i32) -> bool {
        self.sessions.terminate(pid)
    }

    fn cancel(&self, pid: i32) -> bool {
        self.sessions.cancel(pid)
    }

    fn checkpoint(&self) -> Result<(), String> {
        Ok(())
    }

    fn in_progress(&self, _: u64) -> bool {
        false
    }
}

struct Server {
    engine: Arc<Engine>,
    frontend: Frontend,
    sessions: Arc<Sessions>,
    _gate: watch::Sender<Gate>,
}

async fn start() -> Server {
    let catalog = Catalog::open(Arc::new(MemoryStore::new())).unwrap();
    catalog.reign(Epoch::new(1, NodeId::new(1).unwrap()));
    let commit = DirectCommit::new(catalog.clone());
    catalog.apply(&[(Lsn(64), &[])]).unwrap();
    let bootstrap = Bootstrap {
        master_host: "mdw".to_owned(),
        master_address: "192.0.2.1".to_owned(),
        master_port: 5432,
        superuser: "gpadmin".to_owned(),
        now_micros: NOW,
    };
    commit.apply(&Catalog::bootstrap(&bootstrap).unwrap()).unwrap();
    let sessions = Sessions::new();
    let live = Arc::new(Node { sessions: Arc::clone(&sessions) });
    let engine = Arc::new(Engine::new(catalog, Arc::new(commit), live));
    let options = FrontendOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        unix_socket_directory: None,
        port: 5432,
        data_directory: "/".into(),
        max_connections: 8,
        superuser_reserved_connections: 0,
        authentication_timeout: PATIENCE,
        hba: Hba::parse("host all all all trust", "pg_hba.conf", Vec::new()).unwrap(),
    };
    let (gate, watched) = watch::channel(Gate::Primary);
    let served = Arc::clone(&engine);
    let frontend =
        Frontend::start(Listeners::bind(options).unwrap(), served, watched, Arc::clone(&sessions));
    Server { engine, frontend, sessions, _gate: gate }
}

impl Server {
    async fn connect(&self, more: &str) -> Result<Client, tokio_postgres::Error> {
        let port = self.frontend.addresses()[0].port();
        let config = format!("host=127.0.0.1 port={port} application_name=test {more}");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        // Ends with its client.
        tokio::spawn(connection);
        Ok(client)
    }

    async fn gpadmin(&self) -> Client {
        self.connect("user=gpadmin dbname=postgres").await.unwrap()
    }
}

/// The rows of a simple query, columns with `|`.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let mut lines = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let cells: Vec<&str> =
                (0..row.len()).map(|place| row.get(place).unwrap_or("NULL")).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

async fn code(client: &Client, sql: &str) -> String {
    let error = client.simple_query(sql).await.unwrap_err();
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn views_and_values_in_both_protocols() {
    let server = start().await;
    let client = server.gpadmin().await;
    let sql = "select registration_order, role, status, port, hostname, address \
               from gp_segment_configuration order by 1";
    assert_eq!(rows(&client, sql).await, ["0|m|u|5432|mdw|192.0.2.1"]);
    let found = client.query(sql, &[]).await.unwrap();
    assert_eq!(found[0].get::<_, i32>(0), 0);
    assert_eq!(found[0].get::<_, i8>(1), b'm' as i8);
    assert_eq!(found[0].get::<_, &str>(4), "mdw");

    assert_eq!(
        rows(&client, "select count(*) from pg_database where datname = 'postgres'").await,
        ["1"]
    );
    let row = client
        .query_one("select oid, datname from pg_database where datname = $1", &[&"postgres"])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(1), "postgres");
    let types = [tokio_postgres::types::Type::INT4, tokio_postgres::types::Type::TEXT];
    let statement = client.prepare_typed("select $1 + 1, $2, now()", &types).await.unwrap();
    let row = client.query_one(&statement, &[&41i32, &"x"]).await;
    let row = row.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1)), (42, "x"));
    assert!(row.get::<_, std::time::SystemTime>(2) > std::time::UNIX_EPOCH);
}

#[tokio::test]
async fn errors_have_their_codes_and_positions() {
    let server = start().await;
    let client = server.gpadmin().await;
    let cases = [
        ("select * from nowhere", "42P01"),
        ("select nothing from gp_segment_configuration", "42703"),
        ("selec 1", "42601"),
        ("show nosuchsetting", "42704"),
        ("select 1/0", "22012"),
        ("create schema public", "42P06"),
    ];
    for (sql, expected) in cases {
        assert_eq!(code(&client, sql).await, expected, "{sql}");
    }
    let error = client.simple_query("select 1;\nselec 2").await.unwrap_err();
    assert!(error.as_db_error().unwrap().position().is_some(), "{error:?}");
    assert_eq!(rows(&client, "select 1").await, ["1"]);
}

#[tokio::test]
async fn transactions_commit_roll_back_and_conflict() {
    let server = start().await;
    let (one, two) = (server.gpadmin().await, server.gpadmin().await);
    let count = "select count(*) from pg_class where relname like 'wire_%'";
    one.batch_execute("begin; create table wire_a (a int)").await.unwrap();
    assert_eq!(rows(&one, count).await, ["1"]);
    assert_eq!(rows(&two, count).await, ["0"]);
    one.batch_execute("commit").await.unwrap();
    assert_eq!(rows(&two, count).await, ["1"]);
    // Several statements of one message are one transaction.
    assert_eq!(code(&one, "create table wire_b (a int); select 1/0").await, "22012");
    assert_eq!(rows(&two, count).await, ["1"]);

    for client in [&one, &two] {
        client.batch_execute("begin; comment on table wire_a is 'x'").await.unwrap();
    }
    one.batch_execute("commit").await.unwrap();
    assert_eq!(code(&two, "commit").await, "40001");
    assert_eq!(rows(&two, "select 1").await, ["1"]);

    two.batch_execute("begin").await.unwrap();
    assert_eq!(code(&two, "select * from nowhere").await, "42P01");
    assert_eq!(code(&two, "select 1").await, "25P02");
    two.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn who_is_not_there_cannot_log_in() {
    let server = start().await;
    for (who, expected) in [
        ("user=nobody dbname=postgres", "28000"),
        ("user=gpadmin dbname=missing", "3D000"),
        ("user=gpadmin dbname=postgres options='-c nosuch=1'", "42704"),
    ] {
        let Err(refused) = server.connect(who).await else { panic!("{who} came in") };
        let refused = refused.as_db_error().unwrap().clone();
        assert_eq!((refused.code().code(), refused.severity()), (expected, "FATAL"), "{who}");
    }
    assert_eq!(server.sessions.count(), 0);
}

#[tokio::test]
async fn settings_and_sessions_are_seen() {
    let server = start().await;
    let client = server
        .connect("user=gpadmin dbname=postgres options='-c gp_session_role=utility'")
        .await
        .unwrap();
    assert_eq!(rows(&client, "show gp_session_role").await, ["utility"]);
    client.batch_execute("set timezone = 'Asia/Kolkata'").await.unwrap();
    let shown = rows(&client, "select '2026-01-02 03:04:05+00'::timestamptz").await;
    assert_eq!(shown, ["2026-01-02 08:34:05+05:30"]);
    client.batch_execute("set application_name = 'renamed'").await.unwrap();
    let sql = "select pid = pg_backend_pid(), application_name, state from pg_stat_activity";
    assert_eq!(rows(&client, sql).await, ["t|renamed|active"]);
    let other = server.gpadmin().await;
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity \
               where pid <> pg_backend_pid()";
    assert_eq!(rows(&other, sql).await, ["t"]);
    let gone = async {
        while !client.is_closed() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}
