//! Deterministic simulation: the real node machine on a simulated clock, network, disk and
//! coordinator. A seed replays bit-equal: `SEED=17 cargo test --test sim`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::print_stdout, reason = "what a test prints is for who reads its log")]

mod action;
mod agents;
mod asking;
mod checker;
mod coordinator;
mod double;
mod effects;
mod faults;
mod fenced;
mod host;
mod manual;
mod options;
mod outside;
mod person;
mod proposing;
mod replacing;
mod rest;
mod rng;
mod running;
mod scenario;
mod segments;
mod storage;
mod supervisor;
mod turning;
mod voters;
mod witnessing;
mod world;

use aerie::ha::ManualShrink;
use options::Options;
use world::World;

/// Seeds of one run in CI; `SIM_SEEDS` asks for more.
const SEEDS: u64 = 500;
/// Of the worlds that differ little from those.
const SEEDS_FEWER: u64 = 150;

/// Of each world in which a person decides.
const SEEDS_BY_HAND: u64 = 50;

fn seeds() -> std::ops::Range<u64> {
    seeds_or(SEEDS)
}

fn fewer_seeds() -> std::ops::Range<u64> {
    seeds_or(SEEDS_FEWER)
}

fn seeds_or(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(usual),
    }
}

fn run(seed: u64, options: &Options) -> World {
    let mut world = World::new(seed, options.clone());
    world.run();
    world
}

/// What the worlds of one test have seen, together.
#[derive(Debug, Default)]
struct Totals {
    worlds: u64,
    faults: u64,
    acked: u64,
    /// By a primary that went on alone at its own word.
    acked_alone: u64,
    reigns: u64,
    reads: u64,
    forced: u64,
    fenced: u64,
    not_fenced: u64,
    lone_stops: u64,
}

impl Totals {
    fn add(&mut self, world: &World) {
        self.worlds += 1;
        self.faults += world.checker.faults;
        self.acked += world.checker.acked.len() as u64;
        self.acked_alone += world.checker.acked_alone;
        self.reigns += world.checker.opens;
        self.reads += world.checker.reads;
        self.forced += u64::from(world.forced > 0);
        self.fenced += world.fenced.successes;
        self.not_fenced += world.fenced.failures;
        self.lone_stops += world.checker.lone_stops;
    }

    /// A simulation in which hardly anything happens proves nothing.
    fn expect_busy(&self) {
        let busy = self.acked > self.worlds * 20 && self.reigns > self.worlds;
        assert!(busy, "hardly anything happened: {self:?}");
    }
}

/// Runs every seed; a violation names the seed that replays it.
fn run_all(options: &Options, seeds: std::ops::Range<u64>) -> Totals {
    let mut totals = Totals::default();
    for seed in seeds {
        match std::panic::catch_unwind(|| run(seed, options)) {
            Ok(world) => totals.add(&world),
            Err(cause) => {
                eprintln!("violated by SEED={seed} with {options:?}");
                std::panic::resume_unwind(cause);
            }
        }
    }
    println!("{totals:?}");
    totals
}

#[test]
fn three_nodes_survive_crashes_cuts_and_a_forgetful_coordinator() {
    let totals = run_all(&Options::default(), seeds());
    totals.expect_busy();
    assert!(totals.reads > totals.worlds, "{totals:?}");
}

#[test]
fn two_nodes_survive_crashes_and_cuts() {
    run_all(&Options { nodes: 2, ..Options::default() }, seeds()).expect_busy();
}

#[test]
fn the_voters_of_the_register_survive_too() {
    for nodes in [2, 3] {
        let options = Options { nodes, voters: true, ..Options::default() };
        run_all(&options, fewer_seeds()).expect_busy();
    }
}

/// Most segments know what happens; by their word nothing that was acknowledged is lost.
#[test]
fn a_person_activates_the_standby_in_manual_mode() {
    for nodes in [2, 3] {
        let options = Options { nodes, manual: true, ..Options::default() };
        run_all(&options, seeds_or(SEEDS_BY_HAND)).expect_busy();
    }
}

/// As in HAWQ: a standby is activated by its own knowledge, which may be old.
#[test]
fn a_primary_that_goes_on_alone_in_manual_mode_promises_less() {
    for segments in [0, 3] {
        let shrink = ManualShrink::Local;
        let options = Options { nodes: 2, manual: true, shrink, segments, ..Options::default() };
        let totals = run_all(&options, seeds_or(SEEDS_BY_HAND));
        assert!(totals.acked_alone > totals.worlds, "{totals:?}");
    }
}

#[test]
fn a_cluster_is_turned_to_automatic_mode_and_back() {
    for nodes in [2, 3] {
        let options = Options { nodes, turns: true, ..Options::default() };
        run_all(&options, fewer_seeds()).expect_busy();
    }
    let turned = |seed| {
        let world = run(seed, &Options { turns: true, ..Options::default() });
        world.register.past.windows(2).filter(|pair| pair[0].mode != pair[1].mode).count()
    };
    let turns: usize = seeds().take(10).map(turned).sum();
    if seeds().count() >= 10 {
        assert!(turns >= 10, "ten clusters were turned {turns} times only");
    }
}

#[test]
fn nobody_opens_before_the_old_primary_is_fenced() {
    let totals = run_all(&Options { fences: true, ..Options::default() }, fewer_seeds());
    assert!(totals.fenced > 0 && totals.not_fenced > 0, "{totals:?}");
}

/// Virtual machines that their host stops: the lease would be stretched, a confirmation is not.
#[test]
fn confirmed_reads_hold_on_clocks_that_stand_still() {
    let totals = run_all(&Options { confirm: true, ..Options::default() }, fewer_seeds());
    assert!(totals.reads > totals.worlds, "{totals:?}");
}

#[test]
fn leases_that_differ_are_kept_as_the_primary_counts_them() {
    for nodes in [2, 3] {
        let options = Options { nodes, leases: true, ..Options::default() };
        run_all(&options, fewer_seeds()).expect_busy();
    }
}

#[test]
fn a_lone_primary_may_stop_without_its_coordinator() {
    let options = Options { nodes: 2, lone_stops: true, ..Options::default() };
    let totals = run_all(&options, fewer_seeds());
    totals.expect_busy();
    assert!(totals.lone_stops > 0, "{totals:?}");
}

#[test]
fn a_seed_replays_bit_equal() {
    for (seed, manual) in [(1, false), (7, false), (23, false), (1, true), (7, true)] {
        let options = Options { trace: true, manual, ..Options::default() };
        let trace = |seed| run(seed, &options).trace;
        let (first, second) = (trace(seed), trace(seed));
        assert!(first.len() > 1000, "a trace of {} lines says little", first.len());
        assert!(first == second, "seed {seed} did not replay");
    }
}
