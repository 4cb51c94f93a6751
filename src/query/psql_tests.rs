//! The queries that psql 15's backslash commands send, as `psql -E` shows them, and those of
//! HAWQ's tools.

use super::harness::{engine, run, session};

/// What follows the lookup of one relation's oid in `\d name` and `\d+ name`.
const DESCRIBE: &[&str] = &[
    "SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, \
     c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, '', \
     c.reltablespace, CASE WHEN c.reloftype = 0 THEN '' ELSE \
     c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, c.relreplident, \
     am.amname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = \
     tc.oid) LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = '$OID';",
    "SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, \
     c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, \
     pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from \
     pg_catalog.unnest(tc.reloptions) x), ', '), c.reltablespace, CASE WHEN c.reloftype = 0 THEN \
     '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, \
     c.relreplident, am.amname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON \
     (c.reltoastrelid = tc.oid) LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = \
     '$OID';",
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT \
     pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid \
     = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, (SELECT c.collname FROM \
     pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = \
     a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, a.attidentity, \
     a.attgenerated, a.attstorage, a.attcompression AS attcompression, CASE WHEN \
     a.attstattarget=-1 THEN NULL ELSE a.attstattarget END AS attstattarget, \
     pg_catalog.col_description(a.attrelid, a.attnum) FROM pg_catalog.pg_attribute a WHERE \
     a.attrelid = '$OID' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;",
    "SELECT pol.polname, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE \
     pg_catalog.array_to_string(array(select rolname from pg_catalog.pg_roles where oid = any \
     (pol.polroles) order by 1),',') END, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid), \
     pg_catalog.pg_get_expr(pol.polwithcheck, pol.polrelid), CASE pol.polcmd WHEN 'r' THEN \
     'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS cmd FROM \
     pg_catalog.pg_policy pol WHERE pol.polrelid = '$OID' ORDER BY 1;",
    "SELECT oid, stxrelid::pg_catalog.regclass, \
     stxnamespace::pg_catalog.regnamespace::pg_catalog.text AS nsp, stxname, \
     pg_catalog.pg_get_statisticsobjdef_columns(oid) AS columns, 'd' = any(stxkind) AS \
     ndist_enabled, 'f' = any(stxkind) AS deps_enabled, 'm' = any(stxkind) AS mcv_enabled, \
     stxstattarget FROM pg_catalog.pg_statistic_ext WHERE stxrelid = '$OID' ORDER BY nsp, stxname;",
    "SELECT pubname , NULL , NULL FROM pg_catalog.pg_publication p JOIN \
     pg_catalog.pg_publication_namespace pn ON p.oid = pn.pnpubid JOIN pg_catalog.pg_class pc ON \
     pc.relnamespace = pn.pnnspid WHERE pc.oid ='$OID' and \
     pg_catalog.pg_relation_is_publishable('$OID') UNION SELECT pubname , pg_get_expr(pr.prqual, \
     c.oid) , (CASE WHEN pr.prattrs IS NOT NULL THEN (SELECT string_agg(attname, ', ') FROM \
     pg_catalog.generate_series(0, pg_catalog.array_upper(pr.prattrs::pg_catalog.int2[], 1)) s, \
     pg_catalog.pg_attribute WHERE attrelid = pr.prrelid AND attnum = prattrs[s]) ELSE NULL END) \
     FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel pr ON p.oid = pr.prpubid \
     JOIN pg_catalog.pg_class c ON c.oid = pr.prrelid WHERE pr.prrelid = '$OID' UNION SELECT \
     pubname , NULL , NULL FROM pg_catalog.pg_publication p WHERE p.puballtables AND \
     pg_catalog.pg_relation_is_publishable('$OID') ORDER BY 1;",
    "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i WHERE \
     c.oid = i.inhparent AND i.inhrelid = '$OID' AND c.relkind != 'p' AND c.relkind != 'I' ORDER \
     BY inhseqno;",
    "SELECT c.oid::pg_catalog.regclass, c.relkind, inhdetachpending, \
     pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM pg_catalog.pg_class c, \
     pg_catalog.pg_inherits i WHERE c.oid = i.inhrelid AND i.inhparent = '$OID' ORDER BY \
     pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', \
     c.oid::pg_catalog.regclass::pg_catalog.text;",
    "SELECT pg_catalog.pg_get_viewdef('$OID'::pg_catalog.oid, true);",
    "SELECT r.rulename, trim(trailing ';' from pg_catalog.pg_get_ruledef(r.oid, true)) FROM \
     pg_catalog.pg_rewrite r WHERE r.ev_class = '$OID' AND r.rulename != '_RETURN' ORDER BY 1;",
];

const KINDS: &str = "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN \
    'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' \
    WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned \
    index' END as \"Type\"";

fn listing(kinds: &str, more: &str) -> String {
    format!(
        "SELECT n.nspname as \"Schema\", c.relname as \"Name\", {KINDS}, \
         pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\"{more} FROM pg_catalog.pg_class c LEFT \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON \
         am.oid = c.relam WHERE c.relkind IN ({kinds}) AND n.nspname <> 'pg_catalog' AND n.nspname \
         !~ '^pg_toast' AND n.nspname <> 'information_schema' AND \
         pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2;"
    )
}

#[tokio::test]
async fn describing_a_table_and_a_view() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    for name in ["gp_segment_configuration", "pg_stat_activity"] {
        let lookup = format!(
            "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN \
             pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname \
             OPERATOR(pg_catalog.~) '^({name})$' COLLATE pg_catalog.default AND \
             pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3;"
        );
        let found = run(&mut session, &lookup).await.unwrap().rows;
        let [line] = found.as_slice() else { panic!("{found:?}") };
        let oid = line.split('|').next().unwrap();
        let mut failures = Vec::new();
        for query in DESCRIBE {
            let query = query.replace("$OID", oid);
            if let Err(error) = run(&mut session, &query).await {
                failures.push(format!("{query}\n  {error}"));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
    let columns = DESCRIBE[2].replace("$OID", "5036");
    let rows = run(&mut session, &columns).await.unwrap().rows;
    assert_eq!(rows[0], "registration_order|integer|NULL|true|NULL|||p||NULL|NULL");
    assert_eq!(rows[1], "role|\"char\"|NULL|true|NULL|||p||NULL|NULL");
    assert_eq!(rows.len(), 7);
}

#[tokio::test]
async fn listings() {
    let engine = engine(false);
    let mut session = session(&engine, &[]);
    run(&mut session, "create table t (a int); comment on table t is 'mine'").await.unwrap();
    let rows = run(&mut session, &listing("'r','p',''", "")).await.unwrap().rows;
    assert_eq!(rows, ["public|t|table|gpadmin"]);
    let all = listing("'r','p','v','m','S','f',''", "");
    assert_eq!(run(&mut session, &all).await.unwrap().rows, ["public|t|table|gpadmin"]);
    let plus = listing(
        "'r','p',''",
        ", CASE c.relpersistence WHEN 'p' THEN 'permanent' WHEN 't' THEN 'temporary' WHEN 'u' THEN \
         'unlogged' END as \"Persistence\", am.amname as \"Access method\", \
         pg_catalog.pg_size_pretty(pg_catalog.pg_table_size(c.oid)) as \"Size\", \
         pg_catalog.obj_description(c.oid, 'pg_class') as \"Description\"",
    );
    let rows = run(&mut session, &plus).await.unwrap().rows;
    assert_eq!(rows, ["public|t|table|gpadmin|permanent|heap|0 bytes|mine"]);
    let schemas = "SELECT n.nspname AS \"Name\", pg_catalog.pg_get_userbyid(n.nspowner) AS \
        \"Owner\", pg_catalog.array_to_string(n.nspacl, E'\\n') AS \"Access privileges\", \
        pg_catalog.obj_description(n.oid, 'pg_namespace') AS \"Description\" FROM \
        pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
        ORDER BY 1;";
    let rows = run(&mut session, schemas).await.unwrap().rows;
    assert_eq!(
        rows,
        ["hawq_toolkit|gpadmin|NULL|NULL", "public|gpadmin|NULL|standard public schema"]
    );
    let databases = "SELECT d.datname as \"Name\", pg_catalog.pg_get_userbyid(d.datdba) as \
        \"Owner\", pg_catalog.pg_encoding_to_char(d.encoding) as \"Encoding\", d.datcollate as \
        \"Collate\", d.datctype as \"Ctype\", d.daticulocale as \"ICU Locale\", CASE \
        d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' END AS \"Locale Provider\", \
        pg_catalog.array_to_string(d.datacl, E'\\n') AS \"Access privileges\", CASE WHEN \
        pg_catalog.has_database_privilege(d.datname, 'CONNECT') THEN \
        pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(d.datname)) ELSE 'No Access' END as \
        \"Size\", t.spcname as \"Tablespace\", pg_catalog.shobj_description(d.oid, 'pg_database') \
        as \"Description\" FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t on \
        d.dattablespace = t.oid ORDER BY 1;";
    let rows = run(&mut session, databases).await.unwrap().rows;
    assert_eq!(
        rows[0],
        "postgres|gpadmin|UTF8|C|C|NULL|libc|NULL|0 bytes|pg_default|default administrative \
         connection database"
    );
    let roles = "SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, \
        r.rolcanlogin, r.rolconnlimit, r.rolvaliduntil, ARRAY(SELECT b.rolname FROM \
        pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE \
        m.member = r.oid) as memberof , r.rolreplication , r.rolbypassrls FROM pg_catalog.pg_roles \
        r WHERE r.rolname !~ '^pg_' ORDER BY 1;";
    let rows = run(&mut session, roles).await.unwrap().rows;
    assert_eq!(rows, ["gpadmin|true|true|true|true|true|-1|NULL|[]|true|true"]);
    let functions = "SELECT n.nspname as \"Schema\", p.proname as \"Name\", \
        pg_catalog.pg_get_function_result(p.oid) as \"Result data type\", \
        pg_catalog.pg_get_function_arguments(p.oid) as \"Argument data types\", CASE p.prokind \
        WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' ELSE 'func' END \
        as \"Type\" \
        FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
        WHERE pg_catalog.pg_function_is_visible(p.oid) AND n.nspname <> 'pg_catalog' AND n.nspname \
        <> 'information_schema' ORDER BY 1, 2, 4;";
    assert!(run(&mut session, functions).await.unwrap().rows.is_empty());
}

/// What HAWQ's tools, Ambari and JDBC ask.
#[tokio::test]
async fn statements_of_hawqs_tools() {
    let engine = engine(false);
    let mut session = session(&engine, &[("gp_session_role", "utility")]);
    let statements = [
        "BEGIN",
        "SET CLIENT_MIN_MESSAGES='ERROR'",
        "COMMIT",
        "SELECT typname, typlen FROM pg_type WHERE oid=18",
        "select role, status, port, hostname, address from gp_segment_configuration;",
        "SELECT * FROM gp_segment_configuration WHERE status <> 'u'",
        "SELECT summary_state, error_message FROM gp_master_mirroring;",
        "SELECT * FROM gp_configuration_history;",
        "select * from version()",
        "show transaction_read_only",
        "show max_connections_unknown_is_an_error_elsewhere; ",
        "select rsqname, parentoid from pg_resqueue; select * from pg_resqueue_status",
        "select rolname, rolresqueue from pg_authid",
        "select e.fselocation, f.fsname from pg_filespace f left join pg_filespace_entry e on \
         e.fsefsoid = f.oid join pg_filesystem s on true",
        "select n.nspname, c.relname from pg_catalog.pg_class c, pg_catalog.pg_namespace n where \
         c.relnamespace = n.oid and c.relstorage <> 'x' and c.reltriggers = 0 and not c.relhasoids",
        "begin; checkpoint; commit",
        "select table_name from information_schema.tables where table_schema = 'pg_catalog'",
        "select column_name, data_type from information_schema.columns where table_name = \
         'gp_segment_configuration' order by ordinal_position",
        "select now(), current_timestamp, clock_timestamp(), log_time::text from \
         gp_master_mirroring",
        "discard all",
        "listen x; unlisten *",
        "copy (select 1) to stdout; copy pg_database (datname) to stdout",
        "explain select * from pg_class",
    ];
    let mut failures = Vec::new();
    for statement in statements {
        let wanted = !statement.contains("unknown");
        let result = run(&mut session, statement).await;
        if result.is_ok() != wanted {
            failures.push(format!("{statement}\n  {result:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
