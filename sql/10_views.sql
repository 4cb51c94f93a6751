-- System views: stored as text, planned when they are read.
--
-- The schema hawq_live holds what the running server knows (sessions, replication, settings); it
-- is not listed anywhere. Names are qualified: a view means the same whatever the search path is.
-- Where HAWQ has the view, HAWQ's columns come first and in its order, PostgreSQL 15's after them.

-- HAWQ's pg_stat_activity, then PostgreSQL's further columns. Clients only: `hawq stop -M smart`
-- waits until nobody else is listed.
CREATE VIEW pg_catalog.pg_stat_activity WITH (oid = 11001) AS
SELECT datid, datname, pid AS procpid, sess_id, usesysid, usename, query AS current_query, waiting,
       query_start, backend_start, client_addr, client_port, application_name, xact_start,
       false AS waiting_resource,
       pid, CAST(NULL AS int4) AS leader_pid, CAST(NULL AS text) AS client_hostname, state_change,
       wait_event_type, wait_event, state, CAST(NULL AS xid) AS backend_xid,
       CAST(NULL AS xid) AS backend_xmin, CAST(NULL AS int8) AS query_id, query,
       CAST('client backend' AS text) AS backend_type
FROM hawq_live.sessions;

-- PostgreSQL's; HAWQ has none.
CREATE VIEW pg_catalog.pg_stat_replication WITH (oid = 11002) AS
SELECT pid, usesysid, usename, application_name, client_addr,
       CAST(NULL AS text) AS client_hostname, CAST(NULL AS int4) AS client_port, backend_start,
       CAST(NULL AS xid) AS backend_xmin, state, sent_lsn, write_lsn, flush_lsn, replay_lsn,
       write_lag, flush_lag, replay_lag, sync_priority, sync_state, reply_time
FROM hawq_live.replication;

-- `hawq state` reads name and setting.
CREATE VIEW pg_catalog.pg_settings WITH (oid = 11003) AS
SELECT name, setting, unit, category, short_desc, extra_desc, context, vartype, source, min_val,
       max_val, enumvals, boot_val, reset_val, sourcefile, sourceline, pending_restart
FROM hawq_live.settings;

-- HAWQ's pg_roles, then PostgreSQL's further columns.
CREATE VIEW pg_catalog.pg_roles WITH (oid = 11004) AS
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcatupdate, rolcanlogin,
       rolconnlimit, CAST('********' AS text) AS rolpassword, rolvaliduntil, rolconfig,
       rolresqueue, oid, rolsuper AS rolcreaterextgpfd, rolsuper AS rolcreaterexthttp,
       rolsuper AS rolcreatewextgpfd, rolsuper AS rolcreaterexthdfs, rolsuper AS rolcreatewexthdfs,
       rolreplication, rolsuper AS rolbypassrls
FROM pg_catalog.pg_authid;

CREATE VIEW pg_catalog.pg_user WITH (oid = 11005) AS
SELECT rolname AS usename, oid AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper,
       rolcatupdate AS usecatupd, CAST('********' AS text) AS passwd, rolvaliduntil AS valuntil,
       rolconfig AS useconfig, rolreplication AS userepl, rolsuper AS usebypassrls
FROM pg_catalog.pg_authid
WHERE rolcanlogin;

CREATE VIEW pg_catalog.pg_group WITH (oid = 11006) AS
SELECT rolname AS groname, oid AS grosysid, CAST(NULL AS oid[]) AS grolist
FROM pg_catalog.pg_authid
WHERE NOT rolcanlogin;

CREATE VIEW pg_catalog.pg_shadow WITH (oid = 11007) AS
SELECT rolname AS usename, oid AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper,
       rolcatupdate AS usecatupd, rolpassword AS passwd, rolvaliduntil AS valuntil,
       rolconfig AS useconfig, rolreplication AS userepl, rolsuper AS usebypassrls
FROM pg_catalog.pg_authid
WHERE rolcanlogin;

CREATE VIEW pg_catalog.pg_tables WITH (oid = 11008) AS
SELECT n.nspname AS schemaname, c.relname AS tablename, r.rolname AS tableowner,
       t.spcname AS tablespace, c.relhasindex AS hasindexes, c.relhasrules AS hasrules,
       c.relhastriggers AS hastriggers, c.relrowsecurity AS rowsecurity
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_authid r ON r.oid = c.relowner
WHERE c.relkind = 'r';

CREATE VIEW pg_catalog.pg_views WITH (oid = 11009) AS
SELECT n.nspname AS schemaname, c.relname AS viewname, r.rolname AS viewowner,
       pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_authid r ON r.oid = c.relowner
WHERE c.relkind = 'v';

CREATE VIEW pg_catalog.pg_indexes WITH (oid = 11010) AS
SELECT n.nspname AS schemaname, c.relname AS tablename, c.relname AS indexname,
       CAST(NULL AS name) AS tablespace, CAST(NULL AS text) AS indexdef
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'i';

-- HAWQ's status of resource queues: no resource manager runs here, so nothing is in use.
CREATE VIEW pg_catalog.pg_resqueue_status WITH (oid = 11011) AS
SELECT rsqname, CAST('0' AS text) AS segmem, CAST('0.000000' AS text) AS segcore,
       CAST('0' AS text) AS segsize, CAST('0' AS text) AS segsizemax,
       CAST('0' AS text) AS inusemem, CAST('0.000000' AS text) AS inusecore,
       CAST('0' AS text) AS rsqholders, CAST('0' AS text) AS rsqwaiters,
       CAST('F' AS text) AS paused
FROM pg_catalog.pg_resqueue;

-- Kept from Greenplum: master and standby as they are known.
CREATE VIEW pg_catalog.gp_pgdatabase WITH (oid = 11012) AS
SELECT CAST(registration_order AS int2) AS dbid, true AS isprimary,
       CAST(CASE WHEN role = 'p' THEN registration_order - 1 ELSE -1 END AS int2) AS content,
       status = 'u' AS valid, true AS definedprimary
FROM pg_catalog.gp_segment_configuration;

CREATE VIEW pg_catalog.pg_max_external_files WITH (oid = 11013) AS
SELECT CAST(address AS name) AS hostname, count(*) AS maxfiles
FROM pg_catalog.gp_segment_configuration
WHERE role = 'p'
GROUP BY CAST(address AS name);

-- Nobody waits for a lock here: the rows are none, the columns HAWQ's.
CREATE VIEW pg_catalog.pg_locks WITH (oid = 11014) AS
SELECT locktype, database, relation, page, tuple, transactionid, classid, objid, objsubid,
       transaction, pid, mode, granted, mppsessionid, mppiswriter, gp_segment_id
FROM hawq_live.locks;

CREATE VIEW information_schema.schemata WITH (oid = 11101) AS
SELECT current_database() AS catalog_name, n.nspname AS schema_name,
       pg_catalog.pg_get_userbyid(n.nspowner) AS schema_owner,
       CAST(NULL AS text) AS default_character_set_catalog,
       CAST(NULL AS text) AS default_character_set_schema,
       CAST(NULL AS text) AS default_character_set_name, CAST(NULL AS text) AS sql_path
FROM pg_catalog.pg_namespace n;

CREATE VIEW information_schema.tables WITH (oid = 11102) AS
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       CAST(CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'BASE TABLE' END AS text) AS table_type,
       CAST(NULL AS text) AS self_referencing_column_name,
       CAST(NULL AS text) AS reference_generation,
       CAST(NULL AS text) AS user_defined_type_catalog,
       CAST(NULL AS text) AS user_defined_type_schema,
       CAST(NULL AS text) AS user_defined_type_name,
       CAST(CASE c.relkind WHEN 'v' THEN 'NO' ELSE 'YES' END AS text) AS is_insertable_into,
       CAST('NO' AS text) AS is_typed, CAST(NULL AS text) AS commit_action
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v');

CREATE VIEW information_schema.columns WITH (oid = 11103) AS
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       a.attname AS column_name, CAST(a.attnum AS int4) AS ordinal_position,
       CAST(NULL AS text) AS column_default,
       CAST(CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS text) AS is_nullable,
       CAST(CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY'
                 ELSE pg_catalog.format_type(a.atttypid, NULL) END AS text) AS data_type,
       CAST(CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 4
                 THEN a.atttypmod - 4 END AS int4) AS character_maximum_length,
       CAST(CASE a.atttypid WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64
                            WHEN 700 THEN 24 WHEN 701 THEN 53 END AS int4) AS numeric_precision,
       CAST(CASE WHEN a.atttypid IN (20, 21, 23) THEN 0 END AS int4) AS numeric_scale,
       current_database() AS udt_catalog, CAST('pg_catalog' AS name) AS udt_schema,
       t.typname AS udt_name, CAST('NO' AS text) AS is_identity,
       CAST('NEVER' AS text) AS is_generated,
       CAST(CASE c.relkind WHEN 'v' THEN 'NO' ELSE 'YES' END AS text) AS is_updatable
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v');

CREATE VIEW information_schema.views WITH (oid = 11104) AS
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       pg_catalog.pg_get_viewdef(c.oid) AS view_definition, CAST('NONE' AS text) AS check_option,
       CAST('NO' AS text) AS is_updatable, CAST('NO' AS text) AS is_insertable_into
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v';
