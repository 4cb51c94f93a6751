//! Statement text to tokens, and a cursor over them for the statements that we parse ourselves.
//!
//! It splits a simple Query at its semicolons and bounds how complex a statement may be, before
//! anything recursive sees it. It never looks at the catalog.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::error::Error;

/// Operators in one statement; each may become a level of recursion in the planner.
const OPERATORS_MAX: usize = 500;
/// Statements in one simple Query.
const STATEMENTS_MAX: usize = 1_000;

/// One statement's text and tokens; positions in `tokens` count from the whole Query's start.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub text: String,
    pub tokens: Vec<TokenWithSpan>,
    /// How deep the parsed statement may be.
    pub operators: usize,
    /// Character offset of the end, for "at end of input".
    pub end: usize,
    lines: Vec<usize>,
}

/// Splits at top-level semicolons; empty statements vanish.
pub(crate) fn split(sql: &str) -> Result<Vec<Source>, Error> {
    let lines = line_starts(sql);
    let tokens =
        Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().map_err(|error| {
            Error::Syntax {
                message: unterminated(&error.message),
                position: Some(offset(&lines, error.location)),
            }
        })?;
    let end = sql.chars().count() + 1;
    let mut sources = Vec::new();
    let mut current: Vec<TokenWithSpan> = Vec::new();
    for token in tokens {
        match token.token {
            Token::SemiColon => {
                let stop = offset(&lines, token.span.start);
                push(&mut sources, sql, &lines, (std::mem::take(&mut current), stop))?;
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => current.push(token),
        }
    }
    push(&mut sources, sql, &lines, (current, end))?;
    Ok(sources)
}

fn push(
    sources: &mut Vec<Source>,
    sql: &str,
    lines: &[usize],
    statement: (Vec<TokenWithSpan>, usize),
) -> Result<(), Error> {
    let (tokens, end) = statement;
    let Some(first) = tokens.first() else { return Ok(()) };
    if sources.len() == STATEMENTS_MAX {
        return Err(Error::TooLarge {
            what: format!("more than {STATEMENTS_MAX} statements in one query"),
        });
    }
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators > OPERATORS_MAX {
        return Err(Error::TooDeep);
    }
    let start = offset(lines, first.span.start);
    let text = sql.chars().skip(start - 1).take(end - start).collect::<String>();
    let text = text.trim_end().to_owned();
    sources.push(Source { text, tokens, operators, end, lines: lines.to_vec() });
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) if word.quote_style.is_none() => matches!(
            word.value.to_ascii_uppercase().as_str(),
            "AND"
                | "OR"
                | "NOT"
                | "IS"
                | "LIKE"
                | "ILIKE"
                | "IN"
                | "BETWEEN"
                | "UNION"
                | "JOIN"
                | "INTERSECT"
                | "EXCEPT"
                | "COLLATE"
                | "CASE"
                | "WHEN"
                | "SELECT"
                | "OPERATOR"
        ),
        Token::Word(_)
        | Token::Number(..)
        | Token::Comma
        | Token::Period
        | Token::RParen
        | Token::LParen
        | Token::RBracket
        | Token::Placeholder(_) => false,
        other => !is_literal(other),
    }
}

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

fn unterminated(message: &str) -> String {
    if message.contains("nterminated") {
        "unterminated quoted string or comment".to_owned()
    } else {
        format!("syntax error: {message}")
    }
}

fn line_starts(sql: &str) -> Vec<usize> {
    let newlines = sql.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(newlines).collect()
}

fn offset(lines: &[usize], location: Location) -> usize {
    let line = usize::try_from(location.line).unwrap_or(1).max(1);
    let column = usize::try_from(location.column).unwrap_or(1).max(1);
    lines.get(line - 1).copied().unwrap_or(0) + column
}

impl Source {
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { source: self, at: 0 }
    }

    pub(crate) fn position(&self, location: Location) -> usize {
        offset(&self.lines, location)
    }

    /// The part of the statement from token `at` on, as it was written.
    pub(crate) fn text_from(&self, at: usize) -> String {
        let (Some(first), Some(from)) = (self.tokens.first(), self.tokens.get(at)) else {
            return String::new();
        };
        let skip = self.position(from.span.start) - self.position(first.span.start);
        self.text.chars().skip(skip).collect()
    }
}

/// Reads tokens one by one; every refusal is a syntax error that names the offending token.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    source: &'a Source,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn peek(&self) -> Option<&'a Token> {
        self.source.tokens.get(self.at).map(|token| &token.token)
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub(crate) fn done(&self) -> bool {
        self.at >= self.source.tokens.len()
    }

    /// Upper-cased unquoted word, without moving on.
    pub(crate) fn word(&self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(Word { value, quote_style: None, .. })) => {
                Some(value.to_ascii_uppercase())
            }
            _ => None,
        }
    }

    /// Takes the words if all of them stand here.
    pub(crate) fn take(&mut self, words: &[&str]) -> bool {
        let mut ahead = self.clone();
        for word in words {
            if ahead.word().as_deref() != Some(*word) {
                return false;
            }
            ahead.at += 1;
        }
        self.at = ahead.at;
        true
    }

    pub(crate) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, words: &[&str]) -> Result<(), Error> {
        if self.take(words) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(crate) fn expect_token(&mut self, token: &Token) -> Result<(), Error> {
        if self.take_token(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(crate) fn expect_end(&self) -> Result<(), Error> {
        if self.done() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// An identifier: folded to lower case unless it is quoted.
    pub(crate) fn identifier(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(if word.quote_style.is_some() {
                    word.value.clone()
                } else {
                    word.value.to_lowercase()
                })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `name` or `schema.name` (or with the database before it).
    pub(crate) fn qualified(&mut self) -> Result<Vec<String>, Error> {
        let mut parts = vec![self.identifier()?];
        while self.take_token(&Token::Period) {
            parts.push(self.identifier()?);
        }
        if parts.len() > 3 { Err(self.unexpected()) } else { Ok(parts) }
    }

    pub(crate) fn string(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(
                Token::SingleQuotedString(text)
                | Token::EscapedStringLiteral(text)
                | Token::NationalStringLiteral(text),
            ) => {
                self.at += 1;
                Ok(text.clone())
            }
            Some(Token::DollarQuotedString(text)) => {
                self.at += 1;
                Ok(text.value.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(crate) fn integer(&mut self) -> Result<i64, Error> {
        let negative = self.take_token(&Token::Minus);
        match self.peek() {
            Some(Token::Number(digits, _)) => {
                let value: i64 = digits.parse().map_err(|_| self.unexpected())?;
                self.at += 1;
                Ok(if negative { -value } else { value })
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(crate) fn unexpected(&self) -> Error {
        match self.source.tokens.get(self.at) {
            Some(token) => {
                Error::syntax_near(&token.token.to_string(), self.source.position(token.span.start))
            }
            None => Error::syntax_near("", self.source.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_semicolons_outside_of_quotes() {
        let parts = split("select ';' ; ; select $$;$$ -- ;\n;").unwrap();
        let texts: Vec<_> = parts.iter().map(|part| part.text.as_str()).collect();
        assert_eq!(texts, ["select ';'", "select $$;$$ -- ;"]);
    }

    #[test]
    fn positions_count_characters_over_lines() {
        let parts = split("select 1;\n  create ä").unwrap();
        let mut cursor = parts[1].cursor();
        assert!(cursor.take(&["CREATE"]));
        assert_eq!(cursor.unexpected().position(), Some(20));
        cursor.next();
        assert_eq!(cursor.unexpected().to_string(), "syntax error at end of input");
    }

    #[test]
    fn too_many_operators_are_refused_before_any_recursion() {
        let deep = format!("select {}", "1+".repeat(100_000) + "1");
        assert!(matches!(split(&deep), Err(Error::TooDeep)));
        let list = format!("select 1 in ({}1)", "1,".repeat(20_000));
        assert_eq!(split(&list).unwrap().len(), 1);
    }
}
