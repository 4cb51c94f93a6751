//! HAWQ's data definition statements, parsed from tokens: the SQL parser does not know
//! `DISTRIBUTED BY`. This file says what was asked; `ddl_run` does it.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::error::Error;
use super::lexer::Cursor;

/// Columns in one table; PostgreSQL's own bound.
const COLUMNS_MAX: usize = 1_600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ddl {
    CreateSchema { name: String, if_not_exists: bool, owner: Option<String> },
    DropSchema { names: Vec<String>, if_exists: bool, cascade: bool },
    CreateTable(CreateTable),
    DropTable { names: Vec<Vec<String>>, if_exists: bool, cascade: bool, view: bool },
    Comment { target: CommentTarget, text: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateTable {
    pub name: Vec<String>,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDefinition>,
    pub distribution: DistributedBy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnDefinition {
    pub name: String,
    pub column_type: TypeName,
    pub not_null: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub name: String,
    pub modifiers: Vec<i64>,
}

impl TypeName {
    /// As `ColumnType::parse` reads it: the array's brackets stand after the modifiers.
    pub(crate) fn text(&self) -> String {
        if self.modifiers.is_empty() {
            return self.name.clone();
        }
        let modifiers: Vec<String> = self.modifiers.iter().map(ToString::to_string).collect();
        let (name, brackets) = match self.name.strip_suffix("[]") {
            Some(element) => (element, "[]"),
            None => (self.name.as_str(), ""),
        };
        format!("{name}({}){brackets}", modifiers.join(","))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DistributedBy {
    /// HAWQ's default since 2.0 is random.
    Unsaid,
    Randomly,
    Columns {
        names: Vec<String>,
        buckets: Option<i64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommentTarget {
    Relation { name: Vec<String>, view: bool },
    Schema { name: String },
    Column { relation: Vec<String>, column: String },
}

pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Ddl, Error> {
    let found = if cursor.take(&["COMMENT", "ON"]) {
        comment(cursor)?
    } else if cursor.take(&["CREATE", "SCHEMA"]) {
        create_schema(cursor)?
    } else if cursor.take(&["CREATE", "TABLE"]) {
        Ddl::CreateTable(create_table(cursor)?)
    } else if cursor.take(&["DROP", "SCHEMA"]) {
        let if_exists = cursor.take(&["IF", "EXISTS"]);
        let names = list(cursor, Cursor::identifier)?;
        Ddl::DropSchema { names, if_exists, cascade: cascade(cursor) }
    } else if cursor.take(&["DROP", "TABLE"]) {
        drop_relation(cursor, false)?
    } else if cursor.take(&["DROP", "VIEW"]) {
        drop_relation(cursor, true)?
    } else {
        return Err(unknown(cursor));
    };
    cursor.expect_end()?;
    Ok(found)
}

fn unknown(cursor: &mut Cursor<'_>) -> Error {
    let verb = cursor.word().unwrap_or_default();
    cursor.next();
    match cursor.word() {
        Some(object) => Error::unsupported(format!("{verb} {object} is not supported yet")),
        None => cursor.unexpected(),
    }
}

fn list<'a, T>(
    cursor: &mut Cursor<'a>,
    item: fn(&mut Cursor<'a>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut items = vec![item(cursor)?];
    while cursor.take_token(&Token::Comma) {
        items.push(item(cursor)?);
    }
    Ok(items)
}

fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.take(&["CASCADE"]);
    if !cascade {
        cursor.take(&["RESTRICT"]);
    }
    cascade
}

fn comment(cursor: &mut Cursor<'_>) -> Result<Ddl, Error> {
    let target = if cursor.take(&["TABLE"]) {
        CommentTarget::Relation { name: cursor.qualified()?, view: false }
    } else if cursor.take(&["VIEW"]) {
        CommentTarget::Relation { name: cursor.qualified()?, view: true }
    } else if cursor.take(&["SCHEMA"]) {
        CommentTarget::Schema { name: cursor.identifier()? }
    } else if cursor.take(&["COLUMN"]) {
        let mut relation = cursor.qualified()?;
        match relation.pop() {
            Some(column) if !relation.is_empty() => CommentTarget::Column { relation, column },
            _ => return Err(cursor.unexpected()),
        }
    } else {
        let object = cursor.word().ok_or_else(|| cursor.unexpected())?;
        return Err(Error::unsupported(format!("COMMENT ON {object} is not supported yet")));
    };
    cursor.expect(&["IS"])?;
    let text = if cursor.take(&["NULL"]) { None } else { Some(cursor.string()?) };
    Ok(Ddl::Comment { target, text: text.filter(|text| !text.is_empty()) })
}

fn create_schema(cursor: &mut Cursor<'_>) -> Result<Ddl, Error> {
    let if_not_exists = cursor.take(&["IF", "NOT", "EXISTS"]);
    let unnamed = cursor.word().as_deref() == Some("AUTHORIZATION");
    let name = if unnamed { None } else { Some(cursor.identifier()?) };
    let owner = if cursor.take(&["AUTHORIZATION"]) { Some(cursor.identifier()?) } else { None };
    match name.or_else(|| owner.clone()) {
        Some(name) => Ok(Ddl::CreateSchema { name, if_not_exists, owner }),
        None => Err(cursor.unexpected()),
    }
}

fn drop_relation(cursor: &mut Cursor<'_>, view: bool) -> Result<Ddl, Error> {
    let if_exists = cursor.take(&["IF", "EXISTS"]);
    let names = list(cursor, Cursor::qualified)?;
    Ok(Ddl::DropTable { names, if_exists, cascade: cascade(cursor), view })
}

fn create_table(cursor: &mut Cursor<'_>) -> Result<CreateTable, Error> {
    let if_not_exists = cursor.take(&["IF", "NOT", "EXISTS"]);
    let name = cursor.qualified()?;
    if cursor.take(&["AS"]) {
        return Err(Error::unsupported("CREATE TABLE AS needs executors: this is a master"));
    }
    cursor.expect_token(&Token::LParen)?;
    let mut columns: Vec<ColumnDefinition> = Vec::new();
    while !cursor.take_token(&Token::RParen) {
        if !columns.is_empty() {
            cursor.expect_token(&Token::Comma)?;
        }
        let column = column(cursor)?;
        if columns.iter().any(|other| other.name == column.name) {
            return Err(Error::DuplicateColumn { name: column.name });
        }
        if columns.len() == COLUMNS_MAX {
            let what = format!("tables can have at most {COLUMNS_MAX} columns");
            return Err(Error::TooLarge { what });
        }
        columns.push(column);
    }
    let mut distribution = DistributedBy::Unsaid;
    let mut buckets = None;
    while !cursor.done() {
        if cursor.take(&["WITH"]) {
            buckets = storage_options(cursor)?;
        } else if cursor.take(&["DISTRIBUTED", "RANDOMLY"]) {
            distribution = DistributedBy::Randomly;
        } else if cursor.take(&["DISTRIBUTED", "BY"]) {
            distribution = DistributedBy::Columns { names: names(cursor)?, buckets: None };
        } else if cursor.take(&["TABLESPACE"]) {
            cursor.identifier()?;
        } else {
            return Err(refused_clause(cursor));
        }
    }
    if let DistributedBy::Columns { buckets: slot, .. } = &mut distribution {
        *slot = buckets;
    }
    Ok(CreateTable { name, if_not_exists, columns, distribution })
}

fn refused_clause(cursor: &Cursor<'_>) -> Error {
    match cursor.word().as_deref() {
        Some(word @ ("INHERITS" | "PARTITION" | "ON" | "FORMAT")) => {
            Error::unsupported(format!("{word} in CREATE TABLE is not supported yet"))
        }
        _ => cursor.unexpected(),
    }
}

fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    cursor.expect_token(&Token::LParen)?;
    let names = list(cursor, Cursor::identifier)?;
    cursor.expect_token(&Token::RParen)?;
    Ok(names)
}

/// `WITH (appendonly=true, orientation=parquet, bucketnum=8, …)`: the storage options are HAWQ's
/// and are accepted by name; only the number of buckets means something to the catalog.
fn storage_options(cursor: &mut Cursor<'_>) -> Result<Option<i64>, Error> {
    const KNOWN: [&str; 11] = [
        "appendonly",
        "orientation",
        "compresstype",
        "compresslevel",
        "blocksize",
        "pagesize",
        "rowgroupsize",
        "checksum",
        "fillfactor",
        "bucketnum",
        "oids",
    ];
    cursor.expect_token(&Token::LParen)?;
    let mut buckets = None;
    loop {
        let name = cursor.identifier()?;
        if !KNOWN.contains(&name.as_str()) {
            let message = format!("unrecognized parameter \"{name}\"");
            return Err(Error::InvalidParameter { message });
        }
        if cursor.take_token(&Token::Eq) {
            if name == "bucketnum" {
                let count = cursor.integer()?;
                if !(1..=65_535).contains(&count) {
                    let message = "bucketnum must be between 1 and 65535".to_owned();
                    return Err(Error::InvalidParameter { message });
                }
                buckets = Some(count);
            } else {
                cursor.next().ok_or_else(|| cursor.unexpected())?;
            }
        }
        if !cursor.take_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(buckets)
}

fn column(cursor: &mut Cursor<'_>) -> Result<ColumnDefinition, Error> {
    if let Some(word @ ("PRIMARY" | "UNIQUE" | "CHECK" | "CONSTRAINT" | "FOREIGN" | "LIKE")) =
        cursor.word().as_deref()
    {
        return Err(Error::unsupported(format!("{word} in CREATE TABLE is not supported yet")));
    }
    let name = cursor.identifier()?;
    let column_type = type_name(cursor)?;
    let mut not_null = false;
    loop {
        if cursor.take(&["NOT", "NULL"]) {
            not_null = true;
        } else if !cursor.take(&["NULL"]) {
            break;
        }
    }
    match cursor.word().as_deref() {
        None => Ok(ColumnDefinition { name, column_type, not_null }),
        Some(
            word @ ("DEFAULT" | "PRIMARY" | "UNIQUE" | "CHECK" | "REFERENCES" | "CONSTRAINT"
            | "GENERATED" | "ENCODING" | "COLLATE"),
        ) => Err(Error::unsupported(format!("{word} on a column is not supported yet"))),
        Some(_) => Err(cursor.unexpected()),
    }
}

/// A type as written: `numeric(10,2)`, `timestamp with time zone`, `pg_catalog.int4`, `text[]`.
pub(crate) fn type_name(cursor: &mut Cursor<'_>) -> Result<TypeName, Error> {
    let quoted_char = matches!(cursor.peek(),
        Some(Token::Word(word)) if word.quote_style.is_some() && word.value == "char");
    let mut parts = cursor.qualified()?;
    let mut name = parts.pop().unwrap_or_default();
    match parts.as_slice() {
        [] => {}
        [schema] if schema == "pg_catalog" => {}
        [schema, ..] => return Err(Error::UndefinedSchema { name: schema.clone() }),
    }
    if quoted_char {
        name = "\"char\"".to_owned();
    }
    match name.as_str() {
        "double" => cursor.expect(&["PRECISION"]).map(|()| name = "float8".to_owned())?,
        "character" | "char" if cursor.take(&["VARYING"]) => name = "varchar".to_owned(),
        "character" => name = "bpchar".to_owned(),
        _ => {}
    }
    let mut modifiers = Vec::new();
    if name == "bpchar" && !quoted_char || name == "char" {
        // SQL's `char` has one character where nothing else is said.
        modifiers.push(1);
    }
    if cursor.take_token(&Token::LParen) {
        modifiers = list(cursor, Cursor::integer)?;
        cursor.expect_token(&Token::RParen)?;
    }
    if name == "timestamp" || name == "time" {
        if cursor.take(&["WITH", "TIME", "ZONE"]) {
            name.push_str("tz");
        } else {
            cursor.take(&["WITHOUT", "TIME", "ZONE"]);
        }
    }
    while cursor.take_token(&Token::LBracket) {
        if matches!(cursor.peek(), Some(Token::Number(..))) {
            cursor.integer()?;
        }
        cursor.expect_token(&Token::RBracket)?;
        if !name.ends_with("[]") {
            name.push_str("[]");
        }
    }
    Ok(TypeName { name, modifiers })
}
