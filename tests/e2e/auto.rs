//! Failover by the rules: the primary dies, sleeps, comes back; nobody types anything.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::cluster::{Cluster, Node, PATIENT, READY, Shape};
use crate::failover::old_primary_comes_back;
use crate::ha_commands::eventually_says;
use crate::machine::psql;
use crate::session::Session;
use crate::wait::eventually;
use crate::writers::Writers;

/// Another primary than `old`, however long it takes on a busy machine.
fn eventually_another(cluster: &Cluster, old: &Node) -> Node {
    eventually("another primary", READY, || {
        let masters = cluster.masters();
        let open = |node: &&Node| psql(node.pg_port, "select 1").ok();
        let found = masters.iter().filter(|node| node.name != old.name).find(open);
        found.cloned().ok_or_else(|| cluster.report())
    })
}

#[test]
fn a_killed_primary_is_replaced_and_comes_back() {
    let cluster = Cluster::automatic(Shape::default());
    cluster.may_log("starting it again");
    let old = cluster.synchronized();
    let writers = Writers::start(&cluster, 4);
    writers.eventually_commit(200, &cluster);

    // Process and supervisor: only the silence tells.
    let died = Instant::now();
    cluster.kill(&old);
    let new = eventually_another(&cluster, &old);
    eprintln!("another primary after {:?}", died.elapsed());
    writers.check(&cluster);
    writers.eventually_commit(200, &cluster);

    old_primary_comes_back(&cluster, writers, &old, &new);
}

#[test]
fn a_crashed_primary_is_replaced_at_its_supervisors_word() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    cluster.may_log("starting it again");
    cluster.psql("create table if not exists carried (id int)");
    for round in 0..5 {
        cluster.psql(&format!("comment on table carried is '{round}'"));
        let old = cluster.synchronized();
        crate::machine::end(old.pid.expect("a process"));
        eventually("the next commit", READY, || {
            let sql = format!("comment on table carried is '{round}, again'");
            let primary = cluster.primary();
            let said = psql(primary.pg_port, &sql);
            if said.ok() { Ok(()) } else { Err(format!("{said:?}\n{}", cluster.report())) }
        });
        let found = cluster.psql("select obj_description('carried'::regclass)");
        assert_eq!(found.trim(), format!("{round}, again"));
    }
    cluster.synchronized();
    cluster.equal_digests();
}

#[test]
fn a_primary_that_sleeps_wakes_as_a_standby() {
    let cluster = Cluster::automatic(Shape::default());
    cluster.psql("create table if not exists stale (id int)");
    cluster.psql("comment on table stale is 'before'");
    let comment = "select obj_description('stale'::regclass)";
    let (old, asleep) = eventually("a session that has served", READY, || {
        let old = cluster.synchronized();
        let session = Session::connect(old.pg_port).map_err(|failure| failure.text)?;
        let found = session.value(comment).map_err(|failure| failure.text)?;
        if found == "before" { Ok((old, session)) } else { Err(found) }
    });
    cluster.signal(&old, Signal::SIGSTOP);
    let new = eventually_another(&cluster, &old);
    eventually("a commit of the next reign", READY, || {
        let said = psql(new.pg_port, "comment on table stale is 'after'");
        if said.ok() { Ok(()) } else { Err(format!("{said:?}")) }
    });
    cluster.signal(&old, Signal::SIGCONT);
    // It may answer what was new, or refuse; never what was.
    let read = asleep.value(comment);
    assert!(!matches!(&read, Ok(found) if found == "before"), "a stale read: {read:?}");
    let write = asleep.execute("comment on table stale is 'of the past'");
    assert!(write.is_err(), "a primary of the past acknowledged a write");
    assert_eq!(cluster.synchronized().name, new.name);
    assert_eq!(cluster.psql(comment).trim(), "after");
    cluster.equal_digests();
}

#[test]
fn a_standby_that_dies_leaves_the_set_and_comes_back() {
    let cluster = Cluster::automatic(Shape { standbys: 2, segments: 0 });
    cluster.may_log("starting it again");
    let primary = cluster.synchronized();
    let writers = Writers::start(&cluster, 2);
    writers.eventually_commit(50, &cluster);
    for standby in cluster.other_masters(&primary) {
        cluster.kill(&standby);
        writers.eventually_commit(50, &cluster);
        cluster.restart(&standby.name).expect("restart");
        assert_eq!(cluster.synchronized().name, primary.name, "a standby's end moves nothing");
    }
    writers.finish(&cluster);
    cluster.equal_digests();
}

#[test]
fn a_whole_automatic_cluster_starts_in_every_order() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    cluster.psql("create table if not exists kept (id int)");
    let [a, b, witness] = ["master1", "master2", "segment1"];
    for order in [[a, b], [b, a]] {
        for place in 0..=2 {
            let mut order = order.to_vec();
            order.insert(place, witness);
            cluster.synchronized();
            cluster.nodes().iter().for_each(|node| cluster.kill(node));
            // None of them waits for those that come after it, and neither does whoever starts it.
            order.iter().for_each(|name| cluster.begin_restart(name));
            cluster.synchronized();
            assert_eq!(cluster.psql("select 'kept'::regclass").trim(), "kept", "{order:?}");
        }
    }
    cluster.equal_digests();
}

#[test]
fn automatic_mode_goes_on_and_off_under_writes() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    cluster.may_log("starting it again");
    cluster.stop().expect("stop").expect("stop");
    cluster.masters().iter().for_each(|node| cluster.configure(node, &PATIENT[..1]));
    cluster.demo().expect("hawq demo");
    let primary = cluster.synchronized();
    let writers = Writers::start(&cluster, 2);
    let session = Session::connect(primary.pg_port).expect("session");
    session.execute("begin; create schema over_all").expect("begin");
    for _ in 0..2 {
        writers.eventually_commit(50, &cluster);
        // A standby that was held up for a moment is out of sync, and enabling refused, meanwhile.
        eventually_says(&cluster, "enable", 0, "automatic failover (embedded) is on");
        writers.eventually_commit(50, &cluster);
        eventually_says(&cluster, "disable", 0, "automatic failover is off");
    }
    assert_eq!(cluster.synchronized().name, primary.name);
    writers.finish(&cluster);
    // The primary took over from itself: its sessions go on, a transaction of before is made again.
    let refused = session.execute("commit").expect_err("it is of an earlier reign");
    assert_eq!(refused.sqlstate, "40001", "{refused:?}");
    session.execute("create schema over_all").expect("the session goes on");
    // A person decides again: nobody takes over by itself.
    cluster.kill(&primary);
    let standby = cluster.other_masters(&primary).remove(0);
    eventually("a refusal", READY, || {
        let said = psql(standby.pg_port, "select 1");
        if said.ok() { Err("it serves".to_owned()) } else { Ok(()) }
    });
    cluster.activate();
    assert_eq!(cluster.primary().name, standby.name);
}

#[test]
fn two_masters_without_a_witness_stay_manual_and_say_why() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    cluster.synchronized();
    eventually_says(&cluster, "enable", 1, "two masters and no segment agent");
    eventually("the same in hawq state", READY, || {
        let report = cluster.report();
        if report.contains("no witness") { Ok(()) } else { Err(report) }
    });
}

#[test]
fn without_a_majority_nothing_moves_and_the_state_says_so() {
    let cluster = Cluster::automatic(Shape { standbys: 1, segments: 1 });
    cluster.synchronized();
    cluster.kill(&cluster.node("segment1"));
    // A majority is left.
    cluster.psql("create table if not exists two_of_three (id int)");
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&standby);
    eventually("the lost coordinator in hawq state", READY, || {
        let report = cluster.report();
        let told = report.contains("cannot be reached") && report.contains("1 of 3 voters");
        if told { Ok(()) } else { Err(report) }
    });
    cluster.restart("segment1").expect("restart of the witness");
    cluster.commit_alone(&primary);
    cluster.restart(&standby.name).expect("restart of the standby");
    assert_eq!(cluster.synchronized().name, primary.name);
    cluster.equal_digests();
}

/// Whoever enables automatic mode is refused with such settings; a restart brings them in.
#[test]
fn timeouts_that_no_longer_fit_the_lease_are_told_in_the_next_reign() {
    let cluster = Cluster::automatic_by_default(Shape { standbys: 1, segments: 1 });
    cluster.synchronized();
    for node in cluster.masters() {
        node.set("ha_standby_timeout", "450ms");
        cluster.kill(&node);
        cluster.restart(&node.name).expect("restart");
        cluster.synchronized();
    }
    let told = "ha_standby_timeout (450 ms) and ha_coordinator_timeout (150 ms) together";
    eventually("the word of whoever reigns", READY, || {
        let log = cluster.log(&cluster.primary());
        if log.contains(told) { Ok(()) } else { Err(log) }
    });
}
