//! Kernel files decide and touch nothing: `std` collections in a fixed order, and `types`.

use crate::source::{Source, rust, words};
use crate::{Findings, expect_none, expect_one};

/// Files and folders of the kernel. A path that is gone is a finding: the list follows the tree.
const KERNEL: &[&str] = &[
    "src/types/",
    "src/fts/allocate.rs",
    "src/fts/detector.rs",
    "src/fts/event.rs",
    "src/fts/machine.rs",
    "src/fts/probes.rs",
    "src/fts/registered.rs",
    "src/fts/segment.rs",
    "src/ha/lease.rs",
    "src/ha/manual_policy.rs",
    "src/ha/refusal.rs",
    "src/ha/register/",
    "src/ha/takeover.rs",
    "src/ha/zookeeper/decide.rs",
    "src/wal/record.rs",
    "src/replication/commit_point.rs",
    "src/replication/progress.rs",
    "src/replication/sync_set.rs",
    "src/catalog/apply.rs",
    "src/catalog/admission.rs",
    "src/catalog/codec.rs",
    "src/catalog/key.rs",
    "src/catalog/row.rs",
    "src/catalog/transaction.rs",
    "src/frontend/hba/parse.rs",
    "src/frontend/sqlstate.rs",
    "src/segment_rm/agent.rs",
    "src/segment_rm/event.rs",
    "src/segment_rm/fence.rs",
    "src/segment_rm/schedule.rs",
    "src/master/event.rs",
    "src/master/node/",
    "src/master/testimony.rs",
];

const BANNED: &[&str] = &[
    "async",
    "await",
    "tokio",
    "tracing",
    "rand",
    "getrandom",
    "rocksdb",
    "tonic",
    "prost",
    "nix",
    "libc",
    "Arc",
    "Rc",
    "RefCell",
    "Mutex",
    "RwLock",
    "HashMap",
    "HashSet",
    "SystemTime",
    "thread_local",
    "static_mut",
];

/// Modules of `std` that meet the world, and what they have of plain values.
const PLAIN: &[&str] = &["Duration", "IpAddr", "Ipv4Addr", "Ipv6Addr"];
const BANNED_STD: &[&str] = &["time", "fs", "net", "thread", "env", "process", "sync", "io"];

fn is_kernel(path: &str) -> bool {
    KERNEL.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

fn findings(source: &Source) -> Findings {
    if !is_kernel(&source.path) {
        return Vec::new();
    }
    let words = words(&source.product_code());
    let word = |i: usize| words.get(i).map_or("", |(_, word)| word.as_str());
    let mut found = Vec::new();
    for (i, (line, name)) in words.iter().enumerate() {
        let std_module = (name == "std" && word(i + 1) == "::").then(|| word(i + 2));
        let world = std_module
            .is_some_and(|module| BANNED_STD.contains(&module) && !plain(&words[i + 4..]));
        if world || BANNED.contains(&name.as_str()) {
            let what = std_module.map_or(name.clone(), |module| format!("std::{module}"));
            found.push(format!("{}:{line}: a kernel file may not use {what}", source.path));
        }
    }
    found
}

/// After `std::net::`: a plain value, or a group of nothing else.
fn plain(words: &[(usize, String)]) -> bool {
    let mut words = words.iter().map(|(_, word)| word.as_str());
    match words.next() {
        Some("{") => words.take_while(|word| *word != "}").all(|w| w == "," || PLAIN.contains(&w)),
        Some(word) => PLAIN.contains(&word),
        None => false,
    }
}

fn missing(paths: &[String]) -> Findings {
    let exists = |place: &str| paths.iter().any(|path| path == place || path.starts_with(place));
    let gone = KERNEL.iter().filter(|place| !exists(place));
    gone.map(|place| format!("{place} is on the kernel list but not in the tree")).collect()
}

#[test]
fn kernel_files_touch_nothing() {
    expect_none(rust().iter().flat_map(findings).collect());
}

#[test]
fn the_kernel_list_follows_the_tree() {
    expect_none(missing(&rust().iter().map(|source| source.path.clone()).collect::<Vec<_>>()));
}

#[test]
fn kernel_files_that_touch_something_are_found() {
    let check = |text: &str| findings(&Source::new("src/fts/machine.rs", text));
    expect_one(check("use std::collections::HashMap;"), "HashMap");
    expect_one(check("use std::time::Instant;"), "std::time");
    expect_one(check("async fn f() {}"), "async");
    expect_one(check("fn f() { tokio::spawn(g()) }"), "tokio");
    expect_one(check("use std::net::{IpAddr, TcpStream};"), "std::net");
    assert_eq!(check("use std::time::Duration; // an async HashMap"), Findings::new());
    assert_eq!(check("use std::net::{IpAddr, Ipv4Addr};"), Findings::new());
    assert_eq!(check("#[cfg(test)]\nmod tests { use std::fs; }"), Findings::new());
    let all_but_one: Vec<String> = KERNEL[1..].iter().map(ToString::to_string).collect();
    expect_one(missing(&all_but_one), "src/types/");
}
