//! HAWQ's management functions: their checks and texts. What they change, the session changes in
//! its transaction (`Effect`).

use datafusion::common::ScalarValue;

use crate::catalog::Datum;
use crate::query::context::{Effect, StatementContext};
use crate::query::error::Error;
use crate::query::types::{BOOL, INT2, TEXT};

use super::{Call, Function, Kind, bool_value, function, lax, text_value};

pub(super) static FUNCTIONS: &[Function] = &[
    lax(function("gp_add_master_standby", (3, 3), INT2, Kind::Acting, add_standby)),
    function("gp_remove_master_standby", (0, 0), BOOL, Kind::Acting, remove_standby),
    function("gp_remove_segment", (1, 1), BOOL, Kind::Acting, remove_segment),
    function("gp_remove_segment_history", (0, 0), BOOL, Kind::Acting, |call| {
        utility(call)?;
        call.context()?.leave(Effect::RemoveSegmentHistory);
        bool_value(true)
    }),
    lax(function("gp_activate_standby", (0, 0), BOOL, Kind::Acting, |_| {
        Err(Error::unsupported(
            "gp_activate_standby() is not supported: use \"hawq activate standby\"",
        ))
    })),
    lax(function("gp_add_segment", (0, 8), INT2, Kind::Acting, unsupported)),
    lax(function("gp_add_segment_mirror", (0, 8), INT2, Kind::Acting, unsupported)),
    lax(function("gp_remove_segment_mirror", (0, 8), BOOL, Kind::Acting, unsupported)),
    lax(function("gp_prep_new_segment", (0, 8), BOOL, Kind::Acting, unsupported)),
    function("dump_resource_manager_status", (1, 1), TEXT, Kind::Acting, |_| {
        text_value("Dump resource manager status failed. There is no resource manager here.")
    }),
];

fn unsupported(call: &Call<'_>) -> Result<ScalarValue, Error> {
    Err(Error::Management { message: format!("{} is not supported", call.name) })
}

/// Superuser, in a session with `gp_session_role=utility`, as HAWQ asks.
fn utility(call: &Call<'_>) -> Result<(), Error> {
    let context = call.context()?;
    if !context.session.superuser {
        return Err(Error::NotSuperuser { what: "to run this function" });
    }
    if !context.utility_mode() {
        let message = format!("{} can only be run in utility mode", call.name);
        return Err(Error::Management { message });
    }
    if context.session.hot_standby {
        return Err(Error::ReadOnly { command: format!("{}()", call.name), hint: None });
    }
    Ok(())
}

fn role_rows(context: &StatementContext, role: u8) -> Result<usize, Error> {
    let (Some(relation), rows) = context.rows("gp_segment_configuration")? else { return Ok(0) };
    let Some(at) = relation.column_index("role") else { return Ok(0) };
    Ok(rows.iter().filter(|row| row.get(at).and_then(Datum::as_char) == Some(role)).count())
}

fn add_standby(call: &Call<'_>) -> Result<ScalarValue, Error> {
    utility(call)?;
    let refuse = |message: &str| Error::Management { message: message.to_owned() };
    let host = call.text(0)?.ok_or_else(|| refuse("host name cannot be NULL"))?;
    let address = call.text(1)?.ok_or_else(|| refuse("address cannot be NULL"))?;
    let context = call.context()?;
    if role_rows(context, b's')? > 0 {
        return Err(refuse("only a single master standby may be defined"));
    }
    context.leave(Effect::AddMasterStandby { host, address });
    Ok(ScalarValue::Int16(Some(1)))
}

fn remove_standby(call: &Call<'_>) -> Result<ScalarValue, Error> {
    utility(call)?;
    let context = call.context()?;
    if role_rows(context, b's')? == 0 {
        return Err(Error::Management { message: "no master standby defined".to_owned() });
    }
    context.leave(Effect::RemoveMasterStandby);
    bool_value(true)
}

fn remove_segment(call: &Call<'_>) -> Result<ScalarValue, Error> {
    utility(call)?;
    let order = call.integer(0)?.unwrap_or(0);
    if order <= 0 {
        let message = "Cannot remove master or standby".to_owned();
        return Err(Error::Management { message });
    }
    let order =
        i32::try_from(order).map_err(|_| Error::OutOfRange { type_name: "smallint".to_owned() })?;
    call.context()?.leave(Effect::RemoveSegment { order });
    bool_value(true)
}
