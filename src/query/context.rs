//! What one statement sees while it is planned and run: a view of the catalog, its session, time.
//!
//! Tables take it from the task's configuration, so that a cached plan reads today's rows;
//! functions that depend on it are bound to it when the statement is planned. A function never
//! changes the catalog itself: it leaves an `Effect`, which the session carries out afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::SessionState;

use crate::catalog::{Catalog, Datum, ReadView, Relation, RelationKind, Row};

use super::error::Error;
use super::live::Live;
use super::settings::Settings;

/// Who the session is; fixed when it starts.
#[derive(Debug, Clone)]
pub(crate) struct SessionFacts {
    pub user: String,
    pub database: String,
    pub pid: i32,
    pub superuser: bool,
    pub hot_standby: bool,
}

/// What a function asks to be done once its statement has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    SetConfig { name: String, value: String, local: bool },
    AddMasterStandby { host: String, address: String },
    RemoveMasterStandby,
    RemoveSegment { order: i32 },
    RemoveSegmentHistory,
}

pub(crate) struct StatementContext {
    pub view: Arc<dyn ReadView>,
    pub live: Arc<dyn Live>,
    pub catalog: Catalog,
    pub session: Arc<SessionFacts>,
    pub settings: Settings,
    /// Microseconds since 1970 UTC: when the transaction began, and the statement.
    pub transaction_time: i64,
    pub statement_time: i64,
    /// The transaction's id; made when first asked for.
    pub xid: Arc<dyn Fn() -> Result<u64, Error> + Send + Sync>,
    pub effects: Mutex<Vec<Effect>>,
    /// What plans are made with; system tables plan views to tell their columns.
    pub state: Arc<SessionState>,
    pub view_columns: Arc<ViewColumns>,
}

/// Names and type oids of columns.
type NamedTypes = Arc<Vec<(String, u32)>>;

/// Columns of views by the view's oid and text: names and types.
#[derive(Debug, Default)]
pub(crate) struct ViewColumns {
    known: Mutex<BTreeMap<(u32, String), NamedTypes>>,
}

/// Views remembered; beyond that all are forgotten.
const VIEWS_MAX: usize = 1_000;

impl ViewColumns {
    pub(crate) fn get(&self, oid: u32, sql: &str) -> Option<Arc<Vec<(String, u32)>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(oid, sql.to_owned())).cloned()
    }

    pub(crate) fn put(&self, oid: u32, sql: &str, columns: Arc<Vec<(String, u32)>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= VIEWS_MAX {
            known.clear();
        }
        known.insert((oid, sql.to_owned()), columns);
    }
}

impl std::fmt::Debug for StatementContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatementContext").field("session", &self.session).finish_non_exhaustive()
    }
}

impl StatementContext {
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name, self.live.as_ref())
    }

    pub(crate) fn search_path(&self) -> Vec<String> {
        self.settings.search_path(&self.session.user, self.live.as_ref())
    }

    pub(crate) fn leave(&self, effect: Effect) {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }

    pub(crate) fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut *self.effects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// HAWQ's management functions and direct catalog changes need it.
    pub(crate) fn utility_mode(&self) -> bool {
        ["gp_session_role", "gp_role"]
            .iter()
            .any(|name| self.setting(name).as_deref() == Some("utility"))
    }

    /// The relation that a name means: with a schema that one, else the first on the path.
    pub(crate) fn find_relation(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Relation>>, Error> {
        if let Some(schema) = schema {
            return Ok(self.view.relation_named(schema, name)?);
        }
        for schema in self.search_path() {
            if let Some(found) = self.view.relation_named(&schema, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether an unqualified name means this relation.
    pub(crate) fn is_visible(&self, relation: &Relation) -> Result<bool, Error> {
        let found = self.find_relation(None, &relation.name)?;
        Ok(found.is_some_and(|found| found.oid == relation.oid))
    }

    /// Rows of a stored catalog relation, or none where this catalog does not have it.
    pub(crate) fn rows(&self, name: &str) -> Result<(Option<Arc<Relation>>, Vec<Row>), Error> {
        match self.view.relation_named("pg_catalog", name)? {
            Some(relation) if relation.kind == RelationKind::System => {
                let rows = self.view.scan(relation.oid, &[])?;
                Ok((Some(relation), rows))
            }
            _ => Ok((None, Vec::new())),
        }
    }

    /// The oid that a named row of a catalog relation has, by its name column.
    pub(crate) fn oid_named(
        &self,
        relation: &str,
        column: &str,
        name: &str,
    ) -> Result<Option<u32>, Error> {
        let (Some(shape), rows) = self.rows(relation)? else { return Ok(None) };
        let (Some(oid), Some(at)) = (shape.column_index("oid"), shape.column_index(column)) else {
            return Ok(None);
        };
        let found = rows.iter().find(|row| row.get(at).and_then(Datum::as_str) == Some(name));
        Ok(found.and_then(|row| row.get(oid)?.as_oid()))
    }

    /// The name that the row with this oid has.
    pub(crate) fn name_of(
        &self,
        relation: &str,
        column: &str,
        oid: u32,
    ) -> Result<Option<String>, Error> {
        let Some(shape) = self.view.relation_named("pg_catalog", relation)? else {
            return Ok(None);
        };
        let Some(at) = shape.column_index(column) else { return Ok(None) };
        let row = self.view.get(shape.oid, &[Datum::Oid(oid)])?;
        Ok(row.and_then(|row| row.get(at)?.as_str().map(str::to_owned)))
    }

    pub(crate) fn role_name(&self, oid: u32) -> Result<Option<String>, Error> {
        self.name_of("pg_authid", "rolname", oid)
    }

    /// A relation's name as `regclass` shows it: with its schema when that is needed.
    pub(crate) fn relation_label(&self, relation: &Relation) -> Result<String, Error> {
        let name = quote_if_needed(&relation.name);
        if self.is_visible(relation)? {
            return Ok(name);
        }
        Ok(format!("{}.{name}", quote_if_needed(&relation.namespace_name)))
    }
}

/// PostgreSQL's `quote_ident`, without its list of keywords.
pub(crate) fn quote_if_needed(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { super::statement::quoted(name) }
}
