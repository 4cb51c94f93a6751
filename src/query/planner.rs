//! Names to tables and functions while DataFusion plans a statement.
//!
//! Everything is resolved against one statement's context: relations by its search path and
//! snapshot, functions by our tables first and DataFusion's library after. It notes whether the
//! plan depends on the context, since such a plan may not be cached.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::catalog::view::ViewTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, TableReference, plan_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    WindowUDF, col,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;

use crate::catalog::{Relation, RelationKind};

use super::context::StatementContext;
use super::error::Error;
use super::functions::{self, Kind, SINGLE_VALUE};
use super::names::{type_label, visible};
use super::plan_error::recover;
use super::table::{Source, Stored, Table, wrap};
use super::{relations, rewrite, semantics, statement, types};

/// Views on views.
const VIEW_DEPTH_MAX: usize = 20;

pub(crate) struct Planner<'a> {
    pub state: &'a SessionState,
    pub context: &'a Arc<StatementContext>,
    path: Vec<String>,
    /// A function of the plan holds this very context.
    bound: Cell<bool>,
    /// Relations that the plan was made for.
    relations: RefCell<Vec<Arc<Relation>>>,
    depth: Cell<usize>,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(state: &'a SessionState, context: &'a Arc<StatementContext>) -> Planner<'a> {
        Planner {
            state,
            context,
            path: context.search_path(),
            bound: Cell::new(false),
            relations: RefCell::new(Vec::new()),
            depth: Cell::new(0),
        }
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.bound.get()
    }

    pub(crate) fn take_relations(&self) -> Vec<Arc<Relation>> {
        self.relations.take()
    }

    /// Plans a parsed query; parameters have the given types.
    pub(crate) fn plan(
        &self,
        query: &ast::Query,
        parameters: Vec<Option<FieldRef>>,
    ) -> Result<LogicalPlan, Error> {
        let mut query = query.clone();
        rewrite::rewrite(&mut query)?;
        let mut context = PlannerContext::new().with_prepare_param_data_types(parameters);
        let plan = SqlToRel::new(self)
            .sql_statement_to_plan_with_context(
                ast::Statement::Query(Box::new(query)),
                &mut context,
            )
            .map_err(recover)?;
        semantics::apply(plan, self.context, &self.bound)
    }

    /// A view's text as a plan whose columns have the names that clients see.
    fn view(&self, sql: &str) -> Result<LogicalPlan, Error> {
        if self.depth.get() >= VIEW_DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        let mut parsed = statement::parse(sql)?;
        let Some(statement::Kind::Query(query)) = parsed.pop().map(|parsed| parsed.kind) else {
            return Err(Error::internal("a view's text is not a query"));
        };
        self.depth.set(self.depth.get() + 1);
        let plan = self.plan(&query, Vec::new());
        self.depth.set(self.depth.get() - 1);
        let plan = plan?;
        let marked = plan.schema().fields().iter().any(|f| visible(f.name()) != f.name());
        if !marked {
            return Ok(plan);
        }
        let columns: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(|column| {
                let name = visible(&column.name).to_owned();
                col(column).alias(name)
            })
            .collect();
        let plan = LogicalPlanBuilder::from(plan).project(columns).map_err(recover)?;
        plan.build().map_err(recover)
    }

    /// Names and types of a view's columns.
    pub(crate) fn view_columns(&self, sql: &str) -> Result<Vec<(String, u32)>, Error> {
        let plan = self.view(sql)?;
        let fields = plan.schema().fields().iter();
        Ok(fields.map(|field| (field.name().clone(), types::oid_of(field))).collect())
    }

    fn source(&self, relation: &Arc<Relation>) -> Result<Arc<dyn TableSource>, Error> {
        self.relations.borrow_mut().push(Arc::clone(relation));
        let source: Arc<dyn Source> = match &relation.kind {
            RelationKind::View { sql } => {
                let plan = self.view(sql)?;
                let view = ViewTable::new(plan, Some(sql.clone()));
                return Ok(provider_as_source(Arc::new(view)));
            }
            RelationKind::System => match relations::shaped(&relation.name) {
                Some(shaped) if relation.namespace_name == "pg_catalog" => shaped,
                _ => Arc::new(Stored::new(Arc::clone(relation))),
            },
            RelationKind::Table => {
                return Err(Error::Unsupported {
                    what: format!(
                        "cannot read table \"{}\": there are no executors in this cluster",
                        relation.name
                    ),
                    hint: Some("This master keeps the catalog only.".to_owned()),
                });
            }
        };
        Ok(provider_as_source(Arc::new(Table::new(source))))
    }

    /// Arguments of a table function, folded to literals of the types that it takes.
    fn literals(&self, args: Vec<Expr>) -> Result<Vec<Expr>, DataFusionError> {
        let context = SimplifyContext::builder()
            .with_config_options(Arc::clone(self.state.config_options()))
            .build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        args.into_iter()
            .map(|arg| match simplifier.simplify(simplifier.coerce(arg, &schema)?)? {
                Expr::Literal(
                    value @ (ScalarValue::Int32(_) | ScalarValue::Int16(_)),
                    metadata,
                ) => Ok(Expr::Literal(value.cast_to(&DataType::Int64)?, metadata)),
                other => Ok(other),
            })
            .collect()
    }

    fn resolve(&self, name: &TableReference) -> Result<Arc<dyn TableSource>, Error> {
        if let Some(catalog) = name.catalog()
            && catalog != self.context.session.database
        {
            return Err(Error::unsupported(format!(
                "cross-database references are not implemented: \"{name}\""
            )));
        }
        let schemas: Vec<&str> = match name.schema() {
            Some(schema) => vec![schema],
            None => self.path.iter().map(String::as_str).collect(),
        };
        for schema in schemas {
            if let Some(virtual_) = relations::computed(schema, name.table()) {
                return Ok(provider_as_source(Arc::new(Table::new(virtual_))));
            }
            if let Some(found) = self.context.view.relation_named(schema, name.table())? {
                return self.source(&found);
            }
        }
        let name = match name.schema() {
            Some(schema) => format!("{schema}.{}", name.table()),
            None => name.table().to_owned(),
        };
        Err(Error::UndefinedTable { name, position: None })
    }
}

impl ContextProvider for Planner<'_> {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        self.resolve(&name).map_err(wrap)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        match self.state.table_functions().get(name) {
            Some(function) => {
                let args = self.literals(args)?;
                let args = datafusion::catalog::TableFunctionArgs::new(&args, self.state);
                let table = function.create_table_provider_with_args(args)?;
                Ok(provider_as_source(table))
            }
            None => plan_err!("Invalid function '{name}'"),
        }
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: SchemaRef,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        static PLANNER: LazyLock<Arc<dyn TypePlanner>> = LazyLock::new(|| Arc::new(PgTypes));
        Some(Arc::clone(&PLANNER))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let Some(function) = functions::find(name) else {
            return self.state.scalar_functions().get(name).cloned();
        };
        let context = if function.kind == Kind::Pure {
            None
        } else {
            self.bound.set(true);
            Some(Arc::clone(self.context))
        };
        Some(Arc::new(functions::bind(function, context)))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        match name {
            SINGLE_VALUE => Some(functions::single_value()),
            "avg" => Some(functions::average()),
            "every" => self.state.aggregate_functions().get("bool_and").cloned(),
            _ => self.state.aggregate_functions().get(name).cloned(),
        }
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// Written types to Arrow fields that carry PostgreSQL's oid.
#[derive(Debug)]
struct PgTypes;

impl TypePlanner for PgTypes {
    fn plan_type_field(
        &self,
        sql_type: &ast::DataType,
    ) -> Result<Option<FieldRef>, DataFusionError> {
        let label = type_label(sql_type);
        if label == rewrite::SMALL_NUMBER {
            return Ok(Some(Arc::new(Field::new("", DataType::Int32, true))));
        }
        let known = match label.strip_prefix('_') {
            Some(element) => {
                types::by_name(element).and_then(|element| types::by_oid(element.array))
            }
            // `char` alone is blank padded; the one-byte type is written in quotes.
            None => types::by_name(&label),
        };
        let Some(known) = known else {
            return Err(wrap(Error::UndefinedObject { kind: "type", name: label }));
        };
        if let ast::DataType::Numeric(info) | ast::DataType::Decimal(info) = sql_type
            && !matches!(info, ast::ExactNumberInfo::None)
        {
            return Ok(None);
        }
        Ok(Some(Arc::new(types::field("", known.oid, true))))
    }
}
