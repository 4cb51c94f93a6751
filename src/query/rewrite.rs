//! Changes to the parsed query that let DataFusion plan what PostgreSQL means.
//!
//! General rewrites only, each true for any query: column names (`names`), operators and functions
//! qualified with `pg_catalog`, casts to types that need a lookup, scalar subqueries as
//! aggregates, scalar functions in FROM. `prune` adds what follows from relations that are always
//! empty. One pattern is targeted: `array(select 'prefix' || x from unnest(array) x)`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    LimitClause, Query, Select, SelectItem, TableFactor, VisitMut, VisitorMut,
};

use super::arrays::{array_subquery, table_function};
use super::build::{call, ident, null, number, object};
use super::correlate;
use super::error::Error;
use super::literal;
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
        correlate::exists_in_select_list(select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        if let ast::GroupByExpr::Expressions(list, _) = &mut select.group_by {
            list.iter_mut().for_each(plain_number);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) =
            &mut query.order_by
        {
            keys.iter_mut().for_each(|key| plain_number(&mut key.expr));
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            limit.iter_mut().for_each(plain_number);
            offset.iter_mut().for_each(|offset| plain_number(&mut offset.value));
        }
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
            literal::complete(inner, data_type);
            if let Some(call) = literal::array(inner, data_type)? {
                *expr = call;
            } else if let Some(call) = cast_call(inner, data_type) {
                *expr = call;
            }
        }
        Expr::Function(function) => {
            unqualify(function)?;
            window_frame(function);
            if let Some(modulo) = modulo(function) {
                *expr = modulo;
            }
        }
        Expr::Subquery(query) => correlate::aggregate_scalar(query),
        Expr::Value(value) => {
            if let ast::Value::Number(digits, _) = &value.value
                && digits.parse::<i32>().is_ok()
            {
                *expr = integer(std::mem::replace(expr, null()));
            }
        }
        Expr::Identifier(ident) if is_bare_function(&Expr::Identifier(ident.clone())) => {
            *expr = call(&ident.value.to_ascii_lowercase(), Vec::new());
        }
        _ => {}
    }
    Ok(())
}

/// Functions that are called without parentheses and look like columns to the parser.
fn is_bare_function(expr: &Expr) -> bool {
    const BARE: [&str; 4] = ["current_schema", "current_role", "current_catalog", "localtimestamp"];
    match expr {
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            BARE.iter().any(|name| ident.value.eq_ignore_ascii_case(name))
        }
        _ => false,
    }
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

/// Gives every select item PostgreSQL's name, and makes equal names different by a hidden mark.
fn name_columns(select: &mut Select) {
    let wild = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut used = BTreeSet::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let (name, plain) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                    && !is_bare_function(expr);
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

/// `mod(a, b)` is `a % b`.
fn modulo(function: &ast::Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(left)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(right)),
    ] = list.args.as_slice()
    else {
        return None;
    };
    (last_part(&function.name) == "mod").then(|| Expr::BinaryOp {
        left: Box::new(left.clone()),
        op: BinaryOperator::Modulo,
        right: Box::new(right.clone()),
    })
}

/// The name of the hidden type that marks a whole number as int4, which it is in PostgreSQL.
pub(crate) const SMALL_NUMBER: &str = "aerie_int4";

fn integer(number: Expr) -> Expr {
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(number),
        data_type: DataType::Custom(object(SMALL_NUMBER), Vec::new()),
        array: false,
        format: None,
    }
}

/// Takes the mark off where a number is a position or a count.
fn plain_number(expr: &mut Expr) {
    if let Expr::Cast { expr: inner, data_type: DataType::Custom(name, _), .. } = expr
        && last_part(name) == SMALL_NUMBER
    {
        *expr = std::mem::replace(inner, null());
    }
}

fn window_frame(function: &mut ast::Function) {
    let Some(ast::WindowType::WindowSpec(spec)) = &mut function.over else { return };
    let Some(frame) = &mut spec.window_frame else { return };
    let bounds = std::iter::once(&mut frame.start_bound).chain(frame.end_bound.as_mut());
    for bound in bounds {
        if let ast::WindowFrameBound::Preceding(Some(expr))
        | ast::WindowFrameBound::Following(Some(expr)) = bound
        {
            plain_number(expr);
        }
    }
}
