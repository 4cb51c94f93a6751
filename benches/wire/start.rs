//! Time from the start of a killed primary to its first answer, and memory of a primary at rest.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Server;
use crate::ours::Cluster;
use crate::peer::Peer;

const TURNS: usize = 5;
const POLL: Duration = Duration::from_millis(2);
const READY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub rss_mb: u64,
    /// Shared pages divided among those that share them.
    pub pss_mb: u64,
}

/// A primary of its own, without standby: nobody else has to be asked before it opens.
pub async fn ours() -> anyhow::Result<Duration> {
    let cluster = Cluster::with_standbys(0)?;
    let mut times = Vec::new();
    let mut command = cluster.crash()?;
    for _ in 0..TURNS {
        let start = Instant::now();
        let mut started = command.spawn()?;
        first_answer(&cluster.server()).await?;
        times.push(start.elapsed());
        started.kill()?;
        started.wait()?;
    }
    Ok(median(times))
}

/// The standby stays; starting needs it as little as ours does.
pub async fn peer(peer: &Peer) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let start = peer.crash_and_start()?;
        first_answer(&peer.server()).await?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

async fn first_answer(server: &Server) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY;
    loop {
        let target = server.target();
        if let Ok((client, connection)) =
            tokio_postgres::connect(&target, tokio_postgres::NoTls).await
        {
            tokio::spawn(connection);
            if client.simple_query("select 1").await.is_ok() {
                return Ok(());
            }
        }
        anyhow::ensure!(Instant::now() < deadline, "{} does not answer", server.name);
        tokio::time::sleep(POLL).await;
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Of a process and all below it.
pub fn memory_of_family(pid: i32) -> anyhow::Result<Memory> {
    let mut sum = memory(pid)?;
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&children).context(children)?;
    for child in children.split_whitespace() {
        // A process may have ended since.
        if let Ok(more) = memory_of_family(child.parse()?) {
            sum = Memory { rss_mb: sum.rss_mb + more.rss_mb, pss_mb: sum.pss_mb + more.pss_mb };
        }
    }
    Ok(sum)
}

fn memory(pid: i32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(Path::new(&path)).context(path)?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("");
        let number = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
        number.unwrap_or(0) / 1_024
    };
    Ok(Memory { rss_mb: field("Rss:"), pss_mb: field("Pss:") })
}
