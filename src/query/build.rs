//! Pieces of parsed SQL made by hand, for the rewrites.

use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Query, SelectItem, SetExpr, TableFactor,
};

/// A query that gives one value.
pub(crate) fn select_value(expr: Expr) -> Query {
    select_of(SelectItem::ExprWithAlias { expr, alias: ident("value") })
}

/// `SELECT item FROM (query)`.
pub(crate) fn select_over(item: SelectItem, query: Box<Query>) -> Query {
    let mut outer = select_of(item);
    if let SetExpr::Select(select) = outer.body.as_mut() {
        select.from = vec![ast::TableWithJoins {
            relation: TableFactor::Derived {
                lateral: false,
                subquery: query,
                alias: Some(ast::TableAlias {
                    explicit: true,
                    name: ident("aerie_rows"),
                    columns: Vec::new(),
                    at: None,
                }),
                sample: None,
            },
            joins: Vec::new(),
        }];
    }
    outer
}

/// `SELECT item` without FROM.
pub(crate) fn select_of(item: SelectItem) -> Query {
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

pub(crate) fn null() -> Expr {
    Expr::Value(ast::Value::Null.with_empty_span())
}

pub(crate) fn number(text: &str) -> Expr {
    Expr::Value(ast::Value::Number(text.to_owned(), false).with_empty_span())
}

pub(crate) fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

pub(crate) fn object(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(ident(name))])
}

pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
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
