//! With a coordinator: what the end of a primary's process, or of its supervisor, leads to.

use crate::cluster::{Cluster, Node, Shape};
use crate::ensemble::Ensemble;
use crate::hooks::set;
use crate::machine::{HAWQ, clean, end, is_alive};
use crate::run::{Outcome, run};
use crate::wait::{eventually, seconds};
use crate::writers::Writers;

/// A cluster in which ZooKeeper holds the record, with more settings on every master.
fn automatic(ensemble: &Ensemble, standbys: usize, settings: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::start(Shape { standbys, segments: 0 });
    cluster.stop().expect("stop");
    for node in cluster.masters() {
        set(&cluster, &node, "ha_zookeeper_quorum", &ensemble.quorum());
        for (name, value) in settings {
            set(&cluster, &node, name, value);
        }
    }
    cluster.demo().expect("demo");
    cluster.synchronized();
    cluster.hawq(&["ha", "enable", "--coordinator", "zookeeper"]).expect("enable");
    cluster.synchronized();
    cluster
}

/// `hawq` as an operator types it on the host of that node.
fn at(cluster: &Cluster, node: &Node, arguments: &[&str]) -> Outcome {
    let mut command = clean(HAWQ);
    command.env("GPHOME", cluster.dir().join(&node.name)).env("HOME", cluster.dir());
    run(command.args(arguments), seconds(120))
}

fn process(node: &Node) -> i32 {
    node.pid.expect("a process")
}

#[test]
fn a_crash_is_told_and_a_standby_takes_over() {
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[]);
    cluster.may_log("starting it again");
    let mut old = cluster.synchronized();
    let writers = Writers::start(&cluster, 2);
    for _ in 0..3 {
        writers.eventually_commit(50, &cluster);
        end(process(&old));
        writers.eventually_commit(50, &cluster);
        let new = cluster.primary();
        assert_ne!(new.name, old.name);
        let log = cluster.log(&new);
        assert!(log.contains("ended, epochs up to"), "by the report, not by silence: {log}");
        // The old one comes back by itself.
        assert_eq!(cluster.synchronized().name, new.name);
        writers.check(&cluster);
        old = new;
    }
    writers.finish(&cluster);
    cluster.equal_digests();
}

#[test]
fn without_its_supervisor_the_lease_tells() {
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[]);
    let old = cluster.synchronized();
    end(old.supervisor_pid.expect("a supervisor"));
    cluster.psql("create table unharmed (id int)");
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
    let old = cluster.synchronized();
    let said = at(&cluster, &old, &["stop", "master", "-a", "-M", "fast"]).expect("stop");
    assert!(said.contains("The reign is handed to a standby in sync"), "{said}");
    assert!(old.pids().into_iter().all(|pid| !is_alive(pid)));
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    let log = cluster.log(&new);
    assert!(log.contains("Release") && !log.contains("ended, epochs up to"), "{log}");
    assert!(cluster.log(&old).contains("handed over; epoch"), "{}", cluster.log(&old));
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
    let text = eventually("two attempts", seconds(60), || {
        let text = std::fs::read_to_string(&tried).unwrap_or_default();
        if text.lines().count() >= 2 { Ok(text) } else { Err(text) }
    });
    let number = old.name.trim_start_matches("master");
    assert!(text.starts_with(&format!("{number} 127.0.0.1")), "{text}");
    let said = cluster.report();
    assert!(said.contains("is fenced (ha_fencing_methods)"), "hawq state says why: {said}");
    std::fs::write(&may, "").expect("file");
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    assert!(cluster.log(&new).contains("is fenced: shell("), "{}", cluster.log(&new));
}

#[test]
fn an_old_primary_stays_out_until_it_is_asked() {
    let ensemble = Ensemble::start(1);
    let cluster = automatic(&ensemble, 1, &[("ha_auto_rejoin", "off")]);
    cluster.may_log("starting it again");
    let old = cluster.synchronized();
    end(process(&old));
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    eventually("the old primary, kept out", seconds(60), || {
        let said = cluster.report();
        if said.contains("hawq start master --rejoin") { Ok(()) } else { Err(said) }
    });
    at(&cluster, &old, &["start", "master", "-a", "--rejoin"]).expect("start");
    assert_eq!(cluster.synchronized().name, new.name);
}
