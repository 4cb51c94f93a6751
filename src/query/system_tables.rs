//! `pg_class` and `pg_attribute` in PostgreSQL 15's layout with HAWQ's columns added, made from
//! the relations that the catalog describes; and small tables with constant rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;

use crate::catalog::{Relation, RelationKind};

use super::context::StatementContext;
use super::error::Error;
use super::planner::Planner;
use super::relations::{Fill, filled, schema_of};
use super::rows;
use super::table::{Computed, Source};
use super::types::{
    self, ACLITEM_ARRAY, BOOL, CHAR, FLOAT4, INT2, INT4, NAME, OID, TEXT, TEXT_ARRAY, XID,
};

const CLASS: &[(&str, u32)] = &[
    ("oid", OID),
    ("relname", NAME),
    ("relnamespace", OID),
    ("reltype", OID),
    ("reloftype", OID),
    ("relowner", OID),
    ("relam", OID),
    ("relfilenode", OID),
    ("reltablespace", OID),
    ("relpages", INT4),
    ("reltuples", FLOAT4),
    ("relallvisible", INT4),
    ("reltoastrelid", OID),
    ("relhasindex", BOOL),
    ("relisshared", BOOL),
    ("relpersistence", CHAR),
    ("relkind", CHAR),
    ("relnatts", INT2),
    ("relchecks", INT2),
    ("relhasrules", BOOL),
    ("relhastriggers", BOOL),
    ("relhassubclass", BOOL),
    ("relrowsecurity", BOOL),
    ("relforcerowsecurity", BOOL),
    ("relispopulated", BOOL),
    ("relreplident", CHAR),
    ("relispartition", BOOL),
    ("relrewrite", OID),
    ("relfrozenxid", XID),
    ("relminmxid", XID),
    ("relacl", ACLITEM_ARRAY),
    ("reloptions", TEXT_ARRAY),
    ("relpartbound", TEXT),
    ("reltoastidxid", OID),
    ("relaosegrelid", OID),
    ("relaosegidxid", OID),
    ("relstorage", CHAR),
    ("reltriggers", INT2),
    ("relukeys", INT2),
    ("relfkeys", INT2),
    ("relrefs", INT2),
    ("relhasoids", BOOL),
    ("relhaspkey", BOOL),
];

const ATTRIBUTE: &[(&str, u32)] = &[
    ("attrelid", OID),
    ("attname", NAME),
    ("atttypid", OID),
    ("attstattarget", INT4),
    ("attlen", INT2),
    ("attnum", INT2),
    ("attndims", INT4),
    ("attcacheoff", INT4),
    ("atttypmod", INT4),
    ("attbyval", BOOL),
    ("attalign", CHAR),
    ("attstorage", CHAR),
    ("attcompression", CHAR),
    ("attnotnull", BOOL),
    ("atthasdef", BOOL),
    ("atthasmissing", BOOL),
    ("attidentity", CHAR),
    ("attgenerated", CHAR),
    ("attisdropped", BOOL),
    ("attislocal", BOOL),
    ("attinhcount", INT4),
    ("attcollation", OID),
    ("attacl", ACLITEM_ARRAY),
    ("attoptions", TEXT_ARRAY),
    ("attfdwoptions", TEXT_ARRAY),
    ("attmissingval", TEXT),
];

type Row = Vec<ScalarValue>;
type MakeRows = fn(&Arc<StatementContext>, &Relation) -> Result<Vec<Row>, Error>;

/// Rows made from relations; an oid as prefix means that relation alone.
#[derive(Debug)]
struct OfRelations {
    schema: SchemaRef,
    make: MakeRows,
}

impl Source for OfRelations {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn key(&self) -> &[usize] {
        &[0]
    }

    fn load(
        &self,
        context: &Arc<StatementContext>,
        prefix: &[ScalarValue],
    ) -> Result<RecordBatch, Error> {
        let relations = match prefix {
            [ScalarValue::UInt32(Some(oid))] => context.view.relation(*oid)?.into_iter().collect(),
            _ => context.view.relations()?,
        };
        let mut found = Vec::new();
        for relation in relations {
            found.extend((self.make)(context, &relation)?);
        }
        rows::computed_batch(&self.schema, found)
    }
}

pub(crate) fn class() -> Arc<dyn Source> {
    Arc::new(OfRelations { schema: schema_of(CLASS), make: class_rows })
}

pub(crate) fn attribute() -> Arc<dyn Source> {
    Arc::new(OfRelations { schema: schema_of(ATTRIBUTE), make: attribute_rows })
}

/// Names and types of a relation's columns, a view's too.
pub(crate) fn columns_of(
    context: &Arc<StatementContext>,
    relation: &Relation,
) -> Result<Arc<Vec<(String, u32)>>, Error> {
    let RelationKind::View { sql } = &relation.kind else {
        let columns = relation.columns.iter();
        let columns = columns.map(|column| (column.name.clone(), column.column_type.oid()));
        return Ok(Arc::new(columns.collect()));
    };
    if let Some(known) = context.view_columns.get(relation.oid, sql) {
        return Ok(known);
    }
    let columns = Arc::new(Planner::new(&context.state, context).view_columns(sql)?);
    context.view_columns.put(relation.oid, sql, Arc::clone(&columns));
    Ok(columns)
}

fn fill_row(
    columns: &[(&str, u32)],
    value: impl Fn(&str) -> Fill,
    text: impl Fn(&str) -> Option<String>,
) -> Result<Row, Error> {
    columns
        .iter()
        .map(|(name, oid)| match text(name) {
            Some(text) => Ok(ScalarValue::Utf8(Some(text))),
            None => filled(value(name), *oid),
        })
        .collect()
}

fn class_rows(context: &Arc<StatementContext>, relation: &Relation) -> Result<Vec<Row>, Error> {
    let is_view = matches!(relation.kind, RelationKind::View { .. });
    let is_table = relation.kind == RelationKind::Table;
    let count = i64::try_from(columns_of(context, relation)?.len()).unwrap_or(0);
    let value = |name: &str| match name {
        "oid" => Fill::Number(i64::from(relation.oid)),
        "relnamespace" => Fill::Number(i64::from(relation.namespace)),
        "relowner" => Fill::Number(i64::from(relation.owner)),
        "relfilenode" if !is_view => Fill::Number(i64::from(relation.oid)),
        "relam" if !is_view => Fill::Number(2),
        "reltablespace" if relation.shared => Fill::Number(1664),
        "reltuples" => Fill::Number(-1),
        "relisshared" => Fill::Bool(relation.shared),
        "relpersistence" => Fill::Text("p"),
        "relkind" => Fill::Text(if is_view { "v" } else { "r" }),
        "relnatts" => Fill::Number(count),
        "relhasrules" => Fill::Bool(is_view),
        "relispopulated" => Fill::Bool(true),
        "relreplident" => Fill::Text(if is_table { "d" } else { "n" }),
        "relacl" | "reloptions" | "relpartbound" => Fill::Null,
        "relstorage" if is_view => Fill::Text("v"),
        "relstorage" => Fill::Text(if is_table { "a" } else { "h" }),
        "relhasindex"
        | "relhastriggers"
        | "relhassubclass"
        | "relrowsecurity"
        | "relforcerowsecurity"
        | "relispartition"
        | "relhasoids"
        | "relhaspkey" => Fill::Bool(false),
        _ => Fill::Number(0),
    };
    let text = |name: &str| (name == "relname").then(|| relation.name.clone());
    Ok(vec![fill_row(CLASS, value, text)?])
}

fn attribute_rows(context: &Arc<StatementContext>, relation: &Relation) -> Result<Vec<Row>, Error> {
    let columns = columns_of(context, relation)?;
    let row = |(at, (column, oid)): (usize, &(String, u32))| {
        let known = types::by_oid(*oid);
        let length = known.map_or(-1, |known| i64::from(known.len));
        let stored = relation.columns.get(at);
        let value = |name: &str| match name {
            "attrelid" => Fill::Number(i64::from(relation.oid)),
            "atttypid" => Fill::Number(i64::from(*oid)),
            "attstattarget" | "attcacheoff" => Fill::Number(-1),
            "attlen" => Fill::Number(length),
            "attnum" => Fill::Number(i64::try_from(at + 1).unwrap_or(0)),
            "attndims" => Fill::Number(i64::from(known.is_some_and(|known| known.element != 0))),
            "atttypmod" => Fill::Number(stored.map_or(-1, |column| i64::from(column.typmod))),
            "attbyval" => Fill::Bool((1..=8).contains(&length)),
            "attalign" => Fill::Text(match length {
                1 => "c",
                2 => "s",
                8 => "d",
                _ => "i",
            }),
            "attstorage" => Fill::Text(if length > 0 { "p" } else { "x" }),
            "attcompression" | "attidentity" | "attgenerated" => Fill::Text(""),
            "attnotnull" => Fill::Bool(stored.is_some_and(|column| column.not_null)),
            "attislocal" => Fill::Bool(true),
            "atthasdef" | "atthasmissing" | "attisdropped" => Fill::Bool(false),
            "attcollation" => Fill::Number(match *oid {
                types::TEXT | 1042 | 1043 | types::TEXT_ARRAY => 100,
                types::NAME => 950,
                _ => 0,
            }),
            "attacl" | "attoptions" | "attfdwoptions" | "attmissingval" => Fill::Null,
            _ => Fill::Number(0),
        };
        fill_row(ATTRIBUTE, value, |name| (name == "attname").then(|| column.clone()))
    };
    columns.iter().enumerate().map(row).collect()
}

/// Tables whose rows never change.
pub(crate) fn constant() -> BTreeMap<&'static str, Arc<dyn Source>> {
    let mut tables: BTreeMap<&'static str, Arc<dyn Source>> = BTreeMap::new();
    let access_method: &[(&str, u32)] =
        &[("oid", OID), ("amname", NAME), ("amhandler", NAME), ("amtype", CHAR)];
    tables.insert(
        "pg_am",
        Arc::new(Computed {
            schema: schema_of(access_method),
            rows: |_, _| {
                let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
                Ok(vec![vec![
                    ScalarValue::UInt32(Some(2)),
                    text("heap"),
                    text("heap_tableam_handler"),
                    text("t"),
                ]])
            },
        }),
    );
    let collation: &[(&str, u32)] = &[
        ("oid", OID),
        ("collname", NAME),
        ("collnamespace", OID),
        ("collowner", OID),
        ("collprovider", CHAR),
        ("collisdeterministic", BOOL),
        ("collencoding", INT4),
        ("collcollate", TEXT),
        ("collctype", TEXT),
        ("colliculocale", TEXT),
        ("collversion", TEXT),
    ];
    tables.insert(
        "pg_collation",
        Arc::new(Computed {
            schema: schema_of(collation),
            rows: |_, _| {
                let rows = [(100, "default", "d"), (950, "C", "c"), (951, "POSIX", "c")];
                Ok(rows
                    .into_iter()
                    .map(|(oid, name, kind)| collation_row(oid, name, kind))
                    .collect())
            },
        }),
    );
    tables
}

fn collation_row(oid: u32, name: &str, provider: &str) -> Row {
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let locale = ScalarValue::Utf8((provider == "c").then(|| name.to_owned()));
    vec![
        ScalarValue::UInt32(Some(oid)),
        text(name),
        ScalarValue::UInt32(Some(11)),
        ScalarValue::UInt32(Some(10)),
        text(provider),
        ScalarValue::Boolean(Some(true)),
        ScalarValue::Int32(Some(-1)),
        locale.clone(),
        locale,
        ScalarValue::Utf8(None),
        ScalarValue::Utf8(None),
    ]
}
