//! Functions about the log, recovery and transaction ids.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::catalog::XactStatus;
use crate::query::error::Error;
use crate::query::rows::internal;
use crate::query::types::{BOOL, INT8, NUMERIC, PG_LSN, TEXT, TIMESTAMPTZ, XID8};
use crate::types::Lsn;

use super::{Call, Function, Kind, bool_value, function, optional_text, text_value};

const NONE: (usize, usize) = (0, 0);

pub(super) static FUNCTIONS: &[Function] = &[
    function("pg_is_in_recovery", NONE, BOOL, Kind::Bound, |call| {
        bool_value(call.context()?.live.server().in_recovery)
    }),
    function("pg_current_wal_lsn", NONE, PG_LSN, Kind::Bound, current_wal),
    function("pg_current_wal_insert_lsn", NONE, PG_LSN, Kind::Bound, current_wal),
    function("pg_current_wal_flush_lsn", NONE, PG_LSN, Kind::Bound, |call| {
        let server = on_primary(call)?;
        lsn_value(Some(server.flush_lsn))
    }),
    function("pg_last_wal_replay_lsn", NONE, PG_LSN, Kind::Bound, |call| {
        let server = call.context()?.live.server();
        lsn_value(server.in_recovery.then_some(server.apply_lsn))
    }),
    function("pg_last_wal_receive_lsn", NONE, PG_LSN, Kind::Bound, |call| {
        let server = call.context()?.live.server();
        lsn_value(server.in_recovery.then_some(server.flush_lsn))
    }),
    function("pg_last_xact_replay_timestamp", NONE, TIMESTAMPTZ, Kind::Bound, |_| {
        Ok(ScalarValue::TimestampMicrosecond(None, Some("+00:00".into())))
    }),
    function("pg_is_wal_replay_paused", NONE, BOOL, Kind::Bound, |_| bool_value(false)),
    function("pg_wal_lsn_diff", (2, 2), NUMERIC, Kind::Pure, |call| {
        let difference = i128::from(lsn(call, 0)?) - i128::from(lsn(call, 1)?);
        let scaled = difference * 10_i128.pow(10);
        Ok(ScalarValue::Decimal128(Some(scaled), 38, 10))
    }),
    function("aerie_lsn_out", (1, 1), TEXT, Kind::Pure, |call| {
        text_value(Lsn(lsn(call, 0)?).to_string())
    }),
    function("aerie_lsn_in", (1, 1), PG_LSN, Kind::Pure, |call| {
        lsn_value(Some(Lsn(lsn(call, 0)?)))
    }),
    function("aerie_epoch", NONE, TEXT, Kind::Bound, |call| {
        text_value(call.context()?.live.server().epoch)
    }),
    function("pg_current_xact_id", NONE, XID8, Kind::Bound, |call| {
        Ok(ScalarValue::UInt64(Some(xid(call)?)))
    }),
    function("pg_current_xact_id_if_assigned", NONE, XID8, Kind::Bound, |call| {
        Ok(ScalarValue::UInt64(Some(xid(call)?)))
    }),
    function("txid_current", NONE, INT8, Kind::Bound, |call| {
        Ok(ScalarValue::Int64(i64::try_from(xid(call)?).ok()))
    }),
    function("pg_xact_status", (1, 1), TEXT, Kind::Bound, xact_status),
    function("txid_status", (1, 1), TEXT, Kind::Bound, xact_status),
];

fn on_primary(call: &Call<'_>) -> Result<crate::query::live::ServerState, Error> {
    let server = call.context()?.live.server();
    if server.in_recovery {
        return Err(Error::InvalidParameter {
            message: "recovery is in progress: WAL control functions cannot be executed during \
                      recovery"
                .to_owned(),
        });
    }
    Ok(server)
}

fn current_wal(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let server = on_primary(call)?;
    lsn_value(Some(server.write_lsn))
}

fn lsn_value(lsn: Option<Lsn>) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::UInt64(lsn.map(|lsn| lsn.0)))
}

fn lsn(call: &Call<'_>, at: usize) -> Result<u64, Error> {
    if call.is_text(at) {
        let text = call.required(at)?;
        return text
            .parse::<Lsn>()
            .map(|lsn| lsn.0)
            .map_err(|_| Error::InvalidText { type_name: "pg_lsn".to_owned(), value: text });
    }
    let value = call.args.get(at).ok_or_else(|| Error::internal("missing argument"))?;
    match value.cast_to(&DataType::UInt64).map_err(internal)? {
        ScalarValue::UInt64(Some(number)) => Ok(number),
        _ => Err(Error::internal("LSN without a value")),
    }
}

fn xid(call: &Call<'_>) -> Result<u64, Error> {
    let context = call.context()?;
    if context.session.hot_standby {
        return Err(Error::InvalidParameter {
            message: "cannot assign transaction IDs during recovery".to_owned(),
        });
    }
    (context.xid)()
}

/// `committed`, `aborted`, `in progress`, or null when the transaction is too old to say.
fn xact_status(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let context = call.context()?;
    let Some(number) = call.integer(0)? else { return optional_text(None) };
    let Ok(xid) = u64::try_from(number) else {
        return Err(Error::InvalidParameter {
            message: format!("transaction ID {number} is not valid"),
        });
    };
    if context.live.in_progress(xid) {
        return text_value("in progress");
    }
    let text = match context.catalog.xact_status(xid) {
        XactStatus::Committed => Some("committed"),
        XactStatus::Aborted => Some("aborted"),
        XactStatus::InProgress => Some("in progress"),
        XactStatus::Unknown => None,
    };
    optional_text(text.map(str::to_owned))
}
