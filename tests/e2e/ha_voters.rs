//! The voters of the embedded register are replaced while the cluster serves, and it fails over
//! with the new ones.

use serde_json::Value;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::ha_commands::{eventually_says, ha, number};
use crate::machine::{HAWQ, psql};
use crate::run::Running;
use crate::wait::{eventually, seconds};
use crate::writers::Writers;

fn voters(cluster: &Cluster) -> Value {
    eventually("the voters", READY, || {
        let outcome = ha(cluster, "voter list --json");
        let parsed = serde_json::from_str(&outcome.stdout);
        parsed.map_err(|error| format!("hawq ha voter list: {error}: {outcome:#?}"))
    })
}

fn words(list: &Value, key: &str) -> Vec<String> {
    let voters = list["voters"].as_array().expect("voters");
    voters.iter().map(|voter| voter[key].as_str().unwrap_or_default().to_owned()).collect()
}

/// The witness, and the segment that could be one: names for the command, and their processes.
fn witnesses(cluster: &Cluster) -> [(String, Node); 2] {
    let list = eventually("both segments", READY, || {
        let list = voters(cluster);
        let known = list["others"].as_array().is_some_and(|others| others.len() == 1);
        if known { Ok(list) } else { Err(list.to_string()) }
    });
    let witness = list["voters"].as_array().expect("voters").iter();
    let mut witness = witness.filter(|voter| voter["host"] == "segment").map(|voter| {
        (voter["name"].as_str().expect("a name").to_owned(), voter["address"].to_string())
    });
    let (name, address) = witness.next().expect("a witness");
    let segments = cluster.segments();
    let at = |node: &&Node| address.contains(&format!(":{}\"", node.rpc_port));
    let votes = segments.iter().find(at).expect("its process").clone();
    let other = segments.iter().find(|node| node.name != votes.name).expect("two segments").clone();
    let spare = list["others"][0].as_str().expect("a name").to_owned();
    [(name, votes), (spare, other)]
}

fn other_primary(cluster: &Cluster, old: &Node) -> Node {
    eventually("another primary", READY, || {
        let open = |node: &&Node| psql(node.pg_port, "select 1").ok();
        cluster.other_masters(old).iter().find(open).cloned().ok_or_else(|| cluster.report())
    })
}

#[test]
fn a_witness_lost_for_good_is_replaced_and_the_cluster_fails_over() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 2 });
    cluster.may_log("starting it again");
    let old = cluster.synchronized();
    let [(lost, process), (spare, _)] = witnesses(&cluster);
    let list = eventually_says(&cluster, "voter list", 0, "could vote too: ");
    assert!(list.contains("master 1") && list.contains("record v"), "{list}");
    let writers = Writers::start(&cluster, 2);
    writers.eventually_commit(50, &cluster);

    cluster.kill(&process);
    let said = eventually_says(&cluster, "voter list", 0, " no ");
    assert!(!said.contains("no majority"), "two of three answer: {said}");
    let replace = format!("voter add {spare} --replace {lost}");
    eventually_says(&cluster, &replace, 0, &format!("the voters are {}", sorted(&spare)));
    eventually_says(&cluster, &replace, 0, "already");
    eventually("the new voters, without trouble", READY, || {
        let list = voters(&cluster);
        let whole = words(&list, "name").join(", ") == sorted(&spare)
            && words(&list, "standing") == ["voting"; 3]
            && words(&list, "trouble") == [""; 3];
        if whole { Ok(()) } else { Err(list.to_string()) }
    });
    writers.eventually_commit(50, &cluster);

    // The old voters have only one of three left now, the new ones two.
    cluster.kill(&old);
    let new = other_primary(&cluster, &old);
    writers.check(&cluster);
    writers.eventually_commit(50, &cluster);
    cluster.restart(&old.name).expect("restart of the old primary");
    cluster.restart(&process.name).expect("restart of the old witness");
    assert_eq!(cluster.synchronized().name, new.name);
    writers.finish(&cluster);
    cluster.equal_digests();

    let hint = format!("hawq ha voter add HOST:PORT --replace node{}", number(&old));
    eventually("a standby that is removed", READY, || {
        let removed = cluster.hawq(&["init", "standby", "-r", "-a"]);
        let hinted = removed.ok() && removed.stdout.contains(&hint);
        if hinted { Ok(()) } else { Err(format!("{removed:#?}")) }
    });
    let replace = format!("voter add {lost} --replace node{}", number(&old));
    eventually_says(&cluster, &replace, 0, "the voters are ");
}

fn sorted(spare: &str) -> String {
    format!("{spare}, node1, node2")
}

/// The command is interrupted, and the primary with it: typed again it is done.
#[test]
fn a_change_of_voters_survives_the_primary_that_made_it() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 2 });
    cluster.may_log("starting it again");
    cluster.synchronized();
    let mut names = witnesses(&cluster).map(|(name, _)| name);
    for _ in 0..3 {
        let old = cluster.synchronized();
        let replace = format!("voter add {} --replace {}", names[1], names[0]);
        let typed = ["ha"].into_iter().chain(replace.split(' '));
        let running = Running::start(cluster.command(HAWQ).args(typed)).expect("hawq");
        cluster.kill(&old);
        let ended = running.end(seconds(300)).expect("it ends");
        assert!(matches!(ended.code, Some(0..=2)), "{ended:?}");
        let new = other_primary(&cluster, &old);
        let said = eventually("the change", READY, || {
            let said = ha(&cluster, &replace);
            if said.ok() { Ok(said.stdout) } else { Err(format!("{said:?}")) }
        });
        assert!(said.contains(&names[1]) && !said.contains(&names[0]), "{said}");
        eventually("three that vote", READY, || {
            let list = voters(&cluster);
            if words(&list, "standing") == ["voting"; 3] { Ok(()) } else { Err(list.to_string()) }
        });
        cluster.restart(&old.name).expect("restart");
        assert_eq!(cluster.synchronized().name, new.name);
        // Back again: a voter that has voted before, with what it held then.
        names.reverse();
    }
    cluster.equal_digests();
}

#[test]
fn what_would_weaken_the_register_is_refused() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 2 });
    cluster.synchronized();
    let names = words(&voters(&cluster), "name");
    assert_eq!(names, ["node1", "node2", "node3"], "three masters need no witness");
    let others = eventually("both segments", READY, || {
        let list = voters(&cluster);
        let others = list["others"].as_array().cloned().unwrap_or_default();
        if others.len() == 2 { Ok(others) } else { Err(list.to_string()) }
    });
    let [one, two] = [0, 1].map(|i| others[i].as_str().expect("a name").to_owned());
    let says = |words: &str, code, part: &str| eventually_says(&cluster, words, code, part);
    says("voter add node2", 0, "the voters are node1, node2, node3 already");
    says("voter remove node2", 1, "2 voters could not outlive one of them");
    says(&format!("voter add {one}"), 1, "4 voters outlive no more of them than 3 do");
    says("voter add nobody", 1, "there is no master or segment \"nobody\"; there are node1");
    says("voter remove nobody", 1, "\"nobody\" is no voter; the voters are node1");
    says("voter add 127.0.0.1:1 --replace node3", 1, "(127.0.0.1:1) cannot vote: ");
    says("voter add 127.0.0.1 --replace node3", 1, "several masters and segments are at");
    // Two more, at once, and back.
    let both = says(&format!("voter add {one} {two}"), 0, "the voters are ");
    assert!(both.contains(&one) && both.contains(&two) && both.contains("node3"), "{both}");
    says(&format!("voter remove {one}"), 1, "4 voters");
    for ending in ["", " already"] {
        let done = format!("the voters are node1, node2, node3{ending}");
        says(&format!("voter remove {one} {two}"), 0, &done);
    }
    // Somebody else's voter.
    let stranger = Cluster::start(Shape { standbys: 0, segments: 0 });
    let at = format!("127.0.0.1:{}", stranger.primary().rpc_port);
    // Names the other cluster.
    let theirs = stranger.cluster_id();
    let refused = says(&format!("voter add {at} --replace node3"), 1, &theirs);
    assert!(refused.contains(&at), "{refused}");
    let manual = "only the embedded register has voters";
    eventually_says(&stranger, "voter list", 1, manual);
    eventually_says(&stranger, "voter add node1", 1, manual);
    // No majority left: nothing can change, and that is said.
    let primary = cluster.synchronized();
    let gone = cluster.other_masters(&primary);
    gone.iter().for_each(|master| cluster.kill(master));
    says("voter list", 1, "");
    let replace = format!("voter add {one} --replace node{}", number(&gone[0]));
    says(&replace, 1, "only 1 of the voters");
}
