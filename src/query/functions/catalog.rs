//! Functions that look things up in the catalog: reg* casts, type names, descriptions, visibility,
//! privileges.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use crate::catalog::{Datum, Relation, RelationKind};
use crate::query::context::StatementContext;
use crate::query::error::Error;
use crate::query::types::{
    self, BOOL, CHAR, INT4, INT8, NAME, OID, REGCLASS, REGNAMESPACE, REGROLE, REGTYPE, TEXT,
};

use super::{Call, Function, Kind, bool_value, function, lax, optional_text, text_value};

const PG_CLASS: u32 = 1259;
const PG_NAMESPACE: u32 = 2615;

pub(super) static FUNCTIONS: &[Function] = &[
    function("aerie_regclass", (1, 1), REGCLASS, Kind::Bound, regclass),
    function("aerie_regtype", (1, 1), REGTYPE, Kind::Bound, regtype),
    function("aerie_regnamespace", (1, 1), REGNAMESPACE, Kind::Bound, |call| {
        named(call, ("pg_namespace", "nspname"), |name| Error::UndefinedSchema { name })
    }),
    function("aerie_regrole", (1, 1), REGROLE, Kind::Bound, |call| {
        named(call, ("pg_authid", "rolname"), |name| Error::UndefinedObject { kind: "role", name })
    }),
    // Columns of type regproc are stored as names, so that is what one compares them with.
    function("aerie_regproc", (1, 1), NAME, Kind::Pure, |call| {
        let text = call.required(0)?;
        let name = text.parse().ok().and_then(crate::query::procedures::find);
        let plain = text.trim_start_matches("pg_catalog.").to_owned();
        text_value(name.map_or(plain, |known| known.name.to_owned()))
    }),
    function("aerie_regout", (1, 1), TEXT, Kind::Bound, |call| {
        let kind = call.fields.first().map_or(OID, |field| types::oid_of(field));
        text_value(reg_text(call.context()?, kind, call.oid(0)?)?)
    }),
    function("to_regclass", (1, 1), REGCLASS, Kind::Bound, |call| match regclass(call) {
        Err(Error::UndefinedTable { .. }) => Ok(ScalarValue::UInt32(None)),
        other => other,
    }),
    function("to_regtype", (1, 1), REGTYPE, Kind::Bound, |call| match regtype(call) {
        Err(Error::UndefinedObject { .. }) => Ok(ScalarValue::UInt32(None)),
        other => other,
    }),
    function("to_regnamespace", (1, 1), REGNAMESPACE, Kind::Bound, |call| {
        let found = call.context()?.oid_named("pg_namespace", "nspname", &call.required(0)?)?;
        Ok(ScalarValue::UInt32(found))
    }),
    lax(function("format_type", (2, 2), TEXT, Kind::Pure, |call| {
        if call.integer(0)?.is_none() {
            return optional_text(None);
        }
        let typmod = i32::try_from(call.integer(1)?.unwrap_or(-1)).unwrap_or(-1);
        text_value(types::format_type(call.oid(0)?, typmod))
    })),
    lax(function("pg_typeof", (1, 1), REGTYPE, Kind::Pure, |call| {
        Ok(ScalarValue::UInt32(call.fields.first().map(|field| types::oid_of(field))))
    })),
    function("pg_get_userbyid", (1, 1), NAME, Kind::Bound, |call| {
        let oid = call.oid(0)?;
        let name = call.context()?.role_name(oid)?;
        text_value(name.unwrap_or_else(|| format!("unknown (OID={oid})")))
    }),
    function("pg_table_is_visible", (1, 1), BOOL, Kind::Bound, |call| {
        let context = call.context()?;
        match context.view.relation(call.oid(0)?)? {
            Some(relation) => bool_value(context.is_visible(&relation)?),
            None => Ok(ScalarValue::Boolean(None)),
        }
    }),
    function("pg_type_is_visible", (1, 1), BOOL, Kind::Pure, |_| bool_value(true)),
    function("pg_function_is_visible", (1, 1), BOOL, Kind::Pure, |_| bool_value(true)),
    function("pg_operator_is_visible", (1, 1), BOOL, Kind::Pure, |_| bool_value(true)),
    function("pg_collation_is_visible", (1, 1), BOOL, Kind::Pure, |_| bool_value(true)),
    function("pg_opclass_is_visible", (1, 1), BOOL, Kind::Pure, |_| bool_value(true)),
    function("pg_relation_is_publishable", (1, 1), BOOL, Kind::Pure, |_| bool_value(false)),
    function("obj_description", (1, 2), TEXT, Kind::Bound, obj_description),
    function("shobj_description", (2, 2), TEXT, Kind::Bound, obj_description),
    function("col_description", (2, 2), TEXT, Kind::Bound, |call| {
        description(call.context()?, call.oid(0)?, Some(PG_CLASS), call.integer(1)?.unwrap_or(0))
    }),
    function("pg_get_viewdef", (1, 2), TEXT, Kind::Bound, view_definition),
    lax(function("pg_get_expr", (2, 3), TEXT, Kind::Pure, |call| optional_text(call.text(0)?))),
    function("pg_get_indexdef", (1, 3), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_constraintdef", (1, 2), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_ruledef", (1, 2), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_triggerdef", (1, 2), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_functiondef", (1, 1), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_function_result", (1, 1), TEXT, Kind::Bound, |call| {
        proc_text(call, "prorettype")
    }),
    function("pg_get_function_arguments", (1, 1), TEXT, Kind::Bound, |_| text_value("")),
    function("pg_get_function_identity_arguments", (1, 1), TEXT, Kind::Bound, |_| text_value("")),
    function("pg_get_statisticsobjdef_columns", (1, 1), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_partkeydef", (1, 1), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_get_serial_sequence", (2, 2), TEXT, Kind::Pure, |_| optional_text(None)),
    function("pg_encoding_to_char", (1, 1), NAME, Kind::Pure, |call| {
        text_value(match call.integer(0)? {
            Some(0) => "SQL_ASCII",
            Some(6) => "UTF8",
            _ => "",
        })
    }),
    function("pg_char_to_encoding", (1, 1), INT4, Kind::Pure, |call| {
        let known = call.required(0)?.to_uppercase().replace('-', "");
        let number = match known.as_str() {
            "UTF8" | "UNICODE" => 6,
            "SQL_ASCII" => 0,
            _ => -1,
        };
        Ok(ScalarValue::Int32(Some(number)))
    }),
    function("pg_tablespace_location", (1, 1), TEXT, Kind::Pure, |_| text_value("")),
    function("pg_relation_size", (1, 2), INT8, Kind::Pure, no_size),
    function("pg_total_relation_size", (1, 1), INT8, Kind::Pure, no_size),
    function("pg_table_size", (1, 1), INT8, Kind::Pure, no_size),
    function("pg_indexes_size", (1, 1), INT8, Kind::Pure, no_size),
    function("pg_database_size", (1, 1), INT8, Kind::Pure, no_size),
    function("pg_tablespace_size", (1, 1), INT8, Kind::Pure, no_size),
    function("pg_relation_filenode", (1, 1), OID, Kind::Pure, |call| {
        Ok(ScalarValue::UInt32(Some(call.oid(0)?)))
    }),
    function("has_database_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_schema_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_table_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_column_privilege", (3, 4), BOOL, Kind::Bound, privilege),
    function("has_any_column_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_function_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_tablespace_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_sequence_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("has_language_privilege", (2, 3), BOOL, Kind::Bound, privilege),
    function("pg_has_role", (2, 3), BOOL, Kind::Bound, privilege),
    function("aerie_char", (1, 1), CHAR, Kind::Pure, |call| {
        text_value(call.required(0)?.chars().take(1).collect::<String>())
    }),
    function("aerie_name", (1, 1), NAME, Kind::Pure, |call| {
        let text = call.required(0)?;
        let mut end = text.len().min(63);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text_value(&text[..end])
    }),
];

/// Sizes belong to the segments' storage, which this master does not hold.
fn no_size(_: &Call<'_>) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::Int64(Some(0)))
}

/// Roles and grants come later: until then a superuser may everything, others may read.
fn privilege(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let wanted = call.required(call.args.len().saturating_sub(1))?.to_uppercase();
    let reading = ["SELECT", "USAGE", "CONNECT", "EXECUTE", "MEMBER"].contains(&wanted.trim());
    bool_value(call.context()?.session.superuser || reading)
}

/// `name`, `"Name"` or `schema.name`, folded.
fn split_name(text: &str) -> Result<Vec<String>, Error> {
    let sources = crate::query::lexer::split(text)?;
    let [source] = sources.as_slice() else {
        return Err(Error::Syntax { message: "invalid name syntax".to_owned(), position: None });
    };
    let mut cursor = source.cursor();
    let parts = cursor.qualified()?;
    cursor.expect_end()?;
    Ok(parts)
}

fn lookup(context: &StatementContext, text: &str) -> Result<Arc<Relation>, Error> {
    let parts = split_name(text)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] | [_, schema, name] => (Some(schema.as_str()), name),
        _ => return Err(Error::UndefinedTable { name: text.to_owned(), position: None }),
    };
    context
        .find_relation(schema, name)?
        .ok_or_else(|| Error::UndefinedTable { name: text.to_owned(), position: None })
}

fn regclass(call: &Call<'_>) -> Result<ScalarValue, Error> {
    if !call.is_text(0) {
        return Ok(ScalarValue::UInt32(Some(call.oid(0)?)));
    }
    let text = call.required(0)?;
    if let Ok(oid) = text.parse::<u32>() {
        return Ok(ScalarValue::UInt32(Some(oid)));
    }
    if text == "-" {
        return Ok(ScalarValue::UInt32(Some(0)));
    }
    Ok(ScalarValue::UInt32(Some(lookup(call.context()?, &text)?.oid)))
}

fn regtype(call: &Call<'_>) -> Result<ScalarValue, Error> {
    if !call.is_text(0) {
        return Ok(ScalarValue::UInt32(Some(call.oid(0)?)));
    }
    let text = call.required(0)?;
    let plain = text.trim().trim_start_matches("pg_catalog.");
    let known = match plain.strip_suffix("[]") {
        Some(element) => types::by_name(element).map(|known| known.array),
        None => types::by_name(plain).map(|known| known.oid),
    };
    match known.or_else(|| plain.parse().ok()) {
        Some(oid) => Ok(ScalarValue::UInt32(Some(oid))),
        None => Err(Error::UndefinedObject { kind: "type", name: text }),
    }
}

fn named(
    call: &Call<'_>,
    place: (&str, &str),
    missing: fn(String) -> Error,
) -> Result<ScalarValue, Error> {
    if !call.is_text(0) {
        return Ok(ScalarValue::UInt32(Some(call.oid(0)?)));
    }
    let text = call.required(0)?;
    if let Ok(oid) = text.parse::<u32>() {
        return Ok(ScalarValue::UInt32(Some(oid)));
    }
    let name = split_name(&text)?.pop().unwrap_or_default();
    match call.context()?.oid_named(place.0, place.1, &name)? {
        Some(oid) => Ok(ScalarValue::UInt32(Some(oid))),
        None => Err(missing(name)),
    }
}

/// The text of a reg* value: a name where there is one, else the number.
pub(crate) fn reg_text(context: &StatementContext, kind: u32, oid: u32) -> Result<String, Error> {
    if oid == 0 {
        return Ok("-".to_owned());
    }
    let name = match kind {
        REGCLASS => match context.view.relation(oid)? {
            Some(relation) => Some(context.relation_label(&relation)?),
            None => None,
        },
        REGTYPE => types::by_oid(oid).map(|_| types::format_type(oid, -1)),
        REGNAMESPACE => context.name_of("pg_namespace", "nspname", oid)?,
        REGROLE => context.role_name(oid)?,
        _ => None,
    };
    Ok(name.unwrap_or_else(|| oid.to_string()))
}

fn obj_description(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let context = call.context()?;
    let class = if call.args.len() == 2 {
        let name = call.required(1)?;
        match name.as_str() {
            "pg_class" => Some(PG_CLASS),
            "pg_namespace" => Some(PG_NAMESPACE),
            other => match context.find_relation(Some("pg_catalog"), other)? {
                Some(relation) => Some(relation.oid),
                None => return optional_text(None),
            },
        }
    } else {
        None
    };
    description(context, call.oid(0)?, class, 0)
}

fn description(
    context: &StatementContext,
    object: u32,
    class: Option<u32>,
    sub: i64,
) -> Result<ScalarValue, Error> {
    let Some(relation) = context.view.relation_named("pg_catalog", "pg_description")? else {
        return optional_text(None);
    };
    let at = |name: &str| relation.column_index(name);
    let (Some(class_at), Some(sub_at), Some(text_at)) =
        (at("classoid"), at("objsubid"), at("description"))
    else {
        return optional_text(None);
    };
    let rows = context.view.scan(relation.oid, &[Datum::Oid(object)])?;
    let found = rows.iter().find(|row| {
        let value = |at: usize| row.get(at).and_then(Datum::as_i64);
        class.is_none_or(|class| value(class_at) == Some(i64::from(class)))
            && value(sub_at) == Some(sub)
    });
    optional_text(found.and_then(|row| row.get(text_at)?.as_str().map(str::to_owned)))
}

fn view_definition(call: &Call<'_>) -> Result<ScalarValue, Error> {
    let context = call.context()?;
    let relation = if call.is_text(0) && call.required(0)?.parse::<u32>().is_err() {
        Some(lookup(context, &call.required(0)?)?)
    } else {
        context.view.relation(call.oid(0)?)?
    };
    match relation.as_deref().map(|relation| &relation.kind) {
        Some(RelationKind::View { sql }) => {
            text_value(format!(" {};", sql.trim().trim_end_matches(';')))
        }
        Some(_) => text_value("Not a view"),
        None => optional_text(None),
    }
}

fn proc_text(call: &Call<'_>, column: &str) -> Result<ScalarValue, Error> {
    let rows = crate::query::procedures::find(call.oid(0)?);
    optional_text(
        rows.filter(|_| column == "prorettype").map(|known| {
            types::format_type(if known.returns == 0 { 2283 } else { known.returns }, -1)
        }),
    )
}

/// A reg* column of a result as the text that clients see.
pub(crate) fn reg_column(
    context: &StatementContext,
    kind: u32,
    column: &datafusion::arrow::array::ArrayRef,
) -> Result<datafusion::arrow::array::ArrayRef, Error> {
    use crate::query::rows::internal;
    let values = (0..column.len())
        .map(|at| match ScalarValue::try_from_array(column, at).map_err(internal)? {
            ScalarValue::UInt32(Some(oid)) => text_value(reg_text(context, kind, oid)?),
            _ => optional_text(None),
        })
        .collect::<Result<Vec<_>, Error>>()?;
    if values.is_empty() {
        return ColumnarValue::Scalar(ScalarValue::Utf8(None)).into_array(0).map_err(internal);
    }
    ScalarValue::iter_to_array(values).map_err(internal)
}
