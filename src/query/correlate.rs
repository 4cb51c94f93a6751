//! Subqueries in the forms that the planner can correlate.
//!
//! Each rewrite is true for any query: a scalar subquery is an aggregate that refuses a second
//! row; EXISTS in a select list is a count; an outer column that a conjunct makes equal to an
//! inner one may be replaced by it in the others.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    Query, Select, SelectItem, SetExpr, TableFactor, Value, VisitMut, VisitorMut,
};

use super::build::{call, ident, null};
use super::functions::SINGLE_VALUE;
use super::names::last_part;
use super::prune;
use super::statement::fold;

/// A SELECT whose select list may be replaced by one aggregate.
fn plain_select(query: &mut Query) -> Option<&mut Select> {
    if query.limit_clause.is_some() || query.with.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let plain = select.distinct.is_none()
        && select.having.is_none()
        && !select.from.is_empty()
        && matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
    plain.then_some(select)
}

pub(crate) fn aggregate_scalar(query: &mut Query) {
    let Some(select) = plain_select(query) else { return };
    let [item] = select.projection.as_mut_slice() else { return };
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return;
    };
    if prune::has_aggregate(expr) {
        return;
    }
    let inner = std::mem::replace(expr, null());
    *expr = call(SINGLE_VALUE, vec![inner]);
    inner_for_outer(select);
    query.order_by = None;
}

/// `select exists(select …)`: outside of a filter it is whether there are any.
pub(crate) fn exists_in_select_list(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            // Only ever continues.
            let _ = expr.visit(&mut ExistsToCount { depth: 0 });
        }
    }
}

struct ExistsToCount {
    depth: usize,
}

impl VisitorMut for ExistsToCount {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let Expr::Exists { subquery, negated } = expr else { return ControlFlow::Continue(()) };
        let mut query = std::mem::replace(subquery, Box::new(super::build::select_value(null())));
        let (op, none) = (BinaryOperator::Gt, BinaryOperator::Eq);
        let any = Expr::BinaryOp {
            left: Box::new(count()),
            op: if *negated { none } else { op },
            right: Box::new(Expr::Value(Value::Number("0".to_owned(), false).with_empty_span())),
        };
        let item = SelectItem::ExprWithAlias { expr: any, alias: ident("exists") };
        match plain_select(&mut query) {
            Some(select) if !has_aggregates(select) => {
                select.projection = vec![item];
                query.order_by = None;
                *expr = Expr::Subquery(query);
            }
            _ => *expr = Expr::Subquery(Box::new(super::build::select_over(item, query))),
        }
        ControlFlow::Continue(())
    }
}

fn has_aggregates(select: &Select) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            prune::has_aggregate(expr)
        }
        _ => false,
    })
}

fn count() -> Expr {
    let mut count = call("count", Vec::new());
    if let Expr::Function(function) = &mut count
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)];
    }
    count
}

/// With `inner.x = outer.y` among the conjuncts, `outer.y` in the others is `inner.x`.
fn inner_for_outer(select: &mut Select) {
    let tables: Vec<String> = select
        .from
        .iter()
        .flat_map(|from| {
            let joins = from.joins.iter().map(|join| &join.relation);
            std::iter::once(&from.relation).chain(joins).filter_map(table_name)
        })
        .collect();
    let Some(filter) = select.selection.take() else { return };
    let mut conjuncts = Vec::new();
    split(filter, &mut conjuncts);
    let is_inner = |parts: &[Ident]| {
        parts.len() == 2 && parts.first().is_some_and(|table| tables.contains(&fold(table)))
    };
    let mut equal = Vec::new();
    for (at, conjunct) in conjuncts.iter().enumerate() {
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = conjunct
            && let (Expr::CompoundIdentifier(a), Expr::CompoundIdentifier(b)) =
                (left.as_ref(), right.as_ref())
        {
            match (is_inner(a), is_inner(b)) {
                (true, false) => equal.push((at, b.clone(), a.clone())),
                (false, true) => equal.push((at, a.clone(), b.clone())),
                _ => {}
            }
        }
    }
    for (at, conjunct) in conjuncts.iter_mut().enumerate() {
        for (source, outer, inner) in &equal {
            if *source != at {
                let _ = conjunct.visit(&mut Replace { outer, inner });
            }
        }
    }
    select.selection = conjuncts.into_iter().reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    });
}

fn table_name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. } => Some(fold(&alias.name)),
        TableFactor::Table { name, alias: None, .. } => Some(last_part(name)),
        _ => None,
    }
}

fn split(expr: Expr, conjuncts: &mut Vec<Expr>) {
    let mut left = Some(expr);
    let mut right = Vec::new();
    while let Some(next) = left.take() {
        match next {
            Expr::BinaryOp { left: inner, op: BinaryOperator::And, right: last } => {
                right.push(*last);
                left = Some(*inner);
            }
            other => conjuncts.push(other),
        }
    }
    conjuncts.extend(right.into_iter().rev());
}

struct Replace<'a> {
    outer: &'a [Ident],
    inner: &'a [Ident],
}

impl VisitorMut for Replace<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && parts.iter().map(fold).eq(self.outer.iter().map(fold))
        {
            *parts = self.inner.to_vec();
        }
        ControlFlow::Continue(())
    }
}
