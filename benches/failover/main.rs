//! `make bench-failover`: how long a cluster takes no commits after a fault, seen by a client with
//! a multi-host connection string that retries every 20 ms; and whether it loses anything or moves
//! without cause. `docs/performance.md` tells how to read it, `--help` what can be chosen.
//!
//! The harness is that of the process tests.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on ends")]
#![allow(dead_code, reason = "the process tests use more of the harness")]

mod client;
#[path = "../../tests/e2e/cluster.rs"]
mod cluster;
#[path = "../../tests/e2e/digests.rs"]
mod digests;
#[path = "../../tests/e2e/ensemble.rs"]
mod ensemble;
#[path = "../../tests/e2e/fabric.rs"]
mod fabric;
mod faults;
#[path = "../../tests/e2e/hosts.rs"]
mod hosts;
mod local;
#[path = "../../tests/e2e/machine.rs"]
mod machine;
#[path = "../../tests/e2e/namespace.rs"]
mod namespace;
#[path = "../../tests/e2e/node.rs"]
mod node;
#[path = "../../tests/e2e/run.rs"]
mod run;
#[path = "../../tests/e2e/session.rs"]
mod session;
#[path = "../../tests/e2e/traces.rs"]
mod traces;
#[path = "../../tests/e2e/wait.rs"]
mod wait;

use std::time::Duration;

use clap::{Parser, ValueEnum};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Coordinator {
    Embedded,
    Zookeeper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// kill -9 of the primary's process; its supervisor tells of it.
    Kill,
    /// kill -9 of process and supervisor: only the silence tells.
    Both,
    /// The primary's host loses its network (needs root).
    Host,
    /// A planned change.
    Switchover,
    /// As "both", with many tables.
    Tables,
    /// No fault: every processor is busy with something else.
    Load,
}

/// Time without commits after a fault.
#[derive(Debug, Parser)]
#[command(name = "failover")]
pub struct Flags {
    /// Runs of each fault.
    #[arg(long, default_value_t = 30)]
    pub runs: usize,
    /// Only these faults.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Fault>,
    /// What holds the record. ZooKeeper: three servers on this machine.
    #[arg(long, value_enum, default_value = "embedded")]
    pub coordinator: Coordinator,
    /// How many tables the catalog has in each measurement of "tables".
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000])]
    pub tables: Vec<usize>,
    /// Minutes of full load.
    #[arg(long, default_value_t = 10.0)]
    pub load: f64,
    /// Milliseconds after which the client passes over a host that answers nothing.
    #[arg(long, default_value_t = 100)]
    patience: u64,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Flags {
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience)
    }
}

/// What the runs of one scenario showed.
#[derive(Debug, Default)]
pub struct Measured {
    pub times: Vec<Duration>,
    /// The longest time between two acknowledged commits.
    pub gap: Duration,
    /// Acknowledged commits that were not there afterwards.
    pub lost: usize,
    pub note: String,
}

fn main() {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let flags = Flags::parse();
    let coordinator = match flags.coordinator {
        Coordinator::Embedded => "embedded",
        Coordinator::Zookeeper => "ZooKeeper (3 servers)",
    };
    println!("Coordinator {coordinator}; {} runs of each; milliseconds; {}.", flags.runs, build());
    println!("{:34} {:>6} {:>6} {:>6} {:>6} {:>5}", "fault", "p50", "p99", "max", "gap", "lost");
    let chosen = |fault| flags.only.is_empty() || flags.only.contains(&fault);
    for fault in Fault::value_variants().iter().copied().filter(|fault| chosen(*fault)) {
        match fault {
            Fault::Kill => row("process killed", faults::process(&flags)),
            Fault::Both => row("process and supervisor killed", faults::both(&flags)),
            Fault::Host => match faults::host(&flags) {
                Ok(measured) => row("host lost", measured),
                Err(why) => println!("{:34} {why}", "host lost"),
            },
            Fault::Switchover => row("switchover", faults::switchover(&flags)),
            Fault::Tables => flags.tables.iter().for_each(|tables| {
                let text = format!("both killed, {tables} tables");
                row(&text, faults::with_tables(&flags, *tables));
            }),
            Fault::Load => row("full load", faults::load(&flags)),
        }
    }
}

/// Everything is built by one profile; only the optimisation of this crate is raised for numbers.
fn build() -> String {
    let level = env!("AERIE_OPT_LEVEL");
    let of = if level == "3" { "as `make bench` builds" } else { "a build for tests" };
    format!("this crate with opt-level={level}, {of}")
}

fn row(text: &str, mut measured: Measured) {
    measured.times.sort();
    let at = |share: usize| {
        let last = measured.times.len().checked_sub(1)?;
        measured.times.get((measured.times.len() * share / 100).min(last))
    };
    let shown = |share| at(share).map_or("-".to_owned(), |time| time.as_millis().to_string());
    let (p50, p99, max) = (shown(50), shown(99), shown(100));
    let Measured { gap, lost, note, .. } = &measured;
    let gap = gap.as_millis();
    println!("{text:34} {p50:>6} {p99:>6} {max:>6} {gap:>6} {lost:>5} {note}");
}
