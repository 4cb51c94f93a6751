//! What the documents name exists: tests, files, commands of the Makefile.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Source, everything, root, rust, words};
use crate::{Findings, expect_none, expect_one};

/// Names in backquotes after the word "test" or "tests": `ARCHITECTURE.md` promises that each
/// invariant has one.
fn named_tests(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let Some(at) = line.find("Test: ").or_else(|| line.find("Tests: ")) else { continue };
        names.extend(quoted(&line[at..]));
    }
    names
}

/// What stands in backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(ToString::to_string).collect()
}

fn missing_tests(text: &str, known: &BTreeSet<String>) -> Findings {
    let names = named_tests(text).into_iter().filter(|name| !known.contains(name));
    names.map(|name| format!("ARCHITECTURE.md names test {name}, which is not there")).collect()
}

/// Functions under test folders and modules, and scenario files by their stem.
fn known_tests(sources: &[Source], all: &[Source]) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for source in sources {
        let words = words(&source.test_code());
        let functions = words.windows(2).filter(|pair| pair[0].1 == "fn");
        known.extend(functions.map(|pair| pair[1].1.clone()));
    }
    let scenarios = all.iter().filter(|source| source.path.contains("/scenarios/"));
    known.extend(scenarios.filter_map(|source| {
        let name = source.path.rsplit('/').next()?;
        Some(name.split('.').next()?.to_string())
    }));
    known
}

/// Paths in backquotes that look like files of this repository and are not there.
fn missing_files(source: &Source) -> Findings {
    let is_ours = |name: &String| {
        let first = name.split('/').next().unwrap_or("");
        let plain = !name.contains(['*', ' ', '<', '{', '…', '$']) && !name.contains("NNNN");
        let folder = matches!(first, "src" | "tests" | "docs" | "sql" | "proto" | "benches");
        plain && folder && name.contains('/')
    };
    let exists = |name: &String| root().join(name.split("::").next().unwrap_or("")).exists();
    let gone = quoted(&source.text).into_iter().filter(|name| is_ours(name) && !exists(name));
    gone.map(|name| format!("{} names {name}, which is not there", source.path)).collect()
}

/// Dependencies of the manifest without a line of their own in the decisions.
fn unexplained(manifest: &str, decisions: &str) -> Findings {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let name = line.split(" = ").next().unwrap_or("");
        let explained = decisions.lines().filter(|line| line.starts_with('|')).any(|line| {
            let names = line.split('|').nth(1).unwrap_or("");
            names.split([',', ' ']).any(|word| word == name)
        });
        if section.ends_with("dependencies") && line.contains(" = ") && !explained {
            found.push(format!("{name} has no line in the decision about dependencies"));
        }
    }
    found
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_tests_that_architecture_names_exist() {
    let text = read("ARCHITECTURE.md");
    assert!(named_tests(&text).len() >= 10, "ARCHITECTURE.md names too few tests");
    expect_none(missing_tests(&text, &known_tests(rust(), &everything())));
}

#[test]
fn the_files_that_documents_name_exist() {
    let documents = everything().into_iter().filter(|source| source.path.ends_with(".md"));
    expect_none(documents.flat_map(|source| missing_files(&source)).collect());
}

#[test]
fn readme_commands_are_targets() {
    let makefile = read("Makefile");
    let readme = read("README.md");
    let commands = readme.lines().filter_map(|line| line.trim().strip_prefix("make "));
    let targets: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(targets.len() >= 2, "README.md shows no commands");
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target} is not in the Makefile");
    }
}

#[test]
fn every_dependency_says_why() {
    let decisions = read("docs/decisions/0011-dependencies.md");
    expect_none(unexplained(&read("Cargo.toml"), &decisions));
    let manifest = "[package]\nname = \"a\"\n[dev-dependencies]\none = \"1\"\ntwo = \"2\"\n";
    expect_one(unexplained(manifest, "| one (tests) | because |"), "two has no line");
}

#[test]
fn what_documents_name_wrongly_is_found() {
    let known = BTreeSet::from(["one".to_string()]);
    expect_one(missing_tests("- I1. Tests: `one`, `two`.", &known), "test two");
    let document = Source::new("docs/a.md", "see `src/nowhere.rs` and `src/lib.rs`, `src/*.rs`");
    expect_one(missing_files(&document), "src/nowhere.rs");
    let tests = Source::new("src/a.rs", "fn p() {}\n#[cfg(test)]\nmod tests { fn t() {} }");
    let scenario = Source::new("src/a/scenarios/s.txt", "");
    let known = known_tests(std::slice::from_ref(&tests), std::slice::from_ref(&scenario));
    assert_eq!(known, BTreeSet::from(["s".to_string(), "t".to_string()]));
}
