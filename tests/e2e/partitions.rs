//! Hosts whose network is cut, wholly or in one direction, or slow: no acknowledged row is lost, no
//! two primaries answer, and the cluster goes on by itself as soon as the rules allow it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cluster::READY;
use crate::fabric::Wire;
use crate::hosts::Hosts;
use crate::registers::Registers;
use crate::wait::eventually;

/// Two masters and a segment that is the witness.
const WITNESS: u8 = 3;
/// That of `cluster::PATIENT`.
const LEASE: Duration = Duration::from_secs(3);
/// As short as it is by default, where it does not matter who is primary.
const SHORT: &[(&str, &str)] = &[("ha_lease", "500ms")];
/// For what is decided within half of a lease.
const LONG: &[(&str, &str)] = &[("ha_lease", "6s")];

fn automatic(settings: &[(&str, &str)]) -> Option<Arc<Hosts>> {
    Hosts::automatic(2, 1, settings).map(Arc::new)
}

fn clients(hosts: &Arc<Hosts>) -> Registers {
    let asked = Arc::clone(hosts);
    Registers::start(Arc::new(move || asked.connect(&asked.every_master())))
}

/// Another master than `old` takes writes.
fn eventually_moved(hosts: &Hosts, old: u8) -> u8 {
    eventually("another primary", READY, || {
        let others: Vec<u8> = hosts.every_master().into_iter().filter(|it| *it != old).collect();
        let open = others.into_iter().find(|host| hosts.connect(&[*host]).is_ok());
        open.ok_or_else(|| hosts.report())
    })
}

fn go_on(clients: &Registers, hosts: &Hosts) {
    clients.eventually_write(30, || hosts.report());
}

/// Until whoever stands after a lease has done so.
fn go_on_past(lease: Duration, clients: &Registers, hosts: &Hosts) {
    let began = Instant::now();
    while began.elapsed() < lease * 3 / 2 {
        go_on(clients, hosts);
    }
}

#[test]
fn a_host_that_is_lost_is_replaced_and_comes_back() {
    let Some(hosts) = automatic(&[]) else { return };
    lose_and_mend(hosts);
}

#[test]
fn a_host_that_is_lost_is_replaced_through_zookeeper() {
    let Some((hosts, _ensemble)) = Hosts::with_zookeeper(2, 1, &[]) else { return };
    lose_and_mend(Arc::new(hosts));
}

fn lose_and_mend(hosts: Arc<Hosts>) {
    let old = hosts.primary();
    let clients = clients(&hosts);
    go_on(&clients, &hosts);
    hosts.fabric.isolate(old);
    let new = eventually_moved(&hosts, old);
    go_on(&clients, &hosts);
    assert!(hosts.connect(&[old]).is_err(), "the lost host answers");
    hosts.fabric.mend();
    assert_eq!(hosts.synchronized(), new, "it comes back as a standby");
    go_on(&clients, &hosts);
    clients.finish();
}

#[test]
fn a_cut_between_the_masters_shrinks_the_set_and_moves_nothing() {
    let Some(hosts) = automatic(LONG) else { return };
    let primary = hosts.primary();
    let standby = 3 - primary;
    let clients = clients(&hosts);
    go_on(&clients, &hosts);
    hosts.fabric.between(primary, standby, Some(Wire::Cut));
    go_on_past(LEASE * 2, &clients, &hosts);
    assert_eq!(hosts.primary(), primary, "the primary reaches the coordinator and stays");
    hosts.fabric.mend();
    assert_eq!(hosts.synchronized(), primary);
    clients.finish();
}

#[test]
fn one_way_cuts_never_make_two_primaries() {
    // Some of the cuts outlast it.
    let Some(hosts) = automatic(SHORT) else { return };
    let clients = clients(&hosts);
    let mut cuts = 0;
    for _ in 0..2 {
        for (from, to) in [(1, 2), (2, 1), (1, WITNESS), (WITNESS, 1), (2, WITNESS)] {
            hosts.fabric.wire(from, to, Some(Wire::Cut));
            go_on(&clients, &hosts);
            hosts.fabric.mend();
            go_on(&clients, &hosts);
            cuts += 1;
        }
    }
    assert_eq!(cuts, 10);
    hosts.synchronized();
    clients.finish();
}

#[test]
fn a_primary_cut_from_all_voters_goes_on_while_its_standby_acks() {
    let Some(hosts) = automatic(&[]) else { return };
    let primary = hosts.primary();
    let clients = clients(&hosts);
    go_on(&clients, &hosts);
    hosts.fabric.between(1, WITNESS, Some(Wire::Cut));
    hosts.fabric.between(2, WITNESS, Some(Wire::Cut));
    go_on_past(LEASE, &clients, &hosts);
    assert_eq!(hosts.primary(), primary);
    hosts.fabric.mend();
    hosts.synchronized();
    clients.finish();
}

#[test]
fn a_primary_cut_from_zookeeper_goes_on_while_its_standby_acks() {
    let Some((hosts, _ensemble)) = Hosts::with_zookeeper(2, 1, &[]) else { return };
    let hosts = Arc::new(hosts);
    let primary = hosts.primary();
    let clients = clients(&hosts);
    go_on(&clients, &hosts);
    for server in hosts.client() + 1..=hosts.fabric.count() {
        hosts.fabric.between(primary, server, Some(Wire::Cut));
    }
    go_on(&clients, &hosts);
    let trouble = format!("ZooKeeper; node {primary}: ");
    eventually("trouble with the coordinator", READY, || {
        let outcome = hosts.hawq(primary, &["ha", "status"]);
        let told = outcome.stdout.contains(&trouble);
        if told { Ok(()) } else { Err(format!("{outcome:#?}")) }
    });
    go_on(&clients, &hosts);
    assert_eq!(hosts.primary(), primary, "its standby has heard it all the while");
    hosts.fabric.mend();
    assert_eq!(hosts.synchronized(), primary);
    clients.finish();
}

#[test]
fn slow_wires_below_the_lease_move_nothing() {
    let Some(hosts) = automatic(&[]) else { return };
    let primary = hosts.primary();
    let clients = clients(&hosts);
    // One way takes a twenty-fifth of the lease.
    for (from, to) in [(1, 2), (2, 1), (1, WITNESS), (2, WITNESS)] {
        hosts.fabric.wire(from, to, Some(Wire::Slow(Duration::from_millis(120))));
    }
    go_on_past(LEASE, &clients, &hosts);
    assert_eq!(hosts.primary(), primary);
    hosts.fabric.mend();
    clients.finish();
}

#[test]
fn a_primary_that_sleeps_wakes_up_to_a_new_epoch() {
    let Some(hosts) = automatic(&[]) else { return };
    let old = hosts.primary();
    let clients = clients(&hosts);
    go_on(&clients, &hosts);
    hosts.signal(old, Signal::SIGSTOP);
    let new = eventually_moved(&hosts, old);
    go_on(&clients, &hosts);
    hosts.signal(old, Signal::SIGCONT);
    assert_eq!(hosts.synchronized(), new);
    clients.finish();
}

#[test]
fn a_host_without_power_is_replaced() {
    let Some(hosts) = automatic(&[]) else { return };
    let old = hosts.primary();
    let clients = clients(&hosts);
    go_on(&clients, &hosts);
    // Packets stop first: nobody is told that the processes are gone.
    hosts.fabric.isolate(old);
    hosts.kill(old);
    eventually_moved(&hosts, old);
    go_on(&clients, &hosts);
    hosts.fabric.mend();
    // It may have to wait longer for the primary than the command does.
    let _ = hosts.hawq(old, &["start", "master", "-a"]);
    hosts.synchronized();
    clients.finish();
}

/// It hears of it as soon as it reaches anybody, whether it slept through it or was started since.
#[test]
fn a_standby_that_was_removed_while_it_was_cut_off_learns_of_it() {
    let Some(hosts) = Hosts::start(3, 1, &[]) else { return };
    assert_eq!(hosts.synchronized(), 1);
    for host in [2, 3] {
        hosts.fabric.isolate(host);
        let node = host.to_string();
        eventually("its removal", READY, || {
            let removed = hosts.hawq(1, &["init", "standby", "-r", "-a", "--node", &node]);
            if removed.ok() { Ok(()) } else { Err(format!("{removed:?}")) }
        });
    }
    hosts.kill(3);
    hosts.fabric.mend();
    hosts.hawq(3, &["start", "master", "-a"]);
    for host in [2, 3] {
        eventually("the word of its removal", READY, || {
            let said = hosts.hawq(host, &["state"]).stdout;
            let line = said.lines().find(|line| line.contains(&format!("Master {host} ")));
            let told = line.is_some_and(|line| line.contains("removed from the cluster"));
            if told { Ok(()) } else { Err(said) }
        });
        eventually("the same in its log", READY, || {
            let log = hosts.log(host);
            let told = log.contains("this node was removed from the cluster");
            if told { Ok(()) } else { Err(log) }
        });
        let refused = hosts.hawq(host, &["activate", "standby", "-a", "--force"]);
        refused.expect_failure("activate");
    }
    assert_eq!(hosts.primary(), 1);
}

#[test]
fn a_lease_too_short_for_the_wire_is_told() {
    let Some(hosts) = Hosts::start(2, 1, SHORT) else { return };
    assert_eq!(hosts.synchronized(), 1);
    for (from, to) in [(1, 2), (2, 1)] {
        hosts.fabric.wire(from, to, Some(Wire::Slow(Duration::from_millis(80))));
    }
    let told = "ha_lease (500 ms) is less than 4 times the round trip to node 2";
    eventually("the word about the lease", READY, || {
        let log = hosts.log(1);
        if log.contains(told) { Ok(()) } else { Err(log) }
    });
    hosts.fabric.mend();
}

#[test]
fn a_standby_that_does_not_reach_the_witness_keeps_the_cluster_manual() {
    let Some(hosts) = Hosts::start(2, 1, &[]) else { return };
    assert_eq!(hosts.synchronized(), 1);
    hosts.fabric.between(2, WITNESS, Some(Wire::Cut));
    eventually("a refusal that names the node", READY, || {
        let said = hosts.hawq(1, &["ha", "enable"]).expect_failure("enable");
        let named = said.contains("node 2 could not take over: it does not reach voter");
        if named { Ok(()) } else { Err(said) }
    });
    hosts.fabric.mend();
    hosts.enable("embedded");
}
