//! A cluster whose record lies in ZooKeeper: it fails over by itself, and goes on without
//! ZooKeeper as long as nothing has to change.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, Node, PATIENT, READY, Shape};
use crate::ensemble::Ensemble;
use crate::machine::HAWQ;
use crate::run::run;
use crate::session::Session;
use crate::wait::{eventually, eventually_soon, seconds};
use crate::writers::Writers;

/// What is said of a ZooKeeper that is slow to take its first record; the next try puts it there.
const HELD_UP: &str = "the coordinator does not take the record";

/// Started, then told of ZooKeeper as HAWQ is, and started again.
pub fn start(ensemble: &Ensemble) -> Cluster {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    cluster.stop().expect("stop").expect("stop");
    let quorum = ensemble.quorum();
    for master in cluster.masters() {
        let auto = ("enable_master_auto_ha", "on");
        let properties = [auto, ("ha_zookeeper_quorum", quorum.as_str()), PATIENT[0]];
        cluster.configure(&master, &properties);
    }
    cluster.may_log(HELD_UP);
    cluster.demo().expect("hawq demo");
    in_zookeeper(&cluster);
    cluster
}

/// Typed again where ZooKeeper, or a member, was held up for a moment.
pub fn enable(cluster: &Cluster) {
    cluster.may_log(HELD_UP);
    eventually("automatic mode", READY, || {
        let enabled = cluster.hawq(&["ha", "enable", "--coordinator", "zookeeper"]);
        if enabled.ok() { Ok(()) } else { Err(format!("{enabled:?}")) }
    });
}

/// The mode that the nodes tell of.
fn eventually_in_mode(cluster: &Cluster, mode: &str) {
    eventually(mode, READY, || {
        let status = status(cluster);
        if status["mode"] == mode { Ok(()) } else { Err(status.to_string()) }
    });
}

fn status(cluster: &Cluster) -> Value {
    let mut command = cluster.command(HAWQ);
    let outcome = run(command.args(["ha", "status", "--json"]), seconds(60));
    serde_json::from_str(&outcome.stdout).unwrap_or(Value::Null)
}

pub fn in_zookeeper(cluster: &Cluster) -> Node {
    eventually_in_mode(cluster, "zookeeper");
    cluster.synchronized()
}

pub fn other_primary(cluster: &Cluster, old: &Node) -> Node {
    eventually("another primary", READY, || {
        let open = |node: &Node| node.name != old.name && Session::connect(node.pg_port).is_ok();
        cluster.masters().into_iter().find(open).ok_or_else(|| cluster.report())
    })
}

#[test]
fn a_standby_takes_over_by_itself_through_zookeeper() {
    let ensemble = Ensemble::start(3);
    let cluster = start(&ensemble);
    eventually("a refusal to remove a tree in use", READY, || {
        let refused = cluster.hawq(&["ha", "format", "-a"]).expect_failure("format");
        let told = refused.contains("keeps the cluster state in ZooKeeper");
        if told { Ok(()) } else { Err(refused) }
    });
    let writers = Writers::start(&cluster, 2);
    writers.eventually_commit(100, &cluster);
    for _ in 0..2 {
        let old = cluster.synchronized();
        cluster.kill(&old);
        let new = other_primary(&cluster, &old);
        writers.check(&cluster);
        writers.eventually_commit(100, &cluster);
        cluster.restart(&old.name).expect("restart");
        assert_eq!(cluster.synchronized().name, new.name);
    }
    writers.finish(&cluster);
    cluster.equal_digests();
    eventually_in_mode(&cluster, "zookeeper");
}

#[test]
fn without_zookeeper_the_primary_goes_on_and_nobody_takes_over_until_it_is_back() {
    let mut ensemble = Ensemble::start(1);
    let cluster = start(&ensemble);
    let primary = cluster.synchronized();
    let writers = Writers::start(&cluster, 2);
    writers.eventually_commit(100, &cluster);
    ensemble.kill_all();
    writers.eventually_commit(100, &cluster);
    writers.finish(&cluster);
    // Without ZooKeeper.
    cluster.commit_alone(&primary);

    // Now a takeover would be due, and cannot be.
    cluster.kill(&primary);
    let standby = cluster.other_masters(&primary).remove(0);
    eventually("a standby that misses ZooKeeper", READY, || {
        let log = cluster.log(&standby);
        let told = log.contains("ha_zookeeper_quorum");
        if told { Ok(()) } else { Err(cluster.report()) }
    });
    assert!(Session::connect(standby.pg_port).is_err(), "nobody may reign without the record");
    eventually("commands that say so", READY, || {
        let explained = cluster.hawq(&["ha", "explain"]);
        let state = cluster.hawq(&["state"]);
        let said = explained.code == Some(1)
            && explained.stdout.contains("rule 15: it does not reach the coordinator")
            && state.stdout.contains("Order of standbys")
            && state.stdout.contains("cannot be reached, so nobody takes over");
        if said { Ok(()) } else { Err(format!("{explained:#?}\n{state:#?}")) }
    });
    ensemble.start_all();
    let new = other_primary(&cluster, &primary);
    cluster.psql("comment on table alone is 'kept'");
    cluster.restart(&primary.name).expect("restart");
    assert_eq!(cluster.synchronized().name, new.name);
    cluster.equal_digests();
}

#[test]
fn a_cluster_and_its_zookeeper_start_in_either_order() {
    let mut ensemble = Ensemble::start(1);
    let cluster = start(&ensemble);
    cluster.psql("create table if not exists kept (id int)");
    for zookeeper_first in [true, false] {
        cluster.stop().expect("stop").expect("stop");
        ensemble.kill_all();
        if zookeeper_first {
            ensemble.start_all();
        }
        let starting = cluster.demo_in_background();
        if !zookeeper_first {
            let master = cluster.node("master1");
            eventually("a master that misses ZooKeeper", READY, || {
                let told = cluster.log(&master).contains("ZooKeeper cannot be reached");
                if told { Ok(()) } else { Err(cluster.report()) }
            });
            ensemble.start_all();
        }
        // Its patience may have ended before ZooKeeper was there.
        let _ = starting.end(seconds(300)).expect("hawq demo ends");
        cluster.demo().expect("hawq demo");
        cluster.synchronized();
        let found = cluster.psql("select count(*) from pg_class where relname = 'kept'");
        assert_eq!(found.trim(), "1");
        eventually_in_mode(&cluster, "zookeeper");
    }
}

/// Masters that are stopped find their record again when they start, or stay closed.
#[test]
fn a_stopped_cluster_keeps_its_record_unless_it_is_abandoned() {
    let ensemble = Ensemble::start(1);
    let cluster = start(&ensemble);
    let disable = "run \"hawq ha disable\" first";
    let format = |flags: &[&str]| cluster.hawq(&[&["ha", "format", "-a"], flags].concat());
    eventually("a refusal while masters run", READY, || {
        let refused = format(&[]);
        let told = refused.stderr.contains(disable) && !refused.stderr.contains("stop");
        if told && refused.code == Some(1) { Ok(()) } else { Err(format!("{refused:#?}")) }
    });
    cluster.stop().expect("stop").expect("stop");
    // Until then the sessions of the masters are in the way.
    eventually("a refusal for the record's sake", READY, || {
        let refused = format(&[]);
        let told = refused.stderr.contains("--abandon") && refused.stderr.contains(disable);
        if told && refused.code == Some(1) { Ok(()) } else { Err(format!("{refused:#?}")) }
    });
    cluster.demo().expect("hawq demo");
    in_zookeeper(&cluster);
    cluster.stop().expect("stop").expect("stop");
    eventually("the removal", READY, || {
        let done = format(&["--abandon"]);
        let told = done.stdout.contains("no master of the cluster opens by itself");
        if told && done.ok() { Ok(()) } else { Err(format!("{done:#?}")) }
    });
    eventually("nothing that is there", READY, || {
        let done = format(&[]);
        if done.ok() { Ok(()) } else { Err(format!("{done:#?}")) }
    });
}

/// When the servers are killed, seen from the failover.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Nobody can read the record.
    Before,
    /// The standby reads, asks around and swaps.
    Standing,
    /// The same, and whatever it asks meanwhile is neither done nor refused: they sleep first.
    InDoubt,
}

#[test]
fn zookeeper_that_dies_in_the_middle_of_a_failover_makes_it_late_and_nothing_else() {
    const STANDING: &str = "standing for the reign";
    let mut ensemble = Ensemble::start(3);
    let cluster = start(&ensemble);
    let writers = Writers::start(&cluster, 2);
    for moment in [Moment::Before, Moment::Standing, Moment::InDoubt, Moment::Standing] {
        let old = cluster.synchronized();
        let standby = cluster.other_masters(&old).remove(0);
        writers.eventually_commit(50, &cluster);
        let before = cluster.log(&standby).matches(STANDING).count();
        let stands = || {
            let log = cluster.log(&standby);
            if log.matches(STANDING).count() > before { Ok(()) } else { Err(log) }
        };
        cluster.kill(&old);
        if !matches!(moment, Moment::Before) {
            eventually_soon("a standby that stands", READY, stands);
        }
        if matches!(moment, Moment::InDoubt) {
            ensemble.signal_all(Signal::SIGSTOP);
        }
        ensemble.kill_all();
        // Without the servers it stands in vain, unless it reigns by now.
        eventually("a standby that stands", READY, stands);
        ensemble.start_all();
        let new = other_primary(&cluster, &old);
        writers.check(&cluster);
        writers.eventually_commit(50, &cluster);
        cluster.restart(&old.name).expect("restart");
        assert_eq!(cluster.synchronized().name, new.name, "{moment:?}");
        eventually("one that is open", READY, || {
            let open = |node: &&Node| Session::connect(node.pg_port).is_ok();
            let open = cluster.masters().iter().filter(open).count();
            assert!(open < 2, "{moment:?}: {open} primaries");
            if open == 1 { Ok(()) } else { Err(cluster.report()) }
        });
    }
    writers.finish(&cluster);
    cluster.equal_digests();
    eventually_in_mode(&cluster, "zookeeper");
}

/// Why the record was not changed.
fn refusals(log: &str) -> impl Iterator<Item = &str> {
    let refused = log.lines().filter_map(|line| line.split_once("record not changed: "));
    refused.map(|(_, reason)| reason)
}

#[test]
fn commits_that_wait_for_zookeeper_are_told_of_and_go_on_when_it_is_back() {
    let mut ensemble = Ensemble::start(1);
    let cluster = start(&ensemble);
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    ensemble.kill_all();
    cluster.kill(&standby);
    // From here on nothing is committed: to the primary the same failure is the same.
    let length = cluster.log(&primary).len();
    let session = eventually("a session", READY, || {
        Session::connect(primary.pg_port).map_err(|failure| failure.text)
    });
    let commit = std::thread::spawn(move || session.execute("create table waits (id int)"));
    eventually("what commits wait for, in hawq state", READY, || {
        let report = cluster.report();
        let line = report.lines().find(|line| line.contains("Commits wait"));
        let told = line.is_some_and(|line| line.contains("ha_zookeeper_quorum"));
        if told { Ok(()) } else { Err(report) }
    });
    eventually("more tries", READY, || {
        let state = cluster.state();
        let nodes = state["nodes"].as_array().cloned().unwrap_or_default();
        let troubled =
            |node: &Value| !node["coordinator_trouble"].as_str().unwrap_or("").is_empty();
        if nodes.iter().any(troubled) { Ok(()) } else { Err(format!("{state}")) }
    });
    // Said once for each reason, however often it fails.
    let log = cluster.log(&primary);
    let reasons: Vec<&str> = refusals(&log[length..]).collect();
    let once = reasons.windows(2).all(|two| two[0] != two[1]);
    assert!(once && refusals(&log).next().is_some(), "{log}");
    ensemble.start_all();
    let committed = commit.join().expect("thread");
    // After ha_commit_timeout it is unknown to the session, and committed all the same.
    assert!(committed.is_ok() || cluster.log(&primary).contains("record changed"), "{committed:?}");
    cluster.commit_alone(&primary);
    assert_eq!(cluster.psql("select 'waits'::regclass").trim(), "waits");
    cluster.restart(&standby.name).expect("restart");
    cluster.synchronized();
}

/// Otherwise it could never take over, and nobody would notice before it has to.
#[test]
fn a_standby_that_does_not_reach_zookeeper_keeps_the_cluster_manual() {
    let ensemble = Ensemble::start(1);
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    let quorum = ensemble.quorum();
    let again = |node: &Node, before: &str, quorum: &str| {
        if before.is_empty() {
            node.set("ha_zookeeper_quorum", quorum);
        } else {
            node.reset(before, quorum);
        }
        cluster.kill(&cluster.node(&node.name));
        cluster.restart(&node.name).expect("restart");
        cluster.synchronized();
    };
    let refused = |parts: &[&str]| {
        eventually("a refusal that names the node", READY, || {
            let refused = cluster.hawq(&["ha", "enable", "--coordinator", "zookeeper"]);
            let refused = refused.expect_failure("enable");
            let named = parts.iter().all(|part| refused.contains(part));
            if named { Ok(()) } else { Err(refused) }
        });
    };
    again(&primary, "", &quorum);
    refused(&["node 2 could not take over", "ha_zookeeper_quorum is not set"]);
    again(&standby, "", "127.0.0.1:1");
    refused(&["node 2 could not take over: ZooKeeper"]);
    eventually_in_mode(&cluster, "manual");
    again(&standby, "127.0.0.1:1", &quorum);
    enable(&cluster);
    eventually_in_mode(&cluster, "zookeeper");
}

/// Somebody whom the tree should be left to.
const BOB: &str = "digest:bob:aGFzaA==";

#[test]
fn a_tree_that_was_open_before_the_acl_was_set_is_told_of() {
    let ensemble = Ensemble::start(1);
    let cluster = start(&ensemble);
    cluster.stop().expect("stop").expect("stop");
    let acl = format!("{BOB}:cdrwa");
    for master in cluster.masters() {
        cluster.configure(&master, &[("ha_zookeeper_acl", &acl)]);
    }
    cluster.demo().expect("hawq demo");
    let primary = in_zookeeper(&cluster);
    eventually("the warning", READY, || {
        let log = cluster.log(&primary);
        let told =
            ["was made with world:anyone:cdrwa", "ha_zookeeper_acl", "setAcl -R /aerie/", BOB];
        if told.iter().all(|part| log.contains(part)) { Ok(()) } else { Err(log) }
    });
}
