//! `pg_proc`: the functions of this server, so that clients can list and look them up.
//!
//! Oids of HAWQ's management functions are HAWQ's own.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::relations::schema_of;
use super::table::{Computed, Source};
use super::types::{ACLITEM_ARRAY, BOOL, CHAR, FLOAT4, INT2, NAME, OID, TEXT, TEXT_ARRAY};

pub(crate) struct Procedure {
    pub oid: u32,
    pub name: &'static str,
    pub arguments: i16,
    /// Oid of the result's type.
    pub returns: u32,
}

const fn procedure(oid: u32, name: &'static str, arguments: i16, returns: u32) -> Procedure {
    Procedure { oid, name, arguments, returns }
}

static PROCEDURES: &[Procedure] = &[
    procedure(89, "version", 0, 25),
    procedure(745, "current_user", 0, 19),
    procedure(746, "session_user", 0, 19),
    procedure(861, "current_database", 0, 19),
    procedure(1081, "format_type", 2, 25),
    procedure(1215, "obj_description", 2, 25),
    procedure(1216, "col_description", 2, 25),
    procedure(1299, "now", 0, 1184),
    procedure(1402, "current_schema", 0, 19),
    procedure(1642, "pg_get_userbyid", 1, 19),
    procedure(2026, "pg_backend_pid", 0, 23),
    procedure(2077, "current_setting", 1, 25),
    procedure(2078, "set_config", 3, 25),
    procedure(2079, "pg_table_is_visible", 1, 16),
    procedure(2096, "pg_terminate_backend", 1, 16),
    procedure(2171, "pg_cancel_backend", 1, 16),
    procedure(2560, "pg_postmaster_start_time", 0, 1184),
    procedure(2849, "pg_current_wal_lsn", 0, 3220),
    procedure(3810, "pg_is_in_recovery", 0, 16),
    procedure(5046, "gp_add_master_standby", 3, 21),
    procedure(5047, "gp_remove_master_standby", 0, 16),
    procedure(5051, "gp_remove_segment", 1, 16),
    procedure(5053, "gp_activate_standby", 0, 16),
    procedure(5059, "pg_current_xact_id", 0, 5069),
    procedure(5066, "pg_xact_status", 1, 25),
    procedure(5075, "gp_remove_segment_history", 0, 16),
    procedure(6450, "dump_resource_manager_status", 1, 25),
];

pub(crate) fn find(oid: u32) -> Option<&'static Procedure> {
    PROCEDURES.iter().find(|known| known.oid == oid)
}

pub(crate) fn table() -> Arc<dyn Source> {
    let columns: &[(&str, u32)] = &[
        ("oid", OID),
        ("proname", NAME),
        ("pronamespace", OID),
        ("proowner", OID),
        ("prolang", OID),
        ("procost", FLOAT4),
        ("prokind", CHAR),
        ("prosecdef", BOOL),
        ("proisagg", BOOL),
        ("proisstrict", BOOL),
        ("proretset", BOOL),
        ("provolatile", CHAR),
        ("proparallel", CHAR),
        ("pronargs", INT2),
        ("prorettype", OID),
        ("proargnames", TEXT_ARRAY),
        ("prosrc", TEXT),
        ("prodataaccess", CHAR),
        ("proacl", ACLITEM_ARRAY),
    ];
    Arc::new(Computed {
        schema: schema_of(columns),
        rows: |_, schema| PROCEDURES.iter().map(|known| row(known, schema)).collect(),
    })
}

fn row(
    known: &Procedure,
    schema: &datafusion::arrow::datatypes::SchemaRef,
) -> Result<Vec<ScalarValue>, super::error::Error> {
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let values = schema.fields().iter().map(|field| match field.name().as_str() {
        "oid" => Ok(ScalarValue::UInt32(Some(known.oid))),
        "proname" | "prosrc" => Ok(text(known.name)),
        "pronamespace" => Ok(ScalarValue::UInt32(Some(11))),
        "proowner" => Ok(ScalarValue::UInt32(Some(10))),
        "prolang" => Ok(ScalarValue::UInt32(Some(12))),
        "procost" => Ok(ScalarValue::Float32(Some(1.0))),
        "prokind" => Ok(text("f")),
        "prosecdef" | "proisagg" | "proretset" => Ok(ScalarValue::Boolean(Some(false))),
        "proisstrict" => Ok(ScalarValue::Boolean(Some(true))),
        "provolatile" => Ok(text("v")),
        "proparallel" => Ok(text("u")),
        "pronargs" => Ok(ScalarValue::Int16(Some(known.arguments))),
        "prorettype" => Ok(ScalarValue::UInt32(Some(known.returns))),
        "prodataaccess" => Ok(text("n")),
        _ => ScalarValue::try_from(field.data_type()).map_err(super::rows::internal),
    });
    values.collect()
}
