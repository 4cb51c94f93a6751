//! Two people activate two standbys at the same time: one of them wins, the other is told so, and
//! no acknowledged row is lost.

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::ha_commands::{eventually_says, number};
use crate::machine::HAWQ;
use crate::run::{Outcome, Running};
use crate::wait::{eventually, seconds};
use crate::writers::Writers;

/// In what a command says that does not know yet who wins, or that heard nothing of it in time.
const UNHEARD: [&str; 8] = [
    "not answer",
    "no answer",
    "have answered",
    "no connection",
    "follow epoch",
    "is already followed",
    "is under way",
    "waiting for what comes of it",
];

/// The words of a command for the node of this number.
type Words = fn(&str) -> String;

/// Types a command for each standby at the same time.
fn at_once(cluster: &Cluster, standbys: &[Node], words: Words) -> Vec<Outcome> {
    let start = |node: &Node| {
        let words = words(&number(node));
        Running::start(cluster.command(HAWQ).args(words.split(' '))).expect("hawq")
    };
    let running: Vec<Running> = standbys.iter().map(start).collect();
    running.into_iter().map(|one| one.end(seconds(300)).expect("it ends")).collect()
}

fn again(cluster: &Cluster, node: &Node, words: Words) -> Outcome {
    at_once(cluster, std::slice::from_ref(node), words).remove(0)
}

fn text(outcome: &Outcome) -> String {
    format!("{}{}", outcome.stdout, outcome.stderr)
}

fn is_unheard(outcome: &Outcome) -> bool {
    let said = text(outcome);
    outcome.code == Some(2) || UNHEARD.iter().any(|part| said.contains(part))
}

/// Exactly one has won: it reigns, and the other command said that it does not.
#[track_caller]
fn one_won(cluster: &Cluster, standbys: &[Node], outcomes: &[Outcome], words: Words) {
    let won: Vec<&Node> =
        standbys.iter().zip(outcomes).filter(|(_, o)| o.ok()).map(|(node, _)| node).collect();
    assert_eq!(won.len(), 1, "one wins: {outcomes:#?}");
    assert_eq!(cluster.primary().name, won[0].name, "{outcomes:#?}\n{}", cluster.report());
    let winner = number(won[0]);
    let names =
        [format!("node {winner}"), format!("primary {winner}"), format!("primary={winner}")];
    let lost = standbys.iter().zip(outcomes).find(|(_, outcome)| !outcome.ok());
    let (loser, lost) = lost.expect("one loses");
    let mut lost = lost.clone();
    eventually("the word of who won", READY, || {
        let said = text(&lost);
        if lost.code == Some(1) && names.iter().any(|name| said.contains(name)) {
            return Ok(());
        }
        // By now the winner answers.
        assert!(is_unheard(&lost), "that it lost is known, and who won is said: {lost:#?}");
        lost = again(cluster, loser, words);
        Err(said)
    });
}

/// Each kept the other from it, or was not heard, and nothing has happened: they are asked again,
/// one after the other.
fn eventually_one_wins(cluster: &Cluster, standbys: &[Node], words: Words) {
    eventually("one that wins", READY, || {
        let mut said = String::new();
        for node in standbys {
            let outcome = again(cluster, node, words);
            if outcome.ok() || text(&outcome).contains("is the primary already") {
                return Ok(());
            }
            said.push_str(&format!("{outcome:#?}\n"));
        }
        Err(format!("{said}{}", cluster.report()))
    });
}

#[test]
fn of_two_failovers_at_once_one_wins() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    cluster.may_log("starting it again");
    let writers = Writers::start(&cluster, 3);
    for _ in 0..3 {
        // Otherwise the rules would be quicker than two people.
        eventually_says(&cluster, "pause", 0, "paused");
        let old = cluster.synchronized();
        writers.eventually_commit(50, &cluster);
        cluster.kill(&old);
        let standbys = cluster.other_masters(&old);
        let failover: Words = |to| format!("ha failover --to {to} -a");
        let outcomes = at_once(&cluster, &standbys, failover);
        if outcomes.iter().any(Outcome::ok) {
            one_won(&cluster, &standbys, &outcomes, failover);
        } else {
            assert!(outcomes.iter().any(is_unheard), "one wins: {outcomes:#?}");
            eventually_one_wins(&cluster, &standbys, failover);
        }
        writers.check(&cluster);
        writers.eventually_commit(50, &cluster);
        cluster.restart(&old.name).expect("restart");
        eventually_says(&cluster, "resume", 0, "on");
    }
    cluster.synchronized();
    writers.finish(&cluster);
    cluster.equal_digests();
}

fn by_hand(segments: usize) {
    let cluster = Cluster::start(Shape { standbys: 2, segments });
    cluster.may_log("starting it again");
    let writers = Writers::start(&cluster, 3);
    for _ in 0..2 {
        let old = cluster.synchronized();
        writers.eventually_commit(50, &cluster);
        cluster.kill(&old);
        let standbys = cluster.other_masters(&old);
        let activate: Words = |to| format!("activate standby --node {to} -a");
        let outcomes = at_once(&cluster, &standbys, activate);
        if outcomes.iter().any(Outcome::ok) {
            one_won(&cluster, &standbys, &outcomes, activate);
        } else {
            eventually_one_wins(&cluster, &standbys, activate);
        }
        writers.check(&cluster);
        writers.eventually_commit(50, &cluster);
        cluster.restart(&old.name).expect("restart");
    }
    cluster.synchronized();
    writers.finish(&cluster);
    cluster.equal_digests();
}

#[test]
fn of_two_activations_by_hand_at_once_one_wins() {
    by_hand(2);
}

#[test]
fn of_two_activations_by_hand_without_segments_one_wins() {
    by_hand(0);
}
