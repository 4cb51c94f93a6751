//! The faults, one after another on the same cluster, each after it is whole again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Measured;
use crate::client::Stream;
use crate::cluster::{Cluster, Shape};
use crate::hosts::Hosts;
use crate::session::Session;
use crate::wait::{eventually, seconds};

/// A cluster that does not recover for so long is given up.
const LIMIT: Duration = Duration::from_secs(60);
/// Commits between two faults.
const BETWEEN: u64 = 50;

pub fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One primary, one standby, one segment that is the witness.
struct Local {
    cluster: Cluster,
    stream: Option<Stream>,
}

impl Local {
    fn start() -> Local {
        let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
        // What is killed is said to have ended.
        cluster.may_log("the master ended");
        let session = Session::connect(cluster.synchronized().pg_port).expect("session");
        session.execute("create table stream (id int)").expect("create");
        Local { cluster, stream: None }
    }

    fn stream(&mut self) -> &Stream {
        let target = self.cluster.target();
        self.stream.get_or_insert_with(|| Stream::start(&target, || {}))
    }

    fn settled(&mut self) {
        self.cluster.synchronized();
        self.stream().wait_for_commits(BETWEEN, LIMIT).expect("commits");
    }

    fn lost(mut self) -> u64 {
        let acknowledged = self.stream.take().map_or(0, Stream::finish);
        let session = Session::connect_to(&self.cluster.target()).expect("a primary");
        missing(acknowledged, &session)
    }
}

/// The table's comment is the number of the last commit; one that was not answered may be there.
fn missing(acknowledged: u64, session: &Session) -> u64 {
    let sql = "select obj_description('stream'::regclass)";
    let found: u64 = session.value(sql).expect("comment").parse().unwrap_or(0);
    acknowledged.saturating_sub(found)
}

/// Without a wait for the end: what is measured begins now.
fn kill_now(pid: Option<i32>) {
    let pid = Pid::from_raw(pid.expect("a process"));
    kill(pid, Signal::SIGKILL).expect("SIGKILL");
}

pub fn process(runs: usize) -> Option<Measured> {
    let mut local = Local::start();
    let mut times = Vec::new();
    for _ in 0..runs {
        local.settled();
        let old = local.cluster.primary();
        kill_now(old.pid);
        let fault = local.stream().fault();
        times.push(local.stream().wait_for_recovery(fault, LIMIT).expect("recovery"));
    }
    Some(Measured { times, lost: local.lost(), note: String::new() })
}

pub fn process_and_supervisor(runs: usize) -> Option<Measured> {
    let mut local = Local::start();
    let times = kill_both(&mut local, runs);
    Some(Measured { times, lost: local.lost(), note: String::new() })
}

fn kill_both(local: &mut Local, runs: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..runs {
        local.settled();
        let old = local.cluster.primary();
        old.pids().into_iter().for_each(|pid| kill_now(Some(pid)));
        let fault = local.stream().fault();
        times.push(local.stream().wait_for_recovery(fault, LIMIT).expect("recovery"));
        local.cluster.kill(&old);
        local.cluster.restart(&old.name).expect("restart");
    }
    times
}

pub fn switchover(runs: usize) -> Option<Measured> {
    let mut local = Local::start();
    let mut times = Vec::new();
    for _ in 0..runs {
        local.settled();
        local.stream().take_gap();
        local.cluster.hawq(&["ha", "switchover"]).expect("switchover");
        local.stream().wait_for_commits(BETWEEN, LIMIT).expect("commits");
        times.push(local.stream().take_gap());
    }
    Some(Measured { times, lost: local.lost(), note: String::new() })
}

pub fn host(runs: usize) -> Option<Measured> {
    let hosts = Hosts::automatic(2, 1, &[("ha_max_failovers_per_hour", "1000")])?;
    let session = hosts.connect(&hosts.every_master()).expect("session");
    session.execute("create table stream (id int)").expect("create");
    let place = hosts.fabric.host(hosts.client()).placer();
    let stream = Stream::start(&hosts.target(&hosts.every_master()), place);
    let mut times = Vec::new();
    for _ in 0..runs {
        let old = hosts.synchronized();
        stream.wait_for_commits(BETWEEN, LIMIT).expect("commits");
        hosts.fabric.isolate(old);
        let fault = stream.fault();
        times.push(stream.wait_for_recovery(fault, LIMIT).expect("recovery"));
        hosts.fabric.mend();
    }
    let acknowledged = stream.finish();
    let lost = missing(acknowledged, &hosts.connect(&hosts.every_master()).expect("a primary"));
    Some(Measured { times, lost, note: String::new() })
}

pub fn few_tables(runs: usize) -> Option<Measured> {
    with_tables(1_000, runs)
}

pub fn many_tables(runs: usize) -> Option<Measured> {
    with_tables(100_000, runs)
}

fn with_tables(count: usize, runs: usize) -> Option<Measured> {
    /// Tables of one transaction.
    const BATCH: usize = 500;
    let mut local = Local::start();
    let session = Session::connect_to(&local.cluster.target()).expect("a primary");
    for first in (0..count).step_by(BATCH) {
        let table = |number| format!("create table t{number} (id int, what text);");
        let tables: String = (first..(first + BATCH).min(count)).map(table).collect();
        session.execute(&format!("begin; {tables} commit")).expect("create");
    }
    let times = kill_both(&mut local, runs.min(10));
    Some(Measured { times, lost: local.lost(), note: String::new() })
}

/// Twice as many busy threads as processors, while a client commits: nothing may move.
pub fn load(_runs: usize) -> Option<Measured> {
    let length = Duration::from_secs(number("FAILOVER_LOAD_SECONDS", 600) as u64);
    let mut local = Local::start();
    local.settled();
    let epoch = |cluster: &Cluster| cluster.state()["epoch"].to_string();
    let before = epoch(&local.cluster);
    local.stream().take_gap();
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
            std::thread::sleep(Duration::from_millis(100));
        }
        idle.store(true, Ordering::Relaxed);
    });
    let times = vec![local.stream().take_gap()];
    let after = eventually("the state", seconds(30), || Ok(epoch(&local.cluster)));
    let moved = if before == after { "none".to_owned() } else { format!("{before} to {after}") };
    let note = format!("epochs moved: {moved}, {} s, {threads} busy threads", length.as_secs());
    Some(Measured { times, lost: local.lost(), note })
}
