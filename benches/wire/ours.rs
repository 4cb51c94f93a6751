//! Aerie with a synchronous standby, as `hawq demo` starts it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aerie::proto::v1::ImAliveRequest;
use aerie::proto::v1::segment_registry_client::SegmentRegistryClient;
use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::Server;
use crate::start::{Memory, memory_of_family};

const HAWQ: &str = env!("CARGO_BIN_EXE_hawq");
/// Built with `hawq`, which starts it.
const MASTER: &str = env!("CARGO_BIN_EXE_hawq-master");
const READY: Duration = Duration::from_secs(60);
/// Segments that are announced once and never heard again must not go down while we measure.
const PATIENCE: &str = "36000s";

pub struct Cluster {
    folder: TempDir,
    port: u16,
}

impl Cluster {
    pub fn start() -> anyhow::Result<Cluster> {
        Cluster::with_standbys(1)
    }

    pub fn with_standbys(standbys: usize) -> anyhow::Result<Cluster> {
        anyhow::ensure!(Path::new(MASTER).exists(), "{MASTER} is missing");
        let folder = tempfile::Builder::new().prefix("aerie-bench").tempdir()?;
        let cluster = Cluster { folder, port: free_port()? };
        cluster.demo(standbys)?;
        cluster.hawq(&["demo", "stop", "--dir"])?;
        for number in 1..=standbys + 1 {
            cluster.make_patient(&format!("master{number}"))?;
        }
        cluster.demo(standbys)?;
        Ok(cluster)
    }

    pub fn server(&self) -> Server {
        Server { name: "Aerie", port: self.port, user: "gpadmin", database: "postgres" }
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        memory_of_family(self.pid()?)
    }

    pub fn pid(&self) -> anyhow::Result<i32> {
        let pid = self.master("pid")?.as_i64().context("the primary does not run")?;
        Ok(i32::try_from(pid)?)
    }

    /// Announces segments until `gp_segment_configuration` has this many rows; the two masters are
    /// rows too.
    pub async fn register_segments(&self, rows: usize) -> anyhow::Result<()> {
        let port = self.master("rpc_port")?;
        let address = format!("http://127.0.0.1:{port}");
        let mut client = SegmentRegistryClient::connect(address).await?;
        for number in 1..=rows - 2 {
            client.im_alive(self.heartbeat(number)?).await?;
        }
        let (database, connection) =
            tokio_postgres::connect(&self.server().target(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let deadline = Instant::now() + READY;
        loop {
            let sql = "select count(*) from gp_segment_configuration";
            let found: i64 = database.query_one(sql, &[]).await?.get(0);
            if usize::try_from(found)? == rows {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{found} of {rows} segments are registered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn heartbeat(&self, number: usize) -> anyhow::Result<tonic::Request<ImAliveRequest>> {
        let segment = u64::try_from(number)?;
        let mut request = tonic::Request::new(ImAliveRequest {
            epoch: 0,
            followed_epoch: 0,
            promised_epoch: 0,
            segment,
            hostname: format!("segment{number}"),
            addresses: vec!["127.0.0.1".to_string()],
            port: 40_000,
            rpc_port: u32::try_from(1 + number)?,
            memory_mb: 1_024,
            cores: 1,
            failed_directories: Vec::new(),
            started_at_us: segment,
        });
        let secret = self.master("data_dir")?;
        let secret = Path::new(secret.as_str().context("data_dir")?).join("cluster.secret");
        let secret = fs::read_to_string(secret).context("cluster.secret")?;
        let id = self.listing()?["cluster_id"].as_str().context("cluster_id")?.to_string();
        let metadata = request.metadata_mut();
        metadata.insert("hawq-cluster-id", id.parse()?);
        metadata.insert("hawq-secret", secret.trim().parse()?);
        Ok(request)
    }

    /// Kills the primary; its command line, to start it again.
    pub fn crash(&self) -> anyhow::Result<Command> {
        let pid = self.pid()?;
        let words = fs::read(format!("/proc/{pid}/cmdline"))?;
        let words = String::from_utf8(words)?;
        let mut words = words.split_terminator('\0');
        let mut command = Command::new(words.next().context("a program")?);
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
        let deadline = Instant::now() + READY;
        while Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok() {
            anyhow::ensure!(Instant::now() < deadline, "{pid} does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(command)
    }

    fn demo(&self, standbys: usize) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(["demo", "--detach", "--segments", "0"]);
        command.args(["--port", &self.port.to_string(), "--standbys", &standbys.to_string()]);
        self.run(command.arg("--dir").arg(self.dir()))
    }

    fn hawq(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.run(self.command().args(arguments).arg(self.dir()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(HAWQ);
        // `hawq` keeps its logs in the user's home.
        command.env("HOME", self.folder.path());
        command
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let log = tempfile::NamedTempFile::new()?;
        command.stdout(log.reopen()?).stderr(log.reopen()?);
        let status = command.status().context(HAWQ)?;
        let said = fs::read_to_string(log.path()).unwrap_or_default();
        anyhow::ensure!(status.success(), "{command:?}: {status}\n{said}");
        Ok(())
    }

    fn listing(&self) -> anyhow::Result<Value> {
        let text = fs::read_to_string(self.dir().join("cluster.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// A field of the first master, which is the primary here.
    fn master(&self, field: &str) -> anyhow::Result<Value> {
        let listing = self.listing()?;
        let nodes = listing["nodes"].as_array().context("nodes")?;
        let first = nodes.iter().find(|node| node["name"] == "master1");
        Ok(first.context("no master1")?[field].clone())
    }

    fn make_patient(&self, node: &str) -> anyhow::Result<()> {
        let site: PathBuf = self.dir().join(node).join("etc/hawq-site.xml");
        let text = fs::read_to_string(&site).with_context(|| site.display().to_string())?;
        let name = "<name>hawq_rm_segment_heartbeat_timeout</name>";
        let (before, after) = text.split_once(name).context("no heartbeat timeout to change")?;
        let (_, after) = after.split_once("</value>").context("no value")?;
        let text = format!("{before}{name}<value>{PATIENCE}</value>{after}");
        fs::write(&site, text).with_context(|| site.display().to_string())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.hawq(&["demo", "stop", "--dir"]);
    }
}

pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
