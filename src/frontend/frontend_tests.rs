//! The protocol over loopback: what clients see, byte for byte where it matters.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};

use super::raw_client::{Raw, error, field, kinds, start, tags};

#[tokio::test]
async fn a_session_says_what_clients_expect_first() {
    let server = start().await;
    let mut raw = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    for request in [80_877_103i32, 80_877_104] {
        raw.packet(&request.to_be_bytes()).await;
        assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
    }
    raw.startup(&[("user", "gpadmin"), ("options", "-c gp_session_role=utility")]).await;
    let messages = raw.until(b'Z').await;
    assert_eq!(kinds(&messages), "R S S S S S K ZI");
    let key = &messages.iter().find(|(kind, _)| *kind == b'K').unwrap().1;
    assert_eq!(key.len(), 8);
    let shown = raw.query("show gp_session_role").await;
    assert_eq!(kinds(&shown), "T D C ZI");
    assert!(shown[1].1.ends_with(b"utility"));
    assert_eq!(server.sessions.count(), 1);
    raw.send(b'X', b"").await;
    assert_eq!(raw.next().await, None);
    server.eventually("the session leaves", |server| server.sessions.count() == 0).await;
}

#[tokio::test]
async fn several_statements_are_one_transaction_and_an_error_stops_the_rest() {
    let server = start().await;
    let mut raw = server.connect().await;
    let messages = raw.query("rows 2; set a b; notice").await;
    assert_eq!(kinds(&messages), "T D D C C S N C ZI");
    assert_eq!(tags(&messages), ["SELECT 2", "SET", "NOTICE"]);
    assert_eq!(server.log(), "(begin) rows set notice (commit)");

    server.log.lock().unwrap().clear();
    let messages = raw.query("rows 1; fail; rows 1").await;
    assert_eq!(kinds(&messages), "T D C E ZI");
    assert_eq!(server.log(), "(begin) rows fail (abandon)");

    server.log.lock().unwrap().clear();
    assert_eq!(kinds(&raw.query("begin; fail").await), "C E ZE");
    assert_eq!(kinds(&raw.query("rows 1").await), "E ZE");
    assert_eq!(kinds(&raw.query("rollback").await), "C ZI");
    assert_eq!(kinds(&raw.query(" ; ").await), "I ZI");
    let messages = raw.query("syntax").await;
    assert_eq!(error(&messages[0].1), "ERROR 42601 syntax error");
    assert_eq!(field(&messages[0].1, 'P').as_deref(), Some("1"));
}

#[tokio::test]
async fn copy_to_stdout() {
    let server = start().await;
    let mut raw = server.connect().await;
    let messages = raw.query("copy 3").await;
    assert_eq!(kinds(&messages), "H d c C ZI");
    assert_eq!(messages[1].1, b"1\trow 1\n2\trow 2\n3\trow 3\n");
    assert_eq!(tags(&messages), ["COPY 3"]);
}

#[tokio::test]
async fn tokio_postgres_uses_both_protocols_and_both_formats() {
    let server = start().await;
    let config = format!(
        "host=127.0.0.1 port={} user=gpadmin dbname=postgres options='-c a=b'",
        server.address().port()
    );
    let (client, connection) =
        tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let rows = client.query("rows 3", &[]).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2].get::<_, i32>(0), 3);
    assert_eq!(rows[2].get::<_, String>(1), "row 3");
    use tokio_postgres::types::Type;
    let echo = client.prepare_typed("echo", &[Type::INT8]).await.unwrap();
    assert_eq!(client.query_one(&echo, &[&7i64]).await.unwrap().get::<_, i64>(0), 7);
    let echo = client.prepare_typed("echo", &[Type::TEXT_ARRAY]).await.unwrap();
    let words = vec![Some("a".to_owned()), None];
    let row = client.query_one(&echo, &[&words]).await.unwrap();
    assert_eq!(row.get::<_, Vec<Option<String>>>(0), words);
    let echo = client.prepare_typed("echo", &[Type::TIMESTAMPTZ]).await.unwrap();
    let moment = std::time::UNIX_EPOCH + Duration::from_micros(1_767_323_045_123_456);
    let row = client.query_one(&echo, &[&moment]).await.unwrap();
    assert_eq!(row.get::<_, std::time::SystemTime>(0), moment);
    let refused = client.query("fail", &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "22012");
    assert_eq!(client.simple_query("rows 1").await.unwrap().len(), 3);
    drop(client);
    driver.await.unwrap().unwrap();
}

/// Parse, Bind, Describe and Execute as one flight of messages.
fn pipeline(statement: &str, sql: &str, rows_max: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut push = |kind: u8, body: &[u8]| {
        bytes.push(kind);
        bytes.extend_from_slice(&i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
    };
    push(b'P', format!("{statement}\0{sql}\0\0\0").as_bytes());
    push(b'B', format!("\0{statement}\0\0\0\0\0\0\0").as_bytes());
    push(b'D', b"P\0");
    push(b'E', &[&[0], &rows_max.to_be_bytes()[..]].concat());
    bytes
}

const SYNC: &[u8] = &[b'S', 0, 0, 0, 4];

#[tokio::test]
async fn a_row_limit_suspends_the_portal() {
    let server = start().await;
    let mut raw = server.connect().await;
    raw.query("begin").await;
    raw.write(&[&pipeline("", "rows 5", 2), SYNC].concat()).await;
    assert_eq!(kinds(&raw.until(b'Z').await), "1 2 T D D s ZT");
    raw.send(b'E', &[0, 0, 0, 0, 2]).await;
    raw.send(b'E', &[0, 0, 0, 0, 2]).await;
    raw.send(b'E', &[0, 0, 0, 0, 0]).await;
    raw.write(SYNC).await;
    let messages = raw.until(b'Z').await;
    assert_eq!(kinds(&messages), "D D s D C C ZT");
    assert_eq!(tags(&messages), ["SELECT 1", "SELECT 0"]);
    // The end of the transaction is the end of the portal.
    raw.query("commit").await;
    raw.send(b'E', &[0, 0, 0, 0, 0]).await;
    raw.write(SYNC).await;
    let messages = raw.until(b'Z').await;
    assert_eq!(error(&messages[0].1), "ERROR 34000 portal \"\" does not exist");
    assert_eq!(kinds(&messages), "E ZI");
}

#[tokio::test]
async fn a_pipeline_is_one_transaction_and_skips_to_sync_after_an_error() {
    let server = start().await;
    let mut raw = server.connect().await;
    let flight = [pipeline("", "set a b", 0), pipeline("", "rows 1", 0), SYNC.to_vec()].concat();
    raw.write(&flight).await;
    assert_eq!(kinds(&raw.until(b'Z').await), "1 2 n C 1 2 T D C S ZI");
    assert_eq!(server.log(), "(begin) set rows (commit)");

    server.log.lock().unwrap().clear();
    let flight = [pipeline("", "fail", 0), pipeline("", "rows 1", 0), SYNC.to_vec()].concat();
    raw.write(&flight).await;
    assert_eq!(kinds(&raw.until(b'Z').await), "1 2 n E ZI");
    assert_eq!(server.log(), "(begin) fail (abandon)");

    // Alone before Sync it is a transaction by itself.
    server.log.lock().unwrap().clear();
    raw.write(&[&pipeline("", "set a b", 0), SYNC].concat()).await;
    raw.until(b'Z').await;
    assert_eq!(server.log(), "set");
}

#[tokio::test]
async fn names_of_statements_and_portals_are_kept() {
    let server = start().await;
    let mut raw = server.connect().await;
    let rows: [(&[u8], &str, &str); 6] = [
        (b"P s\0rows 1\0\0\0", "1 ZI", ""),
        (b"P s\0rows 1\0\0\0", "E ZI", "ERROR 42P05 prepared statement \"s\" already exists"),
        (b"B \0t\0\0\0\0\0\0\0", "E ZI", "ERROR 26000 prepared statement \"t\" does not exist"),
        (
            b"B \0s\0\0\0\0\0\0\x03\0\0\0\0\0\0",
            "E ZI",
            "ERROR 08P01 bind message has 3 result formats but query has 2 columns",
        ),
        (
            b"P u\0rows 1; rows 2\0\0\0",
            "E ZI",
            "ERROR 42601 cannot insert multiple commands into a prepared statement",
        ),
        (b"C Ss\0", "3 ZI", ""),
    ];
    for (message, expected, failure) in rows {
        raw.send(message[0], &message[2..]).await;
        raw.write(SYNC).await;
        let answer = raw.until(b'Z').await;
        assert_eq!(kinds(&answer), expected, "{}", String::from_utf8_lossy(message));
        if !failure.is_empty() {
            assert_eq!(error(&answer[0].1), failure);
        }
    }
    // Describe of a statement: its parameters, then its columns.
    raw.send(b'P', b"e\0echo\0\0\x01\0\0\0\x17").await;
    raw.send(b'D', b"Se\0").await;
    raw.write(SYNC).await;
    let answer = raw.until(b'Z').await;
    assert_eq!(kinds(&answer), "1 t T ZI");
    assert_eq!(answer[1].1, [0, 1, 0, 0, 0, 23]);
}

#[tokio::test]
async fn a_cancel_request_needs_the_secret_and_works_on_both_sockets() {
    let server = start().await;
    let mut raw = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    raw.startup(&[("user", "gpadmin")]).await;
    let greeting = raw.until(b'Z').await;
    let key = greeting.iter().find(|(kind, _)| *kind == b'K').unwrap().1.clone();
    let cancel = |key: &[u8]| [&80_877_102i32.to_be_bytes(), key].concat();
    let socket = server.directory.path().join(".s.PGSQL.5432");
    for over_unix in [false, true] {
        server.log.lock().unwrap().clear();
        raw.send(b'Q', b"hang\0").await;
        server.eventually("the statement runs", |server| server.log().contains("hangs")).await;
        let mut wrong = key.clone();
        wrong[7] ^= 1;
        for key in [&wrong, &key] {
            if over_unix {
                let mut other = Raw { stream: UnixStream::connect(&socket).await.unwrap() };
                other.packet(&cancel(key)).await;
                assert_eq!(other.next().await, None);
            } else {
                let mut other = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
                other.packet(&cancel(key)).await;
                assert_eq!(other.next().await, None);
            }
        }
        let answer = raw.until(b'Z').await;
        assert_eq!(kinds(&answer), "E ZI");
        assert_eq!(error(&answer[0].1), "ERROR 57014 canceling statement due to user request");
        assert!(server.log().ends_with("(abandon)"), "{}", server.log());
    }
    // One that comes while nothing runs does nothing.
    let pid = i32::from_be_bytes(key[..4].try_into().unwrap());
    assert!(server.sessions.cancel(pid));
    assert_eq!(kinds(&raw.query("rows 1").await), "T D C ZI");
}

#[tokio::test]
async fn a_statement_timeout_is_honoured() {
    let server = start().await;
    let mut raw = server.connect().await;
    raw.query("limit 10").await;
    let answer = raw.query("hang").await;
    assert_eq!(error(&answer[0].1), "ERROR 57014 canceling statement due to statement timeout");
}

#[tokio::test]
async fn pg_stat_activity_and_terminate() {
    let server = start().await;
    let mut raw = server.connect().await;
    raw.send(b'Q', b"replicate now\0").await;
    server.eventually("the statement runs", |server| server.log().contains("hangs")).await;
    let row = server.sessions.rows().remove(0);
    assert_eq!((row.state.as_str(), row.query.as_str()), ("active", "replicate now"));
    assert!(row.waiting && row.xact_start.is_some() && row.client_addr.is_some());
    assert!(server.sessions.terminate(row.pid));
    // Its commit is under way: nobody can say how it came out.
    let failure = raw.failure().await;
    assert!(failure.starts_with("FATAL 08007"), "{failure}");

    let mut raw = server.connect().await;
    raw.query("begin").await;
    assert_eq!(server.sessions.rows()[0].state, "idle in transaction");
    server.sessions.terminate(server.sessions.rows()[0].pid);
    let expected = "FATAL 57P01 terminating connection due to administrator command";
    assert_eq!(raw.failure().await, expected);
    server.eventually("the session leaves", |server| server.sessions.count() == 0).await;
}

#[tokio::test]
async fn a_panic_ends_one_session_only() {
    let server = start().await;
    let mut other = server.connect().await;
    let mut raw = server.connect().await;
    raw.send(b'Q', b"panic\0").await;
    let failure = raw.failure().await;
    assert!(failure.starts_with("FATAL XX000"), "{failure}");
    assert_eq!(kinds(&other.query("rows 1").await), "T D C ZI");
    server.eventually("the session leaves", |server| server.sessions.count() == 1).await;
}

#[tokio::test]
async fn bad_messages_end_the_session_with_a_reason() {
    let server = start().await;
    let rows: [(&[u8], &str); 4] = [
        (b"y\0\0\0\x04", "FATAL 08P01 invalid frontend message type 121"),
        (b"Q\0\0\0\x01", "FATAL 08P01 invalid message length"),
        (b"Q\x7F\xFF\xFF\xFF", "FATAL 08P01 invalid message length"),
        (b"B\0\0\0\x06\0\0", "FATAL 08P01 insufficient data left in message"),
    ];
    for (bytes, expected) in rows {
        let mut raw = server.connect().await;
        raw.write(bytes).await;
        assert_eq!(raw.failure().await, expected);
    }
    let mut raw = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    raw.write(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(raw.failure().await, "FATAL 08P01 invalid length of startup packet");
    let mut raw = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    raw.packet(&(2i32 << 16).to_be_bytes()).await;
    assert!(raw.failure().await.starts_with("FATAL 0A000 unsupported frontend protocol 2.0"));
}
