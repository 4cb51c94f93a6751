//! What all sessions of a node share: the catalog, the planner's template, the plan cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use crate::catalog::{Catalog, Commit, ReadView, Relation};

use super::context::ViewColumns;
use super::error::Error;
use super::live::Live;
use super::rows::internal;
use super::session::{Session, SessionStart};
use super::stop::Workers;

/// Memory that all running statements may use together.
const MEMORY_BYTES_MAX: usize = 512 << 20;
/// Small, so that operators often look whether they are to stop.
const BATCH_ROWS: usize = 4096;
const PLANS_MAX: usize = 512;
/// Texts longer than this are not worth keeping.
const CACHED_TEXT_MAX: usize = 8 << 10;

pub struct Engine {
    pub(crate) catalog: Catalog,
    pub(crate) commit: Arc<dyn Commit>,
    pub(crate) live: Arc<dyn Live>,
    pub(crate) state: Arc<SessionState>,
    pub(crate) view_columns: Arc<ViewColumns>,
    pub(crate) plans: PlanCache,
    pub(crate) workers: Workers,
}

impl Engine {
    #[must_use]
    pub fn new(catalog: Catalog, commit: Arc<dyn Commit>, live: Arc<dyn Live>) -> Engine {
        Engine {
            catalog,
            commit,
            live,
            state: Arc::new(template()),
            view_columns: Arc::new(ViewColumns::default()),
            plans: PlanCache::default(),
            workers: Workers::default(),
        }
    }

    /// Queries that have a thread now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.workers.running()
    }

    pub fn open_session(self: &Arc<Self>, start: SessionStart) -> Result<Session, Error> {
        Session::open(Arc::clone(self), start)
    }
}

fn template() -> SessionState {
    let config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
    let mut config = config.with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.parse_float_as_decimal = true;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.execution.collect_statistics = false;
    let pool = Arc::new(GreedyMemoryPool::new(MEMORY_BYTES_MAX));
    // What does not fit is refused, not put on disk.
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk);
    let runtime = runtime.build().unwrap_or_default();
    SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(Arc::new(runtime))
        .build()
}

/// What a cached plan was made for; parameters are part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlanKey {
    pub text: String,
    pub path: Vec<String>,
    pub parameters: String,
}

#[derive(Clone)]
pub(crate) struct CachedPlan {
    pub plan: Arc<dyn ExecutionPlan>,
    pub schema: SchemaRef,
    relations: Arc<Vec<Arc<Relation>>>,
}

impl CachedPlan {
    pub(crate) fn new(
        plan: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        relations: Vec<Arc<Relation>>,
    ) -> CachedPlan {
        CachedPlan { plan, schema, relations: Arc::new(relations) }
    }

    /// Whether every relation still looks as it did when the plan was made.
    fn holds(&self, view: &dyn ReadView) -> Result<bool, Error> {
        for relation in self.relations.iter() {
            match view.relation(relation.oid)? {
                Some(now) if Arc::ptr_eq(&now, relation) || now == *relation => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Physical plans by text, with the round in which each was last used.
#[derive(Default)]
pub(crate) struct PlanCache {
    plans: Mutex<Plans>,
}

#[derive(Default)]
struct Plans {
    entries: BTreeMap<PlanKey, (CachedPlan, u64)>,
    round: u64,
}

impl PlanCache {
    /// A plan made anew for this run: operators keep state of one execution.
    pub(crate) fn get(
        &self,
        key: &PlanKey,
        view: &dyn ReadView,
    ) -> Result<Option<CachedPlan>, Error> {
        let found = {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.round += 1;
            let round = plans.round;
            plans.entries.get_mut(key).map(|(plan, used)| {
                *used = round;
                plan.clone()
            })
        };
        let Some(mut found) = found else { return Ok(None) };
        if !found.holds(view)? {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.entries.remove(key);
            return Ok(None);
        }
        found.plan = datafusion::physical_plan::execution_plan::reset_plan_states(found.plan)
            .map_err(internal)?;
        Ok(Some(found))
    }

    /// The columns of a plan that is kept and still holds.
    pub(crate) fn schema(
        &self,
        key: &PlanKey,
        view: &dyn ReadView,
    ) -> Result<Option<SchemaRef>, Error> {
        let found = {
            let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.entries.get(key).map(|(plan, _)| plan.clone())
        };
        match found {
            Some(found) if found.holds(view)? => Ok(Some(found.schema)),
            _ => Ok(None),
        }
    }

    pub(crate) fn put(&self, key: PlanKey, plan: CachedPlan) {
        if key.text.len() + key.parameters.len() > CACHED_TEXT_MAX {
            return;
        }
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.round += 1;
        let round = plans.round;
        if plans.entries.len() >= PLANS_MAX {
            // The older half goes, so that eviction is rare and cheap over time.
            let mut rounds: Vec<u64> = plans.entries.values().map(|(_, used)| *used).collect();
            rounds.sort_unstable();
            let middle = rounds.get(rounds.len() / 2).copied().unwrap_or(0);
            plans.entries.retain(|_, (_, used)| *used > middle);
        }
        plans.entries.insert(key, (plan, round));
    }
}
