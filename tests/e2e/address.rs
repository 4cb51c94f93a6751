//! `contrib/aerie-vip` in a network namespace of its own, told what a master tells it.

use std::path::Path;

use crate::machine::clean;
use crate::run::{Outcome, run};
use crate::wait::seconds;

/// Runs shell commands where only a loopback device is.
fn in_namespace(commands: &str) -> Outcome {
    let vip = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/aerie-vip");
    let mut command = clean("unshare");
    // Only a user of no rank needs to become root there, and not every machine lets it.
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "sh", "-e", "-c"]);
    command.arg(format!("vip() {{ \"$0\" \"$@\"; }}; ip link set lo up\n{commands}")).arg(vip);
    run(&mut command, seconds(60))
}

#[test]
fn an_address_follows_the_primary() {
    let held = "ip -o address show dev lo to 10.9.9.9";
    let said = in_namespace(&format!(
        "vip 10.9.9.9/24 lo closed 1 0.0; vip 10.9.9.9/24 lo primary 1 1.1
         vip 10.9.9.9/24 lo primary 1 2.1; {held}; echo then
         vip 10.9.9.9/24 lo standby 1 3.2; vip 10.9.9.9/24 lo closed 1 3.2; {held}"
    ))
    .expect("aerie-vip");
    let (first, second) = said.split_once("then").expect(&said);
    assert_eq!(first.matches("10.9.9.9/24").count(), 1, "added once: {said}");
    assert!(!second.contains("10.9.9.9"), "gone: {said}");
}

#[test]
fn an_ipv6_address_follows_too() {
    let held = "ip -o address show dev lo to fd00::9";
    let said = in_namespace(&format!(
        "vip fd00::9/64 lo primary 1 1.1; {held}; echo then; vip fd00::9/64 lo closed 1 1.1; {held}"
    ))
    .expect("aerie-vip");
    let (first, second) = said.split_once("then").expect(&said);
    assert!(first.contains("fd00::9/64") && !second.contains("fd00"), "{said}");
}

#[test]
fn what_it_is_not_told_it_refuses() {
    let said = in_namespace("vip 10.9.9.9/24 lo boss 1 1.1").expect_failure("aerie-vip");
    assert!(said.contains("unknown role boss"), "{said}");
    let said = in_namespace("vip 10.9.9.9/24").expect_failure("aerie-vip");
    assert!(said.contains("usage: aerie-vip"), "{said}");
}
