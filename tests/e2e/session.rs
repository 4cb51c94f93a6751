//! A SQL session with a bound on every statement.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// Longer than `ha_commit_timeout`, so that the server's own bound is seen first.
const STATEMENT: Duration = Duration::from_secs(45);
const CONNECT: Duration = Duration::from_secs(10);
const ONE_OF_SEVERAL: Duration = Duration::from_secs(2);
const STATEMENT_OF_SEVERAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Empty when the connection broke or nothing was answered.
    pub sqlstate: String,
    pub text: String,
}

pub struct Session {
    client: Client,
    runtime: Runtime,
    /// Of one statement.
    limit: Duration,
}

impl Session {
    pub fn connect(port: u16) -> Result<Session, Failure> {
        Session::connect_to(&format!("host=127.0.0.1 port={port} user=gpadmin dbname=postgres"))
    }

    /// By a connection string as libpq has them. Of several hosts each is given a moment, as
    /// libpq's `connect_timeout` does it, and statements have a shorter bound: one that sleeps is
    /// left.
    pub fn connect_to(target: &str) -> Result<Session, Failure> {
        let config: Config = target.parse().map_err(failure)?;
        let hosts = config.get_hosts();
        if let [_] = hosts {
            return Session::open(&config, CONNECT, STATEMENT);
        }
        // One port is that of every host.
        let ports = config.get_ports().iter().copied().cycle();
        let mut last = broken("no host");
        for (host, port) in hosts.iter().zip(ports) {
            let Host::Tcp(host) = host else { continue };
            let mut single = Config::new();
            single.host(host).port(port).target_session_attrs(config.get_target_session_attrs());
            single.user(config.get_user().unwrap_or_default());
            single.dbname(config.get_dbname().unwrap_or_default());
            match Session::open(&single, ONE_OF_SEVERAL, STATEMENT_OF_SEVERAL) {
                Ok(session) => return Ok(session),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn open(config: &Config, connect: Duration, limit: Duration) -> Result<Session, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| broken(&error.to_string()))?;
        let connected = runtime.block_on(async { timeout(connect, config.connect(NoTls)).await });
        let (client, connection) =
            connected.map_err(|_| broken("no answer to connect"))?.map_err(failure)?;
        runtime.spawn(connection);
        Ok(Session { client, runtime, limit })
    }

    /// Rows of text; a null is the word NULL.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let answered = self
            .runtime
            .block_on(async { timeout(self.limit, self.client.simple_query(sql)).await });
        let messages =
            answered.map_err(|_| broken("no answer to a statement"))?.map_err(failure)?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => {
                let field = |i| row.get(i).unwrap_or("NULL").to_string();
                Some((0..row.len()).map(field).collect())
            }
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    pub fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.query(sql).map(|_| ())
    }

    /// The one field of the one row.
    pub fn value(&self, sql: &str) -> Result<String, Failure> {
        let rows = self.query(sql)?;
        match rows.as_slice() {
            [row] if row.len() == 1 => Ok(row[0].clone()),
            _ => Err(broken(&format!("{sql}: not one value but {rows:?}"))),
        }
    }
}

fn broken(text: &str) -> Failure {
    Failure { sqlstate: String::new(), text: text.to_string() }
}

fn failure(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(db) => {
            Failure { sqlstate: db.code().code().to_string(), text: db.message().to_string() }
        }
        None => broken(&error.to_string()),
    }
}
