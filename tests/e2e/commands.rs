//! The `hawq` command as a user types it.

use crate::cluster::{Cluster, Shape};
use crate::machine::{HAWQ, clean};
use crate::run::run;
use crate::wait::{eventually, seconds};

#[test]
fn state_is_the_report_that_scripts_know() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 2 });
    cluster.synchronized();
    let report = cluster.hawq(&["state"]).expect("hawq state");
    for line in [
        "-   Master instance                                = Active",
        "-   Standby master state                           = Standby host passive",
        "-   Total segments count from catalog      = 2",
        "-   Total segment valid (at master)        = 2",
        "-   Total segment failures (at master)     = 0",
    ] {
        assert!(report.contains(line), "{line:?} is not in\n{report}");
    }
    let prefix = report.lines().next().unwrap_or("");
    assert!(prefix.contains(" hawq_state:") && prefix.contains("-[INFO]:-"), "{prefix}");
    assert!(report.contains("Synchronized"), "{report}");
}

#[test]
fn state_answers_with_the_primary_down() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    let primary = cluster.synchronized();
    cluster.kill(&primary);
    let outcome = cluster.hawq(&["state"]);
    let report = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(report.contains("activate standby"), "says what would help:\n{report}");
    let state = cluster.state().to_string();
    assert!(state.contains("in-sync") || state.contains("joining"), "{state}");
}

#[test]
fn stop_and_start_are_calm() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    cluster.synchronized();
    cluster.psql("create table calm (id int)");
    cluster.stop().expect("an end").expect("stop");
    cluster.stop().expect("an end").expect("stop of what is stopped");
    cluster.demo().expect("start");
    cluster.synchronized();
    assert_eq!(cluster.psql("select 'calm'::regclass").trim(), "calm");
}

#[test]
fn unknown_words_are_refused() {
    for words in [&["bogus"][..], &["activate", "bogus"], &["demo", "--bogus"]] {
        let outcome = run(clean(HAWQ).args(words), seconds(30));
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
    eventually("the line in the log", seconds(30), || {
        let log = cluster.log(&primary);
        if log.contains(waits) && log.contains("pg_hba.conf read again") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(cluster.psql("select pg_reload_conf()").trim(), "t");
    eventually("another line", seconds(30), || {
        let log = cluster.log(&primary);
        if log.matches(waits).count() >= 2 { Ok(()) } else { Err(log) }
    });
}
