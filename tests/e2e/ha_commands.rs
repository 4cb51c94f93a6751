//! `hawq ha` as a user types it: what it says, its exit codes, that it may be typed again, and that
//! it ends when nobody answers.

use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::run::Outcome;
use crate::wait::{eventually, seconds};

const REFUSED: i32 = 1;
const UNKNOWN: i32 = 2;
const HDFS_FAILED: i32 = 255;

/// `masterN` is node N.
pub fn number(node: &Node) -> String {
    node.name.trim_start_matches("master").to_owned()
}

pub fn ha(cluster: &Cluster, words: &str) -> Outcome {
    let words: Vec<&str> = ["ha"].into_iter().chain(words.split(' ')).collect();
    cluster.hawq(&words)
}

/// It ends with this exit code and says this.
#[track_caller]
pub fn says(cluster: &Cluster, words: &str, code: i32, part: &str) -> String {
    let Outcome { code: ended, stdout, stderr } = ha(cluster, words);
    let said = if code == 0 { &stdout } else { &stderr };
    let right = ended == Some(code) && said.contains(part);
    assert!(right, "hawq ha {words}: {ended:?}, wanted {code} and {part:?}\n{stdout}\n{stderr}");
    format!("{stdout}{stderr}")
}

fn json(cluster: &Cluster, words: &str) -> Value {
    let said = ha(cluster, words).expect(words);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{words}: {error}: {said}"))
}

/// Waits until the primary counts all, and each of them would take over.
fn ready(cluster: &Cluster) -> String {
    let primary = cluster.synchronized();
    eventually("standbys that could take over", READY, || {
        let explained = ha(cluster, "explain --json");
        let verdicts: Value = serde_json::from_str(&explained.stdout).unwrap_or_default();
        let verdicts = verdicts.as_array().cloned().unwrap_or_default();
        let able = verdicts.len() + 1 == cluster.masters().len()
            && verdicts.iter().all(|verdict| verdict["able"] == true);
        if able { Ok(()) } else { Err(format!("{explained:?}")) }
    });
    number(&primary)
}

#[test]
fn reading_commands_tell_who_reigns_and_who_could() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    let primary = ready(&cluster);
    let page = says(&cluster, "status", 0, &format!("node {primary} (127.0.0.1:"));
    for part in ["mode ", "epoch ", "in-sync set   1, 2, 3", "lease         500 ms", "voters node1"]
    {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    let status = json(&cluster, "status --json");
    assert_eq!(status["primary"].to_string(), primary);
    assert_eq!(status["mode"], "embedded");
    assert_eq!(status["in_sync"], serde_json::json!([1, 2, 3]));
    assert_eq!(status["next"].as_array().map(Vec::len), Some(2));
    let explained = says(&cluster, "explain", 0, "can take over by itself, before all others");
    assert!(explained.contains("by itself, as number 2"), "{explained}");
    let state = cluster.hawq(&["state"]).expect("hawq state");
    assert!(state.contains("Order of standbys") && state.contains(" first, then node "), "{state}");
    let history = says(&cluster, "history", 0, "epoch 1.1 ");
    assert_eq!(says(&cluster, "history -n 1", 0, "epoch").lines().count(), 1);
    let reigns = json(&cluster, "history --json");
    assert_eq!(reigns.as_array().map(Vec::len), Some(history.lines().count()));
    for words in ["bogus", "voter", "switchover --to", "failover 1", "status --bogus", "voter add"]
    {
        assert_eq!(ha(&cluster, words).code, Some(REFUSED), "{words}");
    }
}

#[test]
fn a_pause_keeps_everybody_from_taking_over_until_it_ends() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    let primary = cluster.node(&format!("master{}", ready(&cluster)));
    for _ in 0..2 {
        says(&cluster, "pause", 0, "automatic takeover is paused");
    }
    says(&cluster, "status", 0, "PAUSED (hawq ha resume)");
    let handed_back = format!("-transitionToStandby {}", number(&primary));
    says(&cluster, &handed_back, HDFS_FAILED, "takeovers are paused (hawq ha resume)");
    let explained = eventually("an explanation", READY, || {
        let said = ha(&cluster, "explain");
        if said.stdout.contains("paused") { Ok(said) } else { Err(format!("{said:?}")) }
    });
    assert!(explained.stdout.contains("at a person's word"), "{explained:?}");
    cluster.kill(&primary);
    says(&cluster, "status", REFUSED, "");
    says(&cluster, "switchover", REFUSED, "no primary hands over");
    says(&cluster, "drill", REFUSED, "no drill");
    // Without the primary the pause is ended all the same, and what was due happens.
    says(&cluster, "resume", 0, "automatic takeover is on");
    let new = cluster.primary();
    assert_ne!(new.name, primary.name);
    says(&cluster, "resume", 0, "automatic takeover is on");
    says(&cluster, "history -n 1", 0, &format!("node {} ", number(&new)));
}

#[test]
fn switchovers_and_drills_are_said_and_refused_in_words() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    let old = ready(&cluster);
    let other = if old == "1" { "2" } else { "1" };
    says(&cluster, "switchover --to 9", REFUSED, "there is no node \"9\"; there are 1, 2, 3");
    let refused =
        says(&cluster, &format!("failover --to {other} -a"), REFUSED, "hawq ha switchover");
    assert!(refused.contains(&format!("node {old} is an open primary and answers")), "{refused}");
    says(&cluster, &format!("failover --to {old} -a"), 0, "is the primary already");
    let done = format!("node {other} is primary, node {old} hands over; nobody served for ");
    says(&cluster, &format!("switchover --to node{other}"), 0, &done);
    says(&cluster, &format!("switchover --to {other}"), 0, "is the primary already");
    assert_eq!(ready(&cluster), other);
    says(&cluster, "switchover", 0, "hands over");
    let home = ready(&cluster);
    says(&cluster, "drill", 0, "the drill is done");
    assert_eq!(ready(&cluster), home, "a drill ends where it began");
    let history = says(&cluster, "history", 0, "switchover");
    assert!(history.lines().count() >= 5, "{history}");
    cluster.equal_digests();
}

#[test]
fn hdfs_verbs_do_what_scripts_expect() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    let old = ready(&cluster);
    let (new, third) = match old.as_str() {
        "1" => ("2", "3"),
        "2" => ("1", "3"),
        _ => ("1", "2"),
    };
    assert_eq!(says(&cluster, &format!("-getServiceState {old}"), 0, "active").trim(), "active");
    assert_eq!(says(&cluster, &format!("getServiceState {new}"), 0, "standby").trim(), "standby");
    let all = says(&cluster, "-getAllServiceState", 0, "active");
    assert_eq!((all.matches("active").count(), all.matches("standby").count()), (1, 2), "{all}");
    for node in ["1", "2", "3"] {
        says(&cluster, &format!("-checkHealth {node}"), 0, "");
    }
    says(&cluster, "-checkHealth 9", HDFS_FAILED, "Operation failed: there is no node \"9\"");
    says(&cluster, &format!("-transitionToActive {old}"), 0, "");
    let active = format!("node {old} is already active");
    says(&cluster, &format!("-transitionToActive {new}"), HDFS_FAILED, &active);
    says(&cluster, &format!("-transitionToStandby {new}"), 0, "");
    says(&cluster, &format!("-failover {old} {old}"), HDFS_FAILED, "the two are the same node");
    says(&cluster, &format!("-failover {new} {third}"), HDFS_FAILED, "which is neither, is active");
    for _ in 0..2 {
        let done = format!("Failover from {old} to {new} successful");
        says(&cluster, &format!("-failover --forcefence {old} {new}"), 0, &done);
    }
    assert_eq!(ready(&cluster), new);
    says(&cluster, &format!("-transitionToStandby {new}"), 0, "");
    let after = eventually("another active node", READY, || {
        let primary = number(&cluster.primary());
        if primary == new { Err(cluster.report()) } else { Ok(primary) }
    });
    ready(&cluster);
    let gone = ["1", "2", "3"].into_iter().find(|node| *node != after).expect("a standby");
    cluster.kill(&cluster.node(&format!("master{gone}")));
    for verb in ["-getServiceState", "-checkHealth", "-transitionToActive", "-transitionToStandby"]
    {
        let refused = format!("node {gone} does not answer");
        says(&cluster, &format!("{verb} {gone}"), HDFS_FAILED, &refused);
    }
    says(&cluster, "-getAllServiceState", 0, "Failed to connect");
    let refused = format!("node {gone} does not answer");
    says(&cluster, &format!("-failover {after} {gone}"), HDFS_FAILED, &refused);
}

/// What cannot be known is told apart from what was refused, and takes no longer than it must.
#[test]
fn nobody_who_answers_is_another_exit_code() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    let primary = cluster.node(&format!("master{}", ready(&cluster)));
    let standby = cluster.other_masters(&primary).remove(0);
    let to = number(&standby);
    // Asleep: it can be connected to, and never answers.
    cluster.signal(&standby, Signal::SIGSTOP);
    let began = Instant::now();
    says(
        &cluster,
        &format!("switchover --to {to}"),
        UNKNOWN,
        &format!("node {to} does not answer"),
    );
    says(&cluster, "status", 0, "no answer");
    assert!(began.elapsed() < seconds(60), "{:?}", began.elapsed());
    cluster.signal(&standby, Signal::SIGCONT);
    ready(&cluster);
    says(&cluster, "pause", 0, "paused");
    cluster.kill(&primary);
    says(&cluster, "status", REFUSED, "");
    cluster.kill(&standby);
    for words in [
        "status",
        "switchover",
        "failover -a",
        "failover --to 1 -a",
        "pause",
        "resume",
        "history",
        "explain",
        "drill",
        "enable",
        "disable",
        "voter list",
        "voter remove node1",
    ] {
        let outcome = ha(&cluster, words);
        assert_eq!(outcome.code, Some(UNKNOWN), "hawq ha {words}: {outcome:#?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains("answer"), "hawq ha {words}: {said}");
    }
    says(&cluster, "-getServiceState 1", HDFS_FAILED, "does not answer");
    // Nothing of that was kept: the pause is over when somebody can be told.
    cluster.restart(&standby.name).expect("restart");
    cluster.restart(&primary.name).expect("restart");
    says(&cluster, "resume", 0, "automatic takeover is on");
    ready(&cluster);
}

/// A setting that was forgotten on one host is told of, and stops nothing.
#[test]
fn leases_that_differ_are_told_of() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    cluster.may_log("starting it again");
    let primary = cluster.node(&format!("master{}", ready(&cluster)));
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&standby);
    standby.set("ha_lease", "250ms");
    cluster.restart(&standby.name).expect("restart");
    ready(&cluster);
    let differs = says(&cluster, "status", 0, "ha_lease differs: ");
    let both = [&primary, &standby].map(number);
    let both = [format!("500 ms on node {}", both[0]), format!("250 ms on node {}", both[1])];
    assert!(both.iter().all(|part| differs.contains(part)), "{differs}");
    assert!(cluster.report().contains("ha_lease differs: "), "{}", cluster.report());
    let log = cluster.log(&standby);
    assert!(log.contains("ha_lease is 250ms here and 500ms at node"), "{log}");
    cluster.kill(&primary);
    assert_eq!(cluster.primary().name, standby.name);
    cluster.restart(&primary.name).expect("restart");
    ready(&cluster);
}
