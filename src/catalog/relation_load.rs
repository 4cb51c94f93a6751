//! Relations read from the rows that describe them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::column_type::ColumnType;
use super::datum::{Datum, Row};
use super::error::Error;
use super::layout::{
    AttributeRow, ClassRow, FIRST_NORMAL_OID, GP_DISTRIBUTION_POLICY, PG_ATTRIBUTE, PG_CLASS,
    PG_NAMESPACE,
};
use super::relation::{Column, Distribution, Relation, RelationKind};
use super::snapshot::ReadView;

/// One relation: four lookups, none of them over other relations' rows.
pub(crate) fn load<V: ReadView>(view: &V, oid: u32) -> Result<Option<Relation>, Error> {
    let key = [Datum::Oid(oid)];
    let Some(class) = view.get(PG_CLASS, &key)? else {
        return Ok(None);
    };
    let class = ClassRow::from_row(&class).ok_or_else(|| Error::corrupt("row of pg_class"))?;
    let attributes = view.scan(PG_ATTRIBUTE, &key)?;
    let namespace = view.get(PG_NAMESPACE, &[Datum::Oid(class.namespace)])?;
    let namespace = namespace.as_ref().and_then(|row| row.get(1)?.as_str());
    let namespace = namespace.ok_or_else(|| Error::corrupt("relation without its schema"))?;
    let policy = view.get(GP_DISTRIBUTION_POLICY, &key)?;
    assemble(class, &attributes, namespace, policy.as_ref()).map(Some)
}

/// All relations, by one pass over each of the describing relations.
pub(crate) fn load_all<V: ReadView>(view: &V) -> Result<Vec<Arc<Relation>>, Error> {
    let namespaces: BTreeMap<u32, String> =
        view.namespaces()?.into_iter().map(|(oid, name, _)| (oid, name)).collect();
    let mut attributes: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for row in view.scan(PG_ATTRIBUTE, &[])? {
        attributes.entry(first_oid(&row)?).or_default().push(row);
    }
    let mut policies: BTreeMap<u32, Row> = BTreeMap::new();
    for row in view.scan(GP_DISTRIBUTION_POLICY, &[])? {
        policies.insert(first_oid(&row)?, row);
    }
    let mut relations = Vec::new();
    for row in view.scan(PG_CLASS, &[])? {
        let class = ClassRow::from_row(&row).ok_or_else(|| Error::corrupt("row of pg_class"))?;
        let columns = attributes.remove(&class.oid).unwrap_or_default();
        let policy = policies.remove(&class.oid);
        let namespace = namespaces
            .get(&class.namespace)
            .ok_or_else(|| Error::corrupt("relation without its schema"))?;
        relations.push(Arc::new(assemble(class, &columns, namespace, policy.as_ref())?));
    }
    Ok(relations)
}

fn first_oid(row: &Row) -> Result<u32, Error> {
    row.first().and_then(Datum::as_oid).ok_or_else(|| Error::corrupt("row without its oid"))
}

fn assemble(
    class: ClassRow,
    attributes: &[Row],
    namespace_name: &str,
    policy: Option<&Row>,
) -> Result<Relation, Error> {
    let mut columns = Vec::with_capacity(attributes.len());
    let mut key = Vec::new();
    for (at, row) in attributes.iter().enumerate() {
        let attribute = AttributeRow::from_row(row);
        let attribute = attribute.ok_or_else(|| Error::corrupt("row of pg_attribute"))?;
        let column_type = ColumnType::from_oid(attribute.type_oid)
            .ok_or_else(|| Error::corrupt(format!("type {} of a column", attribute.type_oid)))?;
        if attribute.key > 0 {
            key.push((attribute.key, at));
        }
        columns.push(Column {
            name: attribute.name,
            column_type,
            typmod: attribute.typmod,
            not_null: attribute.not_null,
        });
    }
    key.sort_unstable();
    let distribution = policy.map(|row| distribution(row, &columns)).transpose()?;
    Ok(Relation {
        oid: class.oid,
        namespace: class.namespace,
        namespace_name: namespace_name.to_owned(),
        name: class.name,
        kind: match class.view {
            Some(sql) => RelationKind::View { sql },
            None if class.oid < FIRST_NORMAL_OID => RelationKind::System,
            None => RelationKind::Table,
        },
        columns,
        key: key.into_iter().map(|(_, at)| at).collect(),
        shared: class.shared,
        owner: class.owner,
        distribution,
    })
}

fn distribution(policy: &Row, columns: &[Column]) -> Result<Distribution, Error> {
    let corrupt = || Error::corrupt("row of gp_distribution_policy");
    let numbers = match policy.get(2) {
        Some(Datum::Null) => return Ok(Distribution::Randomly),
        Some(Datum::Array(numbers)) => numbers,
        _ => return Err(corrupt()),
    };
    let name_of = |number: &Datum| {
        let at = usize::try_from(number.as_i64()?).ok()?.checked_sub(1)?;
        columns.get(at).map(|column| column.name.clone())
    };
    let names: Option<Vec<String>> = numbers.iter().map(name_of).collect();
    names.map(Distribution::Columns).ok_or_else(corrupt)
}
