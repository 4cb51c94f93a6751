//! What may stand only in certain places: fences, machine paths, waiting, skipped tests, files.

use crate::source::{Source, everything, item_end, rust, words};
use crate::{Findings, expect_none, expect_one};

/// Where a fence may be minted, beside the file that defines it.
const MINTS: &[&str] = &["src/ha/", "src/master/node/", "src/types/epoch.rs"];

fn mints(source: &Source) -> Findings {
    let allowed = MINTS.iter().any(|place| source.path.starts_with(place));
    let code = source.product_code();
    let lines = code.lines().enumerate().filter(|(_, line)| line.contains("Fence::mint"));
    let text = |(i, _)| format!("{}:{}: only ha mints a fence", source.path, i + 1);
    if allowed { Vec::new() } else { lines.map(text).collect() }
}

/// Home folders and working folders of somebody's machine.
fn machine_paths(source: &Source) -> Findings {
    let banned = ["work", "root", "farm"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for (i, line) in source.text.lines().enumerate() {
        let starts_path = |at: usize| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-)}/:$".contains(c))
        };
        let hit = |path: &&String| line.match_indices(path.as_str()).any(|(at, _)| starts_path(at));
        if let Some(path) = banned.iter().find(hit) {
            found.push(format!("{}:{}: a path of one machine, {path}", source.path, i + 1));
        }
    }
    found
}

fn skipped_tests(source: &Source) -> Findings {
    let marker = ["#[", "ignore"].concat();
    let lines = source.code.lines().enumerate().filter(|(_, line)| line.contains(&marker));
    lines.map(|(i, _)| format!("{}:{}: a skipped test", source.path, i + 1)).collect()
}

/// Tests wait for a condition with a bound, in a function named for that; they never just wait.
fn sleeps(source: &Source) -> Findings {
    let mut chars: Vec<char> = source.test_code().chars().collect();
    for start in waiting_functions(&chars) {
        let end = item_end(&chars, start);
        chars[start..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
    }
    let code: String = chars.into_iter().collect();
    let waits = ["sle", "ep("].concat();
    let lines = code.lines().enumerate().filter(|(_, line)| line.contains(&waits));
    lines.map(|(i, _)| format!("{}:{}: a fixed wait in a test", source.path, i + 1)).collect()
}

/// Where `fn eventually…` and `fn wait_…` start.
fn waiting_functions(chars: &[char]) -> Vec<usize> {
    let names = ["fn eventually", "fn wait_"].map(|name| name.chars().collect::<Vec<char>>());
    (0..chars.len()).filter(|i| names.iter().any(|name| chars[*i..].starts_with(name))).collect()
}

/// Every file says at its top what it is for.
fn without_purpose(source: &Source) -> Findings {
    let purpose = source.text.trim_start().starts_with("//!");
    if purpose { Vec::new() } else { vec![format!("{}: does not begin with //!", source.path)] }
}

/// Every file is a module of something.
fn dead_files(sources: &[Source]) -> Findings {
    let roots = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        matches!(parts[..], ["src", "lib.rs"] | ["tests" | "benches", _])
            || matches!(parts[..], ["src", "bin", _] | ["src", "bin", _, "main.rs"])
            || matches!(parts[..], ["tests" | "benches", _, "main.rs"])
            || matches!(parts[..], ["tests", "kernel", "lib.rs"])
            || matches!(parts[..], ["tests", "kernel", "model", "model.rs"])
    };
    let mut declared = Vec::new();
    for source in sources {
        let words = words(&source.code);
        for pair in words.windows(3) {
            if pair[0].1 == "mod" && (pair[2].1 == ";" || pair[2].1 == "{") {
                declared.push((folder(&source.path).to_string(), pair[1].1.clone()));
            }
        }
        declared.extend(paths_of_modules(&source.text).into_iter().map(|name| {
            let stem = name.trim_end_matches(".rs").rsplit('/').next().unwrap_or("").to_string();
            (folder(&source.path).to_string(), stem)
        }));
    }
    let is_declared = |path: &str| {
        let own = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs")).unwrap_or(path);
        let name = own.rsplit('/').next().unwrap_or(own);
        let above = [folder(own), folder(folder(own))];
        declared.iter().any(|(folder, module)| module == name && above.contains(&folder.as_str()))
    };
    let dead = sources.iter().filter(|source| !roots(&source.path) && !is_declared(&source.path));
    dead.map(|source| format!("{}: no module of anything", source.path)).collect()
}

/// Files that `#[path = "…"]` names.
fn paths_of_modules(text: &str) -> Vec<String> {
    let after = text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \""));
    after.filter_map(|rest| Some(rest.split('"').next()?.to_string())).collect()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[test]
fn only_ha_mints_fences() {
    expect_none(rust().iter().flat_map(mints).collect());
    expect_one(mints(&Source::new("src/wal/a.rs", "let f = Fence::mint(e);")), "only ha");
}

#[test]
fn no_path_of_one_machine() {
    expect_none(everything().iter().flat_map(machine_paths).collect());
    let text = format!("cd /{}/main", "work");
    expect_one(machine_paths(&Source::new("src/a.rs", &text)), "a path of one machine");
}

#[test]
fn no_test_is_skipped() {
    expect_none(rust().iter().flat_map(skipped_tests).collect());
    let text = ["#[", "ignore]\nfn a() {}"].concat();
    expect_one(skipped_tests(&Source::new("tests/a.rs", &text)), "a skipped test");
}

#[test]
fn tests_wait_for_conditions() {
    expect_none(rust().iter().flat_map(sleeps).collect());
    let check = |path: &str, text: &str| {
        sleeps(&Source::new(path, &text.replace("pause(", &["sle", "ep("].concat())))
    };
    expect_one(check("tests/a.rs", "fn a() { thread::pause(B); }"), "a fixed wait");
    expect_one(check("src/a.rs", "#[cfg(test)]\nmod tests { fn a() { pause(B); } }"), "fixed");
    let bounded = "fn eventually(d: D) { while d.left() { pause(B); } }";
    assert_eq!(check("tests/a.rs", bounded), Findings::new());
    assert_eq!(check("src/a.rs", "fn a() { pause(B); }"), Findings::new());
}

#[test]
fn every_file_says_what_it_is_for() {
    expect_none(rust().iter().flat_map(without_purpose).collect());
    expect_one(without_purpose(&Source::new("src/a.rs", "use b;")), "does not begin");
}

#[test]
fn every_file_is_a_module() {
    expect_none(dead_files(rust()));
    let library = Source::new("src/lib.rs", "pub mod a;");
    let module = Source::new("src/a/mod.rs", "mod b;");
    let used = Source::new("src/a/b.rs", "#[path = \"b_tests.rs\"]\nmod tests;");
    let tests = Source::new("src/a/b_tests.rs", "");
    let dead = Source::new("src/a/c.rs", "");
    expect_one(dead_files(&[library, module, used, tests, dead]), "src/a/c.rs");
}
