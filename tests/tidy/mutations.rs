//! The patches of `tests/mutations` still fit the tree: each names a check, and what each leaves
//! out is there to be left out.

use std::fs;

use crate::source::{Source, everything, root};
use crate::{Findings, expect_none, expect_one};

/// The old text of each hunk, after the file that it is of.
fn hunks(patch: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut file = String::new();
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("--- a/") {
            path.clone_into(&mut file);
        } else if line.starts_with("@@") {
            found.push((file.clone(), String::new()));
        } else if let (Some((_, old)), Some(' ' | '-')) = (found.last_mut(), line.chars().next())
            && !line.starts_with("--- ")
        {
            *old += &line[1..];
            old.push('\n');
        }
    }
    found
}

/// Where each check that has to fail may be, and how it is named there.
fn checks(patch: &str) -> Vec<(Vec<String>, &str)> {
    let mut found = Vec::new();
    for line in patch.lines().take_while(|line| !line.is_empty()) {
        if let Some(script) = line.strip_prefix("Scenario: ") {
            found.push((vec![format!("tests/sim/scenarios/{script}.txt")], "cluster "));
        } else if let Some((kind, test)) =
            line.strip_prefix("Caught by: ").and_then(|check| check.split_once(' '))
        {
            let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
            let (file, beside) = (module.replace("::", "/"), module.strip_suffix("::tests"));
            let beside = beside.unwrap_or(module).replace("::", "/");
            let places = match kind {
                "model" => vec!["tests/kernel/model/model.rs".to_owned()],
                "register" => vec!["tests/model/register.rs".to_owned()],
                "sim" => vec!["tests/sim/main.rs".to_owned()],
                _ => ["", "_tests"].map(|end| format!("src/{beside}{end}.rs")).into(),
            };
            found.push((places.into_iter().chain([format!("src/{file}.rs")]).collect(), name));
        }
    }
    found
}

fn misfits(patch: &Source, text_of: impl Fn(&str) -> String) -> Findings {
    let mut found = Vec::new();
    let checks = checks(&patch.text);
    if checks.is_empty() {
        found.push(format!("{}: does not say which check catches it", patch.path));
    }
    for (places, text) in checks {
        if !places.iter().any(|place| text_of(place).contains(text)) {
            found.push(format!("{}: there is no {text} in {places:?}", patch.path));
        }
    }
    let hunks = hunks(&patch.text);
    if hunks.is_empty() {
        found.push(format!("{}: changes nothing", patch.path));
    }
    let gone = hunks.iter().filter(|(file, old)| !text_of(file).contains(old.as_str()));
    found.extend(gone.map(|(file, _)| format!("{}: does not fit {file} any more", patch.path)));
    found
}

#[test]
fn every_mutation_fits_the_tree() {
    let text_of = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    let is_patch = |source: &Source| source.path.ends_with(".patch");
    let patches: Vec<Source> = everything().into_iter().filter(is_patch).collect();
    assert!(patches.len() >= 28, "the mutations are gone");
    expect_none(patches.iter().flat_map(|patch| misfits(patch, text_of)).collect());
}

#[test]
fn a_mutation_that_does_not_fit_is_found() {
    let patch = "Rule 1.\nCaught by: model holds\n\n--- a/src/x.rs\n+++ b/src/x.rs\n@@ -1 +1 @@\n\
                 -a\n+b\n";
    let check = |text: &str, tree: &str| {
        misfits(&Source::new("tests/mutations/1.patch", text), |path| match path {
            "src/x.rs" => tree.to_owned(),
            "tests/kernel/model/model.rs" | "src/ha/x.rs" => "fn holds()".to_owned(),
            _ => String::new(),
        })
    };
    assert_eq!(check(patch, "a\n"), Findings::new());
    assert_eq!(check(&patch.replace("model holds", "lib ha::x::tests::holds"), "a\n"), [""; 0]);
    expect_one(check(patch, "c\n"), "does not fit src/x.rs");
    expect_one(check(&patch.replace("holds", "gone"), "a\n"), "there is no gone");
    expect_one(check(&patch.replace("Caught by: model", "Nobody"), "a\n"), "which check");
    expect_one(check(&patch.replace("Caught by: model", "Scenario:"), "a\n"), "holds.txt");
}
