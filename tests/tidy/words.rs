//! The glossary: words that have a better one, in names and comments of our own.

use crate::source::{Source, rust};
use crate::{Findings, expect_none, expect_one};

const BANNED: &[(&str, &str)] = &[
    ("slave", "standby"),
    ("leader", "primary"),
    ("follower", "standby"),
    ("dbid", "registration order"),
    ("ping", "probe"),
    ("keepalive", "heartbeat"),
    ("utils", "a name that says what it is"),
    ("util", "a name that says what it is"),
    ("helper", "a name that says what it is"),
    ("helpers", "a name that says what it is"),
    ("manager", "a name that says what it is"),
];

/// HAWQ's own names, which our users know.
const OF_HAWQ: &[&str] =
    &["resource manager", "resource_manager", "resourcemanager", "slaves", "fsedbid"];

/// Names of other people's libraries.
const OF_LIBRARIES: &[&str] = &[
    "keep_alive",
    "set_keepalive",
    "tcp keepalive",
    "http2_keepalive",
    "arrow::util",
    "disk_manager",
    "diskmanager",
    "joins::utils",
];

fn findings(source: &Source) -> Findings {
    let mut found = Vec::new();
    let stem = source.path.rsplit('/').next().unwrap_or("").trim_end_matches(".rs");
    for (word, better) in banned_in(stem) {
        found.push(format!("{}: a file named {word}; say {better}", source.path));
    }
    let lines = source.code.lines().zip(source.comments.lines());
    for (i, (code, comment)) in lines.enumerate() {
        for (word, better) in banned_in(code).into_iter().chain(banned_in(comment)) {
            found.push(format!("{}:{}: {word}; say {better}", source.path, i + 1));
        }
    }
    found
}

fn banned_in(line: &str) -> Vec<(&'static str, &'static str)> {
    let mut line = line.to_string();
    for name in OF_HAWQ.iter().chain(OF_LIBRARIES) {
        while let Some(at) = line.to_lowercase().find(name) {
            if !line.is_char_boundary(at) || !line.is_char_boundary(at + name.len()) {
                break;
            }
            line.replace_range(at..at + name.len(), " ");
        }
    }
    let words = single_words(&line);
    let is_word = |(word, _): &&(&str, &str)| words.iter().any(|found| found == word);
    BANNED.iter().filter(is_word).copied().collect()
}

/// `FollowerId` is follower and id; so is `follower_id`. A plural is its singular.
fn single_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        let starts = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if starts {
            words.push(String::new());
        }
        if let (Some(word), true) = (words.last_mut(), c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    let singulars: Vec<String> =
        words.iter().filter_map(|word| word.strip_suffix('s').map(String::from)).collect();
    words.into_iter().chain(singulars).collect()
}

#[test]
fn words_are_of_the_glossary() {
    // This file names the words.
    let ours = rust().iter().filter(|source| source.path != "tests/tidy/words.rs");
    expect_none(ours.flat_map(findings).collect());
}

#[test]
fn other_words_are_found() {
    let check = |text: &str| findings(&Source::new("src/a/b.rs", text));
    expect_one(check("struct FollowerId;"), "say standby");
    expect_one(check("let last_ping = 1;"), "say probe");
    expect_one(check("// The leaders differ."), "say primary");
    expect_one(findings(&Source::new("src/a/helper.rs", "")), "file named helper");
    assert_eq!(check("let mapping = skipping; // a copied line"), Findings::new());
    assert_eq!(check("// The resource manager of HAWQ reads etc/slaves."), Findings::new());
    assert_eq!(check("let text = \"the leader\";"), Findings::new());
}
