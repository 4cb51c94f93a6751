//! The primary is killed; nothing that was acknowledged is lost.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::machine::psql;
use crate::run::Outcome;
use crate::session::Session;
use crate::wait::{eventually, wait_until};
use crate::writers::Writers;

#[test]
fn a_killed_primary_loses_no_acknowledged_row() {
    let cluster = Cluster::start(Shape::default());
    let old = cluster.synchronized();
    let writers = Writers::start(&cluster, 4);
    writers.eventually_commit(200, &cluster);

    cluster.kill(&old);
    let said = cluster.report();
    assert!(said.to_lowercase().contains("primary"), "says why nothing serves: {said}");
    cluster.activate();
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    writers.check(&cluster);
    writers.eventually_commit(200, &cluster);

    old_primary_comes_back(&cluster, writers, &old, &new);
}

/// What was killed follows its successor; clients went on all the while, and nothing is lost.
pub fn old_primary_comes_back(cluster: &Cluster, writers: Writers, old: &Node, new: &Node) {
    cluster.restart(&old.name).expect("restart of the old primary");
    assert_eq!(cluster.synchronized().name, new.name, "the old primary comes back as a standby");
    writers.eventually_commit(100, cluster);
    writers.finish(cluster);
    cluster.equal_digests();
    let roles = "select role, port from gp_segment_configuration where role <> 'p' order by 1";
    let wanted = format!("m|{}\ns|{}", new.pg_port, old.pg_port);
    eventually("their roles", READY, || {
        let found = cluster.psql(roles);
        if found.trim() == wanted { Ok(()) } else { Err(format!("{found}, wanted {wanted}")) }
    });
}

#[test]
fn a_reign_can_go_back_and_forth() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
    cluster.psql("create table if not exists carried (id int)");
    for round in 0..4 {
        cluster.psql(&format!("comment on table carried is '{round}'"));
        let old = cluster.synchronized();
        cluster.kill(&old);
        cluster.activate();
        let found = cluster.psql("select obj_description('carried'::regclass)");
        assert_eq!(found.trim(), round.to_string());
        cluster.restart(&old.name).expect("restart");
    }
    cluster.synchronized();
    cluster.equal_digests();
}

#[test]
fn a_standby_refuses_while_the_primary_answers() {
    let cluster = Cluster::start(Shape::default());
    // Which a primary that is held up does not.
    let primary = eventually("a refusal", READY, || {
        let primary = cluster.synchronized();
        let said = cluster.hawq(&["activate", "standby", "-a"]);
        let told = !said.stdout.is_empty() || !said.stderr.is_empty();
        if told && !said.ok() { Ok(primary) } else { Err(format!("{said:?}")) }
    });
    assert_eq!(cluster.primary().name, primary.name);
    let standby = cluster.other_masters(&primary).remove(0);
    eventually("a refusal of psql", READY, || {
        let refused = psql(standby.pg_port, "select 1").expect_failure("a session on the standby");
        if refused.contains("standby") { Ok(()) } else { Err(refused) }
    });
    eventually("its SQLSTATE", READY, || {
        let failure = Session::connect(standby.pg_port).err().expect("a refusal");
        if failure.sqlstate == "57P03" { Ok(()) } else { Err(format!("{failure:?}")) }
    });
    cluster.psql("create table if not exists still (id int)");
}

#[test]
fn commits_go_on_without_a_standby_and_it_catches_up() {
    let cluster = Cluster::start(Shape::default());
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    let writers = Writers::start(&cluster, 2);
    writers.eventually_commit(50, &cluster);
    cluster.kill(&standby);
    writers.eventually_commit(50, &cluster);
    let sql = "select summary_state from gp_master_mirroring";
    eventually("Not Synchronized", READY, || {
        let found = cluster.psql(sql);
        if found.trim() == "Not Synchronized" { Ok(()) } else { Err(found) }
    });
    cluster.restart(&standby.name).expect("restart");
    cluster.synchronized();
    writers.finish(&cluster);
    cluster.equal_digests();
}

/// Typed again where somebody was held up; the standby may reign by then.
fn forced(cluster: &Cluster, standby: &Node) -> Result<(), String> {
    wait_until(READY, || {
        let Outcome { code, stdout, stderr } =
            cluster.hawq(&["activate", "standby", "-a", "--force"]);
        let reigns = code == Some(0) || Session::connect(standby.pg_port).is_ok();
        if reigns { Ok(()) } else { Err(format!("{code:?}\n{stdout}\n{stderr}")) }
    })
}

#[test]
fn a_standby_that_was_out_of_sync_needs_force() {
    let cluster = Cluster::start(Shape::default());
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&standby);
    // It would be lost.
    cluster.commit_alone(&primary);
    cluster.kill(&primary);
    let _ = cluster.restart(&standby.name);
    eventually("a refusal that names the way out", READY, || {
        let said = cluster.hawq(&["activate", "standby", "-a"]).expect_failure("activate");
        if said.contains("force") { Ok(()) } else { Err(said) }
    });
    forced(&cluster, &standby).expect("activate --force");
    assert_eq!(cluster.primary().name, standby.name);
}

#[test]
fn a_primary_that_sleeps_through_a_forced_takeover_is_fenced_by_the_segments() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 3 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    cluster.kill(&standby);
    cluster.commit_alone(&primary);
    signal(&primary, Signal::SIGSTOP);
    let _ = cluster.restart(&standby.name);
    let forced = forced(&cluster, &standby);
    cluster.kill(&cluster.node(&standby.name));
    signal(&primary, Signal::SIGCONT);
    forced.expect("activate --force");
    // Nobody is left but the segments to tell it that its reign is over.
    eventually("no more commits", READY, || {
        let created = psql(primary.pg_port, "comment on table alone is 'still'");
        if created.ok() { Err(cluster.report()) } else { Ok(()) }
    });
    let sql = "create table late (id int)";
    psql(primary.pg_port, sql).expect_failure(sql);
}

fn signal(node: &Node, signal: Signal) {
    for pid in node.pids() {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
