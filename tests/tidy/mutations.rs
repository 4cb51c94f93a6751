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

fn misfits(patch: &Source, text_of: impl Fn(&str) -> String) -> Findings {
    let mut found = Vec::new();
    let named = patch.text.lines().find_map(|line| line.strip_prefix("Caught by: "));
    let kind = named.and_then(|check| check.split(' ').next());
    if !matches!(kind, Some("model" | "sim" | "lib")) {
        found.push(format!("{}: does not say which check catches it", patch.path));
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
    assert!(patches.len() >= 10, "the mutations are gone");
    expect_none(patches.iter().flat_map(|patch| misfits(patch, text_of)).collect());
}

#[test]
fn a_mutation_that_does_not_fit_is_found() {
    let patch =
        "Rule 1.\nCaught by: model\n\n--- a/src/x.rs\n+++ b/src/x.rs\n@@ -1 +1 @@\n-a\n+b\n";
    let check = |text: &str, tree: &str| {
        misfits(&Source::new("tests/mutations/1.patch", text), |_| tree.to_owned())
    };
    assert_eq!(check(patch, "a\n"), Findings::new());
    expect_one(check(patch, "c\n"), "does not fit src/x.rs");
    expect_one(check(&patch.replace("model", "nobody"), "a\n"), "which check");
}
