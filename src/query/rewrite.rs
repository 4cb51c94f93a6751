//! Changes to the parsed query that let DataFusion plan what PostgreSQL means.
//!
//! General rewrites only, each true for any query: column names (`names`), operators and functions
//! qualified with `pg_catalog`, casts to types that need a lookup, scalar subqueries as
//! aggregates, scalar functions in FROM. `prune` adds what follows from relations that are always
//! empty. One pattern is targeted: `array(select 'prefix' || x from unnest(array) x)`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LimitClause, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor,
    VisitMut, VisitorMut,
};

use super::error::Error;
use super::functions::SINGLE_VALUE;
use super::names::{MARK, column_name, last_part, type_label};
use super::prune;
use super::statement::fold;

/// FROM items in one statement; each becomes a level of the plan.
const RELATIONS_MAX: usize = 200;

pub(crate) fn rewrite(query: &mut Query) -> Result<(), Error> {
    let mut rewriter = Rewriter { relations: 0 };
    match query.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Rewriter {
    relations: usize,
}

type Flow = ControlFlow<Box<Error>>;

impl VisitorMut for Rewriter {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        query.locks.clear();
        if let Some(fetch) = query.fetch.take() {
            let limit = fetch.quantity.unwrap_or_else(|| number("1"));
            match &mut query.limit_clause {
                Some(LimitClause::LimitOffset { limit: slot, .. }) => *slot = Some(limit),
                other => {
                    *other = Some(LimitClause::LimitOffset {
                        limit: Some(limit),
                        offset: None,
                        limit_by: Vec::new(),
                    });
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        if select.into.is_some() {
            return refuse(Error::unsupported("SELECT INTO needs executors: this is a master"));
        }
        prune::select(select);
        name_columns(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        self.relations += 1;
        if self.relations > RELATIONS_MAX {
            let what = format!("more than {RELATIONS_MAX} relations in one statement");
            return refuse(Error::TooLarge { what });
        }
        table_function(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::Function(function) = expr
            && let FunctionArguments::Subquery(query) = &mut function.args
            && last_part(&function.name) == "array"
        {
            *expr = array_subquery(query);
        } else if prune::is_rowless_scalar(expr) {
            *expr = prune::null_text();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expression(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => refuse(error),
        }
    }
}

fn refuse(error: Error) -> Flow {
    ControlFlow::Break(Box::new(error))
}

fn expression(expr: &mut Expr) -> Result<(), Error> {
    match expr {
        Expr::Collate { expr: inner, collation } => {
            let name = last_part(collation);
            let known = ["default", "C", "c", "POSIX", "posix", "ucs_basic"];
            if !known.contains(&name.as_str()) {
                return Err(Error::UndefinedObject { kind: "collation", name });
            }
            *expr = std::mem::replace(inner, null());
        }
        Expr::BinaryOp { op, .. } => {
            if let BinaryOperator::PGCustomBinaryOperator(parts) = op {
                *op = operator(parts)?;
            }
        }
        Expr::Cast { expr: inner, data_type, .. } => {
            if let Some(call) = cast_call(inner, data_type) {
                *expr = call;
            }
        }
        Expr::Function(function) => unqualify(function)?,
        Expr::Subquery(query) => aggregate_scalar(query),
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            let name = ident.value.to_ascii_lowercase();
            if matches!(name.as_str(), "current_schema" | "current_role" | "current_catalog") {
                *expr = call(&name, Vec::new());
            }
        }
        _ => {}
    }
    Ok(())
}

/// `OPERATOR(pg_catalog.~)` and the like.
fn operator(parts: &[String]) -> Result<BinaryOperator, Error> {
    let name = parts.last().map(String::as_str).unwrap_or_default();
    Ok(match name {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        ">" => BinaryOperator::Gt,
        "<=" => BinaryOperator::LtEq,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "||" => BinaryOperator::StringConcat,
        other => {
            return Err(Error::UndefinedObject { kind: "operator", name: other.to_owned() });
        }
    })
}

/// Casts that are lookups, or that change the value in a way Arrow does not.
fn cast_call(inner: &mut Expr, data_type: &DataType) -> Option<Expr> {
    let function = match type_label(data_type).as_str() {
        "regclass" => "aerie_regclass",
        "regtype" => "aerie_regtype",
        "regnamespace" => "aerie_regnamespace",
        "regrole" => "aerie_regrole",
        "regproc" | "regprocedure" => "aerie_regproc",
        "pg_lsn" => "aerie_lsn_in",
        "char" if is_quoted(data_type) => "aerie_char",
        "name" => "aerie_name",
        _ => return None,
    };
    Some(call(function, vec![std::mem::replace(inner, null())]))
}

fn is_quoted(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Custom(..))
}

fn unqualify(function: &mut ast::Function) -> Result<(), Error> {
    if function.name.0.len() > 1 {
        let schema = function.name.0.first().and_then(|part| part.as_ident()).map(fold);
        if !matches!(schema.as_deref(), Some("pg_catalog" | "information_schema")) {
            let name = format!("{}()", function.name);
            return Err(Error::UndefinedFunction { name });
        }
        function.name = object(&last_part(&function.name));
    }
    Ok(())
}

/// `from f(x)` for a function that gives one value is `from (select f(x) as f)`.
fn table_function(factor: &mut TableFactor) {
    const SETS: [&str; 3] = ["generate_series", "range", "unnest"];
    let TableFactor::Table { name, alias, args: Some(arguments), .. } = factor else { return };
    let function = last_part(name);
    if SETS.contains(&function.as_str()) {
        *name = object(&function);
        return;
    }
    let arguments = arguments.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let alias = alias.take();
    let column = alias.as_ref().map_or_else(|| ident(&function), |alias| alias.name.clone());
    let item = SelectItem::ExprWithAlias { expr: call(&function, arguments.collect()), alias: column };
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

/// Gives every select item PostgreSQL's name, and makes equal names different by a hidden mark.
fn name_columns(select: &mut Select) {
    let wild = select.projection.iter().any(|item| {
        matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
    });
    let mut used = BTreeSet::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let (name, plain) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                (column_name(expr), plain)
            }
            SelectItem::ExprWithAlias { alias, .. } => (fold(alias), false),
            _ => continue,
        };
        let is_new = used.insert(name.clone());
        if plain && is_new && !wild {
            continue;
        }
        let clash = !is_new || (plain && wild);
        let unique = if clash { format!("{name}{MARK}{at}") } else { name };
        let expr = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                std::mem::replace(expr, null())
            }
            _ => continue,
        };
        *item = SelectItem::ExprWithAlias { expr, alias: ident(&unique) };
    }
}

/// A scalar subquery becomes an aggregate, which the planner can correlate.
fn aggregate_scalar(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let plain = query.limit_clause.is_none()
        && query.with.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && !select.from.is_empty()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(list, _) if list.is_empty());
    let [item] = select.projection.as_mut_slice() else { return };
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return;
    };
    if plain && !prune::has_aggregate(expr) {
        let inner = std::mem::replace(expr, null());
        *expr = call(SINGLE_VALUE, vec![inner]);
        query.order_by = None;
    }
}

/// `array(select x …)` is `array_agg(x)` with an empty array for no rows.
fn array_subquery(query: &mut Query) -> Expr {
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

pub(crate) fn null() -> Expr {
    Expr::Value(ast::Value::Null.with_empty_span())
}

fn number(text: &str) -> Expr {
    Expr::Value(ast::Value::Number(text.to_owned(), false).with_empty_span())
}

fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn object(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(ident(name))])
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments
        .into_iter()
        .map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)))
        .collect();
    Expr::Function(ast::Function {
        name: object(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A query that gives one value.
pub(crate) fn select_value(expr: Expr) -> Query {
    select_of(SelectItem::ExprWithAlias { expr, alias: ident("value") })
}

/// `SELECT item` without FROM.
fn select_of(item: SelectItem) -> Query {
    let mut query = EMPTY_SELECT.clone();
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![item];
    }
    query
}

static EMPTY_SELECT: std::sync::LazyLock<Query> = std::sync::LazyLock::new(|| {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
    #[expect(clippy::expect_used, reason = "a constant text that parses")]
    let query = Parser::new(&PostgreSqlDialect {})
        .try_with_sql("SELECT 1")
        .and_then(|mut parser| parser.parse_query())
        .expect("a constant text that parses");
    *query
});
