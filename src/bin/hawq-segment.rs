//! The segment agent's process: reads its flags, holds its data directory, runs until it is told
//! to stop. Exit codes: 0 clean stop, 1 it could not start or go on, 2 bad flags.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tokio::signal::unix::{SignalKind, signal};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use aerie::ha::take_seat;
use aerie::runtime::{FileDisk, RpcAuth};
use aerie::segment_rm::{
    AgentFile, DataDirectory, FenceFile, MasterAddress, PostgresAddress, RunningAgent,
    ServiceSettings, Stop, start,
};
use aerie::types::ClusterId;

/// The shortest interval that is accepted for anything periodic.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Segment agent: registers with every master, sends heartbeats, answers probes, is a witness.
#[derive(Debug, Parser)]
#[command(name = "hawq-segment", version)]
struct Flags {
    /// Where the agent keeps its identity and what it has promised; made where there is none.
    #[arg(long)]
    data_dir: PathBuf,
    /// Name of this host in gp_segment_configuration; the host's own name by default.
    #[arg(long)]
    host: Option<String>,
    /// The segment's PostgreSQL port (hawq_segment_address_port).
    #[arg(long, default_value_t = 40_000)]
    port: u16,
    /// Where the agent answers (hawq_rm_segment_port); 0 takes any that is free.
    #[arg(long, default_value_t = 5438)]
    rpc_port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    listen: IpAddr,
    /// A master's host:port for heartbeats (hawq_rm_master_port); repeat it for each.
    #[arg(long = "master", required = true, value_parser = master_address)]
    masters: Vec<MasterAddress>,
    /// UUID of the cluster.
    #[arg(long, value_parser = cluster_id)]
    cluster_id: ClusterId,
    /// File with the cluster's secret.
    #[arg(long)]
    secret_file: PathBuf,
    /// A temporary directory to test (hawq_segment_temp_directory); repeat it for each.
    #[arg(long = "temp-dir")]
    temporary_directories: Vec<PathBuf>,
    /// hawq_rm_segment_heartbeat_interval.
    #[arg(long, default_value = "30s", value_parser = duration)]
    heartbeat_interval: Duration,
    /// hawq_rm_segment_tmpdir_detect_interval; the heartbeat interval by default.
    #[arg(long, value_parser = duration)]
    directory_interval: Option<Duration>,
    /// hawq_rm_memory_limit_perseg, in megabytes.
    #[arg(long, default_value_t = 65_536)]
    memory_mb: u32,
    /// hawq_rm_nvcore_limit_perseg.
    #[arg(long, default_value_t = 16)]
    cores: u32,
    /// Check the segment's PostgreSQL; without it no heartbeat is sent while it is not reachable.
    #[arg(long, overrides_with = "no_check_postgres")]
    check_postgres: bool,
    /// Do not check it (the default).
    #[arg(long)]
    no_check_postgres: bool,
    /// Where the PostgreSQL that is checked listens.
    #[arg(long, default_value = "127.0.0.1")]
    postgres_host: String,
    /// Append the log to this file rather than to standard error.
    #[arg(long)]
    log_file: Option<PathBuf>,
    /// error, warn, info or debug (each event and effect).
    #[arg(long, default_value = "info")]
    log_level: Level,
}

fn main() -> ExitCode {
    // Before there is a second thread: the local offset cannot be read safely later.
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let flags = Flags::parse();
    match run(flags, offset) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "hawq-segment: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags, offset: UtcOffset) -> Result<()> {
    let own_name = nix::unistd::gethostname().context("read the host's name")?;
    let own_name = own_name.to_string_lossy().into_owned();
    start_log(&flags, offset, &own_name)?;
    let auth = RpcAuth::from_file(flags.cluster_id, &flags.secret_file)?;
    let directory = DataDirectory::lock(&flags.data_dir)?;
    let (file, fence) = FenceFile::open(directory.path(), flags.cluster_id, random()?)?;
    let segment = file.segment();
    let voter = take_seat(FileDisk, directory.path(), flags.cluster_id);
    let settings = ServiceSettings { voter, ..service_settings(&flags, auth, own_name)? };
    let hostname = settings.hostname.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let agent = start(settings, file, fence).await?;
        let published = AgentFile {
            pid: std::process::id(),
            host: hostname,
            rpc_port: agent.rpc_port(),
            pg_port: flags.port,
            segment: format!("{segment:016x}"),
            cluster_id: flags.cluster_id.to_string(),
        };
        directory.publish(&published)?;
        writeln!(io::stdout(), "{}", serde_json::to_string(&published)?)
            .context("print where the agent listens")?;
        tracing::info!(
            "segment agent started segment={segment:016x} rpc_port={}",
            agent.rpc_port()
        );
        let ended = until_stopped(agent).await;
        directory.withdraw()?;
        ended
    })
}

async fn until_stopped(agent: RunningAgent) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        ending = agent.ending() => if ending == Stop::Failed {
            bail!("the segment agent cannot go on, see its log");
        },
    }
    agent.stop().await;
    tracing::info!("segment agent stopped");
    Ok(())
}

fn service_settings(flags: &Flags, auth: RpcAuth, own_name: String) -> Result<ServiceSettings> {
    let directory_interval = flags.directory_interval.unwrap_or(flags.heartbeat_interval);
    for interval in [flags.heartbeat_interval, directory_interval] {
        if interval < INTERVAL_MIN {
            bail!("an interval of {interval:?} is too short, the least is {INTERVAL_MIN:?}");
        }
    }
    let postgres = (flags.check_postgres && !flags.no_check_postgres)
        .then(|| PostgresAddress { host: flags.postgres_host.clone(), port: flags.port });
    Ok(ServiceSettings {
        listen: SocketAddr::new(flags.listen, flags.rpc_port),
        auth,
        hostname: flags.host.clone().unwrap_or(own_name),
        addresses: Vec::new(),
        port: flags.port,
        memory_mb: flags.memory_mb,
        cores: flags.cores,
        heartbeat_interval: flags.heartbeat_interval,
        directory_interval,
        temporary_directories: flags.temporary_directories.clone(),
        postgres,
        masters: flags.masters.clone(),
        jitter_seed: random()?,
        voter: Err("not opened yet".to_owned()),
    })
}

fn random() -> Result<u64> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("read random bytes: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

fn master_address(text: &str) -> Result<MasterAddress, String> {
    let refuse = || format!("\"{text}\" is not HOST:PORT");
    let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let rpc_port: u16 = port.parse().map_err(|_| refuse())?;
    if host.is_empty() || rpc_port == 0 {
        return Err(refuse());
    }
    Ok(MasterAddress { host: host.to_owned(), rpc_port })
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    text.parse().map_err(|error: aerie::types::IdentityParseError| error.to_string())
}

/// A number with `ms`, `s`, `min` or `h`; seconds without, as in HAWQ's settings.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("unknown unit \"{unit}\": use ms, s, min or h")),
    };
    let number: u32 = digits.parse().map_err(|_| format!("\"{digits}\" is not a number"))?;
    Ok(Duration::from_millis(u64::from(number) * millis))
}

fn start_log(flags: &Flags, offset: UtcOffset, own_name: &str) -> Result<()> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let prefix = Prefix {
        offset,
        host: own_name.split('.').next().unwrap_or_default().to_owned(),
        user: user.map_or_else(|| "unknown".to_owned(), |user| user.name),
    };
    let log = tracing_subscriber::fmt().with_max_level(flags.log_level).event_format(prefix);
    match &flags.log_file {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("open log file {}", path.display()))?;
            log.with_writer(Mutex::new(file)).init();
        }
        None => log.with_writer(io::stderr).init(),
    }
    Ok(())
}

/// HAWQ's line: `20260131:12:34:56:001234 hawq_segment:host:user-[INFO]:-text`, where the last
/// number of the first word is the process id.
struct Prefix {
    offset: UtcOffset,
    host: String,
    user: String,
}

impl<S, N> FormatEvent<S, N> for Prefix
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let shape = format_description!("[year][month][day]:[hour]:[minute]:[second]");
        let now = OffsetDateTime::now_utc().to_offset(self.offset);
        let now = now.format(shape).map_err(|_| std::fmt::Error)?;
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            Level::DEBUG | Level::TRACE => "DEBUG",
        };
        let mut text = Text(String::new());
        event.record(&mut text);
        let pid = std::process::id();
        let Prefix { host, user, .. } = self;
        writeln!(writer, "{now}:{pid:06} hawq_segment:{host}:{user}-[{level}]:-{}", text.0)
    }
}

/// The message and the fields of a line.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = if field.name() == "message" {
            format!("{value:?}")
        } else {
            format!(" {}={value:?}", field.name())
        };
        self.0.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_default_to_seconds() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2min"), Ok(Duration::from_secs(120)));
        assert!(duration("5 days").is_err());
        assert!(duration("s").is_err());
    }

    #[test]
    fn a_master_is_a_host_and_a_port() {
        let address = |host: &str, rpc_port| MasterAddress { host: host.to_owned(), rpc_port };
        assert_eq!(master_address("mdw:5437"), Ok(address("mdw", 5437)));
        assert_eq!(master_address("[::1]:5437"), Ok(address("::1", 5437)));
        for bad in ["mdw", "mdw:", "mdw:0", ":5437", "mdw:99999"] {
            assert!(master_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory as _;
        Flags::command().debug_assert();
    }
}
