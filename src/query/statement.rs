//! Which statement a text is: ours to do by hand, or a query for the planner.
//!
//! Utility statements and HAWQ's DDL are parsed here from tokens, since the SQL parser does not
//! know all of them; everything else goes to the SQL parser. Nothing is looked up.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ddl::{self, Ddl};
use super::error::Error;
use super::lexer::{Cursor, Source, split};

/// Nested parentheses, subqueries and calls in one statement.
const NESTING_MAX: usize = 40;

/// One parsed statement and its own text.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Query(Box<ast::Query>),
    /// INSERT, UPDATE, DELETE, TRUNCATE of the named relation.
    Write { command: &'static str, target: Vec<String>, statement: Option<Box<ast::Statement>> },
    Begin { modes: Modes },
    Commit { chain: bool },
    Rollback { chain: bool },
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    Savepoint { command: &'static str },
    Set { name: String, value: SetValue, local: bool },
    SetTransaction { modes: Modes, session: bool },
    Show { name: String },
    ShowAll,
    Reset { name: Option<String> },
    Discard { what: String },
    /// LISTEN, UNLISTEN, NOTIFY, LOCK …: accepted, nothing to do.
    Nothing { tag: &'static str },
    Prepare { name: String, types: Vec<String>, statement: Box<Statement> },
    Execute { name: String, arguments: Vec<ast::Expr> },
    Deallocate { name: Option<String> },
    Declare { name: String, hold: bool, query: Box<Statement> },
    Fetch { name: String, direction: Direction, moves: bool },
    Close { name: Option<String> },
    Explain { analyze: bool, statement: Box<Statement> },
    CopyOut { query: Box<Statement> },
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

fn parse_one(source: &Source) -> Result<Statement, Error> {
    let mut cursor = source.cursor();
    let kind = match utility(source, &mut cursor)? {
        Some(kind) => kind,
        None => planned(source)?,
    };
    Ok(Statement { text: source.text.clone(), kind })
}

fn utility(source: &Source, cursor: &mut Cursor<'_>) -> Result<Option<Kind>, Error> {
    let Some(word) = cursor.word() else { return Ok(None) };
    let kind = match word.as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            transaction(cursor)?
        }
        "SET" => set(cursor)?,
        "SHOW" | "RESET" | "DISCARD" => setting(cursor)?,
        "LISTEN" | "UNLISTEN" | "NOTIFY" | "LOCK" | "ANALYZE" | "VACUUM" => nothing(cursor)?,
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => prepared(source, cursor)?,
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" => portal(source, cursor)?,
        "EXPLAIN" => explain(source, cursor)?,
        "COPY" => copy(source, cursor)?,
        "CHECKPOINT" => {
            cursor.next();
            Kind::Checkpoint
        }
        "CREATE" | "DROP" | "COMMENT" | "ALTER" | "GRANT" | "REVOKE" => {
            return ddl::parse(cursor).map(|found| Some(Kind::Ddl(found)));
        }
        _ => return Ok(None),
    };
    cursor.expect_end()?;
    Ok(Some(kind))
}

fn transaction(cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    let word = cursor.word().unwrap_or_default();
    cursor.next();
    match word.as_str() {
        "START" => {
            cursor.expect(&["TRANSACTION"])?;
            return Ok(Kind::Begin { modes: modes(cursor)? });
        }
        "SAVEPOINT" => {
            cursor.identifier()?;
            return Ok(Kind::Savepoint { command: "SAVEPOINT" });
        }
        "RELEASE" => {
            cursor.take(&["SAVEPOINT"]);
            cursor.identifier()?;
            return Ok(Kind::Savepoint { command: "RELEASE SAVEPOINT" });
        }
        _ => {}
    }
    let _noise = cursor.take(&["WORK"]) || cursor.take(&["TRANSACTION"]);
    if word == "BEGIN" {
        return Ok(Kind::Begin { modes: modes(cursor)? });
    }
    if word == "ROLLBACK" && cursor.take(&["TO"]) {
        cursor.take(&["SAVEPOINT"]);
        cursor.identifier()?;
        return Ok(Kind::Savepoint { command: "ROLLBACK TO SAVEPOINT" });
    }
    let chain = !cursor.take(&["AND", "NO", "CHAIN"]) && cursor.take(&["AND", "CHAIN"]);
    Ok(match word.as_str() {
        "COMMIT" | "END" => Kind::Commit { chain },
        _ => Kind::Rollback { chain },
    })
}

fn modes(cursor: &mut Cursor<'_>) -> Result<Modes, Error> {
    let mut modes = Modes::default();
    while !cursor.done() {
        if cursor.take(&["READ", "ONLY"]) {
            modes.read_only = Some(true);
        } else if cursor.take(&["READ", "WRITE"]) {
            modes.read_only = Some(false);
        } else if cursor.take(&["ISOLATION", "LEVEL"]) {
            let levels = [
                (&["SERIALIZABLE"][..], "serializable"),
                (&["REPEATABLE", "READ"], "repeatable read"),
                (&["READ", "COMMITTED"], "read committed"),
                (&["READ", "UNCOMMITTED"], "read uncommitted"),
            ];
            let level = levels.iter().find(|(words, _)| cursor.take(words));
            modes.isolation = Some(level.ok_or_else(|| cursor.unexpected())?.1.to_owned());
        } else if !(cursor.take(&["NOT", "DEFERRABLE"]) || cursor.take(&["DEFERRABLE"])) {
            return Err(cursor.unexpected());
        }
        cursor.take_token(&Token::Comma);
    }
    Ok(modes)
}

fn set(cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    cursor.next();
    if cursor.take(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        return Ok(Kind::SetTransaction { modes: modes(cursor)?, session: true });
    }
    let local = cursor.take(&["LOCAL"]);
    if !local {
        cursor.take(&["SESSION"]);
    }
    if cursor.take(&["TRANSACTION"]) {
        return Ok(Kind::SetTransaction { modes: modes(cursor)?, session: false });
    }
    if cursor.take(&["TIME", "ZONE"]) {
        let value = if cursor.take(&["LOCAL"]) || cursor.take(&["DEFAULT"]) {
            SetValue::Default
        } else {
            set_values(cursor)?
        };
        return Ok(Kind::Set { name: "timezone".to_owned(), value, local });
    }
    if cursor.take(&["NAMES"]) {
        let name = "client_encoding".to_owned();
        return Ok(Kind::Set { name, value: set_values(cursor)?, local });
    }
    if cursor.take(&["AUTHORIZATION"]) {
        let name = "session_authorization".to_owned();
        return Ok(Kind::Set { name, value: set_values(cursor)?, local });
    }
    let name = cursor.qualified()?.join(".").to_lowercase();
    if name != "role" && name != "schema" && !cursor.take(&["TO"]) {
        cursor.expect_token(&Token::Eq)?;
    }
    let name = if name == "schema" { "search_path".to_owned() } else { name };
    Ok(Kind::Set { name, value: set_values(cursor)?, local })
}

fn set_values(cursor: &mut Cursor<'_>) -> Result<SetValue, Error> {
    if cursor.take(&["DEFAULT"]) {
        return Ok(SetValue::Default);
    }
    let mut values = Vec::new();
    loop {
        let value = match cursor.peek() {
            Some(Token::Number(digits, _)) => {
                cursor.next();
                digits.clone()
            }
            Some(Token::Minus | Token::Plus) => {
                let minus = cursor.next() == Some(&Token::Minus);
                match cursor.next() {
                    Some(Token::Number(digits, _)) if minus => format!("-{digits}"),
                    Some(Token::Number(digits, _)) => digits.clone(),
                    _ => return Err(cursor.unexpected()),
                }
            }
            Some(Token::Word(_)) => cursor.identifier()?,
            _ => cursor.string()?,
        };
        values.push(value);
        if !cursor.take_token(&Token::Comma) {
            return Ok(SetValue::Values(values));
        }
    }
}

fn setting(cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    let word = cursor.word().unwrap_or_default();
    cursor.next();
    if word == "DISCARD" {
        let what = cursor.word().unwrap_or_default();
        if !matches!(what.as_str(), "ALL" | "PLANS" | "SEQUENCES" | "TEMP" | "TEMPORARY") {
            return Err(cursor.unexpected());
        }
        cursor.next();
        return Ok(Kind::Discard { what });
    }
    if cursor.take(&["ALL"]) {
        return Ok(if word == "SHOW" { Kind::ShowAll } else { Kind::Reset { name: None } });
    }
    let name = if cursor.take(&["TIME", "ZONE"]) {
        "TimeZone".to_owned()
    } else if cursor.take(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        "transaction_isolation".to_owned()
    } else if cursor.take(&["SESSION", "AUTHORIZATION"]) {
        "session_authorization".to_owned()
    } else {
        cursor.qualified()?.join(".")
    };
    Ok(if word == "SHOW" { Kind::Show { name } } else { Kind::Reset { name: Some(name) } })
}

fn nothing(cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    let word = cursor.word().unwrap_or_default();
    let tag = match word.as_str() {
        "LISTEN" => "LISTEN",
        "UNLISTEN" => "UNLISTEN",
        "NOTIFY" => return Err(Error::unsupported("NOTIFY is not supported")),
        "LOCK" => return Err(Error::unsupported("LOCK TABLE is not supported")),
        other => {
            return Err(Error::unsupported(format!("{other} needs executors: this is a master")));
        }
    };
    cursor.next();
    if !(tag == "UNLISTEN" && cursor.take_token(&Token::Mul)) {
        cursor.identifier()?;
    }
    Ok(Kind::Nothing { tag })
}

fn prepared(source: &Source, cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    let word = cursor.word().unwrap_or_default();
    cursor.next();
    if word == "DEALLOCATE" {
        cursor.take(&["PREPARE"]);
        let name = if cursor.take(&["ALL"]) { None } else { Some(cursor.identifier()?) };
        return Ok(Kind::Deallocate { name });
    }
    let name = cursor.identifier()?;
    if word == "EXECUTE" {
        let arguments = if cursor.done() { Vec::new() } else { arguments(source, cursor)? };
        return Ok(Kind::Execute { name, arguments });
    }
    let mut types = Vec::new();
    if cursor.take_token(&Token::LParen) {
        loop {
            types.push(ddl::type_name(cursor)?.name);
            if !cursor.take_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect(&["AS"])?;
    let statement = Box::new(rest(source, cursor)?);
    Ok(Kind::Prepare { name, types, statement })
}

/// Parses the remaining tokens as one statement of its own.
fn rest(source: &Source, cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    let at = cursor.at();
    let mut inner = source.clone();
    inner.text = source.text_from(at);
    inner.tokens = source.tokens[at..].to_vec();
    while cursor.next().is_some() {}
    if inner.tokens.is_empty() {
        return Err(cursor.unexpected());
    }
    parse_one(&inner)
}

fn arguments(source: &Source, cursor: &mut Cursor<'_>) -> Result<Vec<ast::Expr>, Error> {
    let tokens = source.tokens[cursor.at()..].to_vec();
    while cursor.next().is_some() {}
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens);
    let mut list = || {
        parser.expect_token(&Token::LParen)?;
        let list = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
        Ok(list)
    };
    list().map_err(|error| parser_error(source, error))
}

fn portal(source: &Source, cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    let word = cursor.word().unwrap_or_default();
    cursor.next();
    match word.as_str() {
        "CLOSE" => {
            let name = if cursor.take(&["ALL"]) { None } else { Some(cursor.identifier()?) };
            Ok(Kind::Close { name })
        }
        "DECLARE" => {
            let name = cursor.identifier()?;
            while ["BINARY", "ASENSITIVE", "INSENSITIVE", "NO", "SCROLL"]
                .iter()
                .any(|noise| cursor.take(&[noise]))
            {}
            cursor.expect(&["CURSOR"])?;
            let hold = !cursor.take(&["WITHOUT", "HOLD"]) && cursor.take(&["WITH", "HOLD"]);
            cursor.expect(&["FOR"])?;
            Ok(Kind::Declare { name, hold, query: Box::new(rest(source, cursor)?) })
        }
        _ => {
            let direction = direction(cursor)?;
            let _noise = cursor.take(&["FROM"]) || cursor.take(&["IN"]);
            Ok(Kind::Fetch { name: cursor.identifier()?, direction, moves: word == "MOVE" })
        }
    }
}

fn direction(cursor: &mut Cursor<'_>) -> Result<Direction, Error> {
    if cursor.take(&["NEXT"]) {
        return Ok(Direction::Forward(1));
    }
    if ["PRIOR", "FIRST", "LAST"].iter().any(|word| cursor.take(&[word])) {
        return Ok(Direction::Unsupported);
    }
    if ["BACKWARD", "ABSOLUTE", "RELATIVE"].iter().any(|word| cursor.take(&[word])) {
        if matches!(cursor.peek(), Some(Token::Number(..) | Token::Minus)) {
            cursor.integer()?;
        }
        return Ok(Direction::Unsupported);
    }
    cursor.take(&["FORWARD"]);
    if cursor.take(&["ALL"]) {
        return Ok(Direction::All);
    }
    if matches!(cursor.peek(), Some(Token::Number(..) | Token::Minus)) {
        let count = cursor.integer()?;
        return Ok(usize::try_from(count).map_or(Direction::Unsupported, Direction::Forward));
    }
    Ok(Direction::Forward(1))
}

fn explain(source: &Source, cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    cursor.next();
    let mut analyze = false;
    if cursor.take_token(&Token::LParen) {
        while !cursor.take_token(&Token::RParen) {
            analyze |= cursor.word().as_deref() == Some("ANALYZE");
            cursor.next().ok_or_else(|| cursor.unexpected())?;
        }
    } else {
        analyze = cursor.take(&["ANALYZE"]);
        cursor.take(&["VERBOSE"]);
    }
    Ok(Kind::Explain { analyze, statement: Box::new(rest(source, cursor)?) })
}

/// `COPY table [(columns)] TO STDOUT` and `COPY (query) TO STDOUT`, text format only.
fn copy(source: &Source, cursor: &mut Cursor<'_>) -> Result<Kind, Error> {
    cursor.next();
    let mut text = source.text_from(cursor.at());
    if cursor.take_token(&Token::LParen) {
        let mut depth = 1;
        while depth > 0 {
            match cursor.next().ok_or_else(|| cursor.unexpected())? {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
        let rest = source.text_from(cursor.at());
        text.truncate(text.len() - rest.len());
    } else {
        let name = cursor.qualified()?;
        let mut columns = Vec::new();
        if cursor.take_token(&Token::LParen) {
            loop {
                columns.push(quoted(&cursor.identifier()?));
                if !cursor.take_token(&Token::Comma) {
                    break;
                }
            }
            cursor.expect_token(&Token::RParen)?;
        }
        let list = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
        let name = name.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".");
        text = format!("SELECT {list} FROM {name}");
    }
    if cursor.take(&["FROM"]) {
        return Err(Error::unsupported("COPY FROM needs executors: this is a master"));
    }
    cursor.expect(&["TO", "STDOUT"])?;
    if !cursor.done() {
        return Err(Error::unsupported("COPY options are not supported: only text format is"));
    }
    let mut parsed = parse(&text)?;
    match parsed.pop() {
        Some(query) if parsed.is_empty() => Ok(Kind::CopyOut { query: Box::new(query) }),
        _ => Err(cursor.unexpected()),
    }
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
    let target = |name: &ast::ObjectName| {
        name.0.iter().map(|part| part.as_ident().map(fold).unwrap_or_default()).collect()
    };
    let kind = match &statement {
        ast::Statement::Query(query) => return Ok(Kind::Query(query.clone())),
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
    Ok(Kind::Write { command, target, statement: Some(Box::new(statement)) })
}

pub(crate) fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The parser's "Expected: …, found: X at Line: 1, Column: 8" in PostgreSQL's words.
fn parser_error(source: &Source, error: ParserError) -> Error {
    let text = match error {
        ParserError::RecursionLimitExceeded => return Error::TooDeep,
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let number = |key: &str| -> Option<u64> {
        let tail = text.rsplit_once(key)?.1;
        tail.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    let found = text.rsplit_once("found: ").map(|(_, tail)| {
        tail.split_once(" at Line").map_or(tail, |(token, _)| token).to_owned()
    });
    match (found, number("Line: "), number("Column: ")) {
        (Some(token), Some(line), Some(column)) if token != "EOF" => {
            let location =
                datafusion::sql::sqlparser::tokenizer::Location { line, column };
            Error::syntax_near(&token, source.position(location))
        }
        (Some(_), _, _) => Error::syntax_near("", source.end),
        _ => Error::Syntax { message: format!("syntax error: {text}"), position: None },
    }
}
