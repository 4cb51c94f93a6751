//! A physical plan that can be stopped: every operator attends to `stop` before each batch, every
//! join's condition before each batch of pairs, which may be many without a batch coming out.
//!
//! Batches without columns cost no memory by DataFusion's count; where a join keeps them, they are
//! counted here. What the operators do is not changed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt};

use super::stop;
use super::table::wrap;

/// What a kept batch without columns takes, with the room that a growing list has.
const KEPT_BYTES: usize = 2 * size_of::<RecordBatch>();

/// Puts a watch before every operator of a plan.
pub(crate) fn watch(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let watched = plan.transform_up(|node| {
        let node = keep_count(attentive(node)?)?;
        Ok(Transformed::yes(Arc::new(Watched { input: node, kept: false }) as _))
    })?;
    Ok(watched.data)
}

/// The plan as it was planned, to be shown.
pub(crate) fn unwatch(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let plain = plan.transform_up(|node| {
        Ok(match node.downcast_ref::<Watched>() {
            Some(watched) => Transformed::yes(Arc::clone(&watched.input)),
            None => Transformed::no(node),
        })
    })?;
    Ok(plain.data)
}

/// The join with a condition that attends.
fn attentive(node: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let filter = Some(attentive_filter(filter));
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?;
        return Ok(Arc::new(join));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>()
        && let Some(filter) = &join.filter
    {
        let filter = Some(attentive_filter(filter));
        return Ok(Arc::new(join.builder().with_filter(filter).build()?));
    }
    Ok(node)
}

fn attentive_filter(filter: &JoinFilter) -> JoinFilter {
    let expression = Attentive { inner: Arc::clone(filter.expression()) };
    let columns = filter.column_indices().to_vec();
    JoinFilter::new(Arc::new(expression), columns, Arc::clone(filter.schema()))
}

/// The join with a first input that it keeps, and that is counted.
fn keep_count(node: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if !node.is::<NestedLoopJoinExec>() && !node.is::<CrossJoinExec>() {
        return Ok(node);
    }
    let mut children: Vec<_> = node.children().into_iter().cloned().collect();
    if let Some(first) = children.first_mut()
        && let Some(watched) = first.downcast_ref::<Watched>()
    {
        *first = Arc::new(Watched { input: Arc::clone(&watched.input), kept: true });
    }
    datafusion::physical_plan::execution_plan::replace_children_if_necessary(node, children)
}

/// An operator whose batches are watched.
#[derive(Debug)]
struct Watched {
    input: Arc<dyn ExecutionPlan>,
    kept: bool,
}

impl DisplayAs for Watched {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl ExecutionPlan for Watched {
    fn name(&self) -> &'static str {
        "Watched"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.into_iter().next() else {
            return Err(DataFusionError::Internal("an operator is missing".to_owned()));
        };
        Ok(Arc::new(Watched { input, kept: self.kept }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let kept = self.kept.then(|| MemoryConsumer::new("kept").register(task.memory_pool()));
        let inner = self.input.execute(partition, task)?;
        Ok(Box::pin(WatchedStream { inner, kept }))
    }
}

struct WatchedStream {
    inner: SendableRecordBatchStream,
    kept: Option<MemoryReservation>,
}

impl Stream for WatchedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<RecordBatch>>> {
        if let Err(stopped) = stop::attend() {
            return Poll::Ready(Some(Err(wrap(stopped))));
        }
        let polled = self.inner.poll_next_unpin(task);
        if let (Some(kept), Poll::Ready(Some(Ok(_)))) = (&self.kept, &polled)
            && let Err(full) = kept.try_grow(KEPT_BYTES)
        {
            return Poll::Ready(Some(Err(full)));
        }
        polled
    }
}

impl RecordBatchStream for WatchedStream {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

/// A join's condition.
#[derive(Debug)]
struct Attentive {
    inner: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Attentive {
    fn eq(&self, other: &Attentive) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
    }
}

impl Eq for Attentive {}

impl Hash for Attentive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Attentive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Attentive {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        stop::attend().map_err(wrap)?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Attentive { inner }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
