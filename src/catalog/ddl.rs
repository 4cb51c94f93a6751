//! DDL as changes of rows: schemas, tables, comments.
//!
//! Decides what each statement means for the describing relations; parsing it and asking whether
//! the user may do it is `query`'s part. What a statement relies on is guarded, so that two
//! statements that exclude each other cannot both commit: creating a table guards its schema,
//! commenting guards its object, and dropping writes the row that those guard.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::datum::Datum;
use super::error::Error;
use super::layout::{
    AttributeRow, BUCKETS, COLUMNS_MAX, ClassRow, FIRST_NORMAL_OID, GP_DISTRIBUTION_POLICY,
    NAME_BYTES_MAX, PG_ATTRIBUTE, PG_CLASS, PG_CLASS_NAME_INDEX, PG_DESCRIPTION, PG_NAMESPACE,
    PUBLIC_NAMESPACE,
};
use super::open_transaction::OpenTransaction;
use super::relation::{Column, Distribution, Relation, RelationKind};
use super::snapshot::ReadView;

/// A table to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    pub namespace: String,
    pub name: String,
    pub columns: Vec<Column>,
    pub distribution: Distribution,
    pub if_not_exists: bool,
    pub owner: u32,
}

/// What a comment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommentTarget {
    Schema { name: String },
    Table { namespace: String, name: String },
    View { namespace: String, name: String },
    Column { namespace: String, relation: String, column: String },
}

/// Makes a schema; false when it is there already and that is allowed.
pub fn create_schema(
    t: &mut OpenTransaction,
    name: &str,
    owner: u32,
    if_not_exists: bool,
) -> Result<bool, Error> {
    check_name(name)?;
    if name.starts_with("pg_") {
        return Err(Error::ReservedName { name: name.to_owned() });
    }
    if t.namespace_named(name)?.is_some() {
        if if_not_exists {
            return Ok(false);
        }
        return Err(Error::DuplicateSchema { name: name.to_owned() });
    }
    let oid = t.allocate_oid();
    let name = Datum::Name(name.to_owned());
    t.insert(PG_NAMESPACE, vec![Datum::Oid(oid), name, Datum::Oid(owner), Datum::Null])?;
    Ok(true)
}

/// Drops a schema, with `cascade` its tables too; false when there is none and that is allowed.
pub fn drop_schema(
    t: &mut OpenTransaction,
    name: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<bool, Error> {
    let Some(oid) = t.namespace_named(name)? else {
        if if_exists {
            return Ok(false);
        }
        return Err(Error::UndefinedSchema { name: name.to_owned() });
    };
    if oid < FIRST_NORMAL_OID && oid != PUBLIC_NAMESPACE {
        return Err(Error::SystemObject { name: name.to_owned() });
    }
    let tables = t.scan(PG_CLASS_NAME_INDEX, &[Datum::Oid(oid)])?;
    if !tables.is_empty() && !cascade {
        return Err(Error::SchemaNotEmpty { name: name.to_owned(), objects: tables.len() });
    }
    for row in tables {
        let table = row.first().and_then(Datum::as_oid);
        let table = table.ok_or_else(|| Error::corrupt("row of an index"))?;
        if let Some(relation) = t.relation(table)? {
            remove_relation(t, &relation)?;
        }
    }
    remove_comments(t, oid, PG_NAMESPACE)?;
    t.delete(PG_NAMESPACE, &[Datum::Oid(oid)])?;
    Ok(true)
}

/// Makes a table; gives its oid, or `None` when the name is taken and that is allowed.
pub fn create_table(t: &mut OpenTransaction, table: &NewTable) -> Result<Option<u32>, Error> {
    check_name(&table.name)?;
    let namespace = t.namespace_named(&table.namespace)?;
    let namespace =
        namespace.ok_or_else(|| Error::UndefinedSchema { name: table.namespace.clone() })?;
    if namespace < FIRST_NORMAL_OID && namespace != PUBLIC_NAMESPACE {
        return Err(Error::SystemObject { name: table.namespace.clone() });
    }
    if t.relation_named(&table.namespace, &table.name)?.is_some() {
        if table.if_not_exists {
            return Ok(None);
        }
        return Err(Error::DuplicateTable { name: table.name.clone() });
    }
    let columns = check_columns(table)?;
    let numbers = distribution_numbers(table)?;
    let oid = t.allocate_oid();
    t.guard(PG_NAMESPACE, &[Datum::Oid(namespace)]);
    let class = ClassRow {
        oid,
        name: table.name.clone(),
        namespace,
        owner: table.owner,
        view: None,
        shared: false,
        columns,
    };
    t.insert(PG_CLASS, class.to_row())?;
    for (number, column) in (1..).zip(&table.columns) {
        let attribute = AttributeRow {
            relation: oid,
            number,
            name: column.name.clone(),
            type_oid: column.column_type.oid(),
            typmod: column.typmod,
            not_null: column.not_null,
            key: 0,
        };
        t.insert(PG_ATTRIBUTE, attribute.to_row())?;
    }
    let policy = vec![Datum::Oid(oid), Datum::Int4(BUCKETS), numbers];
    t.insert(GP_DISTRIBUTION_POLICY, policy)?;
    Ok(Some(oid))
}

/// Drops a table; false when there is none and that is allowed. Nothing can depend on a table yet,
/// so there is no choice between RESTRICT and CASCADE to make.
pub fn drop_table(
    t: &mut OpenTransaction,
    namespace: &str,
    name: &str,
    if_exists: bool,
) -> Result<bool, Error> {
    let Some(relation) = t.relation_named(namespace, name)? else {
        if if_exists {
            return Ok(false);
        }
        if t.namespace_named(namespace)?.is_none() {
            return Err(Error::UndefinedSchema { name: namespace.to_owned() });
        }
        return Err(Error::UndefinedTable { name: name.to_owned() });
    };
    match relation.kind {
        RelationKind::Table => remove_relation(t, &relation).map(|()| true),
        RelationKind::System => Err(Error::SystemObject { name: name.to_owned() }),
        RelationKind::View { .. } => {
            Err(Error::WrongObjectType { name: name.to_owned(), expected: "table" })
        }
    }
}

/// Sets a comment, or removes it when the text is absent or empty.
pub fn comment_on(
    t: &mut OpenTransaction,
    target: &CommentTarget,
    text: Option<&str>,
) -> Result<(), Error> {
    let (object, class, column) = find_target(t, target)?;
    t.guard(class, &[Datum::Oid(object)]);
    let key = [Datum::Oid(object), Datum::Oid(class), Datum::Int4(column)];
    match text.filter(|text| !text.is_empty()) {
        None => {
            t.delete(PG_DESCRIPTION, &key)?;
        }
        Some(text) => {
            let mut row = key.to_vec();
            row.push(Datum::Text(text.to_owned()));
            t.put(PG_DESCRIPTION, row)?;
        }
    }
    Ok(())
}

/// Oid, describing relation and column number of what a comment is about.
fn find_target(t: &OpenTransaction, target: &CommentTarget) -> Result<(u32, u32, i32), Error> {
    match target {
        CommentTarget::Schema { name } => {
            let oid = t.namespace_named(name)?;
            let oid = oid.ok_or_else(|| Error::UndefinedSchema { name: name.clone() })?;
            Ok((oid, PG_NAMESPACE, 0))
        }
        CommentTarget::Table { namespace, name } => {
            let relation = existing(t, namespace, name)?;
            match relation.kind {
                RelationKind::Table | RelationKind::System => Ok((relation.oid, PG_CLASS, 0)),
                RelationKind::View { .. } => {
                    Err(Error::WrongObjectType { name: name.clone(), expected: "table" })
                }
            }
        }
        CommentTarget::View { namespace, name } => {
            let relation = existing(t, namespace, name)?;
            match relation.kind {
                RelationKind::View { .. } => Ok((relation.oid, PG_CLASS, 0)),
                RelationKind::Table | RelationKind::System => {
                    Err(Error::WrongObjectType { name: name.clone(), expected: "view" })
                }
            }
        }
        CommentTarget::Column { namespace, relation: name, column } => {
            let relation = existing(t, namespace, name)?;
            let at = relation.column_index(column).ok_or_else(|| Error::UndefinedColumn {
                relation: name.clone(),
                column: column.clone(),
            })?;
            let number = i32::try_from(at + 1).map_err(|_| Error::corrupt("column number"))?;
            Ok((relation.oid, PG_CLASS, number))
        }
    }
}

fn existing(t: &OpenTransaction, namespace: &str, name: &str) -> Result<Arc<Relation>, Error> {
    if let Some(relation) = t.relation_named(namespace, name)? {
        return Ok(relation);
    }
    if t.namespace_named(namespace)?.is_none() {
        return Err(Error::UndefinedSchema { name: namespace.to_owned() });
    }
    Err(Error::UndefinedTable { name: name.to_owned() })
}

fn remove_relation(t: &mut OpenTransaction, relation: &Relation) -> Result<(), Error> {
    let oid = Datum::Oid(relation.oid);
    for (number, _) in (1..).zip(&relation.columns) {
        t.delete(PG_ATTRIBUTE, &[oid.clone(), Datum::Int2(number)])?;
    }
    t.delete(GP_DISTRIBUTION_POLICY, std::slice::from_ref(&oid))?;
    remove_comments(t, relation.oid, PG_CLASS)?;
    t.delete(PG_CLASS, &[oid])?;
    Ok(())
}

fn remove_comments(t: &mut OpenTransaction, object: u32, class: u32) -> Result<(), Error> {
    for row in t.scan(PG_DESCRIPTION, &[Datum::Oid(object), Datum::Oid(class)])? {
        let key: Vec<Datum> = row.into_iter().take(3).collect();
        t.delete(PG_DESCRIPTION, &key)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let reason = match name {
        "" => "it is empty",
        _ if name.len() > NAME_BYTES_MAX => "it is longer than 63 bytes",
        _ if name.contains('\0') => "it contains a zero byte",
        _ => return Ok(()),
    };
    Err(Error::InvalidName { name: name.to_owned(), reason })
}

/// The number of columns, when they are all right.
fn check_columns(table: &NewTable) -> Result<i16, Error> {
    const SYSTEM_COLUMNS: [&str; 7] =
        ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid", "gp_segment_id"];
    let too_many = || Error::TooManyColumns { count: table.columns.len(), max: COLUMNS_MAX };
    if table.columns.len() > COLUMNS_MAX {
        return Err(too_many());
    }
    let mut seen = BTreeSet::new();
    for column in &table.columns {
        check_name(&column.name)?;
        if SYSTEM_COLUMNS.contains(&column.name.as_str()) {
            let reason = "it is the name of a system column";
            return Err(Error::InvalidName { name: column.name.clone(), reason });
        }
        if !seen.insert(column.name.as_str()) {
            return Err(Error::DuplicateColumn { column: column.name.clone() });
        }
    }
    i16::try_from(table.columns.len()).map_err(|_| too_many())
}

/// The value of `gp_distribution_policy.attrnums`.
fn distribution_numbers(table: &NewTable) -> Result<Datum, Error> {
    let Distribution::Columns(names) = &table.distribution else {
        return Ok(Datum::Null);
    };
    let mut numbers = Vec::with_capacity(names.len());
    for name in names {
        let at = (1..).zip(&table.columns).find(|(_, column)| column.name == *name);
        let (number, _) = at.ok_or_else(|| Error::UndefinedColumn {
            relation: table.name.clone(),
            column: name.clone(),
        })?;
        if numbers.contains(&Datum::Int2(number)) {
            return Err(Error::DuplicateColumn { column: name.clone() });
        }
        numbers.push(Datum::Int2(number));
    }
    // Hashing over no column is distributing randomly.
    Ok(if numbers.is_empty() { Datum::Null } else { Datum::Array(numbers) })
}
