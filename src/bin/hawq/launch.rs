//! Starting daemons of this host, detached, and waiting until they answer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aerie::proto::v1::StatusReply;
use aerie::runtime::config::SegmentSettings;
use anyhow::Context;

use crate::rpc::{self, Access};

const POLL: Duration = Duration::from_millis(50);
/// What is shown of the log of a daemon that did not come up.
const LOG_TAIL_BYTES: u64 = 2_000;

/// A daemon with its arguments; standard output and error go to `log`.
#[derive(Debug, Clone)]
pub struct Daemon {
    pub program: &'static str,
    pub arguments: Vec<String>,
    pub log: PathBuf,
    /// The account that it takes itself for, which names the first superuser; `None`: its own.
    pub account: Option<&'static str>,
}

impl Daemon {
    pub fn master(site: &Path, data_dir: &Path) -> Daemon {
        Daemon {
            program: "hawq-master",
            arguments: vec![
                "--config".to_owned(),
                site.display().to_string(),
                "--data-dir".to_owned(),
                data_dir.display().to_string(),
            ],
            log: data_dir.join("pg_log/startup.log"),
            account: None,
        }
    }

    /// `host` is the name under which the segment registers.
    pub fn segment(settings: &SegmentSettings, host: &str, cluster_id: &str) -> Daemon {
        let log = settings.data_dir.join("pg_log/startup.log");
        let mut arguments = vec![
            format!("--data-dir={}", settings.data_dir.display()),
            format!("--host={host}"),
            format!("--port={}", settings.port),
            format!("--rpc-port={}", settings.rpc_port),
            format!("--cluster-id={cluster_id}"),
            format!("--secret-file={}", settings.secret_file.display()),
            format!("--heartbeat-interval={}ms", settings.heartbeat_interval.as_millis()),
            format!("--directory-interval={}ms", settings.temp_dir_check_interval.as_millis()),
            format!("--memory-mb={}", settings.memory_mb),
            format!("--cores={}", settings.cores.round()),
        ];
        if let Some(address) = settings.listen {
            arguments.push(format!("--listen={address}"));
        }
        for peer in &settings.masters {
            arguments.push(format!("--master={}", peer.rpc_address()));
        }
        for directory in &settings.temp_dirs {
            arguments.push(format!("--temp-dir={}", directory.display()));
        }
        if settings.check_postgres {
            arguments.push("--check-postgres".to_owned());
        }
        Daemon { program: "hawq-segment", arguments, log, account: None }
    }

    /// In a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it.
    pub fn start(&self) -> anyhow::Result<Child> {
        let program = find_program(self.program)?;
        if let Some(directory) = self.log.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("create directory {}", directory.display()))?;
        }
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let log = log.with_context(|| format!("open {}", self.log.display()))?;
        let mut command = Command::new(&program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        if let Some(account) = self.account {
            command.env("LOGNAME", account).env("USER", account);
        }
        // SAFETY: setsid is async-signal-safe and touches no memory of the parent.
        unsafe {
            command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(io::Error::from));
        }
        command.spawn().with_context(|| format!("start {}", program.display()))
    }

    /// The last of the log, for the message of a failure.
    pub fn log_tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        match read() {
            Ok(text) if !text.is_empty() => {
                format!("the end of {}:\n{text}", self.log.display())
            }
            _ => format!("{} is empty", self.log.display()),
        }
    }
}

/// Beside this program, else in `$GPHOME/bin`.
pub fn find_program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find the folder of this program")?;
    let mut folders: Vec<PathBuf> = own.parent().map(Path::to_owned).into_iter().collect();
    folders.extend(std::env::var_os("GPHOME").map(|home| PathBuf::from(home).join("bin")));
    for folder in &folders {
        let program = folder.join(name);
        if program.is_file() {
            return Ok(program);
        }
    }
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    anyhow::bail!("cannot find {name} in {}", folders.join(" or "))
}

/// Runs `hawq-master init …` to its end; the error holds what it said.
pub fn run_init(arguments: &[String]) -> anyhow::Result<String> {
    let program = find_program("hawq-master")?;
    let output = Command::new(&program)
        .arg("init")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    anyhow::bail!("{}", if complaint.is_empty() { said } else { complaint })
}

/// What a wait for a node is about.
pub struct Waiting<'a> {
    pub address: &'a str,
    pub access: &'a Access,
    pub timeout: Duration,
    pub daemon: &'a Daemon,
}

impl Waiting<'_> {
    /// Until the node's status satisfies `enough`; the last status when it does not in time.
    pub async fn until(
        &self,
        child: &mut Option<Child>,
        enough: impl Fn(&StatusReply) -> bool,
    ) -> anyhow::Result<Result<StatusReply, Option<StatusReply>>> {
        let deadline = Instant::now() + self.timeout;
        let mut last = None;
        loop {
            if let Some(child) = child
                && let Some(status) = child.try_wait()?
            {
                anyhow::bail!(
                    "{} ended ({status}); {}",
                    self.daemon.program,
                    self.daemon.log_tail()
                );
            }
            match rpc::status(self.address, self.access).await {
                Ok(reply) if enough(&reply) => return Ok(Ok(reply)),
                Ok(reply) => last = Some(reply),
                Err(reason) if rpc::is_refusal(&reason) => {
                    anyhow::bail!("{} at {} {reason}", self.daemon.program, self.address);
                }
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Ok(Err(last));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
