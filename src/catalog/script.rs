//! The scripts in `sql/`: parsed into relations and rows, without a catalog.

use datafusion::sql::sqlparser::ast::{
    ColumnOption, CreateTable, CreateTableOptions, CreateView, Expr, Ident, Insert, ObjectName,
    SetExpr, SqlOption, Statement, TableConstraint, TableObject, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::column_type::ColumnType;
use super::error::Error;
use super::relation::Column;

/// One statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Table(Table),
    View(View),
    Rows(Rows),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) name: QualifiedName,
    pub(crate) columns: Vec<Column>,
    /// Positions in `columns`.
    pub(crate) key: Vec<usize>,
    pub(crate) shared: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) oid: u32,
    pub(crate) name: QualifiedName,
    pub(crate) sql: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) relation: QualifiedName,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Literal>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    /// Filled in by whoever runs the script.
    Variable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QualifiedName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A script and the name to say when it is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
}

impl Script {
    pub(crate) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Bootstrap { file: self.file, reason: reason.into() }
    }

    pub(crate) fn parse(&self) -> Result<Vec<Item>, Error> {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, self.text)
            .map_err(|error| self.error(error.to_string()))?;
        statements.iter().map(|statement| self.item(statement)).collect()
    }

    fn item(&self, statement: &Statement) -> Result<Item, Error> {
        match statement {
            Statement::CreateTable(table) => self.table(table).map(Item::Table),
            Statement::CreateView(view) => self.view(view).map(Item::View),
            Statement::Insert(insert) => self.rows(insert).map(Item::Rows),
            other => Err(self.error(format!("unexpected statement: {other}"))),
        }
    }

    fn table(&self, table: &CreateTable) -> Result<Table, Error> {
        let name = self.name(&table.name)?;
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let (column_type, typmod) = ColumnType::parse(&column.data_type.to_string())?;
            let not_null = column.options.iter().any(|o| matches!(o.option, ColumnOption::NotNull));
            let name = column.name.value.clone();
            columns.push(Column { name, column_type, typmod, not_null });
        }
        let mut key = Vec::new();
        for constraint in &table.constraints {
            let TableConstraint::PrimaryKey(primary) = constraint else {
                return Err(self.error(format!("unexpected constraint of {}", name.name)));
            };
            for part in &primary.columns {
                let wanted = match &part.column.expr {
                    Expr::Identifier(ident) => ident.value.as_str(),
                    other => return Err(self.error(format!("unexpected key column {other}"))),
                };
                let at = columns.iter().position(|column| column.name == wanted);
                key.push(at.ok_or_else(|| self.error(format!("no key column {wanted}")))?);
            }
        }
        let oid = self.oid(&table.table_options, &name)?;
        let shared = match self.option(&table.table_options, "shared") {
            Some(Literal::Bool(shared)) => shared,
            _ => return Err(self.error(format!("{} does not say if it is shared", name.name))),
        };
        Ok(Table { oid, name, columns, key, shared })
    }

    fn view(&self, view: &CreateView) -> Result<View, Error> {
        let name = self.name(&view.name)?;
        let oid = self.oid(&view.options, &name)?;
        Ok(View { oid, name, sql: view.query.to_string() })
    }

    fn rows(&self, insert: &Insert) -> Result<Rows, Error> {
        let TableObject::TableName(relation) = &insert.table else {
            return Err(self.error("unexpected target of INSERT"));
        };
        let relation = self.name(relation)?;
        let columns: Option<Vec<String>> = insert.columns.iter().map(last_part).collect();
        let columns = columns.ok_or_else(|| self.error("unexpected column of INSERT"))?;
        let source = insert.source.as_ref().map(|query| query.body.as_ref());
        let Some(SetExpr::Values(values)) = source else {
            return Err(self.error(format!("rows of {} are not VALUES", relation.name)));
        };
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            let literals: Option<Vec<Literal>> = row.content.iter().map(literal).collect();
            let literals = literals.filter(|literals| literals.len() == columns.len());
            let bad = || self.error(format!("bad row {} of {}", rows.len() + 1, relation.name));
            let literals = literals.ok_or_else(bad)?;
            rows.push(literals);
        }
        Ok(Rows { relation, columns, rows })
    }

    fn name(&self, name: &ObjectName) -> Result<QualifiedName, Error> {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
        match parts.as_deref() {
            Some([namespace, name]) => {
                Ok(QualifiedName { namespace: namespace.value.clone(), name: name.value.clone() })
            }
            _ => Err(self.error(format!("{name} is not of the form schema.name"))),
        }
    }

    fn oid(&self, options: &CreateTableOptions, name: &QualifiedName) -> Result<u32, Error> {
        match self.option(options, "oid") {
            Some(Literal::Number(number)) => number.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| self.error(format!("{} has no oid", name.name)))
    }

    fn option(&self, options: &CreateTableOptions, wanted: &str) -> Option<Literal> {
        let CreateTableOptions::With(options) = options else {
            return None;
        };
        options.iter().find_map(|option| match option {
            SqlOption::KeyValue { key, value } if key.value == wanted => literal(value),
            _ => None,
        })
    }
}

fn last_part(name: &ObjectName) -> Option<String> {
    Some(name.0.last()?.as_ident()?.value.clone())
}

fn literal(expression: &Expr) -> Option<Literal> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::Null => Some(Literal::Null),
            Value::Boolean(value) => Some(Literal::Bool(*value)),
            Value::Number(digits, _) => Some(Literal::Number(digits.clone())),
            Value::SingleQuotedString(text) => Some(Literal::Text(text.clone())),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr)? {
            Literal::Number(digits) => Some(Literal::Number(format!("-{digits}"))),
            _ => None,
        },
        Expr::Identifier(name) => Some(Literal::Variable(name.value.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Vec<Item>, String> {
        Script { file: "test.sql", text }.parse().map_err(|error| error.to_string())
    }

    #[test]
    fn a_view_keeps_its_text_and_oid() {
        let items = parse(
            "CREATE VIEW pg_catalog.pg_roles WITH (oid = 12000) AS
             SELECT rolname, '********'::text AS rolpassword FROM pg_catalog.pg_authid;",
        );
        let expected = View {
            oid: 12_000,
            name: QualifiedName { namespace: "pg_catalog".into(), name: "pg_roles".into() },
            sql: "SELECT rolname, '********'::TEXT AS rolpassword FROM pg_catalog.pg_authid".into(),
        };
        assert_eq!(items, Ok(vec![Item::View(expected)]));
    }

    #[test]
    fn a_bad_script_is_named_with_its_fault() {
        for (text, fault) in [
            ("CREATE TABLE a (x int4) WITH (oid=1, shared=true)", "schema.name"),
            ("CREATE TABLE s.a (x int4) WITH (shared=true)", "a has no oid"),
            ("CREATE TABLE s.a (x int4) WITH (oid=1)", "does not say if it is shared"),
            ("CREATE TABLE s.a (x int4, PRIMARY KEY (y)) WITH (oid=1, shared=true)", "column y"),
            ("CREATE TABLE s.a (x int4, UNIQUE (x)) WITH (oid=1, shared=true)", "constraint"),
            ("CREATE TABLE s.a (x nosuch) WITH (oid=1, shared=true)", "\"nosuch\""),
            ("INSERT INTO s.a (x) VALUES (1, 2)", "bad row 1 of a"),
            ("INSERT INTO s.a (x) VALUES (1 + 1)", "bad row 1 of a"),
            ("INSERT INTO s.a (x) SELECT 1", "not VALUES"),
            ("DROP TABLE s.a", "unexpected statement"),
            ("CREATE", "test.sql"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(fault), "{text}: {message}");
        }
    }
}
