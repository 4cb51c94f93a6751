//! Reads the tree. Splits Rust text into code, comments and literals, and cuts test modules off.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the root of the repository, with forward slashes.
    pub path: String,
    pub text: String,
    /// The text with comments and the insides of literals blanked; same lines, same columns.
    pub code: String,
    /// The text with everything but comments blanked.
    pub comments: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let (code, comments) = split(text);
        Source { path: path.to_string(), text: text.to_string(), code, comments }
    }

    /// A file that holds nothing but tests.
    pub fn is_test_file(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.ends_with("_tests.rs")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// The code without `#[cfg(test)]` items, blanked in place.
    pub fn product_code(&self) -> String {
        if self.is_test_file() { String::new() } else { blank_tests(&self.code) }
    }

    /// The code of tests alone.
    pub fn test_code(&self) -> String {
        let product = self.product_code();
        if product.is_empty() {
            return self.code.clone();
        }
        let keep = |(test, product): (char, char)| {
            if test == '\n' || test != product { test } else { ' ' }
        };
        self.code.chars().zip(product.chars()).map(keep).collect()
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the project, read once.
pub fn rust() -> &'static [Source] {
    static FOUND: OnceLock<Vec<Source>> = OnceLock::new();
    let found = FOUND.get_or_init(|| files(&["src", "tests", "benches"], "rs"));
    assert!(found.len() > 20, "the tree was not found");
    found
}

/// Files below the folders with this extension, sorted by path.
pub fn files(folders: &[&str], extension: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    let wanted = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    paths.into_iter().filter(wanted).map(|path| read(&path)).collect()
}

/// Every text file that is committed, build products apart.
pub fn everything() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    let lock = |path: &PathBuf| path.ends_with("Cargo.lock");
    let texts = paths.into_iter().filter(|path| !lock(path));
    texts.filter(|path| fs::read_to_string(path).is_ok()).map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let relative = path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/");
    if relative.ends_with(".rs") {
        return Source::new(&relative, &text);
    }
    Source { path: relative, code: String::new(), comments: String::new(), text }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push(path);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    Line,
    Block(u32),
    Text,
    Raw(usize),
}

/// Code and comments of a Rust text, each with the other blanked.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next, taken, shown) = advance(&chars, at, state);
        for &c in &chars[at..at + taken] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            let is_comment = matches!(state, State::Line | State::Block(_))
                || matches!(next, State::Line | State::Block(_));
            code.push(if shown { c } else { blank });
            comments.push(if is_comment { c } else { blank });
        }
        state = next;
        at += taken;
    }
    (code, comments)
}

/// From `at` in `state`: the state after, how many characters that takes, whether they are code.
fn advance(chars: &[char], at: usize, state: State) -> (State, usize, bool) {
    let starts = |what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    match state {
        State::Code if starts("//") => (State::Line, 2, false),
        State::Code if starts("/*") => (State::Block(1), 2, false),
        State::Code if starts("\"") => (State::Text, 1, true),
        State::Code => match raw_string(chars, at) {
            Some((hashes, taken)) => (State::Raw(hashes), taken, true),
            None => {
                let taken = character(chars, at);
                (State::Code, taken, taken == 1)
            }
        },
        State::Line if starts("\n") => (State::Code, 1, false),
        State::Line => (State::Line, 1, false),
        State::Block(1) if starts("*/") => (State::Code, 2, false),
        State::Block(depth) if starts("*/") => (State::Block(depth - 1), 2, false),
        State::Block(depth) if starts("/*") => (State::Block(depth + 1), 2, false),
        State::Block(depth) => (State::Block(depth), 1, false),
        State::Text if starts("\\") && at + 1 < chars.len() => (State::Text, 2, false),
        State::Text if starts("\"") => (State::Code, 1, true),
        State::Text => (State::Text, 1, false),
        State::Raw(hashes) => {
            let end = format!("\"{}", "#".repeat(hashes));
            if starts(&end) { (State::Code, hashes + 1, true) } else { (state, 1, false) }
        }
    }
}

/// Length of a character literal at `at`, so that `'"'` opens no string; else 1.
fn character(chars: &[char], at: usize) -> usize {
    if chars[at] != '\'' {
        return 1;
    }
    match (chars.get(at + 1), chars.get(at + 2), chars.get(at + 3)) {
        (Some('\\'), Some(_), Some('\'')) => 4,
        (Some(_), Some('\''), _) => 3,
        _ => 1,
    }
}

fn raw_string(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let before = at.checked_sub(1).and_then(|i| chars.get(i));
    if chars[at] != 'r' || before.is_some_and(|c| (c.is_alphanumeric() && *c != 'b') || *c == '_') {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some((hashes, hashes + 2))
}

/// Blanks each item that `#[cfg(test)]` stands on.
fn blank_tests(code: &str) -> String {
    let marker = "#[cfg(test)]";
    let mut chars: Vec<char> = code.chars().collect();
    let mut from = 0;
    while let Some(start) = find(&chars, marker, from) {
        let end = item_end(&chars, start + marker.len());
        for c in &mut chars[start..end] {
            if *c != '\n' {
                *c = ' ';
            }
        }
        from = end;
    }
    chars.into_iter().collect()
}

fn find(chars: &[char], what: &str, from: usize) -> Option<usize> {
    let what: Vec<char> = what.chars().collect();
    (from..chars.len().saturating_sub(what.len())).find(|i| chars[*i..].starts_with(&what))
}

/// End of the item at `from`: after its block, or after its semicolon.
pub fn item_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    for (i, c) in chars.iter().enumerate().skip(from) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return i + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    chars.len()
}

/// Words of code with the line that each stands on; `::` is a word, other marks are words too.
pub fn words(code: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut word = String::new();
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                words.push((number + 1, std::mem::take(&mut word)));
            }
            if c == ':' && rest.peek() == Some(&':') {
                rest.next();
                words.push((number + 1, "::".to_string()));
            } else if !c.is_whitespace() {
                words.push((number + 1, c.to_string()));
            }
        }
        if !word.is_empty() {
            words.push((number + 1, word));
        }
    }
    words
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let text = "let a = \"x // y\"; // tail\nlet b = r#\"q \" z\"#; /* c\nd */ e('\"', 'f')";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.code.lines().count(), text.lines().count());
    assert!(!source.code.contains('x') && !source.code.contains('z'));
    assert!(!source.code.contains("tail") && !source.code.contains("d */"));
    assert!(source.code.contains("e(   ,    )"), "{}", source.code);
    assert!(source.comments.contains("tail") && !source.comments.contains('x'));
}

#[test]
fn test_modules_are_cut_off() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if c {} }\n}\nfn d() {}";
    let source = Source::new("src/a.rs", text);
    assert!(source.product_code().contains("fn d"));
    assert!(!source.product_code().contains("fn b"));
    assert!(source.test_code().contains("fn b") && !source.test_code().contains("fn a"));
}
