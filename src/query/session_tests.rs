//! Sessions: settings, prepared statements, cursors, standby, transaction ids.

use datafusion::common::ScalarValue;

use super::Error;
use super::harness::{Shown, engine, open, run, run_with, session};

#[tokio::test]
async fn settings_follow_transactions() {
    let engine = engine(false);
    let mut session =
        session(&engine, &[("application_name", "a"), ("gp_session_role", "UTILITY")]);
    let show = |shown: Result<Shown, Error>| shown.unwrap();
    assert_eq!(show(run(&mut session, "show gp_session_role").await).rows, ["utility"]);
    assert_eq!(show(run(&mut session, "show TIMEZONE").await).columns, "TimeZone:25");
    run(&mut session, "set application_name to 'b'").await.unwrap();
    let changed = session.take_parameter_changes();
    assert_eq!(changed, [("application_name".to_owned(), "b".to_owned())]);
    run(&mut session, "begin; set application_name = 'c'; rollback").await.unwrap();
    assert_eq!(show(run(&mut session, "show application_name").await).rows, ["b"]);
    run(&mut session, "begin; set local optimizer = off").await.unwrap();
    assert_eq!(show(run(&mut session, "show optimizer").await).rows, ["off"]);
    run(&mut session, "commit").await.unwrap();
    assert_eq!(show(run(&mut session, "show optimizer").await).rows, ["on"]);
    run(&mut session, "reset all").await.unwrap();
    assert_eq!(show(run(&mut session, "show application_name").await).rows, ["a"]);
    run(&mut session, "set allow_system_table_mods = 'dml'").await.unwrap();
    assert_eq!(show(run(&mut session, "show allow_system_table_mods").await).rows, ["DML"]);
    run(&mut session, "select set_config('optimizer', 'off', false)").await.unwrap();
    assert_eq!(show(run(&mut session, "select current_setting('optimizer')").await).rows, ["off"]);
    let all = show(run(&mut session, "show all").await);
    assert!(all.rows.iter().any(|row| row.starts_with("hawq_acl_type|standalone")));
    assert!(open(&engine, &[("nothing", "1")]).is_err());
}

#[tokio::test]
async fn statements_are_prepared_with_parameters() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let sql = "select datname from pg_database where oid = $1";
    for (oid, name) in [(5, "postgres"), (1, "template1"), (5, "postgres")] {
        let value = ScalarValue::UInt32(Some(oid));
        let shown = run_with(&mut session, sql, &[None], &[value]).await.unwrap();
        assert_eq!(shown.rows, [name]);
    }
    let statement = session.parse(sql).unwrap().remove(0);
    assert_eq!(session.prepare(statement, &[]).await.unwrap().parameter_types, [26]);
    run(&mut session, "prepare p(int) as select $1 + 1").await.unwrap();
    assert_eq!(run(&mut session, "execute p(41)").await.unwrap().rows, ["42"]);
    assert!(run(&mut session, "execute p(1, 2)").await.is_err());
    run(&mut session, "deallocate p").await.unwrap();
    let text = ScalarValue::Utf8(Some("a".to_owned()));
    let shown = run_with(&mut session, "select $1::text || 'b'", &[None], &[text]).await;
    assert_eq!(shown.unwrap().rows, ["ab"]);
}

#[tokio::test]
async fn cursors_fetch_in_parts() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    run(&mut session, "begin; declare c cursor for select datname from pg_database order by 1")
        .await
        .unwrap();
    let shown = run(&mut session, "fetch 2 from c").await.unwrap();
    assert_eq!((shown.rows.len(), shown.tag.as_str()), (2, "FETCH 2"));
    assert_eq!(run(&mut session, "fetch all in c").await.unwrap().rows, ["template1"]);
    assert_eq!(run(&mut session, "fetch c").await.unwrap().tag, "FETCH 0");
    run(&mut session, "close c; commit").await.unwrap();
}

#[tokio::test]
async fn a_block_goes_back_to_a_savepoint() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let refused = run(&mut session, "savepoint s").await.unwrap_err().to_string();
    assert!(refused.contains("can only be used in transaction blocks"), "{refused}");
    // Before the first statement that reads, with a schema change, and one inside another.
    run(&mut session, "begin; savepoint first; create schema one; savepoint s").await.unwrap();
    run(&mut session, "set local optimizer = off; create schema two; savepoint s").await.unwrap();
    run(&mut session, "create table two.t (a int); create schema three").await.unwrap();
    let schemas = "select nspname from pg_namespace \
                   where nspname in ('one', 'two', 'three', 'four') order by 1";
    assert_eq!(run(&mut session, schemas).await.unwrap().rows.len(), 3);
    assert!(run(&mut session, "create schema one").await.is_err());
    let failed = run(&mut session, "select 1").await.unwrap_err();
    assert!(matches!(failed, Error::InFailedTransaction));
    assert_eq!(run(&mut session, "rollback to s").await.unwrap().tag, "ROLLBACK");
    assert_eq!(run(&mut session, schemas).await.unwrap().rows, ["one", "two"]);
    assert_eq!(run(&mut session, "release savepoint s").await.unwrap().tag, "RELEASE");
    run(&mut session, "rollback to savepoint s").await.unwrap();
    assert_eq!(run(&mut session, schemas).await.unwrap().rows, ["one"]);
    assert_eq!(run(&mut session, "show optimizer").await.unwrap().rows, ["on"]);
    run(&mut session, "create schema four; commit").await.unwrap();
    assert_eq!(run(&mut session, schemas).await.unwrap().rows, ["four", "one"]);
    run(&mut session, "begin; savepoint a; drop schema one; rollback to a").await.unwrap();
    let missing = run(&mut session, "release b").await.unwrap_err().to_string();
    assert_eq!(missing, "savepoint \"b\" does not exist");
    run(&mut session, "rollback to a; commit").await.unwrap();
    assert_eq!(run(&mut session, schemas).await.unwrap().rows, ["four", "one"]);
}

#[tokio::test]
async fn a_cached_plan_reads_todays_rows_and_shapes() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let sql = "select count(*) from pg_namespace";
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["5"]);
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["5"]);
    run(&mut session, "create schema more").await.unwrap();
    assert_eq!(run(&mut session, sql).await.unwrap().rows, ["6"]);
}

#[tokio::test]
async fn management_functions_need_utility_mode_and_write_once() {
    let engine = engine(false);
    let mut session = session(&engine, &[("gp_session_role", "utility")]);
    let add = "select gp_add_master_standby('smdw', '192.0.2.2', '')";
    assert_eq!(run(&mut session, add).await.unwrap().rows, ["1"]);
    let again = run(&mut session, add).await.unwrap_err().to_string();
    assert_eq!(again, "only a single master standby may be defined");
    let rows = "select registration_order, role, hostname from gp_segment_configuration \
                where role = 's'";
    assert_eq!(run(&mut session, rows).await.unwrap().rows, ["-1|s|smdw"]);
    run(&mut session, "select gp_remove_master_standby()").await.unwrap();
    assert!(run(&mut session, rows).await.unwrap().rows.is_empty());
    let master = run(&mut session, "select gp_remove_segment(0::int2)").await.unwrap_err();
    assert_eq!(master.to_string(), "Cannot remove master or standby");
}

#[tokio::test]
async fn a_hot_standby_reads_and_refuses_writes() {
    let engine = engine(true);
    let mut session = session(&engine, &[]);
    let parameters = session.initial_parameters();
    for (name, value) in [("in_hot_standby", "on"), ("default_transaction_read_only", "on")] {
        assert!(parameters.contains(&(name.to_owned(), value.to_owned())), "{name}");
    }
    assert_eq!(run(&mut session, "show transaction_read_only").await.unwrap().rows, ["on"]);
    assert_eq!(run(&mut session, "select pg_is_in_recovery()").await.unwrap().rows, ["true"]);
    let refused = run(&mut session, "create schema s").await.unwrap_err();
    let text = "cannot execute CREATE SCHEMA in a read-only transaction";
    assert_eq!(refused.to_string(), text);
    assert_eq!(refused.hint().as_deref(), Some("The primary is at mdw:5432."));
    let sql = "set transaction_read_only = off";
    assert!(run(&mut session, sql).await.is_err());
}

#[tokio::test]
async fn transaction_ids_tell_their_fate() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    run(&mut session, "begin; create schema s").await.unwrap();
    let xid = run(&mut session, "select pg_current_xact_id()").await.unwrap().rows.remove(0);
    let status = format!("select pg_xact_status('{xid}')");
    assert_eq!(run(&mut session, &status).await.unwrap().rows, ["in progress"]);
    run(&mut session, "commit").await.unwrap();
    assert_eq!(run(&mut session, &status).await.unwrap().rows, ["committed"]);
    run(&mut session, "begin; create schema u").await.unwrap();
    let xid = run(&mut session, "select txid_current()").await.unwrap().rows.remove(0);
    run(&mut session, "rollback").await.unwrap();
    let status = format!("select txid_status({xid})");
    assert_eq!(run(&mut session, &status).await.unwrap().rows, ["aborted"]);
}

#[tokio::test]
async fn deep_statements_are_refused_or_run_but_never_overflow() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    let wide = format!("select count(*) from pg_database where {}false", "oid = 5 or ".repeat(240));
    assert_eq!(run(&mut session, &wide).await.unwrap().rows, ["1"]);
    let parens = format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(matches!(run(&mut session, &parens).await, Err(Error::TooDeep)));
    let many = format!("select {}1", "1 + ".repeat(10_000));
    assert!(matches!(run(&mut session, &many).await, Err(Error::TooDeep)));
}
