//! Column types: PostgreSQL's names, oids and modifiers for what a table may contain.
//!
//! Decides which type names are understood and how a type is written back (`format_type`). It
//! never looks at values: user tables have none here.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnType {
    Bool,
    Char,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Oid,
    Name,
    Text,
    Varchar,
    Bpchar,
    Numeric,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Bytea,
    Bit,
    Varbit,
    Money,
    Inet,
    Cidr,
    Macaddr,
    Uuid,
    Json,
    Jsonb,
    Xml,
    Point,
    Lseg,
    Path,
    Box,
    Polygon,
    Circle,
    Aclitem,
    Xid,
    Xid8,
    Cid,
    Tid,
    PgLsn,
    Regproc,
    Regclass,
    Regtype,
    Int2Vector,
    OidVector,
    Array(std::boxed::Box<ColumnType>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    #[error("type \"{name}\" does not exist")]
    Unknown { name: String },
    #[error("{reason} for type {name}")]
    Modifier { name: String, reason: &'static str },
}

/// A type that is not an array.
struct Entry {
    kind: ColumnType,
    oid: u32,
    array: u32,
    /// `pg_type.typname`.
    typname: &'static str,
    /// As `format_type` writes it.
    sql: &'static str,
    /// Further names that SQL allows.
    aliases: &'static [&'static str],
}

const fn entry(
    kind: ColumnType,
    oids: (u32, u32),
    typname: &'static str,
    sql: &'static str,
    aliases: &'static [&'static str],
) -> Entry {
    Entry { kind, oid: oids.0, array: oids.1, typname, sql, aliases }
}

#[rustfmt::skip]
static TYPES: [Entry; 47] = [
    entry(ColumnType::Bool, (16, 1000), "bool", "boolean", &[]),
    entry(ColumnType::Bytea, (17, 1001), "bytea", "bytea", &[]),
    entry(ColumnType::Char, (18, 1002), "char", "\"char\"", &[]),
    entry(ColumnType::Name, (19, 1003), "name", "name", &[]),
    entry(ColumnType::Int8, (20, 1016), "int8", "bigint", &[]),
    entry(ColumnType::Int2, (21, 1005), "int2", "smallint", &[]),
    entry(ColumnType::Int2Vector, (22, 1006), "int2vector", "int2vector", &[]),
    entry(ColumnType::Int4, (23, 1007), "int4", "integer", &["int"]),
    entry(ColumnType::Regproc, (24, 1008), "regproc", "regproc", &[]),
    entry(ColumnType::Text, (25, 1009), "text", "text", &[]),
    entry(ColumnType::Oid, (26, 1028), "oid", "oid", &[]),
    entry(ColumnType::Tid, (27, 1010), "tid", "tid", &[]),
    entry(ColumnType::Xid, (28, 1011), "xid", "xid", &[]),
    entry(ColumnType::Cid, (29, 1012), "cid", "cid", &[]),
    entry(ColumnType::OidVector, (30, 1013), "oidvector", "oidvector", &[]),
    entry(ColumnType::Json, (114, 199), "json", "json", &[]),
    entry(ColumnType::Xml, (142, 143), "xml", "xml", &[]),
    entry(ColumnType::Point, (600, 1017), "point", "point", &[]),
    entry(ColumnType::Lseg, (601, 1018), "lseg", "lseg", &[]),
    entry(ColumnType::Path, (602, 1019), "path", "path", &[]),
    entry(ColumnType::Box, (603, 1020), "box", "box", &[]),
    entry(ColumnType::Polygon, (604, 1027), "polygon", "polygon", &[]),
    entry(ColumnType::Cidr, (650, 651), "cidr", "cidr", &[]),
    entry(ColumnType::Float4, (700, 1021), "float4", "real", &[]),
    entry(ColumnType::Float8, (701, 1022), "float8", "double precision", &["float"]),
    entry(ColumnType::Circle, (718, 719), "circle", "circle", &[]),
    entry(ColumnType::Money, (790, 791), "money", "money", &[]),
    entry(ColumnType::Macaddr, (829, 1040), "macaddr", "macaddr", &[]),
    entry(ColumnType::Inet, (869, 1041), "inet", "inet", &[]),
    entry(ColumnType::Aclitem, (1033, 1034), "aclitem", "aclitem", &[]),
    entry(ColumnType::Bpchar, (1042, 1014), "bpchar", "character", &["char"]),
    entry(ColumnType::Varchar, (1043, 1015), "varchar", "character varying", &["char varying"]),
    entry(ColumnType::Date, (1082, 1182), "date", "date", &[]),
    entry(ColumnType::Time, (1083, 1183), "time", "time without time zone", &[]),
    entry(ColumnType::Timestamp, (1114, 1115), "timestamp", "timestamp without time zone", &[]),
    entry(ColumnType::Timestamptz, (1184, 1185), "timestamptz", "timestamp with time zone", &[]),
    entry(ColumnType::Interval, (1186, 1187), "interval", "interval", &[]),
    entry(ColumnType::Timetz, (1266, 1270), "timetz", "time with time zone", &[]),
    entry(ColumnType::Bit, (1560, 1561), "bit", "bit", &[]),
    entry(ColumnType::Varbit, (1562, 1563), "varbit", "bit varying", &[]),
    entry(ColumnType::Numeric, (1700, 1231), "numeric", "numeric", &["decimal", "dec"]),
    entry(ColumnType::Regclass, (2205, 2210), "regclass", "regclass", &[]),
    entry(ColumnType::Regtype, (2206, 2211), "regtype", "regtype", &[]),
    entry(ColumnType::Uuid, (2950, 2951), "uuid", "uuid", &[]),
    entry(ColumnType::PgLsn, (3220, 3221), "pg_lsn", "pg_lsn", &[]),
    entry(ColumnType::Jsonb, (3802, 3807), "jsonb", "jsonb", &[]),
    entry(ColumnType::Xid8, (5069, 271), "xid8", "xid8", &[]),
];

impl ColumnType {
    /// Every type that is not an array.
    pub fn scalars() -> impl Iterator<Item = ColumnType> {
        TYPES.iter().map(|entry| entry.kind.clone())
    }

    fn entry(&self) -> Option<&'static Entry> {
        TYPES.iter().find(|entry| entry.kind == *self)
    }

    /// The oid in `pg_type`; arrays have one dimension type whatever their depth.
    #[must_use]
    pub fn oid(&self) -> u32 {
        match self {
            ColumnType::Array(element) => element.entry().map_or(0, |entry| entry.array),
            scalar => scalar.entry().map_or(0, |entry| entry.oid),
        }
    }

    #[must_use]
    pub fn from_oid(oid: u32) -> Option<ColumnType> {
        TYPES.iter().find_map(|entry| match oid {
            _ if oid == entry.oid => Some(entry.kind.clone()),
            _ if oid == entry.array => Some(array_of(entry.kind.clone())),
            _ => None,
        })
    }

    /// `pg_type.typname`: `int4`, `_int4`.
    #[must_use]
    pub fn type_name(&self) -> String {
        match self {
            ColumnType::Array(element) => format!("_{}", element.type_name()),
            scalar => scalar.entry().map_or_else(String::new, |entry| entry.typname.to_owned()),
        }
    }

    /// The SQL name as `format_type` gives it: `integer`, `integer[]`.
    #[must_use]
    pub fn name(&self) -> String {
        self.format(-1)
    }

    /// The SQL name with its modifier: `numeric(10,2)`, `timestamp(3) without time zone`.
    #[must_use]
    pub fn format(&self, typmod: i32) -> String {
        if let ColumnType::Array(element) = self {
            return format!("{}[]", element.format(typmod));
        }
        let name = self.entry().map_or("", |entry| entry.sql);
        if typmod < 0 {
            // Without a length it is not SQL's `character`, which means `character(1)`.
            return if *self == ColumnType::Bpchar { "bpchar" } else { name }.to_owned();
        }
        match self {
            ColumnType::Varchar | ColumnType::Bpchar => format!("{name}({})", typmod - 4),
            ColumnType::Bit | ColumnType::Varbit => format!("{name}({typmod})"),
            ColumnType::Numeric => {
                let (precision, scale) = numeric_modifier(typmod);
                format!("{name}({precision},{scale})")
            }
            ColumnType::Interval => format!("{name}({})", typmod & 0xFFFF),
            _ => match name.split_once(' ') {
                Some((first, rest)) => format!("{first}({typmod}) {rest}"),
                None => format!("{name}({typmod})"),
            },
        }
    }

    /// A type by any SQL name, without a modifier.
    #[must_use]
    pub fn from_sql(name: &str) -> Option<ColumnType> {
        ColumnType::parse(name).ok().map(|(column_type, _)| column_type)
    }

    /// A type as `CREATE TABLE` writes it, with its modifier: `varchar(10)`, `int[]`, `"char"`.
    pub fn parse(text: &str) -> Result<(ColumnType, i32), TypeError> {
        let unknown = || TypeError::Unknown { name: text.trim().to_owned() };
        let mut rest = text.trim();
        let mut is_array = false;
        while let Some(inner) = rest.strip_suffix(']') {
            let (before, size) = inner.rsplit_once('[').ok_or_else(unknown)?;
            if !size.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(unknown());
            }
            (rest, is_array) = (before.trim_end(), true);
        }
        let (name, modifiers) = split_modifiers(rest).ok_or_else(unknown)?;
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let (column_type, typmod) = resolve(name, &modifiers).ok_or_else(unknown)??;
        Ok(if is_array { (array_of(column_type), typmod) } else { (column_type, typmod) })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// An array of arrays is the same type as an array, as in PostgreSQL.
fn array_of(element: ColumnType) -> ColumnType {
    match element {
        ColumnType::Array(_) => element,
        scalar => ColumnType::Array(std::boxed::Box::new(scalar)),
    }
}

/// `timestamp(3) with time zone` to its name in lower case and `[3]`. `None`: not a type's shape.
fn split_modifiers(text: &str) -> Option<(String, Vec<i32>)> {
    let (before, inside, after) = match text.split_once('(') {
        None => (text, "", ""),
        Some((before, rest)) => {
            let (inside, after) = rest.split_once(')')?;
            (before, inside, after)
        }
    };
    let words: Vec<&str> = before.split_whitespace().chain(after.split_whitespace()).collect();
    let name = words.join(" ");
    let name = if name.starts_with('"') { name } else { name.to_ascii_lowercase() };
    if inside.is_empty() {
        return (!text.contains('(')).then_some((name, Vec::new()));
    }
    let modifiers: Result<Vec<i32>, _> =
        inside.split(',').map(|number| number.trim().parse()).collect();
    Some((name, modifiers.ok()?))
}

fn resolve(name: &str, modifiers: &[i32]) -> Option<Result<(ColumnType, i32), TypeError>> {
    if let Some(quoted) = name.strip_prefix('"') {
        let quoted = quoted.strip_suffix('"')?;
        let entry = TYPES.iter().find(|entry| entry.typname == quoted)?;
        return Some(typmod_of(&entry.kind, modifiers).map(|m| (entry.kind.clone(), m)));
    }
    if let Some(element) = name.strip_prefix('_') {
        let entry = TYPES.iter().find(|entry| entry.typname == element)?;
        return Some(typmod_of(&entry.kind, modifiers).map(|m| (array_of(entry.kind.clone()), m)));
    }
    if name == "float" && !modifiers.is_empty() {
        return Some(float_of(modifiers));
    }
    // Plain `char` and `bit` mean one character or bit; `bpchar` has no length.
    let single = matches!(name, "char" | "character" | "bit");
    let modifiers = if single && modifiers.is_empty() { &[1][..] } else { modifiers };
    let found = TYPES.iter().find(|entry| {
        let hidden = entry.kind == ColumnType::Char;
        !hidden && (entry.typname == name || entry.sql == name || entry.aliases.contains(&name))
    })?;
    Some(typmod_of(&found.kind, modifiers).map(|typmod| (found.kind.clone(), typmod)))
}

fn float_of(modifiers: &[i32]) -> Result<(ColumnType, i32), TypeError> {
    match modifiers {
        [1..=24] => Ok((ColumnType::Float4, -1)),
        [25..=53] => Ok((ColumnType::Float8, -1)),
        _ => Err(TypeError::Modifier {
            name: "float".to_owned(),
            reason: "precision must be between 1 and 53",
        }),
    }
}

fn numeric_modifier(typmod: i32) -> (i32, i32) {
    let bits = typmod - 4;
    // The scale has 11 bits, with sign.
    (bits >> 16 & 0xFFFF, ((bits & 0x7FF) ^ 1024) - 1024)
}

fn typmod_of(column_type: &ColumnType, modifiers: &[i32]) -> Result<i32, TypeError> {
    const LENGTH_MAX: i32 = 10_485_760;
    const BITS_MAX: i32 = 83_886_080;
    let refuse = |reason| Err(TypeError::Modifier { name: column_type.name(), reason });
    match (column_type, modifiers) {
        (_, []) => Ok(-1),
        (ColumnType::Varchar | ColumnType::Bpchar, [length @ 1..=LENGTH_MAX]) => Ok(length + 4),
        (ColumnType::Varchar | ColumnType::Bpchar, [_]) => {
            refuse("length must be between 1 and 10485760")
        }
        (ColumnType::Bit | ColumnType::Varbit, [length @ 1..=BITS_MAX]) => Ok(*length),
        (ColumnType::Bit | ColumnType::Varbit, [_]) => {
            refuse("length must be between 1 and 83886080")
        }
        (ColumnType::Numeric, [precision @ 1..=1000]) => Ok((precision << 16) + 4),
        (ColumnType::Numeric, [precision @ 1..=1000, scale @ -1000..=1000]) => {
            Ok((precision << 16 | scale & 0x7FF) + 4)
        }
        (ColumnType::Numeric, [_] | [_, _]) => {
            refuse("precision must be between 1 and 1000 and scale between -1000 and 1000")
        }
        (
            ColumnType::Time | ColumnType::Timetz | ColumnType::Timestamp | ColumnType::Timestamptz,
            [digits @ 0..=6],
        ) => Ok(*digits),
        // The upper half says "all fields".
        (ColumnType::Interval, [digits @ 0..=6]) => Ok(0x7FFF << 16 | digits),
        (
            ColumnType::Time
            | ColumnType::Timetz
            | ColumnType::Timestamp
            | ColumnType::Timestamptz
            | ColumnType::Interval,
            [_],
        ) => refuse("precision must be between 0 and 6"),
        _ => refuse("type modifier is not allowed"),
    }
}
