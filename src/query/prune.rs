//! What follows from relations that are always empty (`empty`): a SELECT that joins one of them
//! has no rows, so nothing in its select list is ever evaluated and a scalar subquery over it is
//! null. psql asks such questions of policies, publications, defaults and inheritance in forms
//! that the planner cannot correlate; this answers them without planning them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, GroupByExpr, JoinOperator, ObjectName, Query, Select, SelectItem,
    SetExpr, TableFactor, TableWithJoins, Visit, Visitor,
};

use super::build::null;
use super::empty;
use super::names::last_part;
use super::statement::fold;

const AGGREGATES: [&str; 18] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "stddev",
    "variance",
    "bit_and",
    "bit_or",
    "json_agg",
    "jsonb_agg",
    "first_value",
    "aerie_single_value",
];

/// Replaces select items that contain a subquery by null, where the SELECT has no rows anyway.
pub(crate) fn select(select: &mut Select) {
    if !is_rowless(select) {
        return;
    }
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) if has_subquery(expr) => {
                let alias = super::names::column_name(expr);
                let alias = datafusion::sql::sqlparser::ast::Ident::with_quote('"', alias);
                *item = SelectItem::ExprWithAlias { expr: null_text(), alias };
            }
            SelectItem::ExprWithAlias { expr, .. } if has_subquery(expr) => *expr = null_text(),
            _ => {}
        }
    }
}

/// Whether this is `(select … from an always empty relation)`.
pub(crate) fn is_rowless_scalar(expr: &Expr) -> bool {
    let Expr::Subquery(query) = expr else { return false };
    match query.body.as_ref() {
        SetExpr::Select(select) => is_rowless(select),
        _ => false,
    }
}

pub(crate) fn null_text() -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(null()),
        data_type: DataType::Text,
        array: false,
        format: None,
    }
}

/// No rows whatever the rest of the catalog holds. One without GROUP BY that aggregates has one.
fn is_rowless(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
    let aggregates = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            has_aggregate(expr)
        }
        _ => false,
    });
    (grouped || !aggregates) && select.having.is_none() && select.from.iter().any(is_empty_from)
}

fn is_empty_from(from: &TableWithJoins) -> bool {
    let mut empty = is_empty_factor(&from.relation);
    for join in &from.joins {
        let other = is_empty_factor(&join.relation);
        empty = match join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                empty || other
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => other,
            _ => empty && other,
        };
    }
    empty
}

fn is_empty_factor(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } => is_empty_name(name),
        TableFactor::NestedJoin { table_with_joins, .. } => is_empty_from(table_with_joins),
        _ => false,
    }
}

fn is_empty_name(name: &ObjectName) -> bool {
    let schema = match name.0.as_slice() {
        [_] => None,
        [schema, _] => schema.as_ident().map(fold),
        _ => return false,
    };
    schema.is_none_or(|schema| schema == "pg_catalog") && empty::find(&last_part(name)).is_some()
}

/// Looks for aggregates of this query level, or for subqueries.
struct Finder {
    aggregates: bool,
    depth: usize,
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let found = match expr {
            Expr::Function(function) if self.aggregates => {
                self.depth == 0
                    && function.over.is_none()
                    && AGGREGATES.contains(&last_part(&function.name).as_str())
            }
            Expr::Function(function) => matches!(
                function.args,
                datafusion::sql::sqlparser::ast::FunctionArguments::Subquery(_)
            ),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => !self.aggregates,
            _ => false,
        };
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

pub(crate) fn has_aggregate(expr: &Expr) -> bool {
    expr.visit(&mut Finder { aggregates: true, depth: 0 }).is_break()
}

fn has_subquery(expr: &Expr) -> bool {
    expr.visit(&mut Finder { aggregates: false, depth: 0 }).is_break()
}
