//! Tables as the planner sees them: a schema, a key, and rows loaded when the plan runs.
//!
//! A plan holds no rows and no snapshot: `Source::load` gets the running statement's context, so a
//! plan may be cached and run again later. Equality with constants on leading key columns becomes
//! a lookup instead of a scan.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::catalog::{Datum, Relation};

use super::context::StatementContext;
use super::error::Error;
use super::rows;
use super::types;

/// Where rows come from.
pub(crate) trait Source: Debug + Send + Sync {
    fn schema(&self) -> &SchemaRef;

    /// Positions of key columns, in key order; empty when there is no key to look up by.
    fn key(&self) -> &[usize];

    /// All rows, or those that begin with `prefix`; more than asked for is allowed.
    fn load(
        &self,
        context: &Arc<StatementContext>,
        prefix: &[ScalarValue],
    ) -> Result<RecordBatch, Error>;
}

/// A relation whose rows the catalog stores.
#[derive(Debug)]
pub(crate) struct Stored {
    relation: Arc<Relation>,
    schema: SchemaRef,
}

impl Stored {
    pub(crate) fn new(relation: Arc<Relation>) -> Stored {
        let fields: Vec<_> = relation
            .columns
            .iter()
            .map(|column| types::field(&column.name, column.column_type.oid(), !column.not_null))
            .collect();
        Stored { relation, schema: Arc::new(Schema::new(fields)) }
    }
}

impl Source for Stored {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn key(&self) -> &[usize] {
        &self.relation.key
    }

    fn load(
        &self,
        context: &Arc<StatementContext>,
        prefix: &[ScalarValue],
    ) -> Result<RecordBatch, Error> {
        let columns = &self.relation.columns;
        let prefix: Vec<Datum> = prefix
            .iter()
            .zip(&self.relation.key)
            .map_while(|(value, at)| rows::datum(value, &columns.get(*at)?.column_type))
            .collect();
        let whole_key = !prefix.is_empty() && prefix.len() == self.relation.key.len();
        let found = if whole_key {
            context.view.get(self.relation.oid, &prefix)?.into_iter().collect()
        } else {
            context.view.scan(self.relation.oid, &prefix)?
        };
        let arrays = self
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| rows::stored_column(&found, at, field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        rows::batch(&self.schema, arrays, found.len())
    }
}

/// Gives the rows of a computed relation, a column's value after another.
pub(crate) type ComputeRows =
    fn(&StatementContext, &SchemaRef) -> Result<Vec<Vec<ScalarValue>>, Error>;

/// A relation whose rows are computed from the catalog or the running server.
#[derive(Debug)]
pub(crate) struct Computed {
    pub schema: SchemaRef,
    pub rows: ComputeRows,
}

impl Source for Computed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn key(&self) -> &[usize] {
        &[]
    }

    fn load(
        &self,
        context: &Arc<StatementContext>,
        _: &[ScalarValue],
    ) -> Result<RecordBatch, Error> {
        rows::computed_batch(&self.schema, (self.rows)(context, &self.schema)?)
    }
}

/// Puts a `Source` behind DataFusion's trait.
#[derive(Debug)]
pub(crate) struct Table {
    source: Arc<dyn Source>,
}

impl Table {
    pub(crate) fn new(source: Arc<dyn Source>) -> Table {
        Table { source }
    }

    /// The constant that a filter requires of a column, by the column's position.
    fn equality(&self, filter: &Expr) -> Option<(usize, ScalarValue)> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else {
            return None;
        };
        let ((Expr::Column(column), Expr::Literal(value, _))
        | (Expr::Literal(value, _), Expr::Column(column))) = (left.as_ref(), right.as_ref())
        else {
            return None;
        };
        let at = self.source.schema().index_of(&column.name).ok()?;
        (!value.is_null()).then(|| (at, value.clone()))
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.source.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let key = self.source.key();
        let support = |filter: &&Expr| match self.equality(filter) {
            Some((at, _)) if key.contains(&at) => TableProviderFilterPushDown::Inexact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let constants: Vec<_> = filters.iter().filter_map(|f| self.equality(f)).collect();
        let prefix = self
            .source
            .key()
            .iter()
            .map_while(|at| constants.iter().find(|(column, _)| column == at))
            .map(|(_, value)| value.clone())
            .collect();
        let partition = Arc::new(Scan { source: Arc::clone(&self.source), prefix });
        let exec = StreamingTableExec::try_new(
            self.schema(),
            vec![partition],
            projection,
            Vec::new(),
            false,
            None,
        )?;
        Ok(Arc::new(exec))
    }
}

#[derive(Debug)]
struct Scan {
    source: Arc<dyn Source>,
    prefix: Vec<ScalarValue>,
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        self.source.schema()
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let source = Arc::clone(&self.source);
        let prefix = self.prefix.clone();
        let load = async move {
            let context = task
                .session_config()
                .get_extension::<StatementContext>()
                .ok_or_else(|| Error::internal("plan runs without a statement's context"))
                .map_err(wrap)?;
            source.load(&context, &prefix).map_err(wrap)
        };
        let schema = Arc::clone(self.source.schema());
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(load)))
    }
}

/// Carries our error through DataFusion unchanged; `plan_error::recover` takes it out again.
pub(crate) fn wrap(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
