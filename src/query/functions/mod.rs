//! PostgreSQL's and HAWQ's functions that the planner's own library does not have.
//!
//! A function is a row in a table: name, arguments, result type, body. Most are bound to the
//! running statement's context when it is planned, so that a plan which used one is not cached.
//! None of them changes the catalog (see `Effect`).

mod arithmetic;
mod average;
mod catalog;
mod management;
mod recovery;
mod session;
mod single_value;
mod text;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::context::StatementContext;
use super::error::Error;
use super::rows::internal;
use super::table::wrap;
use super::types;

pub(crate) use arithmetic::checked;
pub(crate) use average::average;
pub(crate) use catalog::reg_column;
pub(crate) use single_value::{SINGLE_VALUE, single_value};

/// Stands for "an array of the first argument's type".
pub(crate) const NO_ELEMENTS: u32 = u32::MAX;

/// One call with the values of one row.
pub(crate) struct Call<'a> {
    pub name: &'static str,
    pub args: &'a [ScalarValue],
    pub fields: &'a [FieldRef],
    context: Option<&'a StatementContext>,
}

type Body = fn(&Call<'_>) -> Result<ScalarValue, Error>;

/// How a function depends on what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On its arguments alone.
    Pure,
    /// On the statement's context too, but gives one answer in a statement.
    Bound,
    /// It does something; called once a row, never folded.
    Acting,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub name: &'static str,
    /// Fewest and most arguments.
    pub arity: (usize, usize),
    /// Oid of the result's type; 0 is the type of the first argument, `NO_ELEMENTS` its array.
    pub returns: u32,
    pub kind: Kind,
    /// Whether any null argument makes the result null.
    pub strict: bool,
    pub body: Body,
}

pub(crate) const fn function(
    name: &'static str,
    arity: (usize, usize),
    returns: u32,
    kind: Kind,
    body: Body,
) -> Function {
    Function { name, arity, returns, kind, strict: true, body }
}

pub(crate) const fn lax(function: Function) -> Function {
    Function { strict: false, ..function }
}

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    let tables = [
        session::FUNCTIONS,
        catalog::FUNCTIONS,
        recovery::FUNCTIONS,
        text::FUNCTIONS,
        management::FUNCTIONS,
    ];
    tables.into_iter().flatten().find(|known| known.name == name)
}

/// Makes the planner's function out of ours.
pub(crate) fn bind(
    function: &'static Function,
    context: Option<Arc<StatementContext>>,
) -> ScalarUDF {
    let volatility = match function.kind {
        Kind::Pure => Volatility::Immutable,
        Kind::Bound => Volatility::Stable,
        Kind::Acting => Volatility::Volatile,
    };
    let counts = (function.arity.0..=function.arity.1).map(|count| match count {
        0 => TypeSignature::Nullary,
        more => TypeSignature::Any(more),
    });
    let signature = Signature::one_of(counts.collect(), volatility);
    ScalarUDF::new_from_impl(Udf { function, context, signature })
}

#[derive(Debug)]
struct Udf {
    function: &'static Function,
    context: Option<Arc<StatementContext>>,
    signature: Signature,
}

impl PartialEq for Udf {
    fn eq(&self, other: &Udf) -> bool {
        let same_context = match (&self.context, &other.context) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        self.function.name == other.function.name && same_context
    }
}

impl Eq for Udf {}

impl Hash for Udf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Udf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(match self.function.returns {
            0 => arguments.first().cloned().unwrap_or(DataType::Utf8),
            NO_ELEMENTS => {
                let element = arguments.first().cloned().unwrap_or(DataType::Utf8);
                DataType::List(Arc::new(Field::new_list_field(element, true)))
            }
            oid => types::arrow_type(oid),
        })
    }

    fn return_field_from_args(
        &self,
        arguments: ReturnFieldArgs<'_>,
    ) -> Result<FieldRef, DataFusionError> {
        let field = match (self.function.returns, arguments.arg_fields.first()) {
            (0, Some(first)) => first.as_ref().clone().with_name(self.name()).with_nullable(true),
            (NO_ELEMENTS, Some(first)) => {
                let item = Field::new_list_field(first.data_type().clone(), true);
                Field::new(self.name(), DataType::List(Arc::new(item)), true)
            }
            (0, None) => types::field(self.name(), types::TEXT, true),
            (oid, _) => types::field(self.name(), oid, true),
        };
        Ok(Arc::new(field))
    }

    fn invoke_with_args(
        &self,
        arguments: ScalarFunctionArgs,
    ) -> Result<ColumnarValue, DataFusionError> {
        let once = arguments.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let data_type = arguments.return_field.data_type().clone();
        let row = |at: usize| -> Result<ScalarValue, DataFusionError> {
            let values = arguments
                .args
                .iter()
                .map(|argument| match argument {
                    ColumnarValue::Scalar(value) => Ok(value.clone()),
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(array, at),
                })
                .collect::<Result<Vec<_>, _>>()?;
            self.call(&values, &arguments.arg_fields, &data_type)
        };
        if once {
            return Ok(ColumnarValue::Scalar(row(0)?));
        }
        if arguments.number_rows == 0 {
            let empty = datafusion::arrow::array::new_empty_array(&data_type);
            return Ok(ColumnarValue::Array(empty));
        }
        let values: Vec<ScalarValue> =
            (0..arguments.number_rows).map(row).collect::<Result<_, _>>()?;
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    }
}

impl Udf {
    fn call(
        &self,
        args: &[ScalarValue],
        fields: &[FieldRef],
        data_type: &DataType,
    ) -> Result<ScalarValue, DataFusionError> {
        if self.function.strict && args.iter().any(ScalarValue::is_null) {
            return ScalarValue::try_from(data_type);
        }
        let name = self.function.name;
        let call = Call { name, args, fields, context: self.context.as_deref() };
        let value = (self.function.body)(&call).map_err(wrap)?;
        if value.data_type() == *data_type { Ok(value) } else { value.cast_to(data_type) }
    }
}

impl Call<'_> {
    pub(crate) fn context(&self) -> Result<&StatementContext, Error> {
        self.context.ok_or_else(|| Error::internal("function called without a context"))
    }

    pub(crate) fn text(&self, at: usize) -> Result<Option<String>, Error> {
        let Some(value) = self.args.get(at).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        match value.cast_to(&DataType::Utf8).map_err(internal)? {
            ScalarValue::Utf8(text) => Ok(text),
            _ => Ok(None),
        }
    }

    /// Text that is there because the function is strict.
    pub(crate) fn required(&self, at: usize) -> Result<String, Error> {
        Ok(self.text(at)?.unwrap_or_default())
    }

    pub(crate) fn integer(&self, at: usize) -> Result<Option<i64>, Error> {
        let Some(value) = self.args.get(at).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(number)) => Ok(number),
            _ => Err(Error::InvalidText {
                type_name: "bigint".to_owned(),
                value: self.required(at)?,
            }),
        }
    }

    pub(crate) fn oid(&self, at: usize) -> Result<u32, Error> {
        let number = self.integer(at)?.unwrap_or(0);
        u32::try_from(number).map_err(|_| Error::OutOfRange { type_name: "oid".to_owned() })
    }

    pub(crate) fn flag(&self, at: usize) -> bool {
        matches!(self.args.get(at), Some(ScalarValue::Boolean(Some(true))))
    }

    /// Whether an argument is text (a name to look up) rather than an oid.
    pub(crate) fn is_text(&self, at: usize) -> bool {
        self.args.get(at).is_some_and(|value| types::is_string(&value.data_type()))
    }
}

pub(crate) fn text_value(text: impl Into<String>) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::Utf8(Some(text.into())))
}

pub(crate) fn optional_text(text: Option<String>) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::Utf8(text))
}

pub(crate) fn bool_value(value: bool) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::Boolean(Some(value)))
}

pub(crate) fn time_value(micros: i64) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::TimestampMicrosecond(Some(micros), Some("+00:00".into())))
}
