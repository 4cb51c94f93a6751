//! With a coordinator: what the end of a primary's process, or of its supervisor, leads to.

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::ensemble::Ensemble;
use crate::hooks::set;
use crate::machine::{HAWQ, clean, end, is_alive};
use crate::run::{Outcome, run};
use crate::wait::eventually;
use crate::writers::Writers;
use crate::zookeeper_mode::enable;

/// Longer than what these tests do takes, so that silence alone moves nothing meanwhile.
const LEASE: &str = "5s";

/// A cluster in which ZooKeeper holds the record, with more settings on every master.
fn automatic(ensemble: &Ensemble, standbys: usize, settings: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::start(Shape { standbys, segments: 0 });
    cluster.stop().expect("stop");
    for node in cluster.masters() {
        set(&cluster, &node, "ha_zookeeper_quorum", &ensemble.quorum());
        set(&cluster, &node, "ha_lease", LEASE);
        for (name, value) in settings {
            set(&cluster, &node, name, value);
        }
    }
    cluster.demo().expect("demo");
    cluster.synchronized();
    enable(&cluster);
    cluster.synchronized();
    cluster
}

/// `hawq` as an operator types it on the host of that node.
fn at(cluster: &Cluster, node: &Node, arguments: &[&str]) -> Outcome {
    let mut command = clean(HAWQ);
    command.env("GPHOME", cluster.dir().join(&node.name)).env("HOME", cluster.dir());
    run(command.args(arguments), READY)
}

fn process(node: &Node) -> i32 {
    node.pid.expect("a process")
}

/// What a node has logged since its log was so long.
fn since(cluster: &Cluster, node: &Node, length: usize) -> String {
    cluster.log(node).get(length..).unwrap_or_default().to_owned()
}

#[test]
fn a_crash_is_told_and_a_standby_takes_over() {
    const ROUNDS: usize = 12;
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[]);
    cluster.may_log("starting it again");
    let mut old = cluster.synchronized();
    let writers = Writers::start(&cluster, 2);
    let mut told = 0;
    // Where the word or the standby is held up, the old one is back first, and reigns again.
    for _ in 0..ROUNDS {
        let standby = cluster.other_masters(&old).remove(0);
        let length = cluster.log(&standby).len();
        writers.eventually_commit(50, &cluster);
        end(process(&old));
        writers.eventually_commit(50, &cluster);
        // The old one comes back by itself.
        let new = cluster.synchronized();
        writers.check(&cluster);
        let by_report = since(&cluster, &standby, length).contains("ended, epochs up to");
        told += usize::from(new.name == standby.name && by_report);
        old = new;
        if told == 3 {
            break;
        }
    }
    assert_eq!(told, 3, "by the report, not by silence:\n{}", cluster.log(&old));
    writers.finish(&cluster);
    cluster.equal_digests();
}

#[test]
fn without_its_supervisor_the_lease_tells() {
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[]);
    let old = cluster.synchronized();
    end(old.supervisor_pid.expect("a supervisor"));
    cluster.psql("create table if not exists unharmed (id int)");
    assert_eq!(cluster.synchronized().name, old.name, "nothing happens");
    assert!(is_alive(process(&old)));
    end(process(&old));
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    assert_eq!(cluster.psql("select 'unharmed'::regclass").trim(), "unharmed");
    assert!(cluster.log(&new).contains("standing for the reign: Silence"));
    cluster.restart(&old.name).expect("restart");
    assert_eq!(cluster.synchronized().name, new.name);
}

#[test]
fn a_planned_stop_hands_the_reign_over() {
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[]);
    // A node or ZooKeeper that is held up at that moment leaves it to the lease: then once more.
    eventually("a reign that is handed over", READY, || {
        let old = cluster.synchronized();
        let standby = cluster.other_masters(&old).remove(0);
        let both = [&old, &standby].map(|node| (node, cluster.log(node).len()));
        let stopped = at(&cluster, &old, &["stop", "master", "-a", "-M", "fast"]);
        if stopped.ok() {
            assert!(old.pids().into_iter().all(|pid| !is_alive(pid)));
            assert_eq!(cluster.primary().name, standby.name);
        }
        let [before, after] = both.map(|(node, length)| since(&cluster, node, length));
        assert!(!after.contains("ended, epochs up to"), "a stop is no crash: {after}");
        let handed = stopped.stdout.contains("The reign is handed to a standby in sync")
            && after.contains("Release")
            && before.contains("handed over; epoch");
        if stopped.ok() && handed {
            return Ok(());
        }
        cluster.restart(&old.name).expect("restart");
        Err(format!("{stopped:?}\n{before}\n{after}"))
    });
}

#[test]
fn a_new_primary_waits_for_a_fencing_method() {
    let ensemble = Ensemble::start(1);
    let folder = tempfile::tempdir().expect("directory");
    let (tried, may) = (folder.path().join("tried"), folder.path().join("may"));
    let script = format!(
        "shell(echo $AERIE_FENCED_NODE $target_host &gt;&gt; {}; test -e {})",
        tried.display(),
        may.display()
    );
    let cluster = automatic(&ensemble, 1, &[("ha_fencing_methods", script.as_str())]);
    cluster.may_log("no method of ha_fencing_methods has fenced");
    let old = cluster.synchronized();
    cluster.kill(&old);
    let text = eventually("two attempts", READY, || {
        let text = std::fs::read_to_string(&tried).unwrap_or_default();
        if text.lines().count() >= 2 { Ok(text) } else { Err(text) }
    });
    let number = old.name.trim_start_matches("master");
    assert!(text.starts_with(&format!("{number} 127.0.0.1")), "{text}");
    eventually("the reason in hawq state", READY, || {
        let said = cluster.report();
        if said.contains("is fenced (ha_fencing_methods)") { Ok(()) } else { Err(said) }
    });
    std::fs::write(&may, "").expect("file");
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    assert!(cluster.log(&new).contains("is fenced: shell("), "{}", cluster.log(&new));
}

/// Ends the process of the primary until another one reigns: where the word of its end, or the
/// standby, is held up, the old one is back first. Gives the old one and the new one.
fn end_until_it_moves(cluster: &Cluster) -> (Node, Node) {
    const ROUNDS: usize = 8;
    for _ in 0..ROUNDS {
        let old = cluster.synchronized();
        end(process(&old));
        let new = cluster.primary();
        if new.name != old.name {
            return (old, new);
        }
    }
    panic!("nobody takes over: {}", cluster.report());
}

#[test]
fn an_old_primary_stays_out_until_it_is_asked() {
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[("ha_auto_rejoin", "off")]);
    cluster.may_log("starting it again");
    let (old, new) = end_until_it_moves(&cluster);
    eventually("the old primary, kept out", READY, || {
        let said = cluster.report();
        if said.contains("hawq start master --rejoin") { Ok(()) } else { Err(said) }
    });
    eventually("an old primary that is let in", READY, || {
        let started = at(&cluster, &old, &["start", "master", "-a", "--rejoin"]);
        if started.ok() { Ok(()) } else { Err(format!("{started:?}")) }
    });
    assert_eq!(cluster.synchronized().name, new.name);
}
