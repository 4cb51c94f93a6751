-- The stored relations of the catalog, in HAWQ's layouts (of its source, not of its documents).
--
-- oid      the relation's oid, the same on every node for ever
-- shared   one content for all databases
--
-- A relation without a primary key holds one row at most. Where HAWQ hides an oid column it comes
-- first here, as in later PostgreSQL. The relations at the end describe all relations, themselves
-- included; their columns are known to the program and may only be changed together with it.

-- Masters, standby and segments, one row each (relation 5036 of HAWQ).
CREATE TABLE pg_catalog.gp_segment_configuration (
    registration_order int4 NOT NULL,
    role "char" NOT NULL,
    status "char" NOT NULL,
    port int4 NOT NULL,
    hostname text NOT NULL,
    address text NOT NULL,
    description text,
    PRIMARY KEY (registration_order)
) WITH (oid = 5036, shared = true);

-- Every change of a segment's status. The whole row is its key.
CREATE TABLE pg_catalog.gp_configuration_history (
    time timestamptz NOT NULL,
    registration_order int4 NOT NULL,
    hostname text,
    description text,
    PRIMARY KEY (time, registration_order, hostname, description)
) WITH (oid = 5006, shared = true);

-- State of the standby: exactly one row.
CREATE TABLE pg_catalog.gp_master_mirroring (
    summary_state text NOT NULL,
    detail_state text,
    log_time timestamptz,
    error_message text
) WITH (oid = 5008, shared = true);

-- Greenplum's predecessor of gp_segment_configuration; always empty.
CREATE TABLE pg_catalog.gp_configuration (
    content int2 NOT NULL,
    definedprimary bool NOT NULL,
    dbid int2 NOT NULL,
    isprimary bool NOT NULL,
    valid bool NOT NULL,
    hostname name NOT NULL,
    port int4 NOT NULL,
    datadir text,
    PRIMARY KEY (dbid)
) WITH (oid = 5000, shared = true);

-- How the rows of a table are spread; attrnums is null for DISTRIBUTED RANDOMLY.
CREATE TABLE pg_catalog.gp_distribution_policy (
    localoid oid NOT NULL,
    bucketnum int4 NOT NULL,
    attrnums int2[],
    PRIMARY KEY (localoid)
) WITH (oid = 5002, shared = false);

CREATE TABLE pg_catalog.pg_filespace (
    oid oid NOT NULL,
    fsname name NOT NULL,
    fsowner oid NOT NULL,
    fsfsys oid NOT NULL,
    fsrep int2 NOT NULL,
    PRIMARY KEY (oid)
) WITH (oid = 5009, shared = true);

CREATE TABLE pg_catalog.pg_filespace_entry (
    fsefsoid oid NOT NULL,
    fsedbid int2 NOT NULL,
    fselocation text,
    PRIMARY KEY (fsefsoid, fsedbid)
) WITH (oid = 5033, shared = true);

CREATE TABLE pg_catalog.pg_filesystem (
    oid oid NOT NULL,
    fsysname name NOT NULL,
    fsysconnfn name,
    fsysdisconnfn name,
    fsysopenfn name,
    fsysclosefn name,
    fsysseekfn name,
    fsystellfn name,
    fsysreadfn name,
    fsyswritefn name,
    fsysflushfn name,
    fsysdeletefn name,
    fsyschmodfn name,
    fsysmkdirfn name,
    fsystruncatefn name,
    fsysgetpathinfofn name,
    fsysfreefileinfofn name,
    fsyslibfile text,
    fsysowner oid NOT NULL,
    fsystrusted bool NOT NULL,
    fsysacl aclitem[],
    PRIMARY KEY (oid)
) WITH (oid = 6112, shared = true);

CREATE TABLE pg_catalog.pg_tablespace (
    oid oid NOT NULL,
    spcname name NOT NULL,
    spcowner oid NOT NULL,
    spclocation text,
    spcacl aclitem[],
    spcprilocations text[],
    spcmirlocations text[],
    spcfsoid oid NOT NULL,
    PRIMARY KEY (oid)
) WITH (oid = 1213, shared = true);

CREATE TABLE pg_catalog.pg_resqueue (
    oid oid NOT NULL,
    rsqname name NOT NULL,
    parentoid oid NOT NULL,
    activestats int4 NOT NULL,
    memorylimit text,
    corelimit text,
    resovercommit float4 NOT NULL,
    allocpolicy text,
    vsegresourcequota text,
    nvsegupperlimit int4 NOT NULL,
    nvseglowerlimit int4 NOT NULL,
    nvsegupperlimitperseg float4 NOT NULL,
    nvseglowerlimitperseg float4 NOT NULL,
    creationtime timestamptz,
    updatetime timestamptz,
    status text,
    PRIMARY KEY (oid)
) WITH (oid = 6026, shared = true);

CREATE TABLE pg_catalog.pg_database (
    oid oid NOT NULL,
    datname name NOT NULL,
    datdba oid NOT NULL,
    encoding int4 NOT NULL,
    datistemplate bool NOT NULL,
    datallowconn bool NOT NULL,
    datconnlimit int4 NOT NULL,
    dattablespace oid NOT NULL,
    datcollate name NOT NULL,
    datctype name NOT NULL,
    datacl aclitem[],
    PRIMARY KEY (oid)
) WITH (oid = 1262, shared = true);

CREATE TABLE pg_catalog.pg_authid (
    oid oid NOT NULL,
    rolname name NOT NULL,
    rolsuper bool NOT NULL,
    rolinherit bool NOT NULL,
    rolcreaterole bool NOT NULL,
    rolcreatedb bool NOT NULL,
    rolcatupdate bool NOT NULL,
    rolcanlogin bool NOT NULL,
    rolreplication bool NOT NULL,
    rolconnlimit int4 NOT NULL,
    rolpassword text,
    rolvaliduntil timestamptz,
    rolconfig text[],
    rolresqueue oid NOT NULL,
    PRIMARY KEY (oid)
) WITH (oid = 1260, shared = true);

CREATE TABLE pg_catalog.pg_type (
    oid oid NOT NULL,
    typname name NOT NULL,
    typnamespace oid NOT NULL,
    typowner oid NOT NULL,
    typlen int2 NOT NULL,
    typbyval bool NOT NULL,
    typtype "char" NOT NULL,
    typcategory "char" NOT NULL,
    typispreferred bool NOT NULL,
    typisdefined bool NOT NULL,
    typdelim "char" NOT NULL,
    typrelid oid NOT NULL,
    typelem oid NOT NULL,
    typarray oid NOT NULL,
    typinput name NOT NULL,
    typoutput name NOT NULL,
    typalign "char" NOT NULL,
    typstorage "char" NOT NULL,
    typnotnull bool NOT NULL,
    typbasetype oid NOT NULL,
    typtypmod int4 NOT NULL,
    typndims int4 NOT NULL,
    typcollation oid NOT NULL,
    PRIMARY KEY (oid)
) WITH (oid = 1247, shared = false);

-- Comments on relations, columns (objsubid from 1) and schemas.
CREATE TABLE pg_catalog.pg_description (
    objoid oid NOT NULL,
    classoid oid NOT NULL,
    objsubid int4 NOT NULL,
    description text NOT NULL,
    PRIMARY KEY (objoid, classoid, objsubid)
) WITH (oid = 2609, shared = false);

-- What the program needs to know of schemas, relations and columns. Clients see these three in
-- PostgreSQL's full layout, which is made from them.
CREATE TABLE pg_catalog.pg_namespace (
    oid oid NOT NULL,
    nspname name NOT NULL,
    nspowner oid NOT NULL,
    nspacl aclitem[],
    PRIMARY KEY (oid)
) WITH (oid = 2615, shared = false);

CREATE TABLE pg_catalog.pg_class (
    oid oid NOT NULL,
    relname name NOT NULL,
    relnamespace oid NOT NULL,
    relowner oid NOT NULL,
    relkind "char" NOT NULL,
    relisshared bool NOT NULL,
    relnatts int2 NOT NULL,
    relviewdef text,
    PRIMARY KEY (oid)
) WITH (oid = 1259, shared = false);

-- attkeyno: place in the relation's key from 1; 0 for other columns.
CREATE TABLE pg_catalog.pg_attribute (
    attrelid oid NOT NULL,
    attnum int2 NOT NULL,
    attname name NOT NULL,
    atttypid oid NOT NULL,
    atttypmod int4 NOT NULL,
    attnotnull bool NOT NULL,
    attkeyno int2 NOT NULL,
    PRIMARY KEY (attrelid, attnum)
) WITH (oid = 1249, shared = false);
