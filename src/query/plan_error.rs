//! DataFusion's errors as ours: our own are taken out unchanged, the others are recognised by
//! their type first and by their text only where the type says too little.

use datafusion::common::{DataFusionError, SchemaError};

use super::error::Error;
use super::names::visible;

pub(crate) fn recover(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::internal(other.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            recover(*inner)
        }
        DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
            Ok(owned) => recover(owned),
            Err(shared) => from_shared(&shared),
        },
        DataFusionError::Collection(errors) => match errors.into_iter().next() {
            Some(first) => recover(first),
            None => Error::internal("empty list of errors"),
        },
        DataFusionError::ArrowError(inner, _) => arrow(*inner),
        DataFusionError::SchemaError(inner, _) => schema(&inner),
        DataFusionError::NotImplemented(text) if text.contains("logical expression") => {
            Error::unsupported("this form of subquery is not supported here")
        }
        DataFusionError::NotImplemented(text) => Error::unsupported(clean(&text)),
        DataFusionError::ResourcesExhausted(_) => {
            Error::TooLarge { what: "statement needs too much memory".to_owned() }
        }
        other => from_text(&other.strip_backtrace()),
    }
}

/// An error that somebody else holds too: our own is copied as far as it can be.
fn from_shared(shared: &DataFusionError) -> Error {
    let root = shared.find_root();
    let own = match root {
        DataFusionError::External(inner) => inner.downcast_ref::<Error>(),
        _ => None,
    };
    match own {
        Some(Error::Cardinality) => Error::Cardinality,
        Some(Error::UndefinedTable { name, position }) => {
            Error::UndefinedTable { name: name.clone(), position: *position }
        }
        Some(Error::UndefinedObject { kind, name }) => {
            Error::UndefinedObject { kind, name: name.clone() }
        }
        Some(Error::UnknownSetting { name }) => Error::UnknownSetting { name: name.clone() },
        Some(Error::InvalidText { type_name, value }) => {
            Error::InvalidText { type_name: type_name.clone(), value: value.clone() }
        }
        Some(Error::OutOfRange { type_name }) => Error::OutOfRange { type_name: type_name.clone() },
        Some(Error::Management { message }) => Error::Management { message: message.clone() },
        Some(Error::InvalidParameter { message }) => {
            Error::InvalidParameter { message: message.clone() }
        }
        Some(other) => Error::internal(other.to_string()),
        None => from_text(&root.strip_backtrace()),
    }
}

fn clean(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.trim_start_matches("Error during planning: ").to_owned()
}

fn arrow(error: datafusion::arrow::error::ArrowError) -> Error {
    use datafusion::arrow::error::ArrowError;
    match error {
        ArrowError::DivideByZero => Error::DivisionByZero,
        ArrowError::ArithmeticOverflow(_) => Error::OutOfRange { type_name: "value".to_owned() },
        ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => recover(*inner),
                Err(other) => Error::internal(other.to_string()),
            },
        },
        other => from_text(&other.to_string()),
    }
}

fn schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            let name = match &field.relation {
                Some(relation) => format!("{}.{}", relation.table(), field.name),
                None => format!("\"{}\"", visible(&field.name)),
            };
            Error::UndefinedColumn { name, position: None }
        }
        SchemaError::AmbiguousReference { field } => {
            Error::AmbiguousColumn { name: visible(&field.name).to_owned() }
        }
        SchemaError::DuplicateUnqualifiedField { name }
        | SchemaError::DuplicateQualifiedField { name, .. } => {
            Error::AmbiguousColumn { name: visible(name).to_owned() }
        }
    }
}

/// What stands between two marks in a text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let tail = text.split_once(before)?.1;
    Some(tail.split_once(after)?.0)
}

fn sql_type(arrow: &str) -> &'static str {
    match arrow {
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "UInt32" => "oid",
        "UInt64" => "numeric",
        "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" => "date",
        other if other.starts_with("Timestamp") => "timestamp with time zone",
        other if other.starts_with("Decimal") => "numeric",
        _ => "unknown",
    }
}

fn from_text(text: &str) -> Error {
    let lower = text.to_lowercase();
    if let Some(name) = between(text, "Invalid function '", "'") {
        return Error::UndefinedFunction { name: format!("{name}()") };
    }
    // "Cannot cast string 'x' to value of Int32 type"
    if let (Some(value), Some(target)) = (
        between(text, "Cannot cast string '", "' to value"),
        between(text, "to value of ", " type"),
    ) {
        let (type_name, value) = (sql_type(target).to_owned(), value.to_owned());
        return Error::InvalidText { type_name, value };
    }
    if let Some(value) = between(text, "Error parsing timestamp from '", "'") {
        let type_name = "timestamp with time zone".to_owned();
        return Error::InvalidText { type_name, value: value.to_owned() };
    }
    if let Some(name) =
        between(text, "No field named ", ".").or_else(|| between(text, "No field named ", " "))
    {
        let name = format!("\"{}\"", visible(name.trim_matches('"')));
        return Error::UndefinedColumn { name, position: None };
    }
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        return Error::DivisionByZero;
    }
    if lower.contains("regex") && (lower.contains("parse") || lower.contains("compile")) {
        return Error::InvalidRegex { message: clean(text) };
    }
    if let Some((_, target)) = text.split_once("Can't cast value ") {
        let target = target.rsplit_once("to type ").map_or("", |(_, target)| target);
        return Error::OutOfRange { type_name: sql_type(target.trim()).to_owned() };
    }
    if lower.contains("overflow") {
        return Error::OutOfRange { type_name: "value".to_owned() };
    }
    if lower.contains("must appear in the group by") || lower.contains("in the select clause") {
        return Error::Grouping { message: grouping(text) };
    }
    if lower.contains("no function matches") || lower.contains("failed to coerce arguments") {
        let name = between(text, "function '", "'").or_else(|| between(text, "call to '", "'"));
        let name = name.unwrap_or("with these argument types").to_owned();
        return Error::UndefinedFunction { name };
    }
    if lower.contains("ambiguous") {
        let name = between(text, "field ", " is").or_else(|| between(text, "reference ", " "));
        let name = visible(name.unwrap_or("")).trim_matches('"').to_owned();
        return Error::AmbiguousColumn { name };
    }
    let mismatch = [
        "cannot infer common argument type",
        "type coercion",
        "cannot coerce",
        "cannot cast",
        "is not a valid operand",
        "incompatible",
        "should return only one column",
        "must be boolean",
        "non-boolean",
    ];
    if mismatch.iter().any(|phrase| lower.contains(phrase)) {
        return Error::TypeMismatch { message: clean(text) };
    }
    let planning = ["error during planning", "schema error", "this feature is not implemented"];
    if planning.iter().any(|phrase| lower.contains(phrase)) || lower.contains("not supported") {
        return Error::unsupported(clean(text));
    }
    Error::internal(clean(text))
}

fn grouping(text: &str) -> String {
    let column = between(
        text,
        "Column in SELECT must be in GROUP BY or an aggregate function: \
                                While expanding wildcard, column \"",
        "\"",
    )
    .or_else(|| between(text, "column \"", "\""));
    let column = column.unwrap_or("of the select list");
    format!(
        "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
    )
}
