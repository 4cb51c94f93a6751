//! The small parent of a master: what is killed, and what comes back by itself.

use nix::sys::signal::Signal;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::machine::{end, is_alive, same_again};
use crate::run::run;
use crate::wait::eventually;

/// The node, once it runs as another process than `old`.
fn eventually_another(cluster: &Cluster, old: &Node) -> Node {
    eventually("another process", READY, || {
        let node = cluster.node(&old.name);
        let another = node.pid.is_some_and(|pid| Some(pid) != old.pid && is_alive(pid));
        if another { Ok(node) } else { Err(format!("{node:?}")) }
    })
}

#[test]
fn a_master_that_crashes_is_started_again() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    cluster.may_log("starting it again");
    let primary = cluster.primary();
    let supervisor = primary.supervisor_pid.expect("a supervisor");
    cluster.psql("create table if not exists kept (id int)");
    let mut node = primary.clone();
    for _ in 0..3 {
        end(node.pid.expect("a process"));
        node = eventually_another(&cluster, &node);
        assert_eq!(node.supervisor_pid, Some(supervisor));
    }
    assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept");
    let log = cluster.log(&primary);
    let waits = ["in 250ms", "in 500ms", "in 1s"];
    assert!(waits.iter().all(|wait| log.contains(wait)), "each wait is longer: {log}");
    cluster.stop().expect("stop");
    assert!(!is_alive(supervisor), "a clean stop ends the supervisor too");
}

#[test]
fn a_killed_supervisor_does_no_harm() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    end(primary.supervisor_pid.expect("a supervisor"));
    cluster.psql("create table if not exists unharmed (id int)");
    let now = cluster.synchronized();
    assert_eq!((now.name, now.pid), (primary.name.clone(), primary.pid));
    let said = eventually("a start of what runs", READY, || {
        let said = cluster.hawq(&["start", "master", "-a"]);
        if said.ok() { Ok(said.stdout) } else { Err(format!("{said:?}")) }
    });
    assert!(said.contains("running already"), "{said}");
    assert!(said.contains("has lost its supervisor"), "{said}");
    assert_eq!(cluster.primary().pid, primary.pid, "not started twice");
}

#[test]
fn a_second_supervisor_leaves_the_master_of_a_killed_one_alone() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    let master = primary.pid.expect("a process");
    let mut second = same_again(primary.supervisor_pid.expect("a supervisor"));
    end(primary.supervisor_pid.expect("a supervisor"));
    let said = run(&mut second, READY).expect_failure("a second supervisor");
    let directory = primary.data_dir.display().to_string();
    assert!(said.contains(&format!("process {master} works in \"{directory}\"")), "{said}");
    let log = cluster.log(&primary);
    assert_eq!(log.matches("the master runs as process").count(), 1, "nothing was tried: {log}");
    cluster.psql("create table if not exists undisturbed (id int)");
    // Once it is gone a supervisor starts the next one, and keeps it.
    end(master);
    cluster.may_log("starting it again");
    cluster.restart(&primary.name).expect("restart");
    let node = cluster.node(&primary.name);
    assert_eq!(cluster.psql("select 'undisturbed'::regclass").trim(), "undisturbed");
    let next = node.pid.expect("a process");
    end(next);
    let again = eventually_another(&cluster, &node);
    assert_ne!(again.pid, Some(next));
    cluster.synchronized();
}

#[test]
fn signals_are_passed_on() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    let primary = cluster.primary();
    let supervisor = Node { pid: primary.supervisor_pid, ..primary.clone() };
    cluster.signal(&supervisor, Signal::SIGINT);
    eventually("the end of both", READY, || {
        let alive: Vec<i32> = primary.pids().into_iter().filter(|pid| is_alive(*pid)).collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?} live")) }
    });
    assert!(cluster.log(&primary).contains("stopping: Fast"), "{}", cluster.log(&primary));
}

#[test]
fn a_stop_between_two_starts_is_a_stop() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    cluster.may_log("starting it again");
    let primary = cluster.primary();
    let mut node = primary.clone();
    for _ in 0..5 {
        end(node.pid.expect("a process"));
        node = eventually_another(&cluster, &node);
    }
    // The next wait is of eight seconds: the stop falls into it also on a busy machine.
    end(node.pid.expect("a process"));
    let stopped = cluster.hawq(&["stop", "master", "-a", "-M", "fast"]).expect("stop");
    assert!(stopped.contains("not started again"), "{stopped}");
    assert!(!is_alive(primary.supervisor_pid.expect("a supervisor")));
}

#[test]
fn an_immediate_stop_of_a_hanging_master_is_final() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    let primary = cluster.primary();
    cluster.signal(&primary, Signal::SIGSTOP);
    cluster.hawq(&["stop", "master", "-a", "-M", "immediate"]).expect("stop");
    assert!(primary.pids().into_iter().all(|pid| !is_alive(pid)));
}
