//! Two people activate two standbys at the same time: one of them wins, the other is told so, and
//! no acknowledged row is lost.

use crate::cluster::{Cluster, Node, Shape};
use crate::ha_commands::{number, says};
use crate::machine::HAWQ;
use crate::run::{Outcome, Running};
use crate::wait::seconds;
use crate::writers::Writers;

/// Types a command for each standby at the same time.
fn at_once(
    cluster: &Cluster,
    standbys: &[Node],
    words: impl Fn(&str) -> Vec<String>,
) -> Vec<Outcome> {
    let start = |node: &Node| {
        let words = words(&number(node));
        Running::start(cluster.command(HAWQ).args(words)).expect("hawq")
    };
    let running: Vec<Running> = standbys.iter().map(start).collect();
    running.into_iter().map(|one| one.end(seconds(120)).expect("it ends")).collect()
}

/// Exactly one has won: it reigns, and the other command said that it does not.
#[track_caller]
fn one_won(cluster: &Cluster, standbys: &[Node], outcomes: &[Outcome]) {
    let won: Vec<&Node> =
        standbys.iter().zip(outcomes).filter(|(_, o)| o.ok()).map(|(node, _)| node).collect();
    assert_eq!(won.len(), 1, "one wins: {outcomes:#?}");
    assert_eq!(cluster.primary().name, won[0].name, "{outcomes:#?}\n{}", cluster.report());
    let lost = outcomes.iter().find(|outcome| !outcome.ok()).expect("one loses");
    assert_eq!(lost.code, Some(1), "it is known that it lost: {lost:#?}");
    let winner = number(won[0]);
    let said = format!("{}{}", lost.stdout, lost.stderr);
    let names =
        [format!("node {winner}"), format!("primary {winner}"), format!("primary={winner}")];
    assert!(names.iter().any(|name| said.contains(name)), "who won is said: {lost:#?}");
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn of_two_failovers_at_once_one_wins() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 1 });
    cluster.may_log("starting it again");
    let writers = Writers::start(&cluster, 3);
    for _ in 0..3 {
        let old = cluster.synchronized();
        writers.eventually_commit(50, &cluster);
        // Otherwise the rules would be quicker than two people.
        says(&cluster, "pause", 0, "paused");
        cluster.kill(&old);
        let standbys = cluster.other_masters(&old);
        let outcomes =
            at_once(&cluster, &standbys, |to| words(&format!("ha failover --to {to} -a")));
        one_won(&cluster, &standbys, &outcomes);
        writers.check(&cluster);
        writers.eventually_commit(50, &cluster);
        cluster.restart(&old.name).expect("restart");
        says(&cluster, "resume", 0, "on");
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
        let activate = |to: &str| words(&format!("activate standby --node {to} -a"));
        let outcomes = at_once(&cluster, &standbys, activate);
        if outcomes.iter().any(Outcome::ok) {
            one_won(&cluster, &standbys, &outcomes);
        } else {
            // Each kept the other from it, and nothing has happened: one of them is asked again.
            let again = |to: &Node| at_once(&cluster, std::slice::from_ref(to), activate).remove(0);
            let won = standbys.iter().map(again).any(|outcome| outcome.ok());
            assert!(won, "{outcomes:#?}\n{}", cluster.report());
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
