//! `make bench-failover`: how long a cluster takes no commits after a fault, seen by a client with
//! a multi-host connection string that retries every 20 ms; and whether it loses anything or moves
//! without cause. `docs/performance.md` tells how to read it.
//!
//! `FAILOVER_RUNS` (30) runs of each; `FAILOVER_ONLY=kill,host` chooses; `FAILOVER_LOAD_SECONDS`
//! (600) is the length of the full load. The harness is that of the process tests.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on ends")]
#![allow(dead_code, reason = "the process tests use more of the harness")]

mod client;
#[path = "../../tests/e2e/cluster.rs"]
mod cluster;
#[path = "../../tests/e2e/fabric.rs"]
mod fabric;
mod faults;
#[path = "../../tests/e2e/hosts.rs"]
mod hosts;
#[path = "../../tests/e2e/machine.rs"]
mod machine;
#[path = "../../tests/e2e/namespace.rs"]
mod namespace;
#[path = "../../tests/e2e/run.rs"]
mod run;
#[path = "../../tests/e2e/session.rs"]
mod session;
#[path = "../../tests/e2e/traces.rs"]
mod traces;
#[path = "../../tests/e2e/wait.rs"]
mod wait;

use std::time::Duration;

/// What the runs of one scenario showed.
#[derive(Debug, Default)]
pub struct Measured {
    pub times: Vec<Duration>,
    /// Acknowledged commits that were not there afterwards.
    pub lost: u64,
    pub note: String,
}

type Scenario = (&'static str, &'static str, fn(usize) -> Option<Measured>);

/// Name, what happens, how it is measured.
const SCENARIOS: [Scenario; 7] = [
    ("kill", "process killed, supervisor alive", faults::process),
    ("both", "process and supervisor killed", faults::process_and_supervisor),
    ("host", "host lost (network cut)", faults::host),
    ("switchover", "switchover: longest gap", faults::switchover),
    ("small", "both killed, 1,000 tables", faults::few_tables),
    ("large", "both killed, 100,000 tables", faults::many_tables),
    ("load", "full load: failovers", faults::load),
];

fn main() {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let only = std::env::var("FAILOVER_ONLY").unwrap_or_default();
    let runs = faults::number("FAILOVER_RUNS", 30);
    println!("Time without commits, in milliseconds, over {runs} runs each; coordinator embedded.");
    println!("{:38} {:>7} {:>7} {:>7} {:>5}", "fault", "p50", "p99", "max", "lost");
    for (name, text, measure) in SCENARIOS {
        if !only.is_empty() && only.split(',').all(|wanted| wanted != name) {
            continue;
        }
        match measure(runs) {
            Some(measured) => row(text, measured),
            None => println!("{text:38} not measured: see above"),
        }
    }
}

fn row(text: &str, mut measured: Measured) {
    measured.times.sort();
    let at = |share: usize| {
        let last = measured.times.len().checked_sub(1)?;
        measured.times.get((measured.times.len() * share / 100).min(last))
    };
    let shown = |share| at(share).map_or("-".to_owned(), |time| time.as_millis().to_string());
    let Measured { lost, note, .. } = &measured;
    println!("{text:38} {:>7} {:>7} {:>7} {lost:>5} {note}", shown(50), shown(99), shown(100));
}
