//! The startup parameter `options`: PostgreSQL's command-line switches for one session.
//!
//! Splits at spaces (a backslash escapes one), knows `-c name=value`, `-cname=value` and
//! `--name=value` (dashes in the name become underscores). Whether a setting exists is decided by
//! whoever opens the session.

use super::{Failure, SqlState};

/// The settings named in `options`, in their order.
pub fn parse(options: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            let next = words.next();
            next.ok_or_else(|| refuse("option requires an argument -- 'c'", &word))?
        } else if let Some(rest) = word.strip_prefix("--") {
            rest.to_owned()
        } else if let Some(rest) = word.strip_prefix("-c") {
            rest.to_owned()
        } else {
            return Err(refuse("invalid command-line argument for server process", &word));
        };
        let Some((name, value)) = assignment.split_once('=') else {
            let option = if word.starts_with("--") { "--" } else { "-c " };
            let message = format!("{option}{assignment} requires a value");
            return Err(Failure::fatal(SqlState::SyntaxError, message));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn refuse(message: &str, word: &str) -> Failure {
    Failure::fatal(SqlState::SyntaxError, format!("{message}: {word}"))
}

fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        if character.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let escaped = if character == '\\' { characters.next() } else { Some(character) };
        word.get_or_insert_default().extend(escaped);
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &str, expected: &[(&str, &str)]) {
        let parsed = parse(options).unwrap();
        let parsed: Vec<(&str, &str)> =
            parsed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(parsed, expected, "{options}");
    }

    #[test]
    fn forms_that_hawqs_tools_send() {
        check("", &[]);
        check("-c gp_session_role=utility", &[("gp_session_role", "utility")]);
        check(
            " -c gp_session_role=UTILITY -c allow_system_table_mods=dml ",
            &[("gp_session_role", "UTILITY"), ("allow_system_table_mods", "dml")],
        );
        check(
            "-cgeqo=off --statement-timeout=5min",
            &[("geqo", "off"), ("statement_timeout", "5min")],
        );
    }

    #[test]
    fn escapes() {
        check(r"-c search_path=a,\ b", &[("search_path", "a, b")]);
        check(r"-c a=b\\c", &[("a", r"b\c")]);
        check("-c a=b=c", &[("a", "b=c")]);
        check("-c a=", &[("a", "")]);
    }

    #[test]
    fn refusals() {
        for options in ["-c", "-c foo", "--foo", "-x", "foo", "-c a=b -B 5"] {
            let refused = parse(options).unwrap_err();
            assert!(refused.is_fatal(), "{options}");
            assert_eq!(refused.state.code(), "42601", "{options}");
        }
    }
}
