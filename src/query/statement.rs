//! Which statement a text is: ours to do by hand, or a query for the planner.
//!
//! Utility statements and HAWQ's DDL are parsed here from tokens, since the SQL parser does not
//! know all of them; everything else goes to the SQL parser. Nothing is looked up.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ddl::Ddl;
use super::error::Error;
use super::lexer::{Source, split};
use super::savepoint::SavepointVerb;
use super::utility_parse::utility;

/// Nested parentheses, subqueries and calls in one statement.
pub(crate) const NESTING_MAX: usize = 40;

/// One parsed statement and its own text.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) text: String,
    /// Bounds the depth of recursion over it.
    pub(crate) operators: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Query(Arc<ast::Query>),
    /// INSERT, UPDATE, DELETE, TRUNCATE of the named relation.
    Write {
        command: &'static str,
        target: Vec<String>,
    },
    Begin {
        modes: Modes,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    Savepoint {
        verb: SavepointVerb,
        name: String,
    },
    Set {
        name: String,
        value: SetValue,
        local: bool,
    },
    SetTransaction {
        modes: Modes,
        session: bool,
    },
    Show {
        name: String,
    },
    ShowAll,
    Reset {
        name: Option<String>,
    },
    Discard {
        what: String,
    },
    /// LISTEN, UNLISTEN, NOTIFY, LOCK …: accepted, nothing to do.
    Nothing {
        tag: &'static str,
    },
    Prepare {
        name: String,
        types: Vec<String>,
        statement: Box<Statement>,
    },
    Execute {
        name: String,
        arguments: Vec<ast::Expr>,
    },
    Deallocate {
        name: Option<String>,
    },
    Declare {
        name: String,
        hold: bool,
        query: Box<Statement>,
    },
    Fetch {
        name: String,
        direction: Direction,
        moves: bool,
    },
    Close {
        name: Option<String>,
    },
    Explain {
        analyze: bool,
        statement: Box<Statement>,
    },
    CopyOut {
        query: Box<Statement>,
    },
    Checkpoint,
    Ddl(Ddl),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Modes {
    pub read_only: Option<bool>,
    pub isolation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetValue {
    Default,
    Values(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward(usize),
    All,
    /// Backwards or absolute; only scrollable cursors could.
    Unsupported,
}

/// The statements of a simple Query; empty for an empty query.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>, Error> {
    split(sql)?.into_iter().map(|source| parse_one(&source)).collect()
}

pub(crate) fn parse_one(source: &Source) -> Result<Statement, Error> {
    let mut cursor = source.cursor();
    let kind = match utility(source, &mut cursor)? {
        Some(kind) => kind,
        None => planned(source)?,
    };
    Ok(Statement { text: source.text.clone(), operators: source.operators, kind })
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn planned(source: &Source) -> Result<Kind, Error> {
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(source.tokens.clone());
    let statement = parser.parse_statement().map_err(|error| parser_error(source, error))?;
    let left = parser.peek_token();
    if left.token != Token::EOF {
        let position = source.position(left.span.start);
        return Err(Error::syntax_near(&left.token.to_string(), position));
    }
    let statement = match statement {
        ast::Statement::Query(query) => return Ok(Kind::Query(Arc::new(*query))),
        other => other,
    };
    let target = |name: &ast::ObjectName| {
        name.0.iter().map(|part| part.as_ident().map(fold).unwrap_or_default()).collect()
    };
    let kind = match &statement {
        ast::Statement::Insert(insert) => match &insert.table {
            ast::TableObject::TableName(name) => ("INSERT", target(name)),
            _ => return Err(Error::unsupported("INSERT into a function is not supported")),
        },
        ast::Statement::Update(update) => match &update.table.relation {
            ast::TableFactor::Table { name, .. } => ("UPDATE", target(name)),
            _ => return Err(Error::unsupported("UPDATE of a subquery is not supported")),
        },
        ast::Statement::Delete(delete) => {
            let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) =
                &delete.from;
            match from.first().map(|table| &table.relation) {
                Some(ast::TableFactor::Table { name, .. }) => ("DELETE", target(name)),
                _ => return Err(Error::unsupported("DELETE from a subquery is not supported")),
            }
        }
        ast::Statement::Truncate(truncate) => {
            let first = truncate.table_names.first();
            ("TRUNCATE", first.map(|table| target(&table.name)).unwrap_or_default())
        }
        _ => {
            let verb = source.cursor().word().unwrap_or_else(|| "this statement".to_owned());
            return Err(Error::unsupported(format!("{verb} is not supported")));
        }
    };
    let (command, target) = kind;
    Ok(Kind::Write { command, target })
}

pub(crate) fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The parser's "Expected: …, found: X at Line: 1, Column: 8" in PostgreSQL's words.
pub(crate) fn parser_error(source: &Source, error: ParserError) -> Error {
    let text = match error {
        ParserError::RecursionLimitExceeded => return Error::TooDeep,
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let number = |key: &str| -> Option<u64> {
        let tail = text.rsplit_once(key)?.1;
        tail.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    let found = text
        .rsplit_once("found: ")
        .map(|(_, tail)| tail.split_once(" at Line").map_or(tail, |(token, _)| token).to_owned());
    match (found, number("Line: "), number("Column: ")) {
        (Some(token), Some(line), Some(column)) if token != "EOF" => {
            let location = datafusion::sql::sqlparser::tokenizer::Location { line, column };
            Error::syntax_near(&token, source.position(location))
        }
        (Some(_), _, _) => Error::syntax_near("", source.end),
        _ => Error::Syntax { message: format!("syntax error: {text}"), position: None },
    }
}
