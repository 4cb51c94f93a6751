//! A server over the backend without SQL, and a client that shows every byte. For tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::fake::{Fake, Log};
use super::*;

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Server {
    pub(super) frontend: Frontend,
    pub(super) gate: watch::Sender<Gate>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) log: Log,
    pub(super) directory: tempfile::TempDir,
}

impl Server {
    pub(super) fn address(&self) -> SocketAddr {
        self.frontend.addresses()[0]
    }

    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().join(" ")
    }

    pub(super) async fn connect(&self) -> Raw<TcpStream> {
        let mut raw = Raw { stream: TcpStream::connect(self.address()).await.unwrap() };
        raw.startup(&[("user", "gpadmin"), ("database", "postgres")]).await;
        raw.until(b'Z').await;
        raw
    }

    /// Waits until a condition on the log or the registry holds.
    pub(super) async fn eventually(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::task::yield_now().await;
            }
        };
        let log = self.log();
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: {log}"));
    }
}

pub(super) async fn start_with(hba: &str, gate: Gate, max_connections: usize) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let options = FrontendOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        unix_socket_directory: Some(directory.path().to_owned()),
        port: 5432,
        data_directory: directory.path().to_owned(),
        max_connections,
        superuser_reserved_connections: 1,
        authentication_timeout: PATIENCE,
        hba: Hba::parse(hba, "pg_hba.conf", Vec::new()).unwrap(),
    };
    let (gate, watched) = watch::channel(gate);
    let sessions = Sessions::new();
    let fake = Fake::default();
    let log = Arc::clone(&fake.log);
    let frontend =
        Frontend::start(Listeners::bind(options).unwrap(), fake, watched, Arc::clone(&sessions));
    Server { frontend, gate, sessions, log, directory }
}

pub(super) async fn start() -> Server {
    start_with("local all all trust\nhost all all all trust\n", Gate::Primary, 8).await
}

/// A client that shows every byte.
pub(super) struct Raw<S> {
    pub(super) stream: S,
}

pub(super) type Message = (u8, Vec<u8>);

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(super) async fn startup(&mut self, parameters: &[(&str, &str)]) {
        let mut body = (3i32 << 16).to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        self.packet(&body).await;
    }

    pub(super) async fn packet(&mut self, body: &[u8]) {
        let length = i32::try_from(body.len() + 4).unwrap();
        self.write(&[&length.to_be_bytes(), body].concat()).await;
    }

    pub(super) async fn send(&mut self, kind: u8, body: &[u8]) {
        self.write(&[kind]).await;
        self.packet(body).await;
    }

    /// The next message; `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let read = async {
            let kind = self.stream.read_u8().await.ok()?;
            let length = self.stream.read_i32().await.ok()?;
            let mut body = vec![0; usize::try_from(length - 4).unwrap()];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
    }

    /// Messages up to and with one of this kind.
    pub(super) async fn until(&mut self, kind: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            let last = message.0 == kind;
            messages.push(message);
            if last {
                return messages;
            }
        }
        panic!("the connection ended before {}: {}", kind as char, kinds(&messages));
    }

    pub(super) async fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(b'Q', format!("{sql}\0").as_bytes()).await;
        self.until(b'Z').await
    }

    /// The next message, which must be an error, as `FATAL 57P03 text`, then the end if fatal.
    pub(super) async fn failure(&mut self) -> String {
        let message = self.next().await.expect("an error");
        assert_eq!(message.0, b'E', "{message:?}");
        let shown = error(&message.1);
        if shown.starts_with("FATAL") {
            assert_eq!(self.next().await, None, "the connection ends after {shown}");
        }
        shown
    }
}

/// The kinds of messages, with the status of ReadyForQuery.
pub(super) fn kinds(messages: &[Message]) -> String {
    let one = |(kind, body): &Message| match kind {
        b'Z' => format!("Z{}", body[0] as char),
        kind => (*kind as char).to_string(),
    };
    messages.iter().map(one).collect::<Vec<String>>().join(" ")
}

pub(super) fn field(body: &[u8], code: char) -> Option<String> {
    let text = String::from_utf8_lossy(body).into_owned();
    text.split('\0').find_map(|field| field.strip_prefix(code).map(str::to_owned))
}

pub(super) fn error(body: &[u8]) -> String {
    let get = |code| field(body, code).unwrap_or_default();
    format!("{} {} {}", get('S'), get('C'), get('M'))
}

pub(super) fn tags(messages: &[Message]) -> Vec<String> {
    let complete = messages.iter().filter(|(kind, _)| *kind == b'C');
    complete.map(|(_, body)| String::from_utf8_lossy(body).trim_end_matches('\0').into()).collect()
}
