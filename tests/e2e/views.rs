//! Every relation and view that HAWQ's users know, asked by the real psql.

use crate::cluster::{Cluster, READY, Shape};
use crate::machine::{clean, psql};
use crate::run::run;
use crate::wait::{eventually, seconds};

/// Name, its first columns in HAWQ's order, and how many rows there are at least.
const VIEWS: &[(&str, &str, usize)] = &[
    (
        "gp_segment_configuration",
        "registration_order,role,status,port,hostname,address,description",
        5,
    ),
    ("gp_configuration_history", "time,registration_order,hostname,description", 3),
    ("gp_master_mirroring", "summary_state,detail_state,log_time,error_message", 1),
    ("gp_configuration", "content,definedprimary,dbid,isprimary,valid,hostname,port,datadir", 0),
    ("gp_distribution_policy", "localoid,bucketnum,attrnums", 1),
    ("pg_filespace", "oid,fsname,fsowner,fsfsys,fsrep", 1),
    ("pg_filespace_entry", "fsefsoid,fsedbid,fselocation", 0),
    ("pg_filesystem", "oid,fsysname", 0),
    ("pg_tablespace", "oid,spcname,spcowner", 2),
    ("pg_resqueue", "oid,rsqname,parentoid,activestats,memorylimit,corelimit", 2),
    ("pg_database", "oid,datname", 2),
    ("pg_namespace", "oid,nspname,nspowner", 3),
    ("pg_class", "oid,relname,relnamespace", 20),
    ("pg_attribute", "attrelid,attname,atttypid", 100),
    ("pg_type", "oid,typname,typnamespace", 10),
    ("pg_description", "objoid,classoid,objsubid,description", 1),
    ("pg_authid", "oid,rolname", 1),
    ("pg_roles", "rolname", 1),
    ("pg_settings", "name,setting", 10),
    (
        "pg_stat_activity",
        "datid,datname,procpid,sess_id,usesysid,usename,current_query,waiting,query_start",
        1,
    ),
    ("pg_stat_replication", "pid", 1),
];

#[test]
fn every_view_answers_psql() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 3 });
    let port = cluster.synchronized().pg_port;
    let setup = "create table if not exists seen (id int not null, what text) distributed by (id)";
    cluster.psql(setup);
    cluster.psql("comment on table seen is 'by psql'");
    for (view, columns, least) in VIEWS {
        eventually("enough rows", READY, || {
            let rows = psql(port, &format!("select * from {view}")).expect(view);
            let count = psql(port, &format!("select count(*) from {view}")).expect(view);
            let count: usize = count.trim().parse().expect("a count");
            let found = format!("{view}: {count} rows, at least {least}\n{rows}");
            if count >= *least { Ok(()) } else { Err(found) }
        });
        let header = header(port, view);
        assert!(header.starts_with(columns), "{view}: columns {header}, wanted {columns}…");
        let limited = psql(port, &format!("select * from {view} limit 1")).expect(view);
        assert!(limited.lines().count() <= 1, "{view}: {limited}");
        let described = psql(port, &format!("\\d {view}")).expect(view);
        let names: Vec<&str> = described.lines().filter_map(|l| l.split('|').next()).collect();
        for column in columns.split(',') {
            assert!(names.contains(&column), "\\d {view} without {column}: {described}");
        }
    }
}

/// Names of the columns, as psql prints them.
fn header(port: u16, view: &str) -> String {
    let target = format!("host=127.0.0.1 port={port} user=gpadmin dbname=postgres");
    let mut command = clean("psql");
    let sql = format!("select * from {view} limit 0");
    command.args(["-X", "-A", "-F", ",", "-P", "footer=off", "-d", &target, "-c", &sql]);
    run(&mut command, seconds(60)).expect(view).trim().to_string()
}

#[test]
fn queries_give_what_postgresql_would() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 3 });
    let port = cluster.synchronized().pg_port;
    for sql in [
        "create schema if not exists air",
        "create table if not exists air.flights (id int not null, what text) distributed by (id)",
        "create table if not exists air.planes (id int) distributed randomly",
        "comment on table air.flights is 'two columns'",
        "comment on schema air is 'above'",
    ] {
        cluster.psql(sql);
    }
    let cases: &[(&str, &str)] = &[
        (
            "select role, count(*) from gp_segment_configuration group by 1 order by 1",
            "m|1\np|3\ns|1",
        ),
        ("select registration_order from gp_segment_configuration order by 1 limit 2", "-1\n0"),
        ("select status from gp_segment_configuration where registration_order = 0", "u"),
        ("select count(*) from gp_segment_configuration where status <> 'u'", "0"),
        ("select obj_description('air.flights'::regclass)", "two columns"),
        (
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = 'air' order by 1",
            "flights\nplanes",
        ),
        (
            "select a.attname, t.typname, a.attnotnull from pg_attribute a \
             join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid \
             where c.relname = 'flights' and a.attnum > 0 order by a.attnum",
            "id|int4|t\nwhat|text|f",
        ),
        ("select attrnums from gp_distribution_policy where attrnums is not null", "{1}"),
        ("select current_user, pg_is_in_recovery()", "gpadmin|f"),
        ("select current_setting('server_version') like '15%'", "t"),
        ("select version() ~ '^PostgreSQL [0-9]+\\.[0-9]+' and version() like '%HAWQ%'", "t"),
        ("select datname from pg_database where datname = 'postgres'", "postgres"),
        ("begin; create table gone (id int); rollback; select to_regclass('gone') is null", "t"),
    ];
    for (sql, wanted) in cases {
        // A standby or a segment that was held up is down for a moment.
        eventually(sql, READY, || {
            let found = psql(port, sql).expect(sql);
            let found: Vec<&str> = found.lines().filter(|line| !is_tag(line)).collect();
            let found = found.join("\n");
            if found == *wanted { Ok(()) } else { Err(format!("{found}, wanted {wanted}")) }
        });
    }
    for (command, part) in [
        ("\\dt air.*", "flights"),
        ("\\dn", "air"),
        ("\\l", "postgres"),
        ("\\d air.flights", "not null"),
        ("\\conninfo", "127.0.0.1"),
        ("\\dv pg_catalog.*", "pg_stat_activity"),
    ] {
        let found = psql(port, command).expect(command);
        assert!(found.contains(part), "{command}: {found}");
    }
}

fn is_tag(line: &str) -> bool {
    matches!(line, "BEGIN" | "ROLLBACK" | "COMMIT" | "CREATE TABLE")
}

#[test]
fn errors_carry_their_sqlstate() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    let session = crate::session::Session::connect(cluster.primary().pg_port).expect("session");
    session.execute("create table twice (id int)").expect("create");
    for (sql, sqlstate) in [
        ("selec 1", "42601"),
        ("select * from nowhere", "42P01"),
        ("create table twice (id int)", "42P07"),
        ("show no_such_setting", "42704"),
        ("select nothing from gp_master_mirroring", "42703"),
        ("drop table nowhere", "42P01"),
        ("create table nowhere.a (id int)", "3F000"),
    ] {
        let failure = session.execute(sql).expect_err(sql);
        assert_eq!(failure.sqlstate, sqlstate, "{sql}: {}", failure.text);
    }
    let failed = session.execute("select 1").map_err(|failure| failure.text);
    assert_eq!(failed, Ok(()), "a session lives on after an error");
}
