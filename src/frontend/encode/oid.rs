//! Oids of the types that are written specially; every other type is written as its text.

pub const BOOL: u32 = 16;
pub const BYTEA: u32 = 17;
pub const CHAR: u32 = 18;
pub const NAME: u32 = 19;
pub const INT8: u32 = 20;
pub const INT2: u32 = 21;
pub const INT2VECTOR: u32 = 22;
pub const INT4: u32 = 23;
pub const REGPROC: u32 = 24;
pub const TEXT: u32 = 25;
pub const OID: u32 = 26;
pub const XID: u32 = 28;
pub const CID: u32 = 29;
pub const OIDVECTOR: u32 = 30;
pub const FLOAT4: u32 = 700;
pub const FLOAT8: u32 = 701;
pub const BPCHAR: u32 = 1042;
pub const VARCHAR: u32 = 1043;
pub const DATE: u32 = 1082;
pub const TIME: u32 = 1083;
pub const TIMESTAMP: u32 = 1114;
pub const TIMESTAMPTZ: u32 = 1184;
pub const INTERVAL: u32 = 1186;
pub const NUMERIC: u32 = 1700;
pub const REGPROCEDURE: u32 = 2202;
pub const REGCLASS: u32 = 2205;
pub const REGTYPE: u32 = 2206;
pub const UUID: u32 = 2950;
pub const PG_LSN: u32 = 3220;
pub const REGNAMESPACE: u32 = 4089;
pub const REGROLE: u32 = 4096;
pub const XID8: u32 = 5069;

/// The element of an array type; `None` for every other type.
#[must_use]
pub fn element(array: u32) -> Option<u32> {
    Some(match array {
        1000 => BOOL,
        1001 => BYTEA,
        1002 => CHAR,
        1003 => NAME,
        1005 | INT2VECTOR => INT2,
        1007 => INT4,
        1009 => TEXT,
        1011 => XID,
        1014 => BPCHAR,
        1015 => VARCHAR,
        1016 => INT8,
        1021 => FLOAT4,
        1022 => FLOAT8,
        1028 | OIDVECTOR => OID,
        1034 => 1033,
        1041 => 869,
        1115 => TIMESTAMP,
        1182 => DATE,
        1185 => TIMESTAMPTZ,
        1231 => NUMERIC,
        2210 => REGCLASS,
        2211 => REGTYPE,
        3221 => PG_LSN,
        _ => return None,
    })
}

/// PostgreSQL's name of a type, for messages.
#[must_use]
pub fn name(oid: u32) -> &'static str {
    match oid {
        BOOL => "boolean",
        BYTEA => "bytea",
        CHAR => "\"char\"",
        NAME => "name",
        INT8 => "bigint",
        INT2 => "smallint",
        INT4 => "integer",
        OID => "oid",
        XID => "xid",
        FLOAT4 => "real",
        FLOAT8 => "double precision",
        DATE => "date",
        TIME => "time without time zone",
        TIMESTAMP => "timestamp without time zone",
        TIMESTAMPTZ => "timestamp with time zone",
        INTERVAL => "interval",
        NUMERIC => "numeric",
        UUID => "uuid",
        PG_LSN => "pg_lsn",
        XID8 => "xid8",
        REGCLASS => "regclass",
        REGTYPE => "regtype",
        _ => "text",
    }
}
