//! What a plan's expressions mean in PostgreSQL and would not mean in DataFusion: casts to text of
//! types whose text is ours to write (times, log positions, reg* values), and arithmetic of whole
//! numbers whose result does not fit.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan};

use super::context::StatementContext;
use super::error::Error;
use super::functions;
use super::plan_error::recover;
use super::types::{self, PG_LSN, REGCLASS, REGNAMESPACE, REGROLE, REGTYPE};

pub(crate) fn apply(
    plan: LogicalPlan,
    context: &Arc<StatementContext>,
    bound: &Cell<bool>,
) -> Result<LogicalPlan, Error> {
    let changed = plan.transform_up_with_subqueries(|node| {
        let schema = input_schema(&node)?;
        // Nodes above refer to the columns of this one by name.
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|expr| {
                let expr = text_cast(expr, &schema, context, bound)?;
                expr.transform_data(|expr| Ok(checked_arithmetic(expr, &schema)))
            })?;
            Ok(changed.update_data(|expr| name.restore(expr)))
        })
    });
    Ok(changed.map_err(recover)?.data)
}

fn input_schema(node: &LogicalPlan) -> Result<DFSchema, DataFusionError> {
    let inputs = node.inputs();
    if inputs.is_empty() {
        return DFSchema::try_from(Schema::empty());
    }
    let mut schema = DFSchema::empty();
    for input in inputs {
        schema.merge(input.schema());
    }
    Ok(schema)
}

fn checked_arithmetic(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else {
        return Transformed::no(expr);
    };
    let types = left.get_type(schema).ok().zip(right.get_type(schema).ok());
    let Some(function) = types.and_then(|(l, r)| functions::checked(*op, &l, &r)) else {
        return Transformed::no(expr);
    };
    let sides = vec![left.as_ref().clone(), right.as_ref().clone()];
    let call = ScalarFunction::new_udf(Arc::new(function), sides);
    Transformed::yes(Expr::ScalarFunction(call))
}

fn text_cast(
    expr: Expr,
    schema: &DFSchema,
    context: &Arc<StatementContext>,
    bound: &Cell<bool>,
) -> Result<Transformed<Expr>, DataFusionError> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else { return Ok(Transformed::no(expr)) };
    if field.data_type() != &DataType::Utf8 {
        return Ok(Transformed::no(expr));
    }
    // An outer reference has no type here; it keeps the plain cast.
    let Ok((_, source)) = inner.to_field(schema) else { return Ok(Transformed::no(expr)) };
    let name = match (types::oid_of(&source), source.data_type()) {
        (PG_LSN, _) => "aerie_lsn_out",
        (REGCLASS | REGTYPE | REGNAMESPACE | REGROLE, DataType::UInt32) => "aerie_regout",
        (_, DataType::Timestamp(..)) => "aerie_time_out",
        _ => return Ok(Transformed::no(expr)),
    };
    let Some(function) = functions::find(name) else { return Ok(Transformed::no(expr)) };
    let context = if function.kind == functions::Kind::Pure {
        None
    } else {
        bound.set(true);
        Some(Arc::clone(context))
    };
    let function = Arc::new(functions::bind(function, context));
    let call = ScalarFunction::new_udf(function, vec![inner.as_ref().clone()]);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}
