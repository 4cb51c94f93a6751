//! PostgreSQL's types: oids, names, and the Arrow type that carries each.
//!
//! A column's oid travels in the metadata of its Arrow field, since one Arrow type stands for
//! several of PostgreSQL's (text, name and "char" are all Utf8). The table is also what `pg_type`
//! shows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

/// Key of the oid in a field's metadata.
pub(crate) const OID_KEY: &str = "pg.oid";
/// Key of the type modifier, where there is one.
pub(crate) const TYPMOD_KEY: &str = "pg.typmod";

pub(crate) const BOOL: u32 = 16;
pub(crate) const CHAR: u32 = 18;
pub(crate) const NAME: u32 = 19;
pub(crate) const INT8: u32 = 20;
pub(crate) const INT2: u32 = 21;
pub(crate) const INT4: u32 = 23;
pub(crate) const TEXT: u32 = 25;
pub(crate) const OID: u32 = 26;
pub(crate) const XID: u32 = 28;
pub(crate) const FLOAT4: u32 = 700;
pub(crate) const FLOAT8: u32 = 701;
pub(crate) const INET: u32 = 869;
pub(crate) const TIMESTAMP: u32 = 1114;
pub(crate) const TIMESTAMPTZ: u32 = 1184;
pub(crate) const INTERVAL: u32 = 1186;
pub(crate) const NUMERIC: u32 = 1700;
pub(crate) const REGCLASS: u32 = 2205;
pub(crate) const REGTYPE: u32 = 2206;
pub(crate) const VOID: u32 = 2278;
pub(crate) const PG_LSN: u32 = 3220;
pub(crate) const REGNAMESPACE: u32 = 4089;
pub(crate) const REGROLE: u32 = 4096;
pub(crate) const XID8: u32 = 5069;
pub(crate) const INT2_ARRAY: u32 = 1005;
pub(crate) const NAME_ARRAY: u32 = 1003;
pub(crate) const TEXT_ARRAY: u32 = 1009;
pub(crate) const OID_ARRAY: u32 = 1028;
pub(crate) const ACLITEM_ARRAY: u32 = 1034;

/// One type as `pg_type` shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PgType {
    pub oid: u32,
    pub name: &'static str,
    /// What `format_type` says.
    pub sql_name: &'static str,
    pub len: i16,
    /// Oid of the array of this type, 0 when this is an array or has none.
    pub array: u32,
    /// Oid of the element, 0 when this is no array.
    pub element: u32,
}

const fn base(
    oid: u32,
    name: &'static str,
    sql_name: &'static str,
    len: i16,
    array: u32,
) -> PgType {
    PgType { oid, name, sql_name, len, array, element: 0 }
}

const fn array(oid: u32, name: &'static str, sql_name: &'static str, element: u32) -> PgType {
    PgType { oid, name, sql_name, len: -1, array: 0, element }
}

pub(crate) static TYPES: &[PgType] = &[
    base(16, "bool", "boolean", 1, 1000),
    base(17, "bytea", "bytea", -1, 1001),
    base(18, "char", "\"char\"", 1, 1002),
    base(19, "name", "name", 64, 1003),
    base(20, "int8", "bigint", 8, 1016),
    base(21, "int2", "smallint", 2, 1005),
    base(22, "int2vector", "int2vector", -1, 1006),
    base(23, "int4", "integer", 4, 1007),
    base(24, "regproc", "regproc", 4, 1008),
    base(25, "text", "text", -1, 1009),
    base(26, "oid", "oid", 4, 1028),
    base(27, "tid", "tid", 6, 1010),
    base(28, "xid", "xid", 4, 1011),
    base(29, "cid", "cid", 4, 1012),
    base(30, "oidvector", "oidvector", -1, 1013),
    base(114, "json", "json", -1, 199),
    base(142, "xml", "xml", -1, 143),
    base(194, "pg_node_tree", "pg_node_tree", -1, 0),
    base(650, "cidr", "cidr", -1, 651),
    base(700, "float4", "real", 4, 1021),
    base(701, "float8", "double precision", 8, 1022),
    base(705, "unknown", "unknown", -2, 0),
    base(869, "inet", "inet", -1, 1041),
    base(1033, "aclitem", "aclitem", 12, 1034),
    base(1042, "bpchar", "character", -1, 1014),
    base(1043, "varchar", "character varying", -1, 1015),
    base(1082, "date", "date", 4, 1182),
    base(1083, "time", "time without time zone", 8, 1183),
    base(1114, "timestamp", "timestamp without time zone", 8, 1115),
    base(1184, "timestamptz", "timestamp with time zone", 8, 1185),
    base(1186, "interval", "interval", 16, 1187),
    base(1700, "numeric", "numeric", -1, 1231),
    base(2202, "regprocedure", "regprocedure", 4, 2207),
    base(2205, "regclass", "regclass", 4, 2210),
    base(2206, "regtype", "regtype", 4, 2211),
    base(2249, "record", "record", -1, 2287),
    base(2278, "void", "void", 4, 0),
    base(2950, "uuid", "uuid", 16, 2951),
    base(3220, "pg_lsn", "pg_lsn", 8, 3221),
    base(3802, "jsonb", "jsonb", -1, 3807),
    base(4089, "regnamespace", "regnamespace", 4, 4090),
    base(4096, "regrole", "regrole", 4, 4097),
    base(5069, "xid8", "xid8", 8, 271),
    array(1000, "_bool", "boolean[]", 16),
    array(1002, "_char", "\"char\"[]", 18),
    array(1003, "_name", "name[]", 19),
    array(1005, "_int2", "smallint[]", 21),
    array(1007, "_int4", "integer[]", 23),
    array(1009, "_text", "text[]", 25),
    array(1015, "_varchar", "character varying[]", 1043),
    array(1016, "_int8", "bigint[]", 20),
    array(1021, "_float4", "real[]", 700),
    array(1022, "_float8", "double precision[]", 701),
    array(1028, "_oid", "oid[]", 26),
    array(1034, "_aclitem", "aclitem[]", 1033),
    array(1041, "_inet", "inet[]", 869),
    array(1115, "_timestamp", "timestamp without time zone[]", 1114),
    array(1182, "_date", "date[]", 1082),
    array(1185, "_timestamptz", "timestamp with time zone[]", 1184),
    array(1231, "_numeric", "numeric[]", 1700),
    array(2211, "_regtype", "regtype[]", 2206),
];

pub(crate) fn by_oid(oid: u32) -> Option<&'static PgType> {
    TYPES.iter().find(|known| known.oid == oid)
}

/// Finds a type by any of its names: `int4`, `integer`, `int` …
pub(crate) fn by_name(name: &str) -> Option<&'static PgType> {
    let name = match name {
        "int" => "int4",
        "decimal" => "numeric",
        "float" => "float8",
        "char" => "bpchar",
        "\"char\"" => "char",
        "timestamp" => "timestamp",
        "time" => "time",
        other => other,
    };
    TYPES.iter().find(|known| known.name == name || known.sql_name == name)
}

/// The Arrow type in which values of this type travel through a plan. Types that are only shown
/// are text.
pub(crate) fn arrow_type(oid: u32) -> DataType {
    match oid {
        BOOL => DataType::Boolean,
        INT2 => DataType::Int16,
        INT4 => DataType::Int32,
        INT8 => DataType::Int64,
        OID | XID | 29 | REGCLASS | REGTYPE | REGNAMESPACE | REGROLE | 24 | 2202 => {
            DataType::UInt32
        }
        PG_LSN | XID8 => DataType::UInt64,
        FLOAT4 => DataType::Float32,
        FLOAT8 => DataType::Float64,
        17 => DataType::Binary,
        1082 => DataType::Date32,
        1083 => DataType::Time64(TimeUnit::Microsecond),
        TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        NUMERIC => DataType::Decimal128(38, 10),
        other => match by_oid(other).map_or(0, |known| known.element) {
            0 => DataType::Utf8,
            element => DataType::List(Arc::new(Field::new_list_field(arrow_type(element), true))),
        },
    }
}

pub(crate) fn field(name: &str, oid: u32, nullable: bool) -> Field {
    Field::new(name, arrow_type(oid), nullable).with_metadata(metadata(oid))
}

pub(crate) fn metadata(oid: u32) -> HashMap<String, String> {
    HashMap::from([(OID_KEY.to_owned(), oid.to_string())])
}

/// The oid that a field's metadata names, where it still fits the field's Arrow type.
pub(crate) fn declared_oid(field: &Field) -> Option<u32> {
    let oid = field.metadata().get(OID_KEY)?.parse().ok()?;
    same_shape(&arrow_type(oid), field.data_type()).then_some(oid)
}

/// The type that a client is told: what the metadata says, else what the Arrow type means.
pub(crate) fn oid_of(field: &Field) -> u32 {
    declared_oid(field).unwrap_or_else(|| natural_oid(field.data_type()))
}

fn same_shape(wanted: &DataType, found: &DataType) -> bool {
    match (wanted, found) {
        (DataType::Decimal128(..), DataType::Decimal128(..) | DataType::Decimal256(..))
        | (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, Some(_)))
        | (DataType::Timestamp(_, None), DataType::Timestamp(_, None))
        | (DataType::Interval(_), DataType::Interval(_)) => true,
        (DataType::Utf8, other) => is_string(other),
        (DataType::List(a), DataType::List(b)) => same_shape(a.data_type(), b.data_type()),
        (a, b) => a == b,
    }
}

pub(crate) fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn natural_oid(data_type: &DataType) -> u32 {
    match data_type {
        DataType::Boolean => BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => INT2,
        DataType::Int32 | DataType::UInt16 => INT4,
        // What ranks and counts: they never reach the sign bit.
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => INT8,
        DataType::Decimal128(..) | DataType::Decimal256(..) => NUMERIC,
        DataType::Float16 | DataType::Float32 => FLOAT4,
        DataType::Float64 => FLOAT8,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Timestamp(_, None) => TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => 17,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            by_oid(oid_of(item)).map_or(TEXT_ARRAY, |element| element.array)
        }
        DataType::Dictionary(_, value) => natural_oid(value),
        _ => TEXT,
    }
}

/// PostgreSQL's `format_type(oid, typmod)`.
pub(crate) fn format_type(oid: u32, typmod: i32) -> String {
    let Some(known) = by_oid(oid) else {
        return if oid == 0 { "-".to_owned() } else { "???".to_owned() };
    };
    match oid {
        1042 | 1043 if typmod > 4 => format!("{}({})", known.sql_name, typmod - 4),
        1042 if typmod < 0 => "bpchar".to_owned(),
        NUMERIC if typmod > 4 => {
            format!("numeric({},{})", (typmod - 4) >> 16, (typmod - 4) & 0xFFFF)
        }
        _ => known.sql_name.to_owned(),
    }
}
