//! Names and modifiers of types, both ways.

use super::column_type::{ColumnType, TypeError};

fn check(sql: &str, expected: &str) {
    let (column_type, typmod) = ColumnType::parse(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert_eq!(column_type.format(typmod), expected, "{sql}");
    let again = ColumnType::parse(expected).unwrap();
    assert_eq!(again, (column_type, typmod), "{expected} reads back");
}

#[test]
fn names_of_a_warehouse_are_understood() {
    for (sql, expected) in [
        ("INT", "integer"),
        ("int4", "integer"),
        ("BIGINT", "bigint"),
        ("\"char\"", "\"char\""),
        ("char", "character(1)"),
        ("CHAR(10)", "character(10)"),
        ("bpchar", "bpchar"),
        ("VARCHAR(20)", "character varying(20)"),
        ("CHARACTER VARYING", "character varying"),
        ("DECIMAL(10,2)", "numeric(10,2)"),
        ("numeric(5)", "numeric(5,0)"),
        ("numeric(5, -2)", "numeric(5,-2)"),
        ("FLOAT", "double precision"),
        ("float(24)", "real"),
        ("DOUBLE PRECISION", "double precision"),
        ("TIMESTAMP", "timestamp without time zone"),
        ("TIMESTAMP(3) WITH TIME ZONE", "timestamp(3) with time zone"),
        ("timestamptz(0)", "timestamp(0) with time zone"),
        ("interval(2)", "interval(2)"),
        ("int[]", "integer[]"),
        ("INT[3][]", "integer[]"),
        ("_text", "text[]"),
        ("varchar(5)[]", "character varying(5)[]"),
        ("pg_catalog.int2", "smallint"),
        ("BIT VARYING(8)", "bit varying(8)"),
    ] {
        check(sql, expected);
    }
}

#[test]
fn unknown_names_and_bad_modifiers_are_refused() {
    for sql in ["", "nosuch", "int(", "int)", "\"int", "int[x]", "varchar(a)", "varchar()"] {
        assert!(matches!(ColumnType::parse(sql), Err(TypeError::Unknown { .. })), "{sql}");
    }
    for sql in ["varchar(0)", "numeric(1001)", "int(4)", "timestamp(7)", "float(54)", "bit(0)"] {
        assert!(matches!(ColumnType::parse(sql), Err(TypeError::Modifier { .. })), "{sql}");
    }
}

#[test]
fn oids_lead_back_to_their_type() {
    for scalar in ColumnType::scalars() {
        assert_eq!(ColumnType::from_oid(scalar.oid()), Some(scalar.clone()));
        let array = ColumnType::Array(Box::new(scalar));
        assert_eq!(ColumnType::from_oid(array.oid()), Some(array));
    }
    assert_eq!(ColumnType::from_oid(0), None);
}
