//! The faults, one after another on the same cluster, each after it is whole again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{Stream, make_tables};
use crate::cluster::Cluster;
use crate::hosts::Hosts;
use crate::local::{BETWEEN, LIMIT, Local};
use crate::session::Session;
use crate::wait::wait_a_moment;
use crate::{Coordinator, Flags, Measured};

/// Without a wait for the end: what is measured begins now.
fn kill_now(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("SIGKILL");
}

pub fn process(flags: &Flags) -> Measured {
    let mut local = Local::start(flags, |_| ());
    for _ in 0..flags.runs {
        local.settle();
        kill_now(local.cluster.primary().pid.expect("a process"));
        let fault = local.fault();
        local.recovered(fault);
        local.note();
    }
    local.measured
}

pub fn both(flags: &Flags) -> Measured {
    kill_both(Local::start(flags, |_| ()), flags.runs)
}

fn kill_both(mut local: Local, runs: usize) -> Measured {
    for _ in 0..runs {
        local.settle();
        let old = local.cluster.primary();
        old.pids().into_iter().for_each(kill_now);
        let fault = local.fault();
        local.recovered(fault);
        local.note();
        local.cluster.kill(&old);
        local.cluster.restart(&old.name).expect("restart");
    }
    local.measured
}

/// What counts is the longest gap: commits go on until the old primary closes.
pub fn switchover(flags: &Flags) -> Measured {
    let mut local = Local::start(flags, |_| ());
    for _ in 0..flags.runs {
        local.settle();
        local.cluster.hawq(&["ha", "switchover"]).expect("switchover");
        local.go_on();
        let gap = local.note();
        local.measured.times.push(gap);
    }
    local.measured
}

pub fn host(flags: &Flags) -> Result<Measured, String> {
    // As by default: hosts of tests are more patient.
    let settings = [("ha_lease", "500ms"), ("ha_disk_timeout", "2s")];
    let made = match flags.coordinator {
        Coordinator::Embedded => Hosts::automatic(2, 1, &settings).map(|hosts| (hosts, None)),
        Coordinator::Zookeeper => {
            Hosts::with_zookeeper(2, 1, &settings).map(|(hosts, ensemble)| (hosts, Some(ensemble)))
        }
    };
    let (hosts, _ensemble) = made.ok_or("not measured: see above".to_owned())?;
    let masters = hosts.every_master();
    make_tables(&hosts.connect(&masters).expect("session"));
    let place = hosts.fabric.host(hosts.client()).placer();
    let stream = Stream::start(&hosts.target(&masters), flags.patience(), place);
    let mut measured = Measured::default();
    for _ in 0..flags.runs {
        let old = hosts.synchronized();
        stream.wait_for_commits(BETWEEN, LIMIT)?;
        stream.take_gap();
        hosts.fabric.isolate(old);
        let fault = stream.fault();
        measured.times.push(stream.wait_for_recovery(fault, LIMIT)?);
        measured.gap = measured.gap.max(stream.take_gap());
        measured.lost += stream.lost(&hosts.connect(&masters).expect("a primary"));
        hosts.fabric.mend();
    }
    Ok(measured)
}

pub fn with_tables(flags: &Flags, count: usize) -> Measured {
    let began = Instant::now();
    let local = Local::start(flags, |session| make_many(session, count));
    let note = format!("made in {} s", began.elapsed().as_secs());
    Measured { note, ..kill_both(local, flags.runs) }
}

fn make_many(session: &Session, count: usize) {
    /// Tables of one transaction.
    const BATCH: usize = 500;
    for first in (0..count).step_by(BATCH) {
        let table = |number| format!("create table t{number} (id int, what text);");
        let tables: String = (first..(first + BATCH).min(count)).map(table).collect();
        session.execute(&format!("begin; {tables} commit")).expect("create");
    }
}

/// Twice as many busy threads as processors, while a client commits: nothing may move.
pub fn load(flags: &Flags) -> Measured {
    let length = Duration::from_secs_f64(flags.load * 60.0);
    let mut local = Local::start(flags, |_| ());
    local.settle();
    let epoch = |cluster: &Cluster| cluster.state()["epoch"].to_string();
    let before = epoch(&local.cluster);
    let idle = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut number = 1u64;
                while !idle.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
                }
            });
        }
        let began = Instant::now();
        while began.elapsed() < length {
            wait_a_moment();
        }
        idle.store(true, Ordering::Relaxed);
    });
    local.note();
    let after = epoch(&local.cluster);
    let moved = if before == after { "none".to_owned() } else { format!("{before} to {after}") };
    let note = format!("epochs moved: {moved}; {} s, {threads} busy threads", length.as_secs());
    Measured { note, ..local.measured }
}
