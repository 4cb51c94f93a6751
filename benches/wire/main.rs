//! `make bench`: Aerie and PostgreSQL side by side, both with one synchronous standby, on this
//! machine, in this run. Prints a table with ratios; `docs/performance.md` tells how to read it.
//!
//! Both servers are given the same statements by the same client, in turns, so that other load on
//! the machine falls on both. Nothing here decides whether a number is good.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod commits;
mod ours;
mod peer;
mod reads;
mod start;
mod table;

use std::time::Duration;

use anyhow::Context;

/// Clients that commit at once, each to a table of its own.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// Rows of `gp_segment_configuration`.
const ROWS: [usize; 2] = [16, 1_000];
const READERS: [usize; 2] = [1, 8];

/// What a measurement needs to know of a server.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    pub user: &'static str,
    pub database: &'static str,
}

impl Server {
    pub fn target(&self) -> String {
        let Server { port, user, database, .. } = self;
        format!("host=127.0.0.1 port={port} user={user} dbname={database}")
    }
}

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return Ok(());
    }
    let seconds = match std::env::var("BENCH_SECONDS") {
        Ok(text) => text.parse().context("BENCH_SECONDS")?,
        Err(_) => 5,
    };
    let length = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Runtime::new()?;
    println!("Starting PostgreSQL with a synchronous standby, and Aerie with one.");
    let peer = peer::Peer::start()?;
    let ours = ours::Cluster::start()?;
    table::head(&peer.version()?, length);
    for clients in CLIENTS {
        let pair = [ours.server(), peer.server()];
        let [a, b] = runtime.block_on(commits::measure(&pair, clients, length))?;
        table::commits(clients, &a, &b);
    }
    for rows in ROWS {
        runtime.block_on(ours.register_segments(rows))?;
        peer.fill(rows)?;
        for readers in READERS {
            let [a, b] = reads::measure(&[ours.server(), peer.server()], rows, readers, length)?;
            table::reads(rows, readers, a, b);
        }
    }
    let (a, b) = (ours.memory()?, peer.memory()?);
    table::memory(a, b);
    let (a, b) = (runtime.block_on(start::ours())?, runtime.block_on(start::peer(&peer))?);
    table::start(a, b);
    Ok(())
}
