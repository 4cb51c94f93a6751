//! Data definition carried out in a transaction: names resolved by the search path, the change
//! itself left to `catalog::ddl`.

use crate::catalog::ddl::{self as change, CommentTarget as Target, NewTable};
use crate::catalog::{Column, ColumnType, Distribution, ReadView};

use super::block::Shared;
use super::ddl::{ColumnDefinition, CommentTarget, CreateTable, Ddl, DistributedBy};
use super::error::Error;

/// Where names without a schema are looked up and made, and who owns what is made.
pub(crate) struct Place<'a> {
    pub path: &'a [String],
    /// Looked up only for what makes something.
    pub owner: &'a dyn Fn() -> Result<u32, Error>,
}

pub(crate) fn tag(ddl: &Ddl) -> &'static str {
    match ddl {
        Ddl::CreateSchema { .. } => "CREATE SCHEMA",
        Ddl::DropSchema { .. } => "DROP SCHEMA",
        Ddl::CreateTable(_) => "CREATE TABLE",
        Ddl::DropTable { view: false, .. } => "DROP TABLE",
        Ddl::DropTable { view: true, .. } => "DROP VIEW",
        Ddl::Comment { .. } => "COMMENT",
    }
}

/// Gives the notices to be sent.
pub(crate) fn run(shared: &Shared, ddl: &Ddl, place: &Place<'_>) -> Result<Vec<String>, Error> {
    let mut notices = Vec::new();
    match ddl {
        Ddl::CreateSchema { name, if_not_exists, owner } => {
            if let Some(owner) = owner {
                own_role(shared, owner, place)?;
            }
            let owner = (place.owner)()?;
            let done = shared.write(|t| change::create_schema(t, name, owner, *if_not_exists))?;
            if !done {
                notices.push(format!("schema \"{name}\" already exists, skipping"));
            }
        }
        Ddl::DropSchema { names, if_exists, cascade } => {
            for name in names {
                let done = shared.write(|t| change::drop_schema(t, name, *if_exists, *cascade))?;
                if !done {
                    notices.push(format!("schema \"{name}\" does not exist, skipping"));
                }
            }
        }
        Ddl::CreateTable(table) => {
            if !create_table(shared, table, place)? {
                let name = table.name.last().cloned().unwrap_or_default();
                notices.push(format!("relation \"{name}\" already exists, skipping"));
            }
        }
        Ddl::DropTable { names, if_exists, view, .. } => {
            for name in names {
                notices.extend(drop_table(shared, name, (*if_exists, *view), place)?);
            }
        }
        Ddl::Comment { target, text } => {
            let target = comment_target(shared, target, place)?;
            shared.write(|t| change::comment_on(t, &target, text.as_deref()))?;
        }
    }
    Ok(notices)
}

fn own_role(shared: &Shared, role: &str, place: &Place<'_>) -> Result<(), Error> {
    let rows = shared.scan(crate::catalog::PG_AUTHID, &[])?;
    let found = rows.iter().find(|row| row.get(1).and_then(|name| name.as_str()) == Some(role));
    let own = (place.owner)()?;
    match found.and_then(|row| row.first()?.as_oid()) {
        Some(oid) if oid == own => Ok(()),
        Some(_) => Err(Error::unsupported("AUTHORIZATION of another role is not supported yet")),
        None => Err(Error::UndefinedObject { kind: "role", name: role.to_owned() }),
    }
}

/// Schema and name; a name alone is made in the first schema of the path that exists.
fn new_name(
    shared: &Shared,
    parts: &[String],
    place: &Place<'_>,
) -> Result<(String, String), Error> {
    match parts {
        [schema, name] | [_, schema, name] => Ok((schema.clone(), name.clone())),
        [name] => {
            let known = shared.namespaces()?;
            let exists = |schema: &&String| known.iter().any(|(_, name, _)| name == *schema);
            let usable = place.path.iter().filter(|schema| *schema != "pg_catalog").find(exists);
            match usable {
                Some(schema) => Ok((schema.clone(), name.clone())),
                None => Err(Error::UndefinedSchema { name: place.path.join(", ") }),
            }
        }
        _ => Err(Error::internal("empty name")),
    }
}

/// Schema and name of what exists; for a name alone the first schema of the path that has it.
fn known_name(
    shared: &Shared,
    parts: &[String],
    place: &Place<'_>,
) -> Result<Option<(String, String)>, Error> {
    match parts {
        [schema, name] | [_, schema, name] => {
            let found = shared.relation_named(schema, name)?;
            Ok(found.map(|_| (schema.clone(), name.clone())))
        }
        [name] => {
            for schema in place.path {
                if shared.relation_named(schema, name)?.is_some() {
                    return Ok(Some((schema.clone(), name.clone())));
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn create_table(shared: &Shared, table: &CreateTable, place: &Place<'_>) -> Result<bool, Error> {
    let (namespace, name) = new_name(shared, &table.name, place)?;
    let columns = table.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let distribution = match &table.distribution {
        DistributedBy::Unsaid | DistributedBy::Randomly => Distribution::Randomly,
        DistributedBy::Columns { names, .. } => Distribution::Columns(names.clone()),
    };
    let table = NewTable {
        namespace,
        name,
        columns,
        distribution,
        if_not_exists: table.if_not_exists,
        owner: (place.owner)()?,
    };
    Ok(shared.write(|t| change::create_table(t, &table))?.is_some())
}

fn column(definition: &ColumnDefinition) -> Result<Column, Error> {
    let (column_type, typmod) =
        ColumnType::parse(&definition.column_type.text()).map_err(crate::catalog::Error::from)?;
    Ok(Column { name: definition.name.clone(), column_type, typmod, not_null: definition.not_null })
}

fn drop_table(
    shared: &Shared,
    parts: &[String],
    how: (bool, bool),
    place: &Place<'_>,
) -> Result<Option<String>, Error> {
    let (if_exists, view) = how;
    let label = parts.join(".");
    let Some((schema, name)) = known_name(shared, parts, place)? else {
        if if_exists {
            let kind = if view { "view" } else { "table" };
            return Ok(Some(format!("{kind} \"{label}\" does not exist, skipping")));
        }
        let kind = if view { "view" } else { "table" };
        return Err(Error::UndefinedRelation { kind, name: label });
    };
    if view {
        return Err(Error::unsupported("DROP VIEW is not supported yet"));
    }
    shared.write(|t| change::drop_table(t, &schema, &name, if_exists))?;
    Ok(None)
}

fn comment_target(
    shared: &Shared,
    target: &CommentTarget,
    place: &Place<'_>,
) -> Result<Target, Error> {
    let find = |parts: &[String]| {
        known_name(shared, parts, place)?
            .ok_or_else(|| Error::UndefinedTable { name: parts.join("."), position: None })
    };
    Ok(match target {
        CommentTarget::Schema { name } => Target::Schema { name: name.clone() },
        CommentTarget::Relation { name, view } => {
            let (namespace, name) = find(name)?;
            if *view { Target::View { namespace, name } } else { Target::Table { namespace, name } }
        }
        CommentTarget::Column { relation, column } => {
            let (namespace, relation) = find(relation)?;
            Target::Column { namespace, relation, column: column.clone() }
        }
    })
}
