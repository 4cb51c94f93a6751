//! Who comes in and who is sent away: pg_hba.conf, the gate, limits, shutdown, listeners.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::raw_client::{PATIENCE, Raw, Server, error, field, kinds, start, start_with};
use super::*;

/// What a client that may not come in is told.
async fn refusal(server: &Server, parameters: &[(&str, &str)]) -> String {
    let mut raw = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    raw.startup(parameters).await;
    raw.failure().await
}

#[tokio::test]
async fn who_may_not_come_in_is_told_why() {
    let hba = "host postgres gpadmin 127.0.0.1/32 trust\nhost all bad all reject\n\
               host missing gpadmin all trust\nlocal all all peer\n";
    let server = start_with(hba, Gate::Primary, 8).await;
    let rows: [(&[(&str, &str)], &str); 6] = [
        (&[], "FATAL 28000 no PostgreSQL user name specified in startup packet"),
        (
            &[("user", "u"), ("database", "d")],
            "FATAL 28000 no pg_hba.conf entry for host \"127.0.0.1\", user \"u\", \
             database \"d\", no encryption",
        ),
        (
            &[("user", "bad")],
            "FATAL 28000 pg_hba.conf rejects connection for host \"127.0.0.1\", user \"bad\", \
             database \"bad\", no encryption",
        ),
        (
            &[("user", "gpadmin"), ("database", "missing")],
            "FATAL 3D000 database \"missing\" does not exist",
        ),
        (
            &[("user", "gpadmin"), ("replication", "true")],
            "FATAL 0A000 replication connections are not supported",
        ),
        (
            &[("user", "gpadmin"), ("options", "-z")],
            "FATAL 42601 invalid command-line argument for server process: -z",
        ),
    ];
    for (parameters, expected) in rows {
        assert_eq!(refusal(&server, parameters).await, expected);
    }
    let socket = server.directory.path().join(".s.PGSQL.5432");
    let me = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let mut raw = Raw { stream: UnixStream::connect(&socket).await.unwrap() };
    raw.startup(&[("user", "somebody-else")]).await;
    assert_eq!(
        raw.failure().await,
        "FATAL 28000 Peer authentication failed for user \"somebody-else\""
    );
    let mut raw = Raw { stream: UnixStream::connect(&socket).await.unwrap() };
    raw.startup(&[("user", &me), ("application_name", "psql")]).await;
    raw.until(b'Z').await;
    assert_eq!(server.sessions.rows()[0].application_name, "psql");
    assert_eq!(server.sessions.rows()[0].client_addr, None);
}

#[tokio::test]
async fn sessions_are_counted_and_some_are_for_superusers() {
    let server = start_with("host all all all trust\n", Gate::Primary, 2).await;
    let _first = server.connect().await;
    let refused = refusal(&server, &[("user", "u")]).await;
    assert!(refused.starts_with("FATAL 53300 remaining connection slots"), "{refused}");
    let _second = server.connect().await;
    let refused = refusal(&server, &[("user", "gpadmin")]).await;
    assert_eq!(refused, "FATAL 53300 sorry, too many clients already");
}

#[tokio::test]
async fn the_gate_lets_in_and_sends_away() {
    let primary = Some("mdw:5432".to_owned());
    let cold = Gate::Standby { hot: false, primary: primary.clone() };
    let server = start_with("host all all all trust\n", cold, 8).await;
    let user = [("user", "gpadmin")];
    let mut raw = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    raw.startup(&user).await;
    let (_, body) = raw.next().await.unwrap();
    assert_eq!(error(&body), "FATAL 57P03 the database system is not accepting connections");
    assert!(field(&body, 'D').unwrap().contains("mdw:5432"));
    assert!(field(&body, 'H').unwrap().starts_with("queries cannot be executed against"));

    server.gate.send_replace(Gate::Standby { hot: true, primary });
    let mut reader = Raw { stream: TcpStream::connect(server.address()).await.unwrap() };
    reader.startup(&user).await;
    let greeting = reader.until(b'Z').await;
    let says = |text: &[u8]| greeting.iter().any(|(_, body)| body == text);
    assert!(says(b"in_hot_standby\0on\0"));

    server.gate.send_replace(Gate::Primary);
    let expected = "FATAL 57P01 terminating connection due to administrator command";
    assert_eq!(reader.failure().await, expected);
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.send(b'Q', b"hang\0").await;
    server.eventually("the statement runs", |server| server.log().contains("hangs")).await;
    server.gate.send_replace(Gate::Starting { reason: String::new() });
    assert_eq!(idle.failure().await, expected);
    assert_eq!(busy.failure().await, expected);
    assert_eq!(refusal(&server, &user).await, "FATAL 57P03 the database system is starting up");
    server.gate.send_replace(Gate::ShuttingDown);
    assert_eq!(refusal(&server, &user).await, "FATAL 57P03 the database system is shutting down");
}

#[tokio::test]
async fn shutdown_smart_then_fast() {
    let mut server = start().await;
    let mut raw = server.connect().await;
    let smart = Shutdown::Smart { patience: Duration::from_millis(20) };
    let refused = server.frontend.shutdown(smart).await.unwrap_err();
    assert!(matches!(refused, Error::StillActive { sessions: 1 }), "{refused}");
    // It goes on as before.
    assert_eq!(kinds(&raw.query("rows 1").await), "T D C ZI");
    let _second = server.connect().await;
    server.frontend.shutdown(Shutdown::Fast).await.unwrap();
    let expected = "FATAL 57P01 terminating connection due to administrator command";
    assert_eq!(raw.failure().await, expected);
    assert_eq!(server.sessions.count(), 0);
    assert!(TcpStream::connect(server.address()).await.is_err());
    assert!(!server.directory.path().join(".s.PGSQL.5432").exists());
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let server = start().await;
    let taken = server.address();
    let options = |address: SocketAddr| FrontendOptions {
        listen: vec![address],
        unix_socket_directory: None,
        port: 5432,
        data_directory: "/".into(),
        max_connections: 1,
        superuser_reserved_connections: 0,
        authentication_timeout: PATIENCE,
        hba: Hba::default(),
    };
    let rows = [(taken, "another server running"), ("192.0.2.1:0".parse().unwrap(), "this host")];
    for (address, expected) in rows {
        let Err(refused) = Listeners::bind(options(address)) else { panic!("{address} was bound") };
        let refused = refused.to_string();
        assert!(refused.contains(expected) && refused.contains(&address.to_string()), "{refused}");
    }
}
