//! The aggregate that stands for "a subquery used as an expression".
//!
//! The planner can only correlate scalar subqueries that aggregate; wrapping the selected
//! expression in this one makes any of them so, and keeps PostgreSQL's error for several rows.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use crate::query::error::Error;
use crate::query::table::wrap;

pub(crate) const SINGLE_VALUE: &str = "aerie_single_value";

pub(crate) fn single_value() -> Arc<AggregateUDF> {
    static FUNCTION: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(SingleValue { signature }))
    });
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        SINGLE_VALUE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef, DataFusionError> {
        let field = arguments.first().map(|field| field.as_ref().clone());
        let field = field.unwrap_or_else(|| Field::new(SINGLE_VALUE, DataType::Null, true));
        Ok(Arc::new(field.with_name(SINGLE_VALUE).with_nullable(true)))
    }

    fn accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>, DataFusionError> {
        let value = ScalarValue::try_from(arguments.return_field.data_type())?;
        Ok(Box::new(Single { value, count: 0 }))
    }

    fn state_fields(
        &self,
        arguments: StateFieldsArgs<'_>,
    ) -> Result<Vec<FieldRef>, DataFusionError> {
        let data_type = arguments.return_field.data_type().clone();
        Ok(vec![
            Arc::new(Field::new(format!("{}[value]", arguments.name), data_type, true)),
            Arc::new(Field::new(format!("{}[count]", arguments.name), DataType::Int64, true)),
        ])
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    count: i64,
}

impl Single {
    fn add(&mut self, value: ScalarValue, count: i64) -> Result<(), DataFusionError> {
        if count == 0 {
            return Ok(());
        }
        self.count += count;
        if self.count > 1 {
            return Err(wrap(Error::Cardinality));
        }
        self.value = value;
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        let Some(values) = values.first() else { return Ok(()) };
        for at in 0..values.len() {
            self.add(ScalarValue::try_from_array(values, at)?, 1)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<(), DataFusionError> {
        let [values, counts] = states else { return Ok(()) };
        let counts = counts.as_primitive::<Int64Type>();
        for at in 0..values.len() {
            self.add(ScalarValue::try_from_array(values, at)?, counts.value(at))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue, DataFusionError> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>, DataFusionError> {
        Ok(vec![self.value.clone(), ScalarValue::Int64(Some(self.count))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
}
