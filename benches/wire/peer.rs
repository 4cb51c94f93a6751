//! PostgreSQL with a synchronous standby, in a temporary directory, as an unprivileged user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;

use crate::Server;
use crate::ours::free_port;
use crate::reads::ended;
use crate::start::{Memory, memory_of_family};

const USER: &str = "gpadmin";
const READY: Duration = Duration::from_secs(60);

pub struct Peer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Peer {
    pub fn start() -> anyhow::Result<Peer> {
        let folder = tempfile::Builder::new().prefix("aerie-peer").tempdir()?;
        let peer = Peer { programs: programs()?, folder, port: free_port()? };
        peer.give_away(peer.folder.path())?;
        let primary = peer.primary_dir();
        // Whatever locale this shell has, it may not be installed.
        let flags = ["-A", "trust", "-U", USER, "-E", "UTF8", "--no-locale", "-D", &primary];
        peer.run("initdb", &flags)?;
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n\
             max_connections = 200\nwal_level = replica\nmax_wal_senders = 4\n\
             synchronous_commit = on\nsynchronous_standby_names = '*'\nlogging_collector = off\n",
            peer.port
        );
        append(&Path::new(&primary).join("postgresql.conf"), &settings)?;
        peer.start_node("primary")?;
        let (standby, port) = (peer.standby_dir(), peer.port.to_string());
        let target = ["-h", "127.0.0.1", "-p", &port, "-U", USER, "-R", "-c", "fast", "-D"];
        peer.run("pg_basebackup", &[&target[..], &[&standby]].concat())?;
        let own_port = format!("port = {}\nsynchronous_standby_names = ''\n", free_port()?);
        append(&Path::new(&standby).join("postgresql.conf"), &own_port)?;
        peer.start_node("standby")?;
        peer.wait_until_sync()?;
        Ok(peer)
    }

    pub fn server(&self) -> Server {
        Server { name: "PostgreSQL", port: self.port, user: USER, database: "postgres" }
    }

    pub fn version(&self) -> anyhow::Result<String> {
        Ok(self.psql("select version()")?.trim().to_string())
    }

    /// The equal table.
    pub fn fill(&self, rows: usize) -> anyhow::Result<()> {
        let sql = format!(
            "drop table if exists gp_segment_configuration; \
             create table gp_segment_configuration (registration_order int primary key, \
             role \"char\" not null, status \"char\" not null, port int not null, \
             hostname text not null, address text not null, description text); \
             insert into gp_segment_configuration select n, 'p', 'u', 40000, 'segment' || n, \
             '127.0.0.1', '' from generate_series(-1, {}) n; analyze gp_segment_configuration",
            rows as i64 - 2
        );
        self.psql(&sql).map(drop)
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        memory_of_family(self.pid()?)
    }

    /// Ends the primary as a crash would and starts it again; the time at which it was started.
    pub fn crash_and_start(&self) -> anyhow::Result<Instant> {
        let pid = nix::unistd::Pid::from_raw(self.pid()?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT)?;
        let deadline = Instant::now() + READY;
        while Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok() {
            anyhow::ensure!(Instant::now() < deadline, "PostgreSQL does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        self.pg_ctl("start", "primary", "-W")?;
        Ok(start)
    }

    fn pid(&self) -> anyhow::Result<i32> {
        let path = Path::new(&self.primary_dir()).join("postmaster.pid");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        text.lines().next().unwrap_or("").parse().context("postmaster.pid")
    }

    fn primary_dir(&self) -> String {
        self.folder.path().join("primary").display().to_string()
    }

    fn standby_dir(&self) -> String {
        self.folder.path().join("standby").display().to_string()
    }

    fn start_node(&self, name: &str) -> anyhow::Result<()> {
        self.pg_ctl("start", name, "-w")
    }

    fn pg_ctl(&self, verb: &str, name: &str, wait: &str) -> anyhow::Result<()> {
        let directory = self.folder.path().join(name).display().to_string();
        let log = self.folder.path().join(format!("{name}.log")).display().to_string();
        self.run("pg_ctl", &[verb, wait, "-s", "-D", &directory, "-l", &log])
    }

    fn psql(&self, sql: &str) -> anyhow::Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        let target = self.server().target();
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &target, "-c", sql]);
        ended(command.output().context("psql")?)
    }

    fn wait_until_sync(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        while self.psql("select sync_state from pg_stat_replication")?.trim() != "sync" {
            anyhow::ensure!(Instant::now() < deadline, "PostgreSQL's standby is not in sync");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// As the user `postgres` when we are root, which PostgreSQL refuses to be.
    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]);
            command.arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // pg_ctl leaves a server behind, which must not hold our pipe open.
        let log = self.folder.path().join("commands.log");
        let file = || fs::File::options().create(true).append(true).open(&log);
        command.args(arguments).current_dir(self.folder.path()).stdout(file()?).stderr(file()?);
        let status = command.status().with_context(|| program.display().to_string())?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        anyhow::ensure!(status.success(), "{}: {status}\n{said}", program.display());
        Ok(())
    }

    fn give_away(&self, path: &Path) -> anyhow::Result<()> {
        if !is_root() {
            return Ok(());
        }
        let user = nix::unistd::User::from_name("postgres")?.context("no user postgres")?;
        nix::unistd::chown(path, Some(user.uid), Some(user.gid)).context("chown")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for name in ["standby", "primary"] {
            let directory = self.folder.path().join(name).display().to_string();
            let _ = self.run("pg_ctl", &["stop", "-s", "-m", "immediate", "-D", &directory]);
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    fs::write(path, old + text).with_context(|| path.display().to_string())
}

/// Where Debian keeps the newest server.
fn programs() -> anyhow::Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib/postgresql").context("no PostgreSQL: make setup-bench")?;
    let mut found: Vec<PathBuf> = folders
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().context("no initdb: make setup-bench")
}
