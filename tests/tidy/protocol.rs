//! The wire formats: package, header, epochs in requests, numbers used once.

use crate::source::{Source, files};
use crate::{Findings, expect_none, expect_one};

/// Requests of an operator, who speaks to whoever answers, whatever its epoch; and those to a
/// voter, which go by ballots.
const WITHOUT_EPOCH: &[&str] = &[
    "StatusRequest",
    "ActivateRequest",
    "AdmitRequest",
    "RemoveRequest",
    "StopRequest",
    "ForceOpenRequest",
    "ReleaseRequest",
    "PauseRequest",
    "EnableRequest",
    "DisableRequest",
    "PrepareRequest",
    "AcceptRequest",
    "DescribeRequest",
    "RejoinRequest",
    "HistoryRequest",
    "ListVotersRequest",
    "ChangeVotersRequest",
];

/// A message or an enum: its name and its lines, with comments gone.
struct Block {
    is_enum: bool,
    name: String,
    lines: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or("").trim();
        let head = line.strip_suffix('{').or_else(|| line.strip_suffix("{}"));
        let mut words = head.unwrap_or("").split_whitespace();
        match (words.next(), words.next()) {
            (Some(kind @ ("message" | "enum")), Some(name)) => {
                let (is_enum, name) = (kind == "enum", name.to_string());
                blocks.push(Block { is_enum, name, lines: Vec::new() });
            }
            _ => blocks.iter_mut().last().into_iter().for_each(|b| b.lines.push(line.to_string())),
        }
    }
    blocks
}

/// (name, number) of each field or value.
fn numbers(block: &Block) -> Vec<(&str, i64)> {
    let field = |line: &'_ String| -> Option<(usize, i64)> {
        let (left, right) = line.split_once('=')?;
        let number = right.trim_end_matches(';').split('[').next()?.trim().parse().ok()?;
        Some((left.trim_end().len(), number))
    };
    let with_name = |line| {
        let (length, number) = field(line)?;
        Some((line[..length].split_whitespace().last()?, number))
    };
    block.lines.iter().filter_map(with_name).collect()
}

fn requests(text: &str) -> Vec<String> {
    let argument = |line: &str| -> Option<String> {
        let line = line.trim().strip_prefix("rpc ")?;
        let inside = line.split_once('(')?.1.split_once(')')?.0;
        Some(inside.trim_start_matches("stream ").trim().to_string())
    };
    text.lines().filter_map(argument).collect()
}

fn findings(source: &Source) -> Findings {
    let (path, text) = (&source.path, &source.text);
    let mut found = Vec::new();
    if !text.contains("\npackage hawq.v1;") {
        found.push(format!("{path}: package is not hawq.v1"));
    }
    let header: String = text.lines().take_while(|line| line.starts_with("//")).collect();
    if header.is_empty() || (text.contains("\nservice ") && !header.contains("grpcurl")) {
        found.push(format!("{path}: no header comment, or none with a grpcurl line"));
    }
    let requests = requests(text);
    for block in blocks(text) {
        let numbers = numbers(&block);
        for (i, (name, number)) in numbers.iter().enumerate() {
            if numbers[..i].iter().any(|(_, earlier)| earlier == number) {
                found.push(format!("{path}: {}.{name} reuses number {number}", block.name));
            }
        }
        let zero = numbers.first().is_some_and(|(n, i)| n.ends_with("_UNSPECIFIED") && *i == 0);
        if block.is_enum && !zero {
            found.push(format!("{path}: enum {} does not begin with _UNSPECIFIED", block.name));
        }
        let exempt = WITHOUT_EPOCH.contains(&block.name.as_str());
        let has_epoch = numbers.iter().any(|(name, _)| *name == "epoch");
        if requests.contains(&block.name) && has_epoch == exempt {
            found.push(format!("{path}: request {}: epoch {has_epoch}", block.name));
        }
    }
    found
}

#[test]
fn wire_formats_follow_the_rules() {
    let files = files(&["proto"], "proto");
    assert!(files.len() >= 4);
    expect_none(files.iter().flat_map(findings).collect());
}

#[test]
fn bad_wire_formats_are_found() {
    let check = |text: &str| findings(&Source::new("proto/a.proto", text));
    let head = "// grpcurl a\n\npackage hawq.v1;\n";
    assert_eq!(check(head), Findings::new());
    expect_one(check("// a\npackage hawq.v2;\n"), "package");
    expect_one(check("\npackage hawq.v1;\n"), "no header");
    let reused = format!("{head}message A {{\n  string a = 1;\n  uint32 b = 1;  // again\n}}\n");
    expect_one(check(&reused), "A.b reuses number 1");
    expect_one(check(&format!("{head}enum B {{\n  B_ONE = 0;\n}}\n")), "enum B");
    let request = "service S {\n  rpc Ask(AskRequest) returns (Answer);\n}\n";
    let request = format!("{head}{request}message AskRequest {{\n  string a = 1;\n}}\n");
    expect_one(check(&request), "request AskRequest");
}
