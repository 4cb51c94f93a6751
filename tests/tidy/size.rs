//! Limits of size: lines of a file, lines and parameters of a function, columns of a line.

use crate::source::{Source, item_end, rust};
use crate::{Findings, expect_none, expect_one};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const PARAMETERS: usize = 5;
const COLUMNS: usize = 100;

/// What is larger than the limit today, as (file or function, size). It may only shrink: a larger
/// size is a finding, and so is an entry that is no longer needed or could be lower.
const ALLOWED: &[(&str, usize)] = &[];

/// (name for the allow-list, where, size, limit, unit)
struct Excess {
    name: String,
    place: String,
    size: usize,
    limit: usize,
    unit: &'static str,
}

fn excesses(source: &Source) -> Vec<Excess> {
    let mut found = Vec::new();
    let lines = source.product_code();
    let lines = lines.lines().zip(source.text.lines());
    // Blanked tests leave empty code under text that is not; comments count as lines of the file.
    let cut = |(code, text): &(&str, &str)| {
        code.trim().is_empty() && !text.trim().is_empty() && !is_comment(text)
    };
    let all = source.text.lines().count();
    let counted = if source.is_test_file() { all } else { lines.filter(|line| !cut(line)).count() };
    if counted > FILE_LINES {
        found.push(Excess {
            name: source.path.clone(),
            place: source.path.clone(),
            size: counted,
            limit: FILE_LINES,
            unit: "lines",
        });
    }
    // In tests a long function is a table of cases.
    for function in functions(&source.product_code()) {
        let place = format!("{}:{} {}", source.path, function.line, function.name);
        let name = format!("{} {}", source.path, function.name);
        let sizes = [
            (function.lines, FUNCTION_LINES, "lines"),
            (function.parameters, PARAMETERS, "parameters"),
        ];
        for (size, limit, unit) in sizes {
            if size > limit {
                let (name, place) = (name.clone(), place.clone());
                found.push(Excess { name, place, size, limit, unit });
            }
        }
    }
    found
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
    parameters: usize,
}

fn functions(code: &str) -> Vec<Function> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    for i in 0..chars.len() {
        line += usize::from(chars[i] == '\n');
        let boundary = i == 0 || !(chars[i - 1].is_alphanumeric() || chars[i - 1] == '_');
        if !boundary || !chars[i..].starts_with(&['f', 'n', ' ']) {
            continue;
        }
        let name: String =
            chars[i + 3..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
        if name.is_empty() {
            continue;
        }
        let end = item_end(&chars, i);
        let lines = chars[i..end].iter().filter(|c| **c == '\n').count() + 1;
        found.push(Function { name, line, lines, parameters: parameters(&chars[i..end]) });
    }
    found
}

/// Parameters of the function that starts here, `self` not counted.
fn parameters(item: &[char]) -> usize {
    let Some(open) = item.iter().position(|c| *c == '(') else { return 0 };
    let (mut depth, mut angle, mut list) = (0, 0, vec![String::new()]);
    for (i, c) in item.iter().enumerate().skip(open) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '<' => angle += 1,
            '>' if item[i - 1] != '-' => angle -= 1,
            ',' if depth == 1 && angle == 0 => list.push(String::new()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if let (Some(last), true) = (list.last_mut(), *c != ',') {
            last.push(*c);
        }
    }
    let real = |text: &&String| {
        let text = text.trim_start_matches('(').trim();
        let name = text.split(':').next().unwrap_or("");
        !text.is_empty()
            && !name.split_whitespace().any(|word| word.trim_start_matches('&') == "self")
    };
    list.iter().filter(real).count()
}

fn judge(excesses: &[Excess], allowed: &[(&str, usize)]) -> Findings {
    let mut found = Vec::new();
    for excess in excesses {
        let Excess { name, place, size, limit, unit } = excess;
        match allowed.iter().find(|(allowed, _)| allowed == name) {
            None => found.push(format!("{place}: {size} {unit}, at most {limit}")),
            Some((_, known)) if size != known => {
                found.push(format!("{place}: {size} {unit}, the allow-list says {known}"));
            }
            Some(_) => {}
        }
    }
    for (name, _) in allowed {
        if !excesses.iter().any(|excess| excess.name == *name) {
            found.push(format!("{name}: no longer needed on the allow-list"));
        }
    }
    found
}

fn wide_lines(source: &Source) -> Findings {
    let wide = source.text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS);
    wide.map(|(i, _)| format!("{}:{}: over {COLUMNS} columns", source.path, i + 1)).collect()
}

#[test]
fn files_and_functions_are_short() {
    let excesses: Vec<Excess> = rust().iter().flat_map(excesses).collect();
    expect_none(judge(&excesses, ALLOWED));
}

#[test]
fn lines_are_short() {
    expect_none(rust().iter().flat_map(wide_lines).collect());
}

#[test]
fn long_files_and_functions_are_found() {
    let check = |text: &str| judge(&excesses(&Source::new("src/a/b.rs", text)), &[]);
    expect_one(check(&"const A: u8 = 1;\n".repeat(FILE_LINES + 1)), "401 lines");
    let test = Source::new("tests/a/b.rs", &"const A: u8 = 1;\n".repeat(FILE_LINES + 1));
    expect_one(judge(&excesses(&test), &[]), "401 lines");
    let tested = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "const A: u8 = 1;\n".repeat(500));
    assert_eq!(check(&tested), Findings::new());
    let long = format!("impl A {{ fn long(&self) {{\n{}}} }}", "a();\n".repeat(FUNCTION_LINES - 1));
    expect_one(check(&long), "long: 71 lines");
    let many = "fn many(&mut self, a: B<C, D>, b: fn(u8) -> u8, c: (u8, u8), d: u8, e: u8) {}";
    assert_eq!(check(many), Findings::new());
    expect_one(check("fn many(a: A, b: B, c: C, d: D, e: E, f: F,) {}"), "6 parameters");
    expect_one(wide_lines(&Source::new("src/a.rs", &"x".repeat(101))), "100 columns");
}

#[test]
fn the_allow_list_only_shrinks() {
    let long = Source::new("src/a.rs", &"const A: u8 = 1;\n".repeat(450));
    let check = |allowed: &[(&str, usize)]| judge(&excesses(&long), allowed);
    assert_eq!(check(&[("src/a.rs", 450)]), Findings::new());
    expect_one(check(&[("src/a.rs", 440)]), "allow-list says 440");
    expect_one(check(&[("src/a.rs", 460)]), "allow-list says 460");
    expect_one(check(&[("src/a.rs", 450), ("src/b.rs", 500)]), "no longer needed");
}
