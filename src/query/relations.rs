//! Which relations are not simply stored rows: PostgreSQL 15's wide layouts over HAWQ's stored
//! ones, the running server's state (`hawq_live`), and what is always empty.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;

use crate::catalog::Datum;

use super::context::StatementContext;
use super::empty;
use super::error::Error;
use super::table::{Computed, Source};
use super::types::{self, ACLITEM_ARRAY, BOOL, CHAR, INT2, INT4, NAME, OID, TEXT, TEXT_ARRAY, XID};
use super::{live_tables, procedures, rows, system_tables};

/// How a column of a wide layout is filled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fill {
    /// From the stored column of the same name.
    Stored,
    Null,
    Bool(bool),
    Number(i64),
    Text(&'static str),
}

type Column = (&'static str, u32, Fill);

/// A stored relation with more columns than are stored.
#[derive(Debug)]
struct Widened {
    name: &'static str,
    columns: &'static [Column],
    schema: SchemaRef,
}

impl Source for Widened {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Every one of them has its oid first, as its key.
    fn key(&self) -> &[usize] {
        &[0]
    }

    fn load(
        &self,
        context: &Arc<StatementContext>,
        prefix: &[ScalarValue],
    ) -> Result<RecordBatch, Error> {
        let Some(relation) = context.view.relation_named("pg_catalog", self.name)? else {
            return rows::computed_batch(&self.schema, Vec::new());
        };
        let found = match prefix {
            [ScalarValue::UInt32(Some(oid))] => {
                context.view.get(relation.oid, &[Datum::Oid(*oid)])?.into_iter().collect()
            }
            _ => context.view.scan(relation.oid, &[])?,
        };
        let places: Vec<_> =
            self.columns.iter().map(|(name, ..)| relation.column_index(name)).collect();
        let wide = |row: &Vec<Datum>| -> Result<Vec<ScalarValue>, Error> {
            let columns = self.columns.iter().zip(&places).zip(self.schema.fields());
            columns
                .map(|(((_, oid, fill), place), field)| match (fill, place) {
                    (Fill::Stored, Some(at)) => {
                        rows::scalar(row.get(*at).unwrap_or(&Datum::Null), field.data_type())
                    }
                    (fill, _) => filled(*fill, *oid),
                })
                .collect()
        };
        rows::computed_batch(&self.schema, found.iter().map(wide).collect::<Result<_, _>>()?)
    }
}

pub(crate) fn filled(fill: Fill, oid: u32) -> Result<ScalarValue, Error> {
    let data_type = types::arrow_type(oid);
    let value = match fill {
        Fill::Stored | Fill::Null => {
            return ScalarValue::try_from(&data_type).map_err(rows::internal);
        }
        Fill::Bool(value) => ScalarValue::Boolean(Some(value)),
        Fill::Number(number) => ScalarValue::Int64(Some(number)),
        Fill::Text(text) => ScalarValue::Utf8(Some(text.to_owned())),
    };
    value.cast_to(&data_type).map_err(rows::internal)
}

const DATABASE: &[Column] = &[
    ("oid", OID, Fill::Stored),
    ("datname", NAME, Fill::Stored),
    ("datdba", OID, Fill::Stored),
    ("encoding", INT4, Fill::Stored),
    ("datistemplate", BOOL, Fill::Stored),
    ("datallowconn", BOOL, Fill::Stored),
    ("datconnlimit", INT4, Fill::Stored),
    ("datlastsysoid", OID, Fill::Number(16_383)),
    ("datfrozenxid", XID, Fill::Number(0)),
    ("dattablespace", OID, Fill::Stored),
    ("dat2tablespace", OID, Fill::Number(1663)),
    ("datconfig", TEXT_ARRAY, Fill::Null),
    ("datacl", ACLITEM_ARRAY, Fill::Stored),
    ("datlocprovider", CHAR, Fill::Text("c")),
    ("datminmxid", XID, Fill::Number(1)),
    ("datcollate", NAME, Fill::Stored),
    ("datctype", NAME, Fill::Stored),
    ("daticulocale", TEXT, Fill::Null),
    ("datcollversion", TEXT, Fill::Null),
];

const NAMESPACE: &[Column] = &[
    ("oid", OID, Fill::Stored),
    ("nspname", NAME, Fill::Stored),
    ("nspowner", OID, Fill::Stored),
    ("nspacl", ACLITEM_ARRAY, Fill::Stored),
    ("nspdboid", OID, Fill::Number(0)),
];

const TABLESPACE: &[Column] = &[
    ("oid", OID, Fill::Stored),
    ("spcname", NAME, Fill::Stored),
    ("spcowner", OID, Fill::Stored),
    ("spclocation", TEXT, Fill::Stored),
    ("spcacl", ACLITEM_ARRAY, Fill::Stored),
    ("spcprilocations", TEXT_ARRAY, Fill::Stored),
    ("spcmirlocations", TEXT_ARRAY, Fill::Stored),
    ("spcfsoid", OID, Fill::Stored),
    ("spcoptions", TEXT_ARRAY, Fill::Null),
];

const TYPE: &[Column] = &[
    ("oid", OID, Fill::Stored),
    ("typname", NAME, Fill::Stored),
    ("typnamespace", OID, Fill::Stored),
    ("typowner", OID, Fill::Stored),
    ("typlen", INT2, Fill::Stored),
    ("typbyval", BOOL, Fill::Stored),
    ("typtype", CHAR, Fill::Stored),
    ("typcategory", CHAR, Fill::Stored),
    ("typispreferred", BOOL, Fill::Stored),
    ("typisdefined", BOOL, Fill::Stored),
    ("typdelim", CHAR, Fill::Stored),
    ("typrelid", OID, Fill::Stored),
    ("typsubscript", NAME, Fill::Text("-")),
    ("typelem", OID, Fill::Stored),
    ("typarray", OID, Fill::Stored),
    ("typinput", NAME, Fill::Stored),
    ("typoutput", NAME, Fill::Stored),
    ("typreceive", NAME, Fill::Text("-")),
    ("typsend", NAME, Fill::Text("-")),
    ("typmodin", NAME, Fill::Text("-")),
    ("typmodout", NAME, Fill::Text("-")),
    ("typanalyze", NAME, Fill::Text("-")),
    ("typalign", CHAR, Fill::Stored),
    ("typstorage", CHAR, Fill::Stored),
    ("typnotnull", BOOL, Fill::Stored),
    ("typbasetype", OID, Fill::Stored),
    ("typtypmod", INT4, Fill::Stored),
    ("typndims", INT4, Fill::Stored),
    ("typcollation", OID, Fill::Stored),
    ("typdefaultbin", TEXT, Fill::Null),
    ("typdefault", TEXT, Fill::Null),
    ("typacl", ACLITEM_ARRAY, Fill::Null),
];

fn widened(name: &'static str, columns: &'static [Column]) -> Arc<dyn Source> {
    let fields: Vec<_> =
        columns.iter().map(|(name, oid, _)| types::field(name, *oid, true)).collect();
    Arc::new(Widened { name, columns, schema: Arc::new(Schema::new(fields)) })
}

pub(crate) fn schema_of(columns: &[(&str, u32)]) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|(name, oid)| types::field(name, *oid, true)).collect();
    Arc::new(Schema::new(fields))
}

/// The wide layout of a stored relation of pg_catalog, where it has one.
pub(crate) fn shaped(name: &str) -> Option<Arc<dyn Source>> {
    static SHAPED: LazyLock<BTreeMap<&'static str, Arc<dyn Source>>> = LazyLock::new(|| {
        BTreeMap::from([
            ("pg_database", widened("pg_database", DATABASE)),
            ("pg_namespace", widened("pg_namespace", NAMESPACE)),
            ("pg_tablespace", widened("pg_tablespace", TABLESPACE)),
            ("pg_type", widened("pg_type", TYPE)),
            ("pg_class", system_tables::class()),
            ("pg_attribute", system_tables::attribute()),
        ])
    });
    SHAPED.get(name).cloned()
}

/// A relation that is computed and not described in the catalog.
pub(crate) fn computed(schema: &str, name: &str) -> Option<Arc<dyn Source>> {
    static LIVE: LazyLock<BTreeMap<&'static str, Arc<dyn Source>>> =
        LazyLock::new(live_tables::all);
    static SYSTEM: LazyLock<BTreeMap<&'static str, Arc<dyn Source>>> = LazyLock::new(|| {
        let mut tables: BTreeMap<&'static str, Arc<dyn Source>> = BTreeMap::new();
        for (name, columns) in empty::EMPTY {
            let schema = schema_of(columns);
            tables.insert(name, Arc::new(Computed { schema, rows: |_, _| Ok(Vec::new()) }));
        }
        tables.extend(system_tables::constant());
        tables.insert("pg_proc", procedures::table());
        tables
    });
    match schema {
        "hawq_live" => LIVE.get(name).cloned(),
        "pg_catalog" => SYSTEM.get(name).cloned(),
        _ => None,
    }
}
