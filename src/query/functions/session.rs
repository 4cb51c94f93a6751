//! Functions about the session: who, where, when, settings, other sessions.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::query::context::Effect;
use crate::query::error::Error;
use crate::query::types::{BOOL, INET, INT4, NAME, NAME_ARRAY, TEXT, TIMESTAMP, TIMESTAMPTZ, VOID};
use crate::runtime::{BootClock, Clock};

use super::{
    Call, Function, Kind, bool_value, function, lax, optional_text, text_value, time_value,
};

const NONE: (usize, usize) = (0, 0);

pub(super) static FUNCTIONS: &[Function] = &[
    function("version", NONE, TEXT, Kind::Pure, |_| text_value(version_text())),
    function("current_user", NONE, NAME, Kind::Bound, user),
    function("session_user", NONE, NAME, Kind::Bound, user),
    function("user", NONE, NAME, Kind::Bound, user),
    function("current_role", NONE, NAME, Kind::Bound, user),
    function("getpgusername", NONE, NAME, Kind::Bound, user),
    function("current_database", NONE, NAME, Kind::Bound, database),
    function("current_catalog", NONE, NAME, Kind::Bound, database),
    function("current_schema", NONE, NAME, Kind::Bound, current_schema),
    function("current_schemas", (1, 1), NAME_ARRAY, Kind::Bound, current_schemas),
    function("pg_backend_pid", NONE, INT4, Kind::Bound, |call| {
        Ok(ScalarValue::Int32(Some(call.context()?.session.pid)))
    }),
    function("now", NONE, TIMESTAMPTZ, Kind::Bound, transaction_time),
    function("current_timestamp", (0, 1), TIMESTAMPTZ, Kind::Bound, transaction_time),
    function("current_date", NONE, 1082, Kind::Bound, |call| {
        let days = call.context()?.transaction_time.div_euclid(86_400_000_000);
        Ok(ScalarValue::Date32(i32::try_from(days).ok()))
    }),
    function("localtimestamp", (0, 1), TIMESTAMP, Kind::Bound, |call| {
        Ok(ScalarValue::TimestampMicrosecond(Some(call.context()?.transaction_time), None))
    }),
    function("transaction_timestamp", NONE, TIMESTAMPTZ, Kind::Bound, transaction_time),
    function("statement_timestamp", NONE, TIMESTAMPTZ, Kind::Bound, |call| {
        time_value(call.context()?.statement_time)
    }),
    function("clock_timestamp", NONE, TIMESTAMPTZ, Kind::Acting, |_| {
        time_value(BootClock.wall_micros())
    }),
    function("current_setting", (1, 2), TEXT, Kind::Bound, current_setting),
    lax(function("set_config", (3, 3), TEXT, Kind::Acting, set_config)),
    function("pg_terminate_backend", (1, 2), BOOL, Kind::Acting, |call| signal(call, true)),
    function("pg_cancel_backend", (1, 1), BOOL, Kind::Acting, |call| signal(call, false)),
    function("pg_postmaster_start_time", NONE, TIMESTAMPTZ, Kind::Bound, started),
    function("pg_conf_load_time", NONE, TIMESTAMPTZ, Kind::Bound, started),
    function("pg_reload_conf", NONE, BOOL, Kind::Acting, |call| {
        let context = call.context()?;
        if !context.session.superuser {
            return Err(Error::NotSuperuser { what: "to reload the configuration" });
        }
        bool_value(context.live.reload())
    }),
    function("inet_server_addr", NONE, INET, Kind::Bound, |_| Ok(ScalarValue::Utf8(None))),
    function("inet_server_port", NONE, INT4, Kind::Bound, |call| {
        let port = call.context()?.setting("port").and_then(|text| text.parse().ok());
        Ok(ScalarValue::Int32(port))
    }),
    function("inet_client_addr", NONE, INET, Kind::Bound, |call| {
        let context = call.context()?;
        let own = context.live.sessions().into_iter().find(|row| row.pid == context.session.pid);
        optional_text(own.and_then(|row| row.client_addr))
    }),
    function("inet_client_port", NONE, INT4, Kind::Bound, |call| {
        let context = call.context()?;
        let own = context.live.sessions().into_iter().find(|row| row.pid == context.session.pid);
        Ok(ScalarValue::Int32(own.map(|row| row.client_port.unwrap_or(-1))))
    }),
    function("pg_is_other_temp_schema", (1, 1), BOOL, Kind::Pure, |_| bool_value(false)),
    function("pg_my_temp_schema", NONE, crate::query::types::OID, Kind::Pure, |_| {
        Ok(ScalarValue::UInt32(Some(0)))
    }),
    function("pg_sleep", (1, 1), VOID, Kind::Acting, |_| {
        Err(Error::unsupported("pg_sleep is not supported"))
    }),
];

/// Names Aerie, and what HAWQ's tools look for: `PostgreSQL N.N`, `HAWQ N.N`, `Greenplum`.
fn version_text() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "PostgreSQL 8.2.15 (Aerie {version}) (Apache HAWQ 3.0.0.0) (Greenplum Database 4.3.0 \
         build aerie) on {}-{}, compiled by rustc",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

fn user(call: &Call<'_>) -> Result<ScalarValue, Error> {
    text_value(call.context()?.session.user.clone())
}

fn database(call: &Call<'_>) -> Result<ScalarValue, Error> {
    text_value(call.context()?.session.database.clone())
}

fn existing_path(call: &Call<'_>, implicit: bool) -> Result<Vec<String>, Error> {
    let context = call.context()?;
    let known: Vec<String> =
        context.view.namespaces()?.into_iter().map(|(_, name, _)| name).collect();
    let explicit = context.setting("search_path").unwrap_or_default().contains("pg_catalog");
    let keep = |schema: &String| {
        known.contains(schema) && (implicit || explicit || schema != "pg_catalog")
    };
    Ok(context.search_path().into_iter().filter(keep).collect())
}

fn current_schema(call: &Call<'_>) -> Result<ScalarValue, Error> {
    optional_text(existing_path(call, false)?.into_iter().next())
}

fn current_schemas(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let names: Vec<ScalarValue> = existing_path(call, call.flag(0))?
        .into_iter()
        .map(|name| ScalarValue::Utf8(Some(name)))
        .collect();
    Ok(ScalarValue::List(ScalarValue::new_list(&names, &DataType::Utf8, true)))
}

fn transaction_time(call: &Call<'_>) -> Result<ScalarValue, Error> {
    time_value(call.context()?.transaction_time)
}

fn started(call: &Call<'_>) -> Result<ScalarValue, Error> {
    time_value(call.context()?.live.server().started_at)
}

fn current_setting(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let context = call.context()?;
    match context.settings.show(&call.required(0)?, context.live.as_ref()) {
        Err(Error::UnknownSetting { .. }) if call.flag(1) => optional_text(None),
        shown => text_value(shown?),
    }
}

fn set_config(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let (Some(name), local) = (call.text(0)?, call.flag(2)) else {
        return Err(Error::InvalidParameter { message: "setting name is null".to_owned() });
    };
    let value = call.text(1)?.unwrap_or_default();
    let context = call.context()?;
    // Checked here so that the statement fails; done by the session.
    let scope = crate::query::settings::Scope::Session;
    let value = context.settings.clone().set(&name, &value, scope, context.live.as_ref())?;
    context.leave(Effect::SetConfig { name, value: value.clone(), local });
    text_value(value)
}

fn signal(call: &Call<'_>, terminate: bool) -> Result<ScalarValue, Error> {
    let context = call.context()?;
    if !context.session.superuser {
        return Err(Error::NotSuperuser { what: "to signal another session" });
    }
    let Ok(pid) = i32::try_from(call.integer(0)?.unwrap_or(0)) else { return bool_value(false) };
    let live = &context.live;
    bool_value(if terminate { live.terminate(pid) } else { live.cancel(pid) })
}
