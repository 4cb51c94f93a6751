//! Relations of PostgreSQL 15 that a master without executors always finds empty.
//!
//! psql and drivers join them; here is their shape. Because they are known to be empty, a subquery
//! over one of them can be replaced before planning (`rewrite`), which is what lets psql's
//! queries over policies, publications and inheritance be planned at all.

use super::types::{
    BOOL, CHAR, FLOAT4, INT2, INT2_ARRAY, INT4, INT8, NAME, OID, OID_ARRAY, TEXT, TEXT_ARRAY,
    TIMESTAMPTZ, XID,
};

/// Name and columns.
pub(crate) type Shape = (&'static str, &'static [(&'static str, u32)]);

const INT2VECTOR: u32 = 22;
const OIDVECTOR: u32 = 30;
const NODE_TREE: u32 = 194;

pub(crate) static EMPTY: &[Shape] = &[
    (
        "pg_inherits",
        &[("inhrelid", OID), ("inhparent", OID), ("inhseqno", INT4), ("inhdetachpending", BOOL)],
    ),
    (
        "pg_attrdef",
        &[("oid", OID), ("adrelid", OID), ("adnum", INT2), ("adbin", NODE_TREE), ("adsrc", TEXT)],
    ),
    (
        "pg_constraint",
        &[
            ("oid", OID),
            ("conname", NAME),
            ("connamespace", OID),
            ("contype", CHAR),
            ("condeferrable", BOOL),
            ("condeferred", BOOL),
            ("convalidated", BOOL),
            ("conrelid", OID),
            ("contypid", OID),
            ("conindid", OID),
            ("conparentid", OID),
            ("confrelid", OID),
            ("confupdtype", CHAR),
            ("confdeltype", CHAR),
            ("confmatchtype", CHAR),
            ("conislocal", BOOL),
            ("coninhcount", INT4),
            ("connoinherit", BOOL),
            ("conkey", INT2_ARRAY),
            ("confkey", INT2_ARRAY),
            ("conpfeqop", OID_ARRAY),
            ("conppeqop", OID_ARRAY),
            ("conffeqop", OID_ARRAY),
            ("confdelsetcols", INT2_ARRAY),
            ("conexclop", OID_ARRAY),
            ("conbin", NODE_TREE),
            ("consrc", TEXT),
        ],
    ),
    (
        "pg_index",
        &[
            ("indexrelid", OID),
            ("indrelid", OID),
            ("indnatts", INT2),
            ("indnkeyatts", INT2),
            ("indisunique", BOOL),
            ("indnullsnotdistinct", BOOL),
            ("indisprimary", BOOL),
            ("indisexclusion", BOOL),
            ("indimmediate", BOOL),
            ("indisclustered", BOOL),
            ("indisvalid", BOOL),
            ("indcheckxmin", BOOL),
            ("indisready", BOOL),
            ("indislive", BOOL),
            ("indisreplident", BOOL),
            ("indkey", INT2VECTOR),
            ("indcollation", OIDVECTOR),
            ("indclass", OIDVECTOR),
            ("indoption", INT2VECTOR),
            ("indexprs", NODE_TREE),
            ("indpred", NODE_TREE),
        ],
    ),
    (
        "pg_trigger",
        &[
            ("oid", OID),
            ("tgrelid", OID),
            ("tgparentid", OID),
            ("tgname", NAME),
            ("tgfoid", OID),
            ("tgtype", INT2),
            ("tgenabled", CHAR),
            ("tgisinternal", BOOL),
            ("tgconstrrelid", OID),
            ("tgconstrindid", OID),
            ("tgconstraint", OID),
            ("tgdeferrable", BOOL),
            ("tginitdeferred", BOOL),
            ("tgnargs", INT2),
            ("tgattr", INT2VECTOR),
            ("tgargs", TEXT),
            ("tgqual", NODE_TREE),
            ("tgoldtable", NAME),
            ("tgnewtable", NAME),
        ],
    ),
    (
        "pg_rewrite",
        &[
            ("oid", OID),
            ("rulename", NAME),
            ("ev_class", OID),
            ("ev_type", CHAR),
            ("ev_enabled", CHAR),
            ("is_instead", BOOL),
            ("ev_qual", NODE_TREE),
            ("ev_action", NODE_TREE),
        ],
    ),
    (
        "pg_policy",
        &[
            ("oid", OID),
            ("polname", NAME),
            ("polrelid", OID),
            ("polcmd", CHAR),
            ("polpermissive", BOOL),
            ("polroles", OID_ARRAY),
            ("polqual", NODE_TREE),
            ("polwithcheck", NODE_TREE),
        ],
    ),
    (
        "pg_statistic_ext",
        &[
            ("oid", OID),
            ("stxrelid", OID),
            ("stxname", NAME),
            ("stxnamespace", OID),
            ("stxowner", OID),
            ("stxstattarget", INT4),
            ("stxkeys", INT2VECTOR),
            ("stxkind", TEXT_ARRAY),
            ("stxexprs", NODE_TREE),
        ],
    ),
    (
        "pg_publication",
        &[
            ("oid", OID),
            ("pubname", NAME),
            ("pubowner", OID),
            ("puballtables", BOOL),
            ("pubinsert", BOOL),
            ("pubupdate", BOOL),
            ("pubdelete", BOOL),
            ("pubtruncate", BOOL),
            ("pubviaroot", BOOL),
        ],
    ),
    (
        "pg_publication_rel",
        &[
            ("oid", OID),
            ("prpubid", OID),
            ("prrelid", OID),
            ("prqual", NODE_TREE),
            ("prattrs", INT2VECTOR),
        ],
    ),
    ("pg_publication_namespace", &[("oid", OID), ("pnpubid", OID), ("pnnspid", OID)]),
    (
        "pg_subscription",
        &[
            ("oid", OID),
            ("subdbid", OID),
            ("subname", NAME),
            ("subowner", OID),
            ("subenabled", BOOL),
        ],
    ),
    (
        "pg_auth_members",
        &[("roleid", OID), ("member", OID), ("grantor", OID), ("admin_option", BOOL)],
    ),
    ("pg_db_role_setting", &[("setdatabase", OID), ("setrole", OID), ("setconfig", TEXT_ARRAY)]),
    ("pg_foreign_table", &[("ftrelid", OID), ("ftserver", OID), ("ftoptions", TEXT_ARRAY)]),
    (
        "pg_foreign_server",
        &[
            ("oid", OID),
            ("srvname", NAME),
            ("srvowner", OID),
            ("srvfdw", OID),
            ("srvtype", TEXT),
            ("srvversion", TEXT),
            ("srvoptions", TEXT_ARRAY),
        ],
    ),
    (
        "pg_foreign_data_wrapper",
        &[
            ("oid", OID),
            ("fdwname", NAME),
            ("fdwowner", OID),
            ("fdwhandler", OID),
            ("fdwvalidator", OID),
            ("fdwoptions", TEXT_ARRAY),
        ],
    ),
    (
        "pg_partitioned_table",
        &[("partrelid", OID), ("partstrat", CHAR), ("partnatts", INT2), ("partdefid", OID)],
    ),
    (
        "pg_sequence",
        &[
            ("seqrelid", OID),
            ("seqtypid", OID),
            ("seqstart", INT8),
            ("seqincrement", INT8),
            ("seqmax", INT8),
            ("seqmin", INT8),
            ("seqcache", INT8),
            ("seqcycle", BOOL),
        ],
    ),
    (
        "pg_extension",
        &[
            ("oid", OID),
            ("extname", NAME),
            ("extowner", OID),
            ("extnamespace", OID),
            ("extrelocatable", BOOL),
            ("extversion", TEXT),
            ("extconfig", OID_ARRAY),
            ("extcondition", TEXT_ARRAY),
        ],
    ),
    (
        "pg_enum",
        &[("oid", OID), ("enumtypid", OID), ("enumsortorder", FLOAT4), ("enumlabel", NAME)],
    ),
    ("pg_range", &[("rngtypid", OID), ("rngsubtype", OID), ("rngmultitypid", OID)]),
    (
        "pg_cast",
        &[
            ("oid", OID),
            ("castsource", OID),
            ("casttarget", OID),
            ("castfunc", OID),
            ("castcontext", CHAR),
            ("castmethod", CHAR),
        ],
    ),
    (
        "pg_depend",
        &[
            ("classid", OID),
            ("objid", OID),
            ("objsubid", INT4),
            ("refclassid", OID),
            ("refobjid", OID),
            ("refobjsubid", INT4),
            ("deptype", CHAR),
        ],
    ),
    (
        "pg_shdepend",
        &[
            ("dbid", OID),
            ("classid", OID),
            ("objid", OID),
            ("objsubid", INT4),
            ("refclassid", OID),
            ("refobjid", OID),
            ("deptype", CHAR),
        ],
    ),
    ("pg_shdescription", &[("objoid", OID), ("classoid", OID), ("description", TEXT)]),
    (
        "pg_seclabel",
        &[
            ("objoid", OID),
            ("classoid", OID),
            ("objsubid", INT4),
            ("provider", TEXT),
            ("label", TEXT),
        ],
    ),
    (
        "pg_default_acl",
        &[
            ("oid", OID),
            ("defaclrole", OID),
            ("defaclnamespace", OID),
            ("defaclobjtype", CHAR),
            ("defaclacl", super::types::ACLITEM_ARRAY),
        ],
    ),
    (
        "pg_event_trigger",
        &[
            ("oid", OID),
            ("evtname", NAME),
            ("evtevent", NAME),
            ("evtowner", OID),
            ("evtenabled", CHAR),
        ],
    ),
    (
        "pg_operator",
        &[
            ("oid", OID),
            ("oprname", NAME),
            ("oprnamespace", OID),
            ("oprowner", OID),
            ("oprkind", CHAR),
            ("oprleft", OID),
            ("oprright", OID),
            ("oprresult", OID),
        ],
    ),
    ("pg_aggregate", &[("aggfnoid", OID), ("aggkind", CHAR), ("aggtransfn", OID)]),
    (
        "pg_opclass",
        &[
            ("oid", OID),
            ("opcmethod", OID),
            ("opcname", NAME),
            ("opcnamespace", OID),
            ("opcowner", OID),
            ("opcintype", OID),
            ("opcdefault", BOOL),
        ],
    ),
    ("pg_exttable", &[("reloid", OID), ("location", TEXT_ARRAY), ("fmttype", CHAR)]),
    ("pg_partition", &[("parrelid", OID), ("parkind", CHAR), ("parlevel", INT2)]),
    ("pg_partition_rule", &[("paroid", OID), ("parchildrelid", OID), ("parname", NAME)]),
    ("pg_appendonly", &[("relid", OID), ("blocksize", INT4), ("compresstype", TEXT)]),
    (
        "pg_prepared_xacts",
        &[
            ("transaction", XID),
            ("gid", TEXT),
            ("prepared", TIMESTAMPTZ),
            ("owner", NAME),
            ("database", NAME),
        ],
    ),
    (
        "pg_language",
        &[
            ("oid", OID),
            ("lanname", NAME),
            ("lanowner", OID),
            ("lanispl", BOOL),
            ("lanpltrusted", BOOL),
        ],
    ),
];

pub(crate) fn find(name: &str) -> Option<&'static Shape> {
    EMPTY.iter().find(|(known, _)| *known == name)
}
