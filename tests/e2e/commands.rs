//! The `hawq` command as a user types it.

use crate::cluster::{Cluster, READY, Shape};
use crate::machine::{HAWQ, clean};
use crate::run::run;
use crate::wait::eventually;

#[test]
fn state_is_the_report_that_scripts_know() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 2 });
    cluster.synchronized();
    let lines = [
        "-   Master instance                                = Active",
        "-   Standby master state                           = Standby host passive",
        "-   Total segments count from catalog      = 2",
        "-   Total segment valid (at master)        = 2",
        "-   Total segment failures (at master)     = 0",
        "Synchronized",
    ];
    let report = eventually("the report of a whole cluster", READY, || {
        let outcome = cluster.hawq(&["state"]);
        let whole = outcome.ok() && lines.iter().all(|line| outcome.stdout.contains(line));
        if whole { Ok(outcome.stdout) } else { Err(format!("{outcome:#?}")) }
    });
    let prefix = report.lines().next().unwrap_or("");
    assert!(prefix.contains(" hawq_state:") && prefix.contains("-[INFO]:-"), "{prefix}");
}

#[test]
fn state_answers_with_the_primary_down() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    let primary = cluster.synchronized();
    cluster.kill(&primary);
    eventually("what would help", READY, || {
        let report = cluster.report();
        if report.contains("activate standby") { Ok(()) } else { Err(report) }
    });
    eventually("the state of the standby", READY, || {
        let state = cluster.state().to_string();
        let told = state.contains("in-sync") || state.contains("joining");
        if told { Ok(()) } else { Err(state) }
    });
}

#[test]
fn stop_and_start_are_calm() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    cluster.synchronized();
    cluster.psql("create table if not exists calm (id int)");
    cluster.stop().expect("an end").expect("stop");
    cluster.stop().expect("an end").expect("stop of what is stopped");
    cluster.demo().expect("start");
    cluster.synchronized();
    assert_eq!(cluster.psql("select 'calm'::regclass").trim(), "calm");
}

#[test]
fn unknown_words_are_refused() {
    for words in [&["bogus"][..], &["activate", "bogus"], &["demo", "--bogus"]] {
        let outcome = run(clean(HAWQ).args(words), READY);
        let said = outcome.expect_failure("an unknown word");
        assert!(!said.trim().is_empty(), "{words:?} says nothing");
    }
}

#[test]
fn a_reload_names_what_waits_for_the_next_start() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    let primary = cluster.primary();
    primary.set("ha_digest_interval", "1000s");
    let said = cluster.hawq(&["reload", "master"]).expect("reload");
    assert!(said.contains("Master reloaded successfully"), "{said}");
    let waits = "parameter \"ha_digest_interval\" cannot be changed without restarting";
    eventually("the line in the log", READY, || {
        let log = cluster.log(&primary);
        if log.contains(waits) && log.contains("pg_hba.conf read again") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(cluster.psql("select pg_reload_conf()").trim(), "t");
    eventually("another line", READY, || {
        let log = cluster.log(&primary);
        if log.matches(waits).count() >= 2 { Ok(()) } else { Err(log) }
    });
}
