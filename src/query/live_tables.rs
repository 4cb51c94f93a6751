//! The schema `hawq_live`: what the running server knows, as tables for the views of
//! `sql/10_views.sql`. The schema itself is not listed anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, SchemaRef};
use datafusion::common::ScalarValue;

use super::context::StatementContext;
use super::error::Error;
use super::relations::schema_of;
use super::table::{Computed, Source};
use super::types::{
    BOOL, INET, INT4, INT8, INTERVAL, NAME, OID, PG_LSN, TEXT, TEXT_ARRAY, TIMESTAMPTZ,
};

type Rows = Vec<Vec<ScalarValue>>;

const SESSIONS: &[(&str, u32)] = &[
    ("datid", OID),
    ("datname", NAME),
    ("pid", INT4),
    ("sess_id", INT4),
    ("usesysid", OID),
    ("usename", NAME),
    ("application_name", TEXT),
    ("client_addr", INET),
    ("client_port", INT4),
    ("backend_start", TIMESTAMPTZ),
    ("xact_start", TIMESTAMPTZ),
    ("query_start", TIMESTAMPTZ),
    ("state_change", TIMESTAMPTZ),
    ("waiting", BOOL),
    ("wait_event_type", TEXT),
    ("wait_event", TEXT),
    ("state", TEXT),
    ("query", TEXT),
];

const REPLICATION: &[(&str, u32)] = &[
    ("pid", INT4),
    ("usesysid", OID),
    ("usename", NAME),
    ("application_name", TEXT),
    ("client_addr", INET),
    ("backend_start", TIMESTAMPTZ),
    ("state", TEXT),
    ("sent_lsn", PG_LSN),
    ("write_lsn", PG_LSN),
    ("flush_lsn", PG_LSN),
    ("replay_lsn", PG_LSN),
    ("write_lag", INTERVAL),
    ("flush_lag", INTERVAL),
    ("replay_lag", INTERVAL),
    ("sync_priority", INT4),
    ("sync_state", TEXT),
    ("reply_time", TIMESTAMPTZ),
];

const SETTINGS: &[(&str, u32)] = &[
    ("name", TEXT),
    ("setting", TEXT),
    ("unit", TEXT),
    ("category", TEXT),
    ("short_desc", TEXT),
    ("extra_desc", TEXT),
    ("context", TEXT),
    ("vartype", TEXT),
    ("source", TEXT),
    ("min_val", TEXT),
    ("max_val", TEXT),
    ("enumvals", TEXT_ARRAY),
    ("boot_val", TEXT),
    ("reset_val", TEXT),
    ("sourcefile", TEXT),
    ("sourceline", INT4),
    ("pending_restart", BOOL),
];

const SERVER: &[(&str, u32)] = &[
    ("in_recovery", BOOL),
    ("write_lsn", PG_LSN),
    ("flush_lsn", PG_LSN),
    ("apply_lsn", PG_LSN),
    ("epoch", TEXT),
    ("started_at", TIMESTAMPTZ),
    ("primary", TEXT),
];

/// Columns of views that have no rows on a master without executors.
const LOCKS: &[(&str, u32)] = &[
    ("locktype", TEXT),
    ("database", OID),
    ("relation", OID),
    ("page", INT4),
    ("tuple", INT4),
    ("transactionid", INT8),
    ("classid", OID),
    ("objid", OID),
    ("objsubid", INT4),
    ("transaction", INT8),
    ("pid", INT4),
    ("mode", TEXT),
    ("granted", BOOL),
    ("mppsessionid", INT4),
    ("mppiswriter", BOOL),
    ("gp_segment_id", INT4),
];

pub(crate) fn all() -> BTreeMap<&'static str, Arc<dyn Source>> {
    let table = |columns, rows| -> Arc<dyn Source> {
        Arc::new(Computed { schema: schema_of(columns), rows })
    };
    BTreeMap::from([
        ("sessions", table(SESSIONS, sessions)),
        ("replication", table(REPLICATION, replication)),
        ("settings", table(SETTINGS, settings)),
        ("server", table(SERVER, server)),
        ("locks", table(LOCKS, |_, _| Ok(Vec::new()))),
    ])
}

fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

fn time(micros: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(micros, Some("+00:00".into()))
}

fn span(time: Option<std::time::Duration>) -> ScalarValue {
    let nanos = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let interval = time.map(|time| IntervalMonthDayNano::new(0, 0, nanos(time)));
    ScalarValue::IntervalMonthDayNano(interval)
}

fn lsn(lsn: crate::types::Lsn) -> ScalarValue {
    ScalarValue::UInt64(Some(lsn.0))
}

fn sessions(context: &StatementContext, _: &SchemaRef) -> Result<Rows, Error> {
    let mut rows = Vec::new();
    for row in context.live.sessions() {
        let database = context.oid_named("pg_database", "datname", &row.database)?;
        let role = context.oid_named("pg_authid", "rolname", &row.user)?;
        let (kind, event) = if row.waiting {
            (Some("IPC"), Some("SyncRep"))
        } else if row.state == "active" {
            (None, None)
        } else {
            (Some("Client"), Some("ClientRead"))
        };
        let optional = |text: Option<&str>| ScalarValue::Utf8(text.map(str::to_owned));
        rows.push(vec![
            ScalarValue::UInt32(database),
            text(row.database),
            ScalarValue::Int32(Some(row.pid)),
            ScalarValue::Int32(Some(row.session_id)),
            ScalarValue::UInt32(role),
            text(row.user),
            text(row.application_name),
            ScalarValue::Utf8(row.client_addr),
            ScalarValue::Int32(Some(row.client_port.unwrap_or(-1))),
            time(Some(row.backend_start)),
            time(row.xact_start),
            time(row.query_start),
            time(row.state_change),
            ScalarValue::Boolean(Some(row.waiting)),
            optional(kind),
            optional(event),
            text(row.state),
            text(row.query),
        ]);
    }
    Ok(rows)
}

fn replication(context: &StatementContext, _: &SchemaRef) -> Result<Rows, Error> {
    let user = context.role_name(crate::catalog::BOOTSTRAP_SUPERUSER)?;
    let row = |row: super::live::ReplicationRow| {
        vec![
            ScalarValue::Int32(Some(row.pid)),
            ScalarValue::UInt32(Some(crate::catalog::BOOTSTRAP_SUPERUSER)),
            ScalarValue::Utf8(user.clone()),
            text(row.name),
            text(row.client_addr),
            time(Some(row.backend_start)),
            text(row.state),
            lsn(row.sent),
            lsn(row.write),
            lsn(row.flush),
            lsn(row.replay),
            span(row.flush_lag),
            span(row.flush_lag),
            span(row.replay_lag),
            ScalarValue::Int32(Some(row.priority)),
            text(row.sync_state),
            time(row.reply_time),
        ]
    };
    Ok(context.live.replication().into_iter().map(row).collect())
}

fn settings(context: &StatementContext, _: &SchemaRef) -> Result<Rows, Error> {
    let row = |row: crate::runtime::config::SettingRow| {
        let choices = match row.choices {
            None => ScalarValue::new_null_list(DataType::Utf8, true, 1),
            Some(list) => {
                let items: Vec<ScalarValue> = list.into_iter().map(text).collect();
                ScalarValue::List(ScalarValue::new_list(&items, &DataType::Utf8, true))
            }
        };
        vec![
            text(row.name),
            text(row.setting),
            ScalarValue::Utf8(row.unit),
            text(row.category),
            text(row.description),
            ScalarValue::Utf8(None),
            text(row.context),
            text(row.kind),
            text(row.source),
            ScalarValue::Utf8(row.min),
            ScalarValue::Utf8(row.max),
            choices,
            text(row.boot_value.clone()),
            text(row.boot_value),
            ScalarValue::Utf8(None),
            ScalarValue::Int32(None),
            ScalarValue::Boolean(Some(false)),
        ]
    };
    Ok(context.settings.rows(context.live.as_ref()).into_iter().map(row).collect())
}

fn server(context: &StatementContext, _: &SchemaRef) -> Result<Rows, Error> {
    let state = context.live.server();
    Ok(vec![vec![
        ScalarValue::Boolean(Some(state.in_recovery)),
        lsn(state.write_lsn),
        lsn(state.flush_lsn),
        lsn(state.apply_lsn),
        text(state.epoch),
        time(Some(state.started_at)),
        ScalarValue::Utf8(state.primary),
    ]])
}
