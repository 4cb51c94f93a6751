//! Names of result columns and of cast targets, as PostgreSQL's `FigureColname` gives them.

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArguments, ObjectName, SelectItem, SetExpr, TimezoneInfo,
};

use super::statement::fold;

/// Separates a name from the number that makes it unique inside a plan; cut off before a client
/// sees it.
pub(crate) const MARK: char = '\u{1}';

/// The name of a select item without an alias.
pub(crate) fn column_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The visible part of a plan's column name.
pub(crate) fn visible(name: &str) -> &str {
    name.split_once(MARK).map_or(name, |(name, _)| name)
}

/// A name and whether it is strong (a column or function) or weak (a cast's type).
fn figure(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match expr {
        Expr::Identifier(ident) => Some((fold(ident), true)),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| (fold(ident), true)),
        Expr::CompoundFieldAccess { root, .. } => figure(root),
        Expr::Function(function) => {
            let name = last_part(&function.name);
            if name == "array" && matches!(function.args, FunctionArguments::Subquery(_)) {
                return strong("array");
            }
            Some((name, true))
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Cast { expr, data_type, .. } => match figure(expr) {
            Some((name, true)) => Some((name, true)),
            _ => Some((type_label(data_type), false)),
        },
        Expr::TypedString(typed) => Some((type_label(&typed.data_type), false)),
        Expr::Interval(_) => Some(("interval".to_owned(), false)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Tuple(_) => strong("row"),
        Expr::Trim { trim_where, .. } => {
            use datafusion::sql::sqlparser::ast::TrimWhereField;
            strong(match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                _ => "btrim",
            })
        }
        Expr::Subquery(query) => subquery_name(&query.body),
        _ => None,
    }
}

fn subquery_name(body: &SetExpr) -> Option<(String, bool)> {
    match body {
        SetExpr::Select(select) => match select.projection.first()? {
            SelectItem::ExprWithAlias { alias, .. } => Some((fold(alias), true)),
            SelectItem::UnnamedExpr(expr) => figure(expr),
            _ => None,
        },
        SetExpr::Query(query) => subquery_name(&query.body),
        SetExpr::SetOperation { left, .. } => subquery_name(left),
        _ => None,
    }
}

pub(crate) fn last_part(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default()
}

/// `pg_type.typname` of a written type, or the written name for what we do not know.
pub(crate) fn type_label(data_type: &DataType) -> String {
    let label = match data_type {
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4",
        DataType::BigInt(_) | DataType::Int8(_) => "int8",
        DataType::SmallInt(_) | DataType::Int2(_) => "int2",
        DataType::Real | DataType::Float4 => "float4",
        DataType::DoublePrecision | DataType::Float8 | DataType::Double(_) => "float8",
        DataType::Float(_) => "float8",
        DataType::Bool | DataType::Boolean => "bool",
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => "numeric",
        DataType::Character(_) | DataType::Char(_) => "bpchar",
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => {
            "varchar"
        }
        DataType::Text => "text",
        DataType::Regclass => "regclass",
        DataType::Date => "date",
        DataType::Time(_, _) => "time",
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => "timestamptz",
        DataType::Timestamp(_, _) => "timestamp",
        DataType::Interval { .. } => "interval",
        DataType::Bytea => "bytea",
        DataType::JSON => "json",
        DataType::JSONB => "jsonb",
        DataType::Uuid => "uuid",
        DataType::Array(element) => {
            use datafusion::sql::sqlparser::ast::ArrayElemTypeDef;
            return match element {
                ArrayElemTypeDef::SquareBracket(inner, _)
                | ArrayElemTypeDef::AngleBracket(inner)
                | ArrayElemTypeDef::Parenthesis(inner) => format!("_{}", type_label(inner)),
                ArrayElemTypeDef::None => "anyarray".to_owned(),
            };
        }
        DataType::Custom(name, _) => return last_part(name),
        other => return other.to_string().to_lowercase(),
    };
    label.to_owned()
}
