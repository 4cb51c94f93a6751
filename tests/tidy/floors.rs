//! The floors of `src/lib.rs`: an arrow of `use` goes down, and siblings do not see each other.

use crate::source::{Source, rust, words};
use crate::{Findings, expect_none, expect_one};

const FLOORS: &[(&str, u8)] = &[
    ("types", 0),
    ("proto", 1),
    ("runtime", 1),
    ("fts", 2),
    ("ha", 2),
    ("wal", 2),
    ("replication", 2),
    ("catalog", 2),
    ("query", 3),
    ("frontend", 3),
    ("segment_rm", 3),
    ("master", 4),
];

/// The two arrows between siblings.
const BESIDE: &[(&str, &str)] = &[("frontend", "query"), ("replication", "wal")];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn may_use(from: &str, to: &str) -> bool {
    match (floor(from), floor(to)) {
        (Some(high), Some(low)) => from == to || low < high || BESIDE.contains(&(from, to)),
        _ => false,
    }
}

/// `fts` of `src/fts/machine.rs`, and how many modules deep the file is.
fn place(path: &str) -> Option<(&str, usize)> {
    let below = path.strip_prefix("src/")?;
    let (module, rest) = below.split_once('/')?;
    let depth = rest.split('/').count() + usize::from(!rest.ends_with("mod.rs"));
    (module != "bin").then_some((module, depth))
}

fn findings(source: &Source) -> Findings {
    let Some((module, depth)) = place(&source.path) else { return Vec::new() };
    if floor(module).is_none() {
        return vec![format!("{}: module {module} stands on no floor", source.path)];
    }
    let words = words(&source.code);
    let mut found = Vec::new();
    for (line, target) in roots(&words, depth) {
        if floor(&target).is_some() && !may_use(module, &target) {
            found.push(format!("{}:{line}: {module} may not use {target}", source.path));
        }
    }
    found
}

/// The top-level modules that a text names by `crate::…`, `crate::{…}` or enough `super::`.
fn roots(words: &[(usize, String)], depth: usize) -> Vec<(usize, String)> {
    let word = |i: usize| words.get(i).map_or("", |(_, word)| word.as_str());
    let mut roots = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let supers = (0..).take_while(|n| word(at + 2 * n) == "super").count();
        let head = if word(at) == "crate" { 1 } else { supers };
        let next = at + 2 * head;
        let reaches_root = word(at) == "crate" || (supers > 0 && supers >= depth);
        if reaches_root && word(next - 1) == "::" {
            roots.extend(if word(next) == "{" { group(words, next) } else { one(words, next) });
        }
        at += if supers > 0 { 2 * supers } else { 1 };
    }
    roots
}

fn one(words: &[(usize, String)], at: usize) -> Vec<(usize, String)> {
    words.get(at).cloned().into_iter().collect()
}

/// First names of the members of the `{…}` that opens at `at`.
fn group(words: &[(usize, String)], at: usize) -> Vec<(usize, String)> {
    let mut members = Vec::new();
    let mut depth = 0;
    for (i, (_, word)) in words.iter().enumerate().skip(at) {
        match word.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            _ => {}
        }
        let starts = depth == 1 && matches!(word.as_str(), "{" | ",");
        members.extend(starts.then(|| words.get(i + 1).cloned()).flatten());
    }
    members
}

#[test]
fn arrows_go_down() {
    expect_none(rust().iter().flat_map(findings).collect());
}

#[test]
fn arrows_that_go_up_are_found() {
    let check = |path: &str, text: &str| findings(&Source::new(path, text));
    expect_one(check("src/fts/machine.rs", "use crate::catalog::Row;"), "fts may not use catalog");
    expect_one(
        check("src/ha/lease.rs", "fn f() { crate::master::run() }"),
        "ha may not use master",
    );
    let grouped = "use crate::{types::{Lsn, Epoch}, wal::Wal};";
    expect_one(check("src/catalog/apply.rs", grouped), "catalog may not use wal");
    expect_one(check("src/wal/files.rs", "use super::super::replication;"), "may not use");
    expect_one(check("src/types/mod.rs", "use super::runtime::Clock;"), "may not use runtime");
    expect_one(check("src/utilities/mod.rs", ""), "no floor");
}

#[test]
fn arrows_that_go_down_are_allowed() {
    let text = "use crate::types::Lsn; use super::record; use crate::wal::Wal; // crate::master";
    assert_eq!(findings(&Source::new("src/replication/sender.rs", text)), Findings::new());
    let text = "use super::super::record; use crate::query::Live; let s = \"crate::master\";";
    assert_eq!(findings(&Source::new("src/frontend/session/mod.rs", text)), Findings::new());
}
