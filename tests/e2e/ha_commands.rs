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

/// It ends with this exit code and says this; or what it did instead.
fn tried(cluster: &Cluster, words: &str, code: i32, part: &str) -> Result<String, String> {
    let Outcome { code: ended, stdout, stderr } = ha(cluster, words);
    let said = if code == 0 { &stdout } else { &stderr };
    if ended == Some(code) && said.contains(part) {
        return Ok(format!("{stdout}{stderr}"));
    }
    Err(format!("hawq ha {words}: {ended:?}, wanted {code} and {part:?}\n{stdout}\n{stderr}"))
}

/// It ends with this exit code and says this.
#[track_caller]
pub fn says(cluster: &Cluster, words: &str, code: i32, part: &str) -> String {
    match tried(cluster, words, code, part) {
        Ok(said) => said,
        Err(wrong) => panic!("{wrong}"),
    }
}

/// The same, typed again until it is so: a node that was held up for a moment has not answered, or
/// is out of the set until it has caught up.
#[track_caller]
pub fn eventually_says(cluster: &Cluster, words: &str, code: i32, part: &str) -> String {
    eventually("the words wanted", READY, || tried(cluster, words, code, part))
}

/// It ends well, and has all of these parts in one answer.
fn shown(cluster: &Cluster, words: &str, parts: &[&str]) -> Result<(), String> {
    let page = tried(cluster, words, 0, "")?;
    match parts.iter().find(|part| !page.contains(**part)) {
        Some(part) => Err(format!("{part:?} is not in\n{page}")),
        None => Ok(()),
    }
}

#[track_caller]
fn eventually_shows(cluster: &Cluster, words: &str, parts: &[&str]) {
    eventually("the parts wanted", READY, || shown(cluster, words, parts));
}

fn json(cluster: &Cluster, words: &str) -> Result<Value, String> {
    let said = ha(cluster, words);
    let parsed = serde_json::from_str(&said.stdout);
    let parsed = parsed.map_err(|error| format!("hawq ha {words}: {error}: {said:?}"));
    if said.ok() { parsed } else { Err(format!("hawq ha {words}: {said:?}")) }
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

/// The primary's number, then those of the two standbys, which could take over.
fn roles(cluster: &Cluster) -> [String; 3] {
    let primary = ready(cluster);
    let [first, second] = match primary.as_str() {
        "1" => ["2", "3"],
        "2" => ["1", "3"],
        _ => ["1", "2"],
    };
    [primary, first.to_owned(), second.to_owned()]
}

#[test]
fn reading_commands_tell_who_reigns_and_who_could() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    eventually("a page on all three", READY, || {
        let primary = format!("node {} (127.0.0.1:", ready(&cluster));
        let (set, lease) = ("in-sync set   1, 2, 3", "lease         3000 ms");
        shown(&cluster, "status", &[&primary, "mode ", "epoch ", set, lease, "voters node1"])
    });
    eventually("the same as JSON", READY, || {
        let primary = ready(&cluster);
        let status = json(&cluster, "status --json")?;
        let whole = status["primary"] == serde_json::json!(primary.parse::<u32>().expect("a node"))
            && status["mode"] == "embedded"
            && status["in_sync"] == serde_json::json!([1, 2, 3])
            && status["next"].as_array().map(Vec::len) == Some(2);
        if whole { Ok(()) } else { Err(status.to_string()) }
    });
    let first = "can take over by itself, before all others";
    eventually_shows(&cluster, "explain", &[first, "by itself, as number 2"]);
    eventually("the order in hawq state", READY, || {
        let state = cluster.report();
        let told = state.contains("Order of standbys") && state.contains(" first, then node ");
        if told { Ok(()) } else { Err(state) }
    });
    eventually("as many reigns in each form", READY, || {
        let history = tried(&cluster, "history", 0, "epoch 1.1 ")?;
        let reigns = json(&cluster, "history --json")?.as_array().map(Vec::len);
        let same = reigns == Some(history.lines().count());
        if same { Ok(()) } else { Err(format!("{reigns:?}\n{history}")) }
    });
    let last = eventually_says(&cluster, "history -n 1", 0, "epoch");
    assert_eq!(last.lines().count(), 1, "{last}");
    for words in ["bogus", "voter", "switchover --to", "failover 1", "status --bogus", "voter add"]
    {
        assert_eq!(ha(&cluster, words).code, Some(REFUSED), "{words}");
    }
}

#[test]
fn a_pause_keeps_everybody_from_taking_over_until_it_ends() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    ready(&cluster);
    for _ in 0..2 {
        eventually_says(&cluster, "pause", 0, "automatic takeover is paused");
    }
    eventually_says(&cluster, "status", 0, "PAUSED (hawq ha resume)");
    let handed_back = format!("-transitionToStandby {}", number(&cluster.primary()));
    let paused = "takeovers are paused (hawq ha resume)";
    eventually_says(&cluster, &handed_back, HDFS_FAILED, paused);
    eventually_shows(&cluster, "explain", &["paused", "at a person's word"]);
    let primary = cluster.synchronized();
    cluster.kill(&primary);
    eventually_says(&cluster, "status", REFUSED, "");
    eventually_says(&cluster, "switchover", REFUSED, "no primary hands over");
    eventually_says(&cluster, "drill", REFUSED, "no drill");
    // Without the primary the pause is ended all the same, and what was due happens.
    eventually_says(&cluster, "resume", 0, "automatic takeover is on");
    let new = cluster.primary();
    assert_ne!(new.name, primary.name);
    eventually_says(&cluster, "resume", 0, "automatic takeover is on");
    eventually_says(&cluster, "history -n 1", 0, &format!("node {} ", number(&new)));
}

/// From the primary to this node. After a first try it may be there already.
fn switched(cluster: &Cluster, to: &str) {
    let mut typed = false;
    eventually("a switchover", READY, || {
        let from = ready(cluster);
        let done = format!("node {to} is primary, node {from} hands over; nobody served for ");
        let part = if typed && from == to { "is the primary already" } else { done.as_str() };
        typed = true;
        tried(cluster, &format!("switchover --to node{to}"), 0, part)
    });
}

#[test]
fn switchovers_and_drills_are_said_and_refused_in_words() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    says(&cluster, "switchover --to 9", REFUSED, "there is no node \"9\"; there are 1, 2, 3");
    let (old, other) = eventually("a refusal that names the primary", READY, || {
        let [old, other, _] = roles(&cluster);
        // A primary that was held up has lost its reign by that: the next one refuses.
        let refused =
            tried(&cluster, &format!("failover --to {other} -a"), REFUSED, "hawq ha switchover")?;
        let named = refused.contains(&format!("node {old} is an open primary and answers"));
        if named { Ok((old, other)) } else { Err(refused) }
    });
    eventually_says(&cluster, &format!("failover --to {old} -a"), 0, "is the primary already");
    switched(&cluster, &other);
    eventually_says(&cluster, &format!("switchover --to {other}"), 0, "is the primary already");
    assert_eq!(ready(&cluster), other);
    eventually_says(&cluster, "switchover", 0, "hands over");
    eventually("a drill that ends where it began", READY, || {
        let home = ready(&cluster);
        tried(&cluster, "drill", 0, "the drill is done")?;
        let now = ready(&cluster);
        if now == home { Ok(()) } else { Err(format!("from {home} to {now}")) }
    });
    eventually("every reign in the history", READY, || {
        let history = tried(&cluster, "history", 0, "switchover")?;
        if history.lines().count() >= 5 { Ok(()) } else { Err(history) }
    });
    cluster.equal_digests();
}

#[test]
fn hdfs_verbs_do_what_scripts_expect() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    let [old, new, _] = roles(&cluster);
    for (node, state) in [(&old, "active"), (&new, "standby")] {
        for verb in ["-getServiceState", "getServiceState"] {
            let said = eventually_says(&cluster, &format!("{verb} {node}"), 0, state);
            assert_eq!(said.trim(), state);
        }
    }
    eventually("the state of all three", READY, || {
        let all = tried(&cluster, "-getAllServiceState", 0, "active")?;
        let counts = (all.matches("active").count(), all.matches("standby").count());
        if counts == (1, 2) { Ok(()) } else { Err(all) }
    });
    for node in ["1", "2", "3"] {
        eventually_says(&cluster, &format!("-checkHealth {node}"), 0, "");
    }
    says(&cluster, "-checkHealth 9", HDFS_FAILED, "Operation failed: there is no node \"9\"");
    eventually_says(&cluster, &format!("-transitionToActive {old}"), 0, "");
    // These would take over from a primary that is held up: who reigns is looked up each time.
    eventually("a refusal beside an active node", READY, || {
        let [old, new, _] = roles(&cluster);
        let active = format!("node {old} is already active");
        tried(&cluster, &format!("-transitionToActive {new}"), HDFS_FAILED, &active)?;
        tried(&cluster, &format!("-transitionToStandby {new}"), 0, "")
    });
    eventually("a refusal beside a third node", READY, || {
        let [_, new, third] = roles(&cluster);
        let neither = "which is neither, is active";
        tried(&cluster, &format!("-failover {new} {third}"), HDFS_FAILED, neither)
    });
    let [old, new, _] = roles(&cluster);
    let same = "the two are the same node";
    eventually_says(&cluster, &format!("-failover {old} {old}"), HDFS_FAILED, same);
    for _ in 0..2 {
        let done = format!("Failover from {old} to {new} successful");
        eventually_says(&cluster, &format!("-failover --forcefence {old} {new}"), 0, &done);
    }
    assert_eq!(ready(&cluster), new);
    eventually_says(&cluster, &format!("-transitionToStandby {new}"), 0, "");
    eventually("another active node", READY, || {
        let primary = number(&cluster.primary());
        if primary == new { Err(cluster.report()) } else { Ok(()) }
    });
    let [after, gone, _] = roles(&cluster);
    cluster.kill(&cluster.node(&format!("master{gone}")));
    let refused = format!("node {gone} does not answer");
    for verb in ["-getServiceState", "-checkHealth", "-transitionToActive", "-transitionToStandby"]
    {
        says(&cluster, &format!("{verb} {gone}"), HDFS_FAILED, &refused);
    }
    says(&cluster, "-getAllServiceState", 0, "Failed to connect");
    says(&cluster, &format!("-failover {after} {gone}"), HDFS_FAILED, &refused);
}

/// What cannot be known is told apart from what was refused, and takes no longer than it must.
#[test]
fn nobody_who_answers_is_another_exit_code() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    ready(&cluster);
    let standby = cluster.other_masters(&cluster.synchronized()).remove(0);
    let to = number(&standby);
    // Asleep: it can be connected to, and never answers.
    cluster.signal(&standby, Signal::SIGSTOP);
    let switchover = format!("switchover --to {to}");
    let silent = format!("node {to} does not answer");
    eventually("two answers in time", READY, || {
        let began = Instant::now();
        tried(&cluster, &switchover, UNKNOWN, &silent)?;
        tried(&cluster, "status", 0, "no answer")?;
        let took = began.elapsed();
        if took < seconds(60) { Ok(()) } else { Err(format!("{took:?}")) }
    });
    cluster.signal(&standby, Signal::SIGCONT);
    ready(&cluster);
    eventually_says(&cluster, "pause", 0, "paused");
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&primary);
    eventually_says(&cluster, "status", REFUSED, "");
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
    eventually_says(&cluster, "resume", 0, "automatic takeover is on");
    ready(&cluster);
}

/// A setting that was forgotten on one host is told of, and stops nothing.
#[test]
fn leases_that_differ_are_told_of() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    cluster.may_log("starting it again");
    ready(&cluster);
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&standby);
    standby.reset("3s", "2s");
    cluster.restart(&standby.name).expect("restart");
    ready(&cluster);
    let [longer, shorter] = [("3000 ms", &primary), ("2000 ms", &standby)]
        .map(|(lease, node)| format!("{lease} on node {}", number(node)));
    eventually_shows(&cluster, "status", &["ha_lease differs: ", &longer, &shorter]);
    eventually("the same in hawq state", READY, || {
        let report = cluster.report();
        if report.contains("ha_lease differs: ") { Ok(()) } else { Err(report) }
    });
    eventually("the same in the log", READY, || {
        let log = cluster.log(&standby);
        if log.contains("ha_lease is 2s here and 3s at node") { Ok(()) } else { Err(log) }
    });
    ready(&cluster);
    cluster.kill(&primary);
    assert_eq!(cluster.primary().name, standby.name);
    cluster.restart(&primary.name).expect("restart");
    ready(&cluster);
}
