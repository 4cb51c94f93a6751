//! The rules of `docs/style.md` that a machine can check. Standard library only, under a second.
//!
//! Every check is a function from sources to findings; beside the test that runs it over the tree
//! stands one that feeds it a bad snippet, so that no check can be blind.

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/kernel.rs"]
mod kernel;
#[path = "tidy/mutations.rs"]
mod mutations;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/protocol.rs"]
mod protocol;
#[path = "tidy/scripts.rs"]
mod scripts;
#[path = "tidy/size.rs"]
mod size;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

/// One sentence for each thing that is wrong; a check of a tidy tree returns none.
type Findings = Vec<String>;

fn expect_none(findings: Findings) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// For the tests of the checks: exactly one finding, which says `part`.
fn expect_one(findings: Findings, part: &str) {
    assert_eq!(findings.len(), 1, "wanted one finding with {part:?}, got {findings:?}");
    assert!(findings[0].contains(part), "{:?} does not say {part:?}", findings[0]);
}
