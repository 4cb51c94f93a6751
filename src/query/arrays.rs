//! Functions in FROM and arrays made of subqueries.
//!
//! `array(select x …)` is an aggregate with an empty array for no rows. One pattern is targeted,
//! since the planner cannot unnest a column of an outer query: `array(select 'prefix' || x from
//! unnest(array) x)`, which psql asks for a table's storage options.

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Query, SelectItem, SetExpr, TableFactor,
};

use super::build::{call, ident, null, select_of};
use super::names::last_part;
use super::statement::fold;

/// `from f(x)` for a function that gives one value is `from (select f(x) as f)`.
pub(crate) fn table_function(factor: &mut TableFactor) {
    const SETS: [&str; 3] = ["generate_series", "range", "unnest"];
    let TableFactor::Table { name, alias, args: Some(arguments), .. } = factor else { return };
    let function = last_part(name);
    if SETS.contains(&function.as_str()) {
        *name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(function))]);
        return;
    }
    let arguments = arguments.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let alias = alias.take();
    let column = alias.as_ref().map_or_else(|| ident(&function), |alias| alias.name.clone());
    let item =
        SelectItem::ExprWithAlias { expr: call(&function, arguments.collect()), alias: column };
    let mut subquery = select_of(item);
    subquery.order_by = None;
    *factor = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias: Some(alias.unwrap_or_else(|| ast::TableAlias {
            explicit: true,
            name: ident(&function),
            columns: Vec::new(),
            at: None,
        })),
        sample: None,
    };
}

/// `array(select x …)` is `array_agg(x)` with an empty array for no rows.
pub(crate) fn array_subquery(query: &mut Query) -> Expr {
    if let Some(prefixed) = prefix_each(query) {
        return prefixed;
    }
    let mut query = query.clone();
    let order = query.order_by.take();
    if let SetExpr::Select(select) = query.body.as_mut()
        && let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
            select.projection.as_mut_slice()
    {
        let inner = std::mem::replace(expr, null());
        let mut aggregate = call("array_agg", vec![inner.clone()]);
        if let (Expr::Function(function), Some(order)) = (&mut aggregate, order)
            && let FunctionArguments::List(list) = &mut function.args
            && let ast::OrderByKind::Expressions(mut keys) = order.kind
        {
            for key in &mut keys {
                // `order by 1` means the selected expression.
                if matches!(&key.expr, Expr::Value(_)) {
                    key.expr = inner.clone();
                }
            }
            list.clauses.push(ast::FunctionArgumentClause::OrderBy(keys));
        }
        *expr = aggregate;
    }
    call("aerie_array_or_empty", vec![Expr::Subquery(Box::new(query))])
}

fn prefix_each(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(Expr::BinaryOp { left, op, right })] =
        select.projection.as_slice()
    else {
        return None;
    };
    let [from] = select.from.as_slice() else { return None };
    let (Expr::Value(_), BinaryOperator::StringConcat, Expr::Identifier(element)) =
        (left.as_ref(), op, right.as_ref())
    else {
        return None;
    };
    if !from.joins.is_empty() || select.selection.is_some() {
        return None;
    }
    let (argument, alias) = match &from.relation {
        TableFactor::UNNEST { array_exprs, alias: Some(alias), .. } => {
            (array_exprs.first()?.clone(), alias)
        }
        TableFactor::Table { name, alias: Some(alias), args: Some(arguments), .. }
            if last_part(name) == "unnest" =>
        {
            match arguments.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => (expr.clone(), alias),
                _ => return None,
            }
        }
        _ => return None,
    };
    (fold(&alias.name) == fold(element))
        .then(|| call("aerie_prefix_each", vec![argument, left.as_ref().clone()]))
}
