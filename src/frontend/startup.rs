//! From a fresh connection to a session: encryption requests, cancel requests, the startup packet,
//! the gate, pg_hba.conf, the number of sessions, and what a client is told first.
//!
//! It only asks: whether roles and databases exist is the backend's answer, whether sessions may
//! come in is the gate's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::unistd::{Uid, User};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, SecretKey,
};

use super::backend::{Backend, BackendSession, SessionOpening};
use super::gate::Admission;
use super::hba::{Asking, Hba, Method, Origin};
use super::message::{Opening, Startup};
use super::server::Shared;
use super::session::Session;
use super::sessions::Identity;
use super::wire::{Connection, Stop, secret_number};
use super::{Failure, SqlState, options};

/// 3.0, as a server that knows no newer minor version answers.
const PROTOCOL: i32 = 3 << 16;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    Unix { uid: u32 },
    Tcp { address: SocketAddr },
}

impl Peer {
    fn origin(self) -> Origin {
        match self {
            Peer::Unix { .. } => Origin::Local,
            Peer::Tcp { address } => Origin::Host(address.ip().to_canonical()),
        }
    }

    fn address(self) -> Option<SocketAddr> {
        match self {
            Peer::Unix { .. } => None,
            Peer::Tcp { address } => {
                Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
        }
    }
}

/// What the startup packet asks for.
struct Request {
    user: String,
    database: String,
    parameters: Vec<(String, String)>,
    application_name: String,
}

/// The startup packet, after any refused encryption request; `None` when there is no session to
/// be had (a cancel request).
pub(crate) async fn receive<B: Backend>(
    shared: &Shared<B>,
    connection: &mut Connection,
) -> Result<Option<Startup>, Stop> {
    let (mut ssl_asked, mut gss_asked) = (false, false);
    loop {
        let asked = match connection.opening().await? {
            Opening::Ssl => &mut ssl_asked,
            Opening::GssEnc => &mut gss_asked,
            Opening::Cancel { pid, secret } => {
                if let Some(secret) = secret_number(&secret) {
                    shared.sessions.cancel_with_secret(pid, secret);
                }
                return Ok(None);
            }
            Opening::Startup(startup) => return Ok(Some(startup)),
        };
        // Each may be asked once, so this loop is bounded.
        if std::mem::replace(asked, true) {
            return Err(Failure::protocol("encryption was refused already").into());
        }
        connection.put_byte(b'N');
        connection.flush().await?;
    }
}

/// Lets the client in, or says why not. On success everything up to the first ReadyForQuery
/// waits in the connection.
pub(crate) fn admit<B: Backend>(
    shared: &Shared<B>,
    mut connection: Connection,
    startup: &Startup,
    peer: Peer,
) -> Result<Session<B::Session>, Box<(Connection, Stop)>> {
    match try_admit(shared, &mut connection, startup, peer) {
        Err(stop) => Err(Box::new((connection, stop))),
        Ok((backend, registration)) => {
            connection.obey(registration.ending());
            let mut session = Session::new(connection, backend, registration);
            match greet(&mut session) {
                Ok(()) => Ok(session),
                Err(stop) => Err(Box::new((session.connection, stop))),
            }
        }
    }
}

type Admitted<B> = (<B as Backend>::Session, super::sessions::Registration);

fn try_admit<B: Backend>(
    shared: &Shared<B>,
    connection: &mut Connection,
    startup: &Startup,
    peer: Peer,
) -> Result<Admitted<B>, Stop> {
    negotiate(connection, startup)?;
    let request = request(startup)?;
    if shared.is_closing() {
        return Err(super::Gate::ShuttingDown.admit().map_or_else(Stop::from, |_| Stop::Gone));
    }
    let admission = shared.gate.borrow().admit()?;
    let too_many =
        || Failure::fatal(SqlState::TooManyConnections, "sorry, too many clients already");
    if shared.sessions.count() >= shared.options.max_connections {
        return Err(too_many().into());
    }
    authenticate(&shared.hba.load(), &request, peer)?;
    let committing = Arc::new(AtomicBool::new(false));
    let pid = shared.sessions.next_pid();
    let backend = shared
        .backend
        .open(SessionOpening {
            user: request.user.clone(),
            database: request.database.clone(),
            pid,
            read_only: admission == Admission::ReadOnly,
            parameters: request.parameters,
            committing: Arc::clone(&committing),
        })
        .map_err(Failure::into_fatal)?;
    let superuser = backend
        .initial_parameters()
        .iter()
        .any(|(name, value)| name == "is_superuser" && value == "on");
    let reserved = if superuser { 0 } else { shared.options.superuser_reserved_connections };
    let secret = getrandom::u32()
        .map_err(|error| Failure::internal(format!("could not generate a cancel key: {error}")))?;
    let identity = Identity {
        pid,
        secret: secret.cast_signed(),
        user: request.user,
        database: request.database,
        application_name: request.application_name,
        client: peer.address(),
        admission,
    };
    let sessions_max = shared.options.max_connections.saturating_sub(reserved);
    let registered = shared.sessions.register(identity, committing, sessions_max);
    let registration = registered.ok_or_else(|| match reserved {
        0 => too_many(),
        _ => Failure::fatal(
            SqlState::TooManyConnections,
            "remaining connection slots are reserved for non-replication superuser connections",
        ),
    })?;
    // The gate may have closed before the registration was there to be ended.
    let now = shared.gate.borrow().admit()?;
    if now == admission { Ok((backend, registration)) } else { Err(Failure::terminated().into()) }
}

/// Refuses other major versions; answers a newer minor version, or options that are not known,
/// with what this server speaks.
fn negotiate(connection: &mut Connection, startup: &Startup) -> Result<(), Stop> {
    let (major, minor) = (startup.major, startup.minor);
    if major != 3 {
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0");
        return Err(Failure::fatal(SqlState::FeatureNotSupported, message).into());
    }
    let unknown: Vec<String> = startup
        .parameters
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."))
        .map(|(name, _)| name.clone())
        .collect();
    if minor > 0 || !unknown.is_empty() {
        connection.put(&NegotiateProtocolVersion::new(PROTOCOL, unknown))?;
    }
    Ok(())
}

fn request(startup: &Startup) -> Result<Request, Failure> {
    let user = startup.get("user").unwrap_or_default();
    if user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(Failure::fatal(SqlState::InvalidAuthorizationSpecification, message));
    }
    let database = startup.get("database").filter(|name| !name.is_empty()).unwrap_or(user);
    if !matches!(startup.get("replication").unwrap_or("off"), "off" | "false" | "no" | "0") {
        let failure = Failure::fatal(
            SqlState::FeatureNotSupported,
            "replication connections are not supported",
        );
        return Err(failure.with_hint("Standbys follow this server by a protocol of its own."));
    }
    let mut parameters = options::parse(startup.get("options").unwrap_or_default())?;
    let of_the_wire = ["user", "database", "options", "replication"];
    parameters.extend(
        startup
            .parameters
            .iter()
            .filter(|(name, _)| !of_the_wire.contains(&name.as_str()))
            .filter(|(name, _)| !name.starts_with("_pq_."))
            .cloned(),
    );
    let application_name = parameters.iter().rev().find(|(name, _)| name == "application_name");
    let application_name = application_name.map(|(_, value)| value.clone()).unwrap_or_default();
    Ok(Request {
        user: user.to_owned(),
        database: database.to_owned(),
        parameters,
        application_name,
    })
}

fn authenticate(hba: &Hba, request: &Request, peer: Peer) -> Result<(), Failure> {
    let (user, database) = (request.user.as_str(), request.database.as_str());
    let origin = peer.origin();
    let host = match origin {
        Origin::Local => "[local]".to_owned(),
        Origin::Host(ip) => ip.to_string(),
    };
    let refuse =
        |message: String| Err(Failure::fatal(SqlState::InvalidAuthorizationSpecification, message));
    let whom = format!("host \"{host}\", user \"{user}\", database \"{database}\", no encryption");
    match hba.find(&Asking { origin, user, database }).map(|rule| rule.method) {
        None => refuse(format!("no pg_hba.conf entry for {whom}")),
        Some(Method::Reject) => refuse(format!("pg_hba.conf rejects connection for {whom}")),
        Some(Method::Trust) => Ok(()),
        Some(Method::Peer) if is_peer(peer, user) => Ok(()),
        Some(Method::Peer) => refuse(format!("Peer authentication failed for user \"{user}\"")),
    }
}

/// Whether the operating system's user at the other end has the role's name.
fn is_peer(peer: Peer, role: &str) -> bool {
    let Peer::Unix { uid } = peer else { return false };
    matches!(User::from_uid(Uid::from_raw(uid)), Ok(Some(user)) if user.name == role)
}

fn greet<S: BackendSession>(session: &mut Session<S>) -> Result<(), Stop> {
    session.connection.put(&Authentication::Ok)?;
    for (name, value) in session.backend.initial_parameters() {
        session.put_parameter(name, value)?;
    }
    // What a new session has to say about its settings was said just now.
    session.backend.take_parameter_changes();
    let (pid, secret) = session.registration.keys();
    session.connection.put(&BackendKeyData::new(pid, SecretKey::I32(secret)))
}
