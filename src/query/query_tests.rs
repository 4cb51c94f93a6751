//! Statements over a bootstrapped catalog: what they return, and how they are refused.

use super::harness::{Shown, engine, run, session};
use super::{Error, TransactionStatus};

/// Statement, columns (`name:oid`), rows.
type Case = (&'static str, &'static str, &'static [&'static str]);

async fn check(cases: &[Case]) {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let mut failures = Vec::new();
    for (sql, columns, rows) in cases {
        match run(&mut session, sql).await {
            Ok(shown) if shown.columns == *columns && shown.rows == *rows => {}
            other => failures.push(format!("{sql}\n  wanted {columns} {rows:?}\n  got {other:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn names_and_types_of_columns_are_postgresqls() {
    check(&[
        ("select 1", "?column?:23", &["1"]),
        ("select 'a'", "?column?:25", &["a"]),
        ("select 1, 2, 1", "?column?:23 ?column?:23 ?column?:23", &["1|2|1"]),
        ("select null, null", "?column?:25 ?column?:25", &["NULL|NULL"]),
        ("select true", "?column?:16", &["true"]),
        ("select count(*) from pg_database", "count:20", &["3"]),
        (
            "select '5'::int4, 5::int8, 'x'::name, 'y'::\"char\"",
            "int4:23 int8:20 name:19 char:18",
            &["5|5|x|y"],
        ),
        ("select upper('a'), lower('B') l", "upper:25 l:25", &["A|b"]),
        ("select case when true then 1 end", "case:23", &["1"]),
        (
            "select registration_order, role, hostname from gp_segment_configuration",
            "registration_order:23 role:18 hostname:25",
            &["0|m|mdw"],
        ),
        (
            "select role::text, hostname::name from gp_segment_configuration",
            "role:25 hostname:19",
            &["m|mdw"],
        ),
        ("select max(registration_order) from gp_segment_configuration", "max:23", &["0"]),
        ("select exists(select 1)", "exists:16", &["true"]),
        ("select array[1,2]", "array:1007", &["[1, 2]"]),
        ("select (select 7)", "?column?:23", &["7"]),
        (
            "select current_user, session_user, current_database(), current_schema()",
            "current_user:19 session_user:19 current_database:19 current_schema:19",
            &["gpadmin|gpadmin|postgres|public"],
        ),
        ("select version() ~ '^PostgreSQL [0-9]+\\.[0-9]+'", "?column?:16", &["true"]),
        (
            "select version() ~ 'HAWQ [0-9]+\\.[0-9]+' and version() ~ 'Greenplum'",
            "?column?:16",
            &["true"],
        ),
        (
            "select sum(port), avg(port) > 1 from gp_segment_configuration",
            "sum:20 ?column?:16",
            &["5432|true"],
        ),
        (
            "select avg(a), avg(b), avg(c) \
             from (values (1, 2::int8, 1.5::float8), (2, 3::int8, 2::float8)) t(a, b, c)",
            "avg:1700 avg:1700 avg:701",
            &["1.5000000000000000|2.5000000000000000|1.75"],
        ),
        (
            "select a + 1, sum(a * 2), a + b from (values (1, 2::int8)) t(a, b) group by a, b \
             order by a + 1",
            "?column?:23 sum:20 ?column?:20",
            &["2|2|3"],
        ),
        ("select oid, oid from pg_database where datname = 'postgres'", "oid:26 oid:26", &["5|5"]),
    ])
    .await;
}

#[tokio::test]
async fn catalog_relations_answer_filters_joins_and_groups() {
    check(&[
        ("select datname from pg_database order by 1 limit 2", "datname:19",
            &["postgres", "template0"]),
        ("select datname from pg_database where oid = 5", "datname:19", &["postgres"]),
        ("select datname from pg_database where oid = '5'", "datname:19", &["postgres"]),
        ("select n.nspname, count(*) from pg_namespace n join pg_class c on c.relnamespace = n.oid \
            where c.relkind = 'r' group by n.nspname having count(*) > 5 order by 1",
            "nspname:19 count:20", &["pg_catalog|17"]),
        ("select f.fsname, s.spcname from pg_filespace f \
          join pg_tablespace s on s.spcfsoid = f.oid \
            order by 2", "fsname:19 spcname:19",
            &["pg_system|pg_default", "pg_system|pg_global"]),
        ("with q as (select rsqname from pg_resqueue) select * from q order by rsqname desc",
            "rsqname:19", &["pg_root", "pg_default"]),
        ("select relname from pg_class where relname = any(array['pg_class','pg_type']) order by 1",
            "relname:19", &["pg_class", "pg_type"]),
        ("select relname from pg_class where relname ~ '^gp_seg' and relname !~ 'x'", "relname:19",
            &["gp_segment_configuration"]),
        ("select typname, typlen from pg_type where oid = 23", "typname:19 typlen:21",
            &["int4|4"]),
        ("select summary_state, detail_state from gp_master_mirroring",
            "summary_state:25 detail_state:25", &["Not Configured|NULL"]),
        ("select lower(hostname) from gp_segment_configuration where role = 'm' and status = 'u' ;",
            "lower:25", &["mdw"]),
        ("select row_number() over (order by oid) as n, datname from pg_database order by n",
            "n:20 datname:19", &["1|template1", "2|template0", "3|postgres"]),
        ("select datname from pg_database where oid in (select oid from pg_database where oid < 5) \
            order by oid", "datname:19", &["template1", "template0"]),
        ("select d.datname, (select s.spcname from pg_tablespace s where s.oid = d.dattablespace) \
            from pg_database d order by 1 limit 1", "datname:19 spcname:19",
            &["postgres|pg_default"]),
        ("select d.datname, array(select s.spcname from pg_tablespace s where s.oid = d.oid) \
            from pg_database d where d.oid = 5", "datname:19 array:1009", &["postgres|[]"]),
        ("select string_agg(datname, ',' order by datname) from pg_database", "string_agg:25",
            &["postgres,template0,template1"]),
    ])
    .await;
}

#[tokio::test]
async fn lookups_by_name_and_oid_use_the_catalogs_oids() {
    check(&[
        (
            "select 'gp_segment_configuration'::regclass",
            "regclass:2205",
            &["gp_segment_configuration"],
        ),
        ("select 'gp_segment_configuration'::regclass::oid", "oid:26", &["5036"]),
        (
            "select oid::regclass::text from pg_class where oid = 5036",
            "oid:25",
            &["gp_segment_configuration"],
        ),
        (
            "select relname from pg_class where oid = 'pg_database'::regclass",
            "relname:19",
            &["pg_database"],
        ),
        (
            "select 'information_schema.tables'::regclass",
            "regclass:2205",
            &["information_schema.tables"],
        ),
        (
            "select format_type(23, -1), format_type(1043, 14)",
            "format_type:25 format_type:25",
            &["integer|character varying(10)"],
        ),
        ("select pg_get_userbyid(10)", "pg_get_userbyid:19", &["gpadmin"]),
        (
            "select obj_description(2200, 'pg_namespace')",
            "obj_description:25",
            &["standard public schema"],
        ),
        ("select pg_table_is_visible(5036)", "pg_table_is_visible:16", &["true"]),
        ("select 25::regtype, 'int4'::regtype::oid", "regtype:2206 oid:26", &["text|23"]),
        (
            "select attname, atttypid from pg_attribute where attrelid = 5036 and attnum < 3 \
            order by attnum",
            "attname:19 atttypid:26",
            &["registration_order|23", "role|18"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn system_views_have_hawqs_columns_first() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let shown = run(&mut session, "select * from pg_stat_activity").await.unwrap();
    assert!(
        shown.columns.starts_with(
            "datid:26 datname:19 procpid:23 sess_id:23 usesysid:26 usename:19 current_query:25 \
             waiting:16 query_start:1184 backend_start:1184 client_addr:869 client_port:23 \
             application_name:25 xact_start:1184 waiting_resource:16 pid:23"
        ),
        "{}",
        shown.columns
    );
    assert_eq!(shown.rows.len(), 2);
    let sql = "select procpid from pg_stat_activity where procpid != pg_backend_pid()";
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["8"]);
    let sql = "select application_name, sync_state, flush_lsn::text from pg_stat_replication";
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["standby|sync|1/8"]);
    let sql = "select write_lag > interval '0.2 s', flush_lag < interval '0.3 s', \
               replay_lag is null from pg_stat_replication";
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["true|true|true"]);
    let sql = "select name, setting from pg_catalog.pg_settings where name='hawq_acl_type'";
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["hawq_acl_type|standalone"]);
    let all = run(&mut session, "select schemaname, viewname from pg_views order by 1, 2").await;
    for view in all.unwrap().rows {
        let name = view.replace('|', ".");
        let result = run(&mut session, &format!("select * from {name}")).await;
        assert!(result.is_ok(), "{name}: {result:?}");
    }
    let tables = run(&mut session, "select relname from pg_class where relkind = 'r'").await;
    for table in tables.unwrap().rows {
        let result = run(&mut session, &format!("select * from {table}")).await;
        assert!(result.is_ok(), "{table}: {result:?}");
    }
}

#[tokio::test]
async fn errors_are_typed() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let cases: &[(&str, &str)] = &[
        ("selec 1", "syntax error at or near \"selec\""),
        ("select 1 from", "syntax error at end of input"),
        ("select * from nothing", "relation \"nothing\" does not exist"),
        ("select * from nowhere.nothing", "relation \"nowhere.nothing\" does not exist"),
        ("select nope from pg_class", "column \"nope\" does not exist"),
        ("select nope(1)", "function nope() does not exist"),
        ("select 1/0", "division by zero"),
        ("select 2147483647 + 1", "integer out of range"),
        ("select a * a from (values (4000000000)) t(a)", "bigint out of range"),
        ("select -9223372036854775807 - 2", "bigint out of range"),
        ("select sum(a * a) from (values (65536), (1)) t(a)", "integer out of range"),
        ("select 'x'::int4", "invalid input syntax for type integer: \"x\""),
        ("select 'x'::nothing", "type \"nothing\" does not exist"),
        ("select 'nothing'::regclass", "relation \"nothing\" does not exist"),
        ("show nothing", "unrecognized configuration parameter \"nothing\""),
        ("set nothing = 1", "unrecognized configuration parameter \"nothing\""),
        ("set optimizer = maybe", "invalid value for parameter \"optimizer\": \"maybe\""),
        ("set port = 1", "parameter \"port\" cannot be changed without restarting the server"),
        ("select current_setting('nothing')", "unrecognized configuration parameter \"nothing\""),
        (
            "update gp_segment_configuration set status = 'd'",
            "permission denied: \"gp_segment_configuration\" is a system catalog",
        ),
        (
            "select (select oid from pg_database)",
            "more than one row returned by a subquery used as an expression",
        ),
        ("execute nothing", "prepared statement \"nothing\" does not exist"),
        ("fetch nothing", "cursor \"nothing\" does not exist"),
        ("declare c cursor for select 1", "DECLARE CURSOR can only be used in transaction blocks"),
        (
            "select gp_remove_master_standby()",
            "gp_remove_master_standby can only be run in utility mode",
        ),
    ];
    let mut failures = Vec::new();
    for (sql, message) in cases {
        match run(&mut session, sql).await {
            Err(error) if error.to_string() == *message => {}
            other => failures.push(format!("{sql}\n  wanted {message}\n  got {other:?}")),
        }
        assert_eq!(session.transaction_status(), TransactionStatus::Idle);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn ddl_is_seen_in_its_transaction_and_after_its_commit_only() {
    let engine = engine(false);
    let (mut one, mut other) = (session(&engine, &[]), session(&engine, &[]));
    let tag = |shown: Result<Shown, Error>| shown.unwrap().tag;
    assert_eq!(tag(run(&mut one, "begin").await), "BEGIN");
    assert_eq!(tag(run(&mut one, "create schema s").await), "CREATE SCHEMA");
    let table = "create table s.t (a int not null, b varchar(10), c numeric(10,2)) \
                 with (appendonly=true, orientation=parquet) distributed by (a)";
    assert_eq!(tag(run(&mut one, table).await), "CREATE TABLE");
    assert_eq!(tag(run(&mut one, "comment on table s.t is 'it''s'").await), "COMMENT");
    let seen = "select relname, obj_description(oid) from pg_class where relname = 't'";
    assert_eq!(run(&mut one, seen).await.unwrap().rows, ["t|it's"]);
    assert!(run(&mut other, seen).await.unwrap().rows.is_empty());
    assert_eq!(tag(run(&mut one, "commit").await), "COMMIT");
    assert_eq!(run(&mut other, seen).await.unwrap().rows, ["t|it's"]);
    let columns = "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute \
                   where attrelid = 's.t'::regclass order by attnum";
    assert_eq!(
        run(&mut other, columns).await.unwrap().rows,
        ["a|integer|true", "b|character varying(10)|false", "c|numeric(10,2)|false"]
    );
    assert!(run(&mut one, "table_missing").await.is_err());
    let refused = run(&mut one, "select * from s.t").await.unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    let refused = run(&mut one, "drop schema s").await.unwrap_err();
    assert!(refused.to_string().contains("other objects depend on it"), "{refused}");
    assert_eq!(tag(run(&mut one, "drop table if exists s.t, s.u").await), "DROP TABLE");
    assert_eq!(one.take_notices().len(), 1);
    assert_eq!(tag(run(&mut one, "drop schema s").await), "DROP SCHEMA");
}

#[tokio::test]
async fn a_failed_block_only_ends() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    run(&mut session, "begin").await.unwrap();
    run(&mut session, "create schema lost").await.unwrap();
    assert_eq!(session.transaction_status(), TransactionStatus::Open);
    run(&mut session, "select 1/0").await.unwrap_err();
    assert_eq!(session.transaction_status(), TransactionStatus::Failed);
    let refused = run(&mut session, "select 1").await.unwrap_err();
    assert!(matches!(refused, Error::InFailedTransaction));
    assert_eq!(run(&mut session, "commit").await.unwrap().tag, "ROLLBACK");
    let rows = run(&mut session, "select * from pg_namespace where nspname = 'lost'").await;
    assert!(rows.unwrap().rows.is_empty());
    run(&mut session, "commit").await.unwrap();
    assert_eq!(session.take_notices()[0].code, "25P01");
}

#[tokio::test]
async fn an_implicit_transaction_commits_at_its_end_or_not_at_all() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    session.begin_implicit();
    run(&mut session, "create schema one").await.unwrap();
    session.end_implicit().await.unwrap();
    session.begin_implicit();
    run(&mut session, "create schema two").await.unwrap();
    run(&mut session, "select 1/0").await.unwrap_err();
    session.abandon();
    let names = "select nspname from pg_namespace where nspname in ('one', 'two')";
    assert_eq!(run(&mut session, names).await.unwrap().rows, ["one"]);
}
