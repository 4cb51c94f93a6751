//! Exhaustive exploration of the node machine: all runs with so many faults, wherever they strike.
//!
//! The real `Node` of `src/master/node` runs on modelled disks, a modelled network and a modelled
//! coordinator. Everything happens in one order, first come first served, except where a fault
//! strikes: a crash that keeps or loses what was not flushed, a stop, a cut or isolated node,
//! something that comes late, twice or never (a message, a flush, a write of the control file, a
//! swap), an answer of the coordinator that gets lost. Every run with at most the given number of
//! faults is explored, with every moment for writes, restarts and the end of what was held up.
//!
//! `MODEL_FAULTS=2` explores with as many faults everywhere; `make test-long` does. With
//! `MODEL_MINUTES=5` each exploration ends after so long, the shortest runs first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod cluster;
mod disk;
mod faults;
mod turns;

use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model};

use cluster::{Budget, LEASE};
use faults::{Act, Bounds};

/// How many states there are may change with the machine; that there are many must not.
fn explore(name: &str, bounds: &Bounds, states: usize) {
    let mut bounds = bounds.clone();
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u8>().ok());
    bounds.budget.faults = asked("MODEL_FAULTS").unwrap_or(bounds.budget.faults);
    let rest = bounds.rest();
    bounds.epochs += rest.record.epoch.counter();
    bounds.versions += rest.record.version;
    let checker = bounds.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = match asked("MODEL_MINUTES") {
        Some(minutes) => checker.timeout(Duration::from_secs(60 * u64::from(minutes))),
        None => checker,
    };
    let checker = checker.threads(2).spawn_bfs().join();
    let (found, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!("{name}: {found} states, at most {depth} steps deep; {bounds:?}");
    for (invariant, path) in checker.discoveries() {
        eprintln!("{invariant} is violated:");
        for (state, act) in path.into_vec() {
            let what = act.map(|act: Act| faults::describe(&state, &act));
            eprintln!("  {}", what.unwrap_or_default());
        }
    }
    assert!(checker.discoveries().is_empty(), "{name}: an invariant is violated, see above");
    assert!(found >= states, "{name}: {found} states are too few to mean anything");
}

fn bounds(nodes: usize, in_sync: usize, budget: Budget) -> Bounds {
    // Epochs and versions count from the cluster at rest. A tick is longer than a lease.
    let tick = LEASE * 5 / 4;
    Bounds { nodes, in_sync, budget, epochs: 3, versions: 5, tick }
}

fn budget(faults: u8, writes: u8, releases: u8) -> Budget {
    Budget { faults, crashes: faults.max(9), writes, releases }
}

#[test]
fn two_nodes_one_write_two_faults() {
    explore("two nodes", &bounds(2, 2, budget(2, 1, 0)), 300_000);
}

#[test]
fn two_nodes_with_a_finer_clock() {
    // Half a lease and a bit: a standby can be too slow while the primary may still read.
    let bounds = Bounds { tick: LEASE * 3 / 5, ..bounds(2, 2, budget(2, 0, 0)) };
    explore("two nodes, finer clock", &bounds, 10_000);
}

#[test]
fn a_lease_that_outlasts_a_takeover() {
    // Several steps a lease: whoever takes over could acknowledge while the other may still read.
    let bounds = Bounds { tick: LEASE * 3 / 10, ..bounds(2, 2, budget(2, 1, 0)) };
    explore("two nodes, finest clock", &bounds, 300_000);
}

#[test]
fn a_handed_back_reign_one_fault() {
    explore("release", &bounds(2, 2, budget(1, 1, 1)), 10_000);
}

#[test]
fn three_nodes_one_write_one_fault() {
    explore("three nodes", &bounds(3, 3, budget(1, 1, 0)), 10_000);
}
