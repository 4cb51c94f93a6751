//! Oids and column orders of the relations that describe the others.
//!
//! `sql/00_catalog.sql` says what columns there are; this file says where the program finds those
//! that it reads itself. Bootstrap refuses a script in which the two differ.

use super::datum::{Datum, Row};

pub const PG_TYPE: u32 = 1247;
pub const PG_ATTRIBUTE: u32 = 1249;
pub const PG_CLASS: u32 = 1259;
pub const PG_AUTHID: u32 = 1260;
pub const PG_DATABASE: u32 = 1262;
pub const PG_TABLESPACE: u32 = 1213;
pub const PG_DESCRIPTION: u32 = 2609;
pub const PG_NAMESPACE: u32 = 2615;
pub const GP_CONFIGURATION: u32 = 5000;
pub const GP_DISTRIBUTION_POLICY: u32 = 5002;
pub const GP_CONFIGURATION_HISTORY: u32 = 5006;
pub const GP_MASTER_MIRRORING: u32 = 5008;
pub const PG_FILESPACE: u32 = 5009;
pub const PG_FILESPACE_ENTRY: u32 = 5033;
pub const GP_SEGMENT_CONFIGURATION: u32 = 5036;
pub const PG_RESQUEUE: u32 = 6026;
pub const PG_FILESYSTEM: u32 = 6112;

pub const PG_CATALOG_NAMESPACE: u32 = 11;
pub const PUBLIC_NAMESPACE: u32 = 2200;
pub const BOOTSTRAP_SUPERUSER: u32 = 10;

/// Oids below belong to the system.
pub const FIRST_NORMAL_OID: u32 = 16_384;
/// PostgreSQL's limit.
pub const COLUMNS_MAX: usize = 1600;
/// PostgreSQL's NAMEDATALEN less the final zero.
pub const NAME_BYTES_MAX: usize = 63;
/// `default_hash_table_bucket_number`.
pub const BUCKETS: i32 = 6;

/// A unique index: its rows, `(columns…) -> oid`, live under an oid of their own and are kept in
/// step by `OpenTransaction`. They make lookups by name cheap and two makers of one name collide.
pub(crate) struct Index {
    pub(crate) relation: u32,
    pub(crate) oid: u32,
    /// Positions in the relation's columns.
    pub(crate) columns: &'static [usize],
}

pub const PG_CLASS_NAME_INDEX: u32 = 2663;
pub const PG_NAMESPACE_NAME_INDEX: u32 = 2684;
pub const PG_AUTHID_NAME_INDEX: u32 = 2676;
pub const PG_DATABASE_NAME_INDEX: u32 = 2671;

pub(crate) const INDEXES: [Index; 4] = [
    Index { relation: PG_CLASS, oid: PG_CLASS_NAME_INDEX, columns: &[2, 1] },
    Index { relation: PG_NAMESPACE, oid: PG_NAMESPACE_NAME_INDEX, columns: &[1] },
    Index { relation: PG_AUTHID, oid: PG_AUTHID_NAME_INDEX, columns: &[1] },
    Index { relation: PG_DATABASE, oid: PG_DATABASE_NAME_INDEX, columns: &[1] },
];

/// The relation that an index belongs to; any other oid is its own.
pub(crate) fn relation_of(oid: u32) -> u32 {
    INDEXES.iter().find(|index| index.oid == oid).map_or(oid, |index| index.relation)
}

/// Whether a change to this relation changes what relations look like.
pub(crate) fn describes_relations(relation: u32) -> bool {
    const DESCRIBING: [u32; 6] = [
        PG_CLASS,
        PG_ATTRIBUTE,
        PG_NAMESPACE,
        GP_DISTRIBUTION_POLICY,
        PG_CLASS_NAME_INDEX,
        PG_NAMESPACE_NAME_INDEX,
    ];
    DESCRIBING.contains(&relation)
}

/// Column orders that the program relies on, checked at bootstrap.
pub(crate) const EXPECTED_COLUMNS: [(u32, &[&str]); 8] = [
    (PG_CLASS, &ClassRow::COLUMNS),
    (PG_ATTRIBUTE, &AttributeRow::COLUMNS),
    (PG_NAMESPACE, &["oid", "nspname", "nspowner", "nspacl"]),
    (PG_DESCRIPTION, &["objoid", "classoid", "objsubid", "description"]),
    (GP_DISTRIBUTION_POLICY, &["localoid", "bucketnum", "attrnums"]),
    (
        GP_SEGMENT_CONFIGURATION,
        &["registration_order", "role", "status", "port", "hostname", "address", "description"],
    ),
    (GP_CONFIGURATION_HISTORY, &["time", "registration_order", "hostname", "description"]),
    (GP_MASTER_MIRRORING, &["summary_state", "detail_state", "log_time", "error_message"]),
];

/// A row of the stored `pg_class`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassRow {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) namespace: u32,
    pub(crate) owner: u32,
    pub(crate) view: Option<String>,
    pub(crate) shared: bool,
    pub(crate) columns: i16,
}

impl ClassRow {
    const COLUMNS: [&'static str; 8] = [
        "oid",
        "relname",
        "relnamespace",
        "relowner",
        "relkind",
        "relisshared",
        "relnatts",
        "relviewdef",
    ];

    pub(crate) fn to_row(&self) -> Row {
        vec![
            Datum::Oid(self.oid),
            Datum::Name(self.name.clone()),
            Datum::Oid(self.namespace),
            Datum::Oid(self.owner),
            Datum::Char(if self.view.is_some() { b'v' } else { b'r' }),
            Datum::Bool(self.shared),
            Datum::Int2(self.columns),
            self.view.clone().map_or(Datum::Null, Datum::Text),
        ]
    }

    pub(crate) fn from_row(row: &Row) -> Option<ClassRow> {
        let [oid, name, namespace, owner, kind, shared, columns, view] = row.as_slice() else {
            return None;
        };
        Some(ClassRow {
            oid: oid.as_oid()?,
            name: name.as_str()?.to_owned(),
            namespace: namespace.as_oid()?,
            owner: owner.as_oid()?,
            view: match kind.as_char()? {
                b'r' => None,
                b'v' => Some(view.as_str()?.to_owned()),
                _ => return None,
            },
            shared: shared.as_bool()?,
            columns: i16::try_from(columns.as_i64()?).ok()?,
        })
    }
}

/// A row of the stored `pg_attribute`; `key` is the place in the relation's key from 1, or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributeRow {
    pub(crate) relation: u32,
    pub(crate) number: i16,
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) typmod: i32,
    pub(crate) not_null: bool,
    pub(crate) key: i16,
}

impl AttributeRow {
    const COLUMNS: [&'static str; 7] =
        ["attrelid", "attnum", "attname", "atttypid", "atttypmod", "attnotnull", "attkeyno"];

    pub(crate) fn to_row(&self) -> Row {
        vec![
            Datum::Oid(self.relation),
            Datum::Int2(self.number),
            Datum::Name(self.name.clone()),
            Datum::Oid(self.type_oid),
            Datum::Int4(self.typmod),
            Datum::Bool(self.not_null),
            Datum::Int2(self.key),
        ]
    }

    pub(crate) fn from_row(row: &Row) -> Option<AttributeRow> {
        let [relation, number, name, type_oid, typmod, not_null, key] = row.as_slice() else {
            return None;
        };
        Some(AttributeRow {
            relation: relation.as_oid()?,
            number: i16::try_from(number.as_i64()?).ok()?,
            name: name.as_str()?.to_owned(),
            type_oid: type_oid.as_oid()?,
            typmod: i32::try_from(typmod.as_i64()?).ok()?,
            not_null: not_null.as_bool()?,
            key: i16::try_from(key.as_i64()?).ok()?,
        })
    }
}
