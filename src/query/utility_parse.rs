//! Utility statements from tokens: transactions, settings, prepared statements, cursors, COPY,
//! EXPLAIN. The SQL parser does not know all of them, and does not say what PostgreSQL says.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ddl;
use super::error::Error;
use super::lexer::{Cursor, Source};
use super::savepoint::SavepointVerb;
use super::statement::{
    Direction, Kind, Modes, NESTING_MAX, SetValue, Statement, parse, parse_one, parser_error,
    quoted,
};

pub(crate) fn utility(source: &Source, cursor: &mut Cursor<'_>) -> Result<Option<Kind>, Error> {
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
            return savepoint(cursor, SavepointVerb::Define);
        }
        "RELEASE" => {
            cursor.take(&["SAVEPOINT"]);
            return savepoint(cursor, SavepointVerb::Release);
        }
        _ => {}
    }
    let _noise = cursor.take(&["WORK"]) || cursor.take(&["TRANSACTION"]);
    if word == "BEGIN" {
        return Ok(Kind::Begin { modes: modes(cursor)? });
    }
    if word == "ROLLBACK" && cursor.take(&["TO"]) {
        cursor.take(&["SAVEPOINT"]);
        return savepoint(cursor, SavepointVerb::RollBackTo);
    }
    let chain = !cursor.take(&["AND", "NO", "CHAIN"]) && cursor.take(&["AND", "CHAIN"]);
    Ok(match word.as_str() {
        "COMMIT" | "END" => Kind::Commit { chain },
        _ => Kind::Rollback { chain },
    })
}

fn savepoint(cursor: &mut Cursor<'_>, verb: SavepointVerb) -> Result<Kind, Error> {
    Ok(Kind::Savepoint { verb, name: cursor.identifier()? })
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
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
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
