//! The listeners: accepts connections, gives each a task, ends them all in a bounded time.
//!
//! Every task belongs to its listener's set and is joined or aborted when the frontend stops. A
//! panic in a session ends that session alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt;
use pgwire::tokio::server::MaybeTls;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::backend::Backend;
use super::gate::Gate;
use super::hba::Hba;
use super::session::Session;
use super::sessions::Sessions;
use super::socket_file::{SocketError, SocketFile};
use super::startup::{self, Peer};
use super::wire::{Connection, Stop};
use super::{Failure, SqlState};

/// Connections that wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;
/// How long the last words to a client may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// How long sessions may take to end by themselves; then they are aborted. Longer than the grace
/// of a commit and the last words together.
const ENDING_MAX: Duration = Duration::from_secs(3);
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub struct FrontendOptions {
    pub listen: Vec<SocketAddr>,
    pub unix_socket_directory: Option<PathBuf>,
    /// Of the Unix socket's name; TCP ports stand in `listen`.
    pub port: u16,
    /// Stands in the socket's lock file.
    pub data_directory: PathBuf,
    pub max_connections: usize,
    pub superuser_reserved_connections: usize,
    pub authentication_timeout: Duration,
    pub hba: Hba,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address}: {source}{}", in_use_hint(.source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("no address to listen on and no Unix socket directory")]
    NothingToListenOn,
    #[error("{sessions} sessions are still there")]
    StillActive { sessions: usize },
}

fn in_use_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => " (is another server running on that port?)",
        io::ErrorKind::AddrNotAvailable => " (the address is not one of this host)",
        _ => "",
    }
}

/// How to end the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Waits that long for clients to leave, refusing new ones; gives up when some are still there.
    Smart { patience: Duration },
    /// Tells every session to end.
    Fast,
    /// As `Fast`, without waiting for a commit under way.
    Immediate,
}

/// What every connection's task uses.
pub(crate) struct Shared<B> {
    pub backend: B,
    pub options: FrontendOptions,
    pub hba: ArcSwap<Hba>,
    pub gate: watch::Receiver<Gate>,
    pub sessions: Arc<Sessions>,
    closing: watch::Sender<bool>,
    /// Bounds connections, also those that have not come through the startup yet.
    slots: Arc<Semaphore>,
}

impl<B> Shared<B> {
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

trait Control: Send + Sync {
    fn close(&self, closing: bool);
    fn replace_hba(&self, hba: Hba);
}

impl<B: Backend> Control for Shared<B> {
    fn close(&self, closing: bool) {
        self.closing.send_replace(closing);
    }

    fn replace_hba(&self, hba: Hba) {
        self.hba.store(Arc::new(hba));
    }
}

/// The running listeners.
pub struct Frontend {
    addresses: Vec<SocketAddr>,
    socket: Option<SocketFile>,
    sessions: Arc<Sessions>,
    control: Arc<dyn Control>,
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

/// Bound, and not served yet: who connects waits. Dropping it leaves nothing behind.
pub struct Listeners {
    options: FrontendOptions,
    tcp: Vec<TcpListener>,
    socket: Option<(SocketFile, UnixListener)>,
}

impl Listeners {
    /// Every address, or none. To be called on the runtime that will serve them.
    pub fn bind(options: FrontendOptions) -> Result<Listeners, Error> {
        let tcp = options.listen.iter().map(|address| listen(*address));
        let tcp = tcp.collect::<Result<Vec<_>, _>>()?;
        let socket = match &options.unix_socket_directory {
            Some(directory) => {
                Some(SocketFile::claim(directory, options.port, &options.data_directory)?)
            }
            None => None,
        };
        if tcp.is_empty() && socket.is_none() {
            return Err(Error::NothingToListenOn);
        }
        Ok(Listeners { options, tcp, socket })
    }
}

impl Frontend {
    /// Serves what is bound.
    pub fn start<B: Backend>(
        bound: Listeners,
        backend: B,
        gate: watch::Receiver<Gate>,
        sessions: Arc<Sessions>,
    ) -> Frontend {
        let Listeners { options, tcp: listeners, socket } = bound;
        let addresses = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
        // As PostgreSQL: twice as many connections as sessions may be on their way in.
        let slots = options.max_connections.saturating_mul(2).clamp(1, Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            backend,
            hba: ArcSwap::from_pointee(options.hba.clone()),
            options,
            gate,
            sessions: Arc::clone(&sessions),
            closing: watch::Sender::new(false),
            slots: Arc::new(Semaphore::new(slots)),
        });
        let stop = watch::Sender::new(false);
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(accept_loop(Arc::clone(&shared), listener, stop.subscribe()));
        }
        let socket = socket.map(|(file, listener)| {
            loops.spawn(accept_loop(Arc::clone(&shared), listener, stop.subscribe()));
            file
        });
        let gate = shared.gate.clone();
        loops.spawn(watch_gate(gate, Arc::clone(&sessions), stop.subscribe()));
        Frontend { addresses, socket, sessions, control: shared, stop, loops }
    }

    /// The addresses that were bound, with the port that a 0 became.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// For new connections from now on.
    pub fn replace_hba(&self, hba: Hba) {
        self.control.replace_hba(hba);
    }

    /// Ends the sessions and the listeners. After `StillActive` the frontend serves as before;
    /// otherwise it is over, at the latest a few seconds later.
    pub async fn shutdown(&mut self, mode: Shutdown) -> Result<(), Error> {
        self.control.close(true);
        if let Shutdown::Smart { patience } = mode
            && !self.sessions.wait_until_idle(patience).await
        {
            self.control.close(false);
            return Err(Error::StillActive { sessions: self.sessions.count() });
        }
        self.sessions.terminate_all(&match mode {
            Shutdown::Immediate => {
                let message = "terminating connection due to immediate shutdown command";
                Failure::fatal(SqlState::AdminShutdown, message)
            }
            Shutdown::Smart { .. } | Shutdown::Fast => Failure::terminated(),
        });
        let patience = if mode == Shutdown::Immediate { FAREWELL_MAX } else { ENDING_MAX };
        self.sessions.wait_until_idle(patience).await;
        self.stop.send_replace(true);
        let joined = async { while self.loops.join_next().await.is_some() {} };
        if timeout(ENDING_MAX, joined).await.is_err() {
            self.loops.shutdown().await;
        }
        self.socket = None;
        Ok(())
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let open = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it: a client whose host died does not stay for ever.
        socket.set_keepalive(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| Error::Listen { address, source })
}

/// A listener of either kind.
trait Listener: Send + 'static {
    fn accept_one(&self) -> impl Future<Output = io::Result<(MaybeTls, Peer)>> + Send;
}

impl Listener for TcpListener {
    async fn accept_one(&self) -> io::Result<(MaybeTls, Peer)> {
        let (stream, address) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok((MaybeTls::Plain(stream), Peer::Tcp { address }))
    }
}

impl Listener for UnixListener {
    async fn accept_one(&self) -> io::Result<(MaybeTls, Peer)> {
        let (stream, _) = self.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((MaybeTls::Unix(stream), Peer::Unix { uid }))
    }
}

async fn accept_loop<B: Backend>(
    shared: Arc<Shared<B>>,
    listener: impl Listener,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept_one() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&shared.slots).try_acquire_owned() {
                Ok(slot) => drop(tasks.spawn(connect(Arc::clone(&shared), stream, peer, slot))),
                Err(_) => turn_away(&stream),
            },
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.shutdown().await;
}

/// Says so without waiting: the startup packet of this client is not even read.
fn turn_away(stream: &MaybeTls) {
    let failure = Failure::fatal(SqlState::TooManyConnections, "sorry, too many clients already");
    let mut bytes = bytes::BytesMut::new();
    if super::wire::put(&mut bytes, &failure.response()).is_ok() {
        // A client that does not take it sees the connection close, which says as much.
        let _ = match stream {
            MaybeTls::Plain(stream) => stream.try_write(&bytes),
            MaybeTls::Unix(stream) => stream.try_write(&bytes),
            _ => Ok(0),
        };
    }
}

/// Ends the sessions that a change of the gate leaves without admission.
async fn watch_gate(
    mut gate: watch::Receiver<Gate>,
    sessions: Arc<Sessions>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            changed = gate.changed() => match changed {
                Ok(()) => sessions.sift(&gate.borrow_and_update().clone()),
                // Nobody speaks for this node any more.
                Err(_) => return sessions.sift(&Gate::ShuttingDown),
            },
        }
    }
}

/// One connection from its first byte to its last.
async fn connect<B: Backend>(
    shared: Arc<Shared<B>>,
    stream: MaybeTls,
    peer: Peer,
    _slot: OwnedSemaphorePermit,
) {
    let connection = Connection::new(stream);
    match timeout(shared.options.authentication_timeout, enter(&shared, connection, peer)).await {
        Ok(Ok(Some(session))) => serve(session).await,
        Ok(Err(refused)) => {
            let (connection, stop) = *refused;
            part(connection, stop).await;
        }
        // A cancel request was heard, or a client took too long to say who it is.
        Ok(Ok(None)) | Err(_) => {}
    }
}

type Entered<B> = Result<Option<Session<<B as Backend>::Session>>, Box<(Connection, Stop)>>;

async fn enter<B: Backend>(
    shared: &Shared<B>,
    mut connection: Connection,
    peer: Peer,
) -> Entered<B> {
    match startup::receive(shared, &mut connection).await {
        Ok(Some(startup)) => startup::admit(shared, connection, &startup, peer).map(Some),
        Ok(None) => Ok(None),
        Err(stop) => Err(Box::new((connection, stop))),
    }
}

async fn serve<S: super::backend::BackendSession>(mut session: Session<S>) {
    let pid = session.registration.pid();
    let stop = match AssertUnwindSafe(session.run()).catch_unwind().await {
        Ok(stop) => stop,
        Err(_) => {
            tracing::error!(pid, "a session panicked and was ended");
            Failure::internal("the session failed by a bug of the server").into()
        }
    };
    // The registration stays until the client was told, so that who waits for it waits for that.
    let Session { connection, registration, backend, .. } = session;
    drop(backend);
    part(connection, stop).await;
    drop(registration);
}

async fn part(connection: Connection, stop: Stop) {
    if let Stop::Say(failure) = stop {
        // A client that does not read is not waited for.
        let _ = timeout(FAREWELL_MAX, connection.farewell(&failure)).await;
    }
}

/// The addresses that `listen_addresses` names: `*`, host names and addresses, with commas.
pub async fn resolve(listen_addresses: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for name in listen_addresses.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        // One IPv4 socket: on a host without IPv6 a dual one could not be had.
        if name == "*" {
            addresses.push((Ipv4Addr::UNSPECIFIED, port).into());
            continue;
        }
        let found = tokio::net::lookup_host((name, port)).await;
        let found = found.map_err(|error| format!("could not resolve \"{name}\": {error}"))?;
        addresses.extend(found);
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}
