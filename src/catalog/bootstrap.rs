//! The first transaction of a cluster, made from the scripts in `sql/`.
//!
//! It is a transaction like any other: logged, replicated, applied. So every node gets the same
//! first content, and nothing of it is made locally. It never looks at a clock or a host: what
//! differs between clusters is handed in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::admission::BOOTSTRAP_XID;
use super::column_type::ColumnType;
use super::datum::{Datum, Row};
use super::error::Error;
use super::instance::Catalog;
use super::layout::{
    AttributeRow, BOOTSTRAP_SUPERUSER, ClassRow, EXPECTED_COLUMNS, FIRST_NORMAL_OID, PG_ATTRIBUTE,
    PG_CATALOG_NAMESPACE, PG_CLASS, PG_NAMESPACE,
};
use super::memory_store::MemoryStore;
use super::open_transaction::OpenTransaction;
use super::relation::{Column, Relation};
use super::script::{Item, Literal, Rows, Script, Table, View};
use super::snapshot::ReadView;
use super::transaction::Transaction;

const CATALOG: Script = Script {
    file: "sql/00_catalog.sql",
    text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/00_catalog.sql")),
};
const VIEWS: Script = Script {
    file: "sql/10_views.sql",
    text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/10_views.sql")),
};
const ROWS: Script = Script {
    file: "sql/20_rows.sql",
    text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/20_rows.sql")),
};

/// What differs between clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// Name of the master's host, for `gp_segment_configuration.hostname`.
    pub master_host: String,
    /// Its address, for `gp_segment_configuration.address`.
    pub master_address: String,
    pub master_port: u16,
    /// Name of the role with oid 10.
    pub superuser: String,
    /// Microseconds since 1970 UTC.
    pub now_micros: i64,
}

impl Catalog {
    /// The transaction that fills an empty catalog; to be admitted and logged like any other.
    pub fn bootstrap(cluster: &Bootstrap) -> Result<Transaction, Error> {
        let mut transaction = Catalog::open(Arc::new(MemoryStore::new()))?.begin();
        let (tables, rows) = (CATALOG.parse()?, ROWS.parse()?);
        let rows: Vec<Rows> = rows
            .into_iter()
            .map(|item| match item {
                Item::Rows(rows) => Ok(rows),
                _ => Err(ROWS.error("only INSERT is expected here")),
            })
            .collect::<Result<_, Error>>()?;
        // Relations need their schema to be described, rows need their relation.
        let (namespaces, rows): (Vec<Rows>, Vec<Rows>) =
            rows.into_iter().partition(|rows| rows.relation.name == "pg_namespace");
        add_namespaces(&mut transaction, &tables, &namespaces, cluster)?;
        for item in tables {
            match item {
                Item::Table(table) => add_table(&mut transaction, &table)?,
                _ => return Err(CATALOG.error("only CREATE TABLE is expected here")),
            }
        }
        check_layouts(&transaction)?;
        for item in VIEWS.parse()? {
            match item {
                Item::View(view) => add_view(&mut transaction, view)?,
                _ => return Err(VIEWS.error("only CREATE VIEW is expected here")),
            }
        }
        for rows in &rows {
            let (namespace, name) = (&rows.relation.namespace, &rows.relation.name);
            let relation = transaction.relation_named(namespace, name)?;
            let relation = relation.ok_or_else(|| ROWS.error(format!("no relation {name}")))?;
            for row in &rows.rows {
                let row = build_row(&relation.columns, &rows.columns, row, cluster)?;
                transaction.insert(relation.oid, row)?;
            }
        }
        Ok(transaction.into_transaction_with(BOOTSTRAP_XID))
    }
}

fn add_namespaces(
    transaction: &mut OpenTransaction,
    tables: &[Item],
    namespaces: &[Rows],
    cluster: &Bootstrap,
) -> Result<(), Error> {
    let described = tables.iter().find_map(|item| match item {
        Item::Table(table) if table.oid == PG_NAMESPACE => Some(table),
        _ => None,
    });
    let described = described.ok_or_else(|| CATALOG.error("pg_namespace is missing"))?;
    for rows in namespaces {
        for row in &rows.rows {
            let row = build_row(&described.columns, &rows.columns, row, cluster)?;
            let key: Vec<Datum> = row.first().cloned().into_iter().collect();
            transaction.insert_unchecked(PG_NAMESPACE, &key, row)?;
        }
    }
    Ok(())
}

fn add_table(transaction: &mut OpenTransaction, table: &Table) -> Result<(), Error> {
    check_name(CATALOG, table.oid, &table.name.namespace)?;
    let natts = i16::try_from(table.columns.len())
        .map_err(|_| CATALOG.error(format!("{} has too many columns", table.name.name)))?;
    let class = ClassRow {
        oid: table.oid,
        name: table.name.name.clone(),
        namespace: PG_CATALOG_NAMESPACE,
        owner: BOOTSTRAP_SUPERUSER,
        view: None,
        shared: table.shared,
        columns: natts,
    };
    transaction.insert_unchecked(PG_CLASS, &[Datum::Oid(table.oid)], class.to_row())?;
    for (number, (at, column)) in (1..).zip(table.columns.iter().enumerate()) {
        let key = (1..).zip(&table.key).find(|(_, column)| **column == at);
        let attribute = AttributeRow {
            relation: table.oid,
            number,
            name: column.name.clone(),
            type_oid: column.column_type.oid(),
            typmod: column.typmod,
            not_null: column.not_null,
            key: key.map_or(0, |(place, _)| place),
        };
        let key = [Datum::Oid(table.oid), Datum::Int2(number)];
        transaction.insert_unchecked(PG_ATTRIBUTE, &key, attribute.to_row())?;
    }
    Ok(())
}

fn add_view(transaction: &mut OpenTransaction, view: View) -> Result<(), Error> {
    let namespace = transaction.namespace_named(&view.name.namespace)?;
    let namespace =
        namespace.ok_or_else(|| VIEWS.error(format!("no schema {}", view.name.namespace)))?;
    if view.oid >= FIRST_NORMAL_OID {
        return Err(VIEWS.error(format!("oid {} is not of the system", view.oid)));
    }
    let class = ClassRow {
        oid: view.oid,
        name: view.name.name,
        namespace,
        owner: BOOTSTRAP_SUPERUSER,
        view: Some(view.sql),
        shared: false,
        columns: 0,
    };
    transaction.insert(PG_CLASS, class.to_row())
}

fn check_name(script: Script, oid: u32, namespace: &str) -> Result<(), Error> {
    if oid >= FIRST_NORMAL_OID || namespace != "pg_catalog" {
        return Err(script.error(format!("relation {oid} is not of the system")));
    }
    Ok(())
}

/// The program reads some relations by position: the script must agree.
fn check_layouts(transaction: &OpenTransaction) -> Result<(), Error> {
    for (oid, expected) in EXPECTED_COLUMNS {
        let relation = transaction.relation(oid)?;
        let relation = relation.ok_or_else(|| CATALOG.error(format!("no relation {oid}")))?;
        let found: Vec<&str> = relation.columns.iter().map(|c| c.name.as_str()).collect();
        if found != expected {
            return Err(CATALOG.error(format!("{} has other columns", named(&relation))));
        }
    }
    Ok(())
}

fn named(relation: &Relation) -> String {
    format!("{}.{}", relation.namespace_name, relation.name)
}

/// A row in the order of the relation's columns; columns that are not named are null.
fn build_row(
    columns: &[Column],
    names: &[String],
    literals: &[Literal],
    cluster: &Bootstrap,
) -> Result<Row, Error> {
    let mut given: BTreeMap<&str, &Literal> =
        names.iter().map(String::as_str).zip(literals).collect();
    let mut row = Row::with_capacity(columns.len());
    for column in columns {
        let literal = given.remove(column.name.as_str()).unwrap_or(&Literal::Null);
        row.push(match literal {
            Literal::Variable(name) => variable(name, column, cluster)?,
            other => value(other, column)?,
        });
    }
    match given.first_key_value() {
        Some((name, _)) => Err(ROWS.error(format!("no column {name}"))),
        None => Ok(row),
    }
}

fn variable(name: &str, column: &Column, cluster: &Bootstrap) -> Result<Datum, Error> {
    let text = |text: &str| value(&Literal::Text(text.to_owned()), column);
    match name {
        "superuser" => text(&cluster.superuser),
        "master_host" => text(&cluster.master_host),
        "master_address" => text(&cluster.master_address),
        "master_port" => value(&Literal::Number(cluster.master_port.to_string()), column),
        "bootstrap_time" => value(&Literal::Number(cluster.now_micros.to_string()), column),
        _ => Err(ROWS.error(format!("unknown name {name}"))),
    }
}

fn value(literal: &Literal, column: &Column) -> Result<Datum, Error> {
    let converted = match literal {
        Literal::Null => Some(Datum::Null),
        Literal::Bool(value) => {
            (column.column_type == ColumnType::Bool).then_some(Datum::Bool(*value))
        }
        Literal::Number(digits) => number(digits, &column.column_type),
        Literal::Text(text) => string(text, &column.column_type),
        Literal::Variable(_) => None,
    };
    let bad = || format!("{literal:?} is no {} for {}", column.type_name(), column.name);
    converted.ok_or_else(|| ROWS.error(bad()))
}

fn number(digits: &str, column_type: &ColumnType) -> Option<Datum> {
    match column_type {
        ColumnType::Int2 => digits.parse().ok().map(Datum::Int2),
        ColumnType::Int4 => digits.parse().ok().map(Datum::Int4),
        ColumnType::Int8 => digits.parse().ok().map(Datum::Int8),
        ColumnType::Oid => digits.parse().ok().map(Datum::Oid),
        ColumnType::Float4 => digits.parse().ok().map(Datum::Float4),
        ColumnType::Float8 => digits.parse().ok().map(Datum::Float8),
        ColumnType::Timestamptz => digits.parse().ok().map(Datum::Timestamptz),
        _ => None,
    }
}

fn string(text: &str, column_type: &ColumnType) -> Option<Datum> {
    match (column_type, text.as_bytes()) {
        (ColumnType::Name, _) => Some(Datum::Name(text.to_owned())),
        (ColumnType::Text, _) => Some(Datum::Text(text.to_owned())),
        (ColumnType::Char, [byte]) => Some(Datum::Char(*byte)),
        _ => None,
    }
}
