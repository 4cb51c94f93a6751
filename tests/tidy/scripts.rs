//! The scripts of `sql/`: numbered, each number once, and each says what it is.

use crate::source::{Source, files};
use crate::{Findings, expect_none, expect_one};

fn findings(scripts: &[Source]) -> Findings {
    let mut found = Vec::new();
    let mut numbers: Vec<&str> = Vec::new();
    for script in scripts {
        let name = script.path.rsplit('/').next().unwrap_or("");
        let number = name.split('_').next().unwrap_or("");
        let numbered = number.len() == 2 && number.chars().all(|c| c.is_ascii_digit());
        if !numbered {
            found.push(format!("{}: not named NN_what.sql", script.path));
        }
        if numbered && numbers.contains(&number) {
            found.push(format!("{}: number {number} is taken", script.path));
        }
        numbers.push(number);
        if !script.text.starts_with("--") {
            found.push(format!("{}: does not begin with a comment", script.path));
        }
    }
    found
}

#[test]
fn scripts_are_numbered() {
    expect_none(findings(&files(&["sql"], "sql")));
}

#[test]
fn scripts_without_number_are_found() {
    let script = |path: &str, text: &str| Source::new(path, text);
    expect_one(findings(&[script("sql/views.sql", "-- V.")]), "not named");
    let twice = [script("sql/10_a.sql", "-- A."), script("sql/10_b.sql", "-- B.")];
    expect_one(findings(&twice), "number 10 is taken");
    expect_one(findings(&[script("sql/10_a.sql", "create")]), "comment");
}
