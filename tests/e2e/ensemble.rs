//! Real ZooKeeper servers, one or three, each a process with a directory and ports of its own, on
//! loopback or each on a host of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aerie::runtime::config::{MasterSettings, Settings, ZooKeeperSettings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::machine::free_port;
use crate::namespace::Namespace;
use crate::wait::{eventually, seconds};

const CLASSES: &str = "/usr/share/java/zookeeper.jar";
const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// A server needs little, and the machine has several at a time.
const JVM: &[&str] = &[
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dzookeeper.admin.enableServer=false",
    "-Dzookeeper.4lw.commands.whitelist=srvr",
    // Five tries: whoever leads on a busy machine may not listen yet.
    "-Dzookeeper.leaderConnectDelayDuringRetryMs=1000",
];
/// `ha_coordinator_timeout`: enough for a server to answer on a busy machine.
const ATTEMPT: &str = "10s";
/// For servers to come up, and to agree on who leads.
const UP: Duration = Duration::from_secs(300);
/// In ticks: to connect to a server that leads anew, and to be silent.
const INIT_LIMIT: u32 = 60;
const SYNC_LIMIT: u32 = 40;

/// Of a node that is told of these servers.
pub fn settings(quorum: &str, more: &[(&str, &str)]) -> ZooKeeperSettings {
    let named = [("ha_zookeeper_quorum", quorum), ("ha_coordinator_timeout", ATTEMPT)];
    let pairs = named.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string()));
    let settings = Settings::load(None, &pairs.collect::<Vec<_>>()).expect("settings");
    MasterSettings::new(&settings).expect("settings").zookeeper.expect("ZooKeeper")
}

pub struct Ensemble {
    folder: TempDir,
    servers: Vec<Server>,
    tick_millis: u32,
}

struct Server {
    /// None: loopback.
    host: Option<Arc<Namespace>>,
    client_port: u16,
    peer_ports: [u16; 2],
    child: Option<Child>,
}

impl Server {
    fn address(&self) -> Ipv4Addr {
        self.host.as_ref().map_or(Ipv4Addr::LOCALHOST, |host| host.address)
    }

    fn there<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.host {
            Some(host) => host.run(work),
            None => work(),
        }
    }
}

impl Ensemble {
    pub fn start(servers: usize) -> Ensemble {
        Ensemble::with_tick(servers, 500)
    }

    pub fn with_tick(servers: usize, tick_millis: u32) -> Ensemble {
        Ensemble::of(vec![None; servers], tick_millis)
    }

    /// A server on each of these.
    pub fn on(hosts: Vec<Arc<Namespace>>) -> Ensemble {
        Ensemble::of(hosts.into_iter().map(Some).collect(), 500)
    }

    fn of(hosts: Vec<Option<Arc<Namespace>>>, tick_millis: u32) -> Ensemble {
        let jar = Path::new(CLASSES).exists();
        assert!(jar, "{CLASSES} is not there; run .ci/setup, or apt-get install zookeeper");
        let folder = tempfile::Builder::new().prefix("aerie-zk").tempdir().expect("directory");
        let server = |host| Server {
            host,
            client_port: free_port(),
            peer_ports: [free_port(), free_port()],
            child: None,
        };
        let servers = hosts.into_iter().map(server).collect();
        let mut ensemble = Ensemble { folder, servers, tick_millis };
        ensemble.start_all();
        ensemble
    }

    /// `ha_zookeeper_quorum`.
    pub fn quorum(&self) -> String {
        let address = |server: &Server| format!("{}:{}", server.address(), server.client_port);
        self.servers.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Starts those that do not run.
    pub fn start_all(&mut self) {
        for i in 0..self.servers.len() {
            if !self.runs(i) {
                self.spawn(i);
            }
        }
        self.wait_until_serving();
    }

    fn runs(&mut self, i: usize) -> bool {
        let child = self.servers[i].child.as_mut();
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub fn kill_all(&mut self) {
        for i in 0..self.servers.len() {
            self.kill(i);
        }
    }

    /// Its disks are lost; it runs again, with nothing.
    pub fn wipe(&mut self) {
        self.kill_all();
        for i in 0..self.servers.len() {
            fs::remove_dir_all(self.directory(i)).expect("remove the data");
        }
        self.start_all();
    }

    pub fn kill(&mut self, i: usize) {
        if let Some(mut child) = self.servers[i].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// To every server that runs.
    pub fn signal_all(&self, signal: Signal) {
        for child in self.servers.iter().filter_map(|server| server.child.as_ref()) {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
            kill(pid, signal).expect("signal");
        }
    }

    /// The server that the others go by.
    pub fn leading(&self) -> usize {
        eventually("a leading server", UP, || {
            let leads = |i: &usize| matches!(self.mode(*i).as_deref(), Ok("leader" | "standalone"));
            (0..self.servers.len()).find(leads).ok_or_else(|| self.log())
        })
    }

    fn wait_until_serving(&self) {
        for i in 0..self.servers.len() {
            eventually("ZooKeeper", UP, || {
                self.mode(i).map_err(|error| format!("{error}\n{}", self.log()))
            });
        }
    }

    /// As the four-letter command `srvr` tells it.
    fn mode(&self, i: usize) -> Result<String, String> {
        let server = &self.servers[i];
        let said = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((server.address(), server.client_port))?;
            stream.set_read_timeout(Some(seconds(5)))?;
            stream.write_all(b"srvr")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = server.there(said).map_err(|error| error.to_string())?;
        let mode = text.lines().find_map(|line| line.strip_prefix("Mode: "));
        mode.map(str::to_owned).ok_or(text)
    }

    fn directory(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("{}", i + 1))
    }

    fn spawn(&mut self, i: usize) {
        let directory = self.directory(i);
        fs::create_dir_all(&directory).expect("directory");
        fs::write(directory.join("myid"), format!("{}\n", i + 1)).expect("myid");
        let config = directory.join("zoo.cfg");
        fs::write(&config, self.configuration(i)).expect("zoo.cfg");
        let log = File::options().create(true).append(true).open(directory.join("log"));
        let log = log.expect("log");
        let mut command = Command::new("java");
        command.args(JVM).args(["-cp", CLASSES, MAIN]).arg(&config).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("log")).stderr(log);
        if let Some(host) = &self.servers[i].host {
            host.place(&mut command);
        }
        self.servers[i].child = Some(command.spawn().expect("java"));
    }

    fn configuration(&self, i: usize) -> String {
        let (server, directory, tick) = (&self.servers[i], self.directory(i), self.tick_millis);
        let mut text = format!(
            "tickTime={tick}\ninitLimit={INIT_LIMIT}\nsyncLimit={SYNC_LIMIT}\n\
             clientPortAddress={}\nclientPort={}\ndataDir={}\n",
            server.address(),
            server.client_port,
            directory.display()
        );
        for (number, server) in (1..).zip(&self.servers).filter(|_| self.servers.len() > 1) {
            let [peer, election] = server.peer_ports;
            let address = server.address();
            text.push_str(&format!("server.{number}={address}:{peer}:{election}\n"));
        }
        text
    }

    /// The last lines of each server's log.
    fn log(&self) -> String {
        let read = |i| fs::read_to_string(self.directory(i).join("log")).unwrap_or_default();
        let last = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(5)..].join("\n")
        };
        (0..self.servers.len()).map(|i| last(read(i))).collect::<Vec<_>>().join("\n--\n")
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        self.kill_all();
    }
}
