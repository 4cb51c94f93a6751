//! `+`, `-` and `*` of whole numbers that say when the result does not fit (22003), where the
//! library's operators go round.

use std::hash::{Hash, Hasher};

use datafusion::arrow::array::{ArrayRef, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::query::error::Error;
use crate::query::table::wrap;

/// The checked form of `left operator right`; `None` where it is not one of these on integers.
pub(crate) fn checked(operator: Operator, left: &DataType, right: &DataType) -> Option<ScalarUDF> {
    let kernel: Kernel = match operator {
        Operator::Plus => add,
        Operator::Minus => sub,
        Operator::Multiply => mul,
        _ => return None,
    };
    let (_, result) = wider(left, right)?;
    let name = format!("aerie_{operator:?}").to_lowercase();
    let signature = Signature::any(2, Volatility::Immutable);
    Some(ScalarUDF::new_from_impl(Checked { name, result, kernel, signature }))
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

fn wider(left: &DataType, right: &DataType) -> Option<(u8, DataType)> {
    let width = |data_type: &DataType| match data_type {
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        _ => None,
    };
    let (left, right) = ((width(left)?, left.clone()), (width(right)?, right.clone()));
    Some(if left.0 >= right.0 { left } else { right })
}

/// The name says which kernel it is.
#[derive(Debug)]
struct Checked {
    name: String,
    result: DataType,
    kernel: Kernel,
    signature: Signature,
}

impl PartialEq for Checked {
    fn eq(&self, other: &Checked) -> bool {
        (&self.name, &self.result) == (&other.name, &other.result)
    }
}

impl Eq for Checked {}

impl Hash for Checked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.result).hash(state);
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(
        &self,
        arguments: ScalarFunctionArgs,
    ) -> Result<ColumnarValue, DataFusionError> {
        let scalars = arguments.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let casts = arguments.args.iter().map(|arg| arg.cast_to(&self.result, None));
        let arrays = ColumnarValue::values_to_arrays(&casts.collect::<Result<Vec<_>, _>>()?)?;
        let [left, right] = arrays.as_slice() else {
            return Err(wrap(Error::internal("an operator without two sides")));
        };
        let result = (self.kernel)(left, right).map_err(|error| match error {
            ArrowError::ArithmeticOverflow(_) => {
                let type_name = match self.result {
                    DataType::Int16 => "smallint",
                    DataType::Int32 => "integer",
                    _ => "bigint",
                };
                wrap(Error::OutOfRange { type_name: type_name.to_owned() })
            }
            other => DataFusionError::ArrowError(Box::new(other), None),
        })?;
        if scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
