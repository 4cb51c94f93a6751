//! One query from text to batches: planned or found in the cache, run, made ready for a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;

use super::context::StatementContext;
use super::engine::{CachedPlan, Engine, PlanKey};
use super::error::Error;
use super::functions;
use super::names::visible;
use super::plan_error::recover;
use super::planner::Planner;
use super::rows::internal;
use super::session::OutputColumn;
use super::types::{self, OID, REGCLASS, REGNAMESPACE, REGROLE, REGTYPE, TEXT};
use super::watched;

/// A result larger than this is refused rather than held in memory.
const RESULT_BYTES_MAX: usize = 256 << 20;
/// Parameters of one statement, as the protocol counts them.
const PARAMETERS_MAX: usize = 65_535;

/// A query and its parameters, owned so that it can run on a thread of its own.
#[derive(Clone)]
pub(crate) struct Asked {
    pub text: String,
    pub query: Arc<ast::Query>,
    pub types: Vec<u32>,
    pub parameters: Vec<ScalarValue>,
}

pub(crate) struct Answer {
    pub columns: Vec<OutputColumn>,
    pub batches: Vec<RecordBatch>,
    pub rows: usize,
}

/// What a client is told of a plan's columns.
pub(crate) fn output_columns(schema: &Schema) -> Vec<OutputColumn> {
    schema.fields().iter().map(|field| output_column(field)).collect()
}

fn output_column(field: &Field) -> OutputColumn {
    let type_oid = match field.data_type() {
        datafusion::arrow::datatypes::DataType::Null => TEXT,
        _ => types::oid_of(field),
    };
    let typlen = types::by_oid(type_oid).map_or(-1, |known| known.len);
    let typmod =
        field.metadata().get(types::TYPMOD_KEY).and_then(|text| text.parse().ok()).unwrap_or(-1);
    OutputColumn { name: visible(field.name()).to_owned(), type_oid, typlen, typmod }
}

/// Types of parameters and columns, by planning alone.
pub(crate) fn describe(
    context: &Arc<StatementContext>,
    query: &ast::Query,
    declared: &[Option<u32>],
) -> Result<(Vec<u32>, Vec<OutputColumn>), Error> {
    let fields = declared.iter().map(|oid| oid.map(parameter_field)).collect();
    let plan = Planner::new(&context.state, context).plan(query, fields)?;
    let found = plan.get_parameter_fields().map_err(recover)?;
    let mut parameters: BTreeMap<usize, u32> = BTreeMap::new();
    for (name, field) in found {
        let number: usize = name.trim_start_matches('$').parse().map_err(|_| Error::Syntax {
            message: format!("there is no parameter {name}"),
            position: None,
        })?;
        if number == 0 || number > PARAMETERS_MAX {
            let message = format!("there is no parameter ${number}");
            return Err(Error::Syntax { message, position: None });
        }
        parameters.insert(number, field.map_or(TEXT, |field| parameter_oid(&field)));
    }
    let count = parameters.keys().max().copied().unwrap_or(0).max(declared.len());
    let mut oids = Vec::with_capacity(count);
    for number in 1..=count {
        let oid = declared.get(number - 1).copied().flatten();
        match oid.or_else(|| parameters.get(&number).copied()) {
            Some(oid) => oids.push(oid),
            None => return Err(Error::IndeterminateType { number }),
        }
    }
    Ok((oids, output_columns(plan.schema().as_arrow())))
}

fn parameter_oid(field: &Field) -> u32 {
    use datafusion::arrow::datatypes::DataType;
    match (types::declared_oid(field), field.data_type()) {
        (Some(oid), _) => oid,
        (None, DataType::UInt32) => OID,
        (None, DataType::Null) => TEXT,
        (None, _) => types::oid_of(field),
    }
}

fn parameter_field(oid: u32) -> FieldRef {
    Arc::new(types::field("", oid, true))
}

pub(crate) async fn run(
    engine: &Engine,
    context: &Arc<StatementContext>,
    asked: &Asked,
) -> Result<Answer, Error> {
    let planned = planned(engine, context, asked).await?;
    let columns = output_columns(&planned.schema);
    let batches = collect(engine, context, planned.plan).await?;
    let batches = finish(context, &columns, batches)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Ok(Answer { columns, batches, rows })
}

async fn planned(
    engine: &Engine,
    context: &Arc<StatementContext>,
    asked: &Asked,
) -> Result<CachedPlan, Error> {
    let parameters = asked.types.iter().zip(&asked.parameters);
    let key = PlanKey {
        text: asked.text.clone(),
        path: context.search_path(),
        parameters: parameters.map(|(oid, value)| format!("{oid}:{value:?};")).collect(),
    };
    if let Some(found) = engine.plans.get(&key, context.view.as_ref())? {
        return Ok(found);
    }
    let (logical, bound, relations) = {
        let planner = Planner::new(&engine.state, context);
        let logical = logical(&planner, asked)?;
        (logical, planner.is_bound(), planner.take_relations())
    };
    let schema: SchemaRef = Arc::new(logical.schema().as_arrow().clone());
    let plan = engine.state.create_physical_plan(&logical).await.map_err(recover)?;
    let plan = watched::watch(plan).map_err(recover)?;
    let made = CachedPlan::new(plan, schema, relations);
    if !bound {
        engine.plans.put(key, made.clone());
    }
    Ok(made)
}

fn logical(planner: &Planner<'_>, asked: &Asked) -> Result<LogicalPlan, Error> {
    let fields = asked.types.iter().map(|oid| Some(parameter_field(*oid))).collect();
    let plan = planner.plan(&asked.query, fields)?;
    if asked.parameters.is_empty() {
        return Ok(plan);
    }
    let values = asked
        .parameters
        .iter()
        .zip(&asked.types)
        .map(|(value, oid)| value.cast_to(&types::arrow_type(*oid)).map(Into::into))
        .collect::<Result<Vec<_>, _>>()
        .map_err(recover)?;
    plan.replace_params_with_values(&ParamValues::List(values)).map_err(recover)
}

async fn collect(
    engine: &Engine,
    context: &Arc<StatementContext>,
    plan: Arc<dyn ExecutionPlan>,
) -> Result<Vec<RecordBatch>, Error> {
    let config = engine.state.config().clone().with_extension(Arc::clone(context));
    let task = TaskContext::default()
        .with_session_config(config)
        .with_runtime(Arc::clone(engine.state.runtime_env()));
    let mut stream = execute_stream(plan, Arc::new(task)).map_err(recover)?;
    let mut batches = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(recover)?;
        bytes += batch.get_array_memory_size();
        if bytes > RESULT_BYTES_MAX {
            let what = format!("result is larger than {} MB", RESULT_BYTES_MAX >> 20);
            return Err(Error::TooLarge { what });
        }
        batches.push(batch);
    }
    Ok(batches)
}

/// Turns what only the catalog can name (reg* values) into the text that clients see.
fn finish(
    context: &Arc<StatementContext>,
    columns: &[OutputColumn],
    batches: Vec<RecordBatch>,
) -> Result<Vec<RecordBatch>, Error> {
    let is_reg = |oid: u32| matches!(oid, REGCLASS | REGTYPE | REGNAMESPACE | REGROLE);
    if !columns.iter().any(|column| is_reg(column.type_oid)) {
        return Ok(batches);
    }
    batches
        .into_iter()
        .map(|batch| {
            let mut fields = Vec::with_capacity(columns.len());
            let mut arrays = Vec::with_capacity(columns.len());
            for (column, (field, array)) in
                columns.iter().zip(batch.schema().fields().iter().zip(batch.columns()))
            {
                let array = if is_reg(column.type_oid) {
                    functions::reg_column(context, column.type_oid, array)?
                } else {
                    Arc::clone(array)
                };
                fields.push(Field::new(field.name(), array.data_type().clone(), true));
                arrays.push(array);
            }
            let count = batch.num_rows();
            super::rows::batch(&Arc::new(Schema::new(fields)), arrays, count)
        })
        .collect()
}

pub(crate) async fn explain(
    engine: &Engine,
    context: &Arc<StatementContext>,
    asked: &Asked,
) -> Result<Vec<String>, Error> {
    let planned = planned(engine, context, asked).await?;
    let plan = watched::unwatch(planned.plan).map_err(recover)?;
    let text = displayable(plan.as_ref()).indent(false).to_string();
    Ok(text.lines().map(|line| line.replace(super::names::MARK, "_")).collect())
}

/// The values of EXECUTE's arguments.
pub(crate) async fn constants(
    engine: &Engine,
    context: &Arc<StatementContext>,
    arguments: &[ast::Expr],
    types: &[u32],
) -> Result<Vec<ScalarValue>, Error> {
    if arguments.len() != types.len() {
        let (given, expected) = (arguments.len(), types.len());
        return Err(Error::ParameterCount { given, expected });
    }
    let mut values = Vec::with_capacity(types.len());
    for (argument, oid) in arguments.iter().zip(types) {
        let query = super::build::select_value(argument.clone());
        let plan = Planner::new(&context.state, context).plan(&query, Vec::new())?;
        let plan = context.state.create_physical_plan(&plan).await.map_err(recover)?;
        let plan = watched::watch(plan).map_err(recover)?;
        let batches = collect(engine, context, plan).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else {
            return Err(Error::internal("constant without a value"));
        };
        let value = ScalarValue::try_from_array(batch.column(0), 0).map_err(internal)?;
        values.push(value.cast_to(&types::arrow_type(*oid)).map_err(recover)?);
    }
    Ok(values)
}
