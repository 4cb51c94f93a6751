//! The settings that a session may see or change and that are not the server's own.
//!
//! The server's settings (ports, timeouts, `hawq_…`, `ha_…`) come from `Live`; these are the ones
//! that PostgreSQL's and HAWQ's clients send and read. A row here is data: nothing is decided.

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Bool,
    Integer(i64, i64),
    Text,
    /// Any of these, in any case.
    Choice(&'static [&'static str]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// Never changes in a session.
    Internal,
    /// May be given when the connection starts, not later.
    Backend,
    Superuser,
    User,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub name: &'static str,
    pub boot: &'static str,
    pub values: Values,
    pub context: Context,
    /// Whether clients are told of changes (ParameterStatus).
    pub reported: bool,
    pub unit: Option<&'static str>,
    pub description: &'static str,
}

const fn user(
    name: &'static str,
    boot: &'static str,
    values: Values,
    description: &'static str,
) -> Definition {
    let context = Context::User;
    Definition { name, boot, values, context, reported: false, unit: None, description }
}

const fn internal(
    name: &'static str,
    boot: &'static str,
    values: Values,
    description: &'static str,
) -> Definition {
    Definition { context: Context::Internal, ..user(name, boot, values, description) }
}

const fn reported(definition: Definition) -> Definition {
    Definition { reported: true, ..definition }
}

const fn superuser(definition: Definition) -> Definition {
    Definition { context: Context::Superuser, ..definition }
}

const fn backend(definition: Definition) -> Definition {
    Definition { context: Context::Backend, ..definition }
}

const fn milliseconds(definition: Definition) -> Definition {
    Definition { unit: Some("ms"), ..definition }
}

const MESSAGES: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning",
    "error", "fatal", "panic",
];
const ISOLATION: &[&str] =
    &["serializable", "repeatable read", "read committed", "read uncommitted"];
const INT_MAX: i64 = 2_147_483_647;

pub(crate) static DEFINITIONS: &[Definition] = &[
    reported(user("application_name", "", Values::Text, "Name shown in pg_stat_activity.")),
    reported(user("client_encoding", "UTF8", Values::Text, "Client's character set encoding.")),
    reported(user("DateStyle", "ISO, MDY", Values::Text, "Display format for date and time.")),
    reported(user(
        "IntervalStyle",
        "postgres",
        Values::Choice(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "Display format for interval values.",
    )),
    reported(user("TimeZone", "UTC", Values::Text, "Time zone in which times are shown.")),
    reported(user(
        "default_transaction_read_only",
        "off",
        Values::Bool,
        "Read-only status of new transactions.",
    )),
    reported(user(
        "standard_conforming_strings",
        "on",
        Values::Bool,
        "Treat backslashes literally in string literals.",
    )),
    reported(internal("integer_datetimes", "on", Values::Bool, "Datetimes are integer based.")),
    reported(internal("server_encoding", "UTF8", Values::Text, "Database encoding.")),
    reported(internal("server_version", "15.0", Values::Text, "Version that clients go by.")),
    internal("server_version_num", "150000", Values::Integer(150_000, 150_000), "As a number."),
    reported(internal("in_hot_standby", "off", Values::Bool, "Whether this is a standby.")),
    reported(internal("is_superuser", "on", Values::Bool, "Whether the user is a superuser.")),
    reported(internal("session_authorization", "", Values::Text, "The session's user.")),
    internal("max_identifier_length", "63", Values::Integer(63, 63), "Longest identifier."),
    internal("max_index_keys", "32", Values::Integer(32, 32), "Most index keys."),
    internal("max_function_args", "100", Values::Integer(100, 100), "Most arguments."),
    internal("block_size", "8192", Values::Integer(8192, 8192), "Size of a disk block."),
    internal("lc_collate", "C", Values::Text, "Collation order locale."),
    internal("lc_ctype", "C", Values::Text, "Character classification locale."),
    user("lc_messages", "C", Values::Text, "Language of messages."),
    user("lc_monetary", "C", Values::Text, "Locale for money."),
    user("lc_numeric", "C", Values::Text, "Locale for numbers."),
    user("lc_time", "C", Values::Text, "Locale for times."),
    user("client_min_messages", "notice", Values::Choice(MESSAGES), "Levels sent to the client."),
    superuser(user("log_min_messages", "warning", Values::Choice(MESSAGES), "Levels logged.")),
    superuser(user("log_statement", "none", Values::Text, "Kinds of statements logged.")),
    superuser(user(
        "log_min_duration_statement",
        "-1",
        Values::Integer(-1, INT_MAX),
        "Statements logged by duration.",
    )),
    user("search_path", "\"$user\", public", Values::Text, "Schemas searched for names."),
    user("role", "none", Values::Text, "Current role."),
    user(
        "transaction_isolation",
        "read committed",
        Values::Choice(ISOLATION),
        "Isolation of the current transaction; every one sees a snapshot.",
    ),
    user(
        "default_transaction_isolation",
        "read committed",
        Values::Choice(ISOLATION),
        "Isolation of new transactions.",
    ),
    user("transaction_read_only", "off", Values::Bool, "Current transaction is read-only."),
    user("transaction_deferrable", "off", Values::Bool, "Accepted; means nothing here."),
    user("default_transaction_deferrable", "off", Values::Bool, "Accepted; means nothing here."),
    milliseconds(user(
        "statement_timeout",
        "0",
        Values::Integer(0, INT_MAX),
        "Longest duration of a statement; 0 is no limit.",
    )),
    milliseconds(user(
        "lock_timeout",
        "0",
        Values::Integer(0, INT_MAX),
        "Accepted: no statement waits for a lock.",
    )),
    milliseconds(user(
        "idle_in_transaction_session_timeout",
        "0",
        Values::Integer(0, INT_MAX),
        "Longest idle time in a transaction; 0 is no limit.",
    )),
    milliseconds(user(
        "idle_session_timeout",
        "0",
        Values::Integer(0, INT_MAX),
        "Longest idle time; 0 is no limit.",
    )),
    user("extra_float_digits", "1", Values::Integer(-15, 3), "Digits shown of floats."),
    user("bytea_output", "hex", Values::Choice(&["hex", "escape"]), "Output format for bytea."),
    user("row_security", "on", Values::Bool, "Accepted: there are no policies."),
    user("synchronize_seqscans", "on", Values::Bool, "Accepted: catalog scans are in key order."),
    user("escape_string_warning", "on", Values::Bool, "Accepted."),
    user("quote_all_identifiers", "off", Values::Bool, "Accepted."),
    user("xmloption", "content", Values::Choice(&["content", "document"]), "Accepted."),
    user("default_tablespace", "", Values::Text, "Default tablespace."),
    user("default_table_access_method", "heap", Values::Text, "Accepted."),
    user("enable_seqscan", "on", Values::Bool, "Accepted."),
    user("enable_indexscan", "on", Values::Bool, "Accepted."),
    user("enable_nestloop", "on", Values::Bool, "Accepted."),
    user("enable_hashjoin", "on", Values::Bool, "Accepted."),
    user("enable_mergejoin", "on", Values::Bool, "Accepted."),
    user("geqo", "on", Values::Bool, "Accepted."),
    user("work_mem", "4096", Values::Text, "Accepted."),
    user("maintenance_work_mem", "65536", Values::Text, "Accepted."),
    user("statement_mem", "128000", Values::Text, "HAWQ: accepted."),
    user("add_missing_from", "off", Values::Bool, "HAWQ: accepted."),
    backend(user(
        "gp_session_role",
        "dispatch",
        Values::Choice(&["dispatch", "execute", "utility"]),
        "HAWQ: role of this session.",
    )),
    user(
        "gp_role",
        "dispatch",
        Values::Choice(&["dispatch", "execute", "utility"]),
        "HAWQ: role of this session.",
    ),
    superuser(user(
        "allow_system_table_mods",
        "none",
        Values::Choice(&["none", "off", "dml", "ddl", "all", "on"]),
        "HAWQ: which changes of catalog tables are allowed.",
    )),
    superuser(user("gp_maintenance_conn", "off", Values::Bool, "HAWQ: maintenance connection.")),
    superuser(user("gp_maintenance_mode", "off", Values::Bool, "HAWQ: maintenance mode.")),
    user("gp_autostats_mode", "none", Values::Text, "HAWQ: accepted."),
    user("gp_enable_agg_distinct", "on", Values::Bool, "HAWQ: accepted."),
    user("gp_vmem_idle_resource_timeout", "18000", Values::Text, "HAWQ: accepted."),
    user("gp_statistics_pullup_from_child_partition", "on", Values::Bool, "HAWQ: accepted."),
    user("optimizer", "on", Values::Bool, "HAWQ: accepted; there is one planner."),
    user("hawq_rm_stmt_nvseg", "0", Values::Integer(0, 65_535), "HAWQ: accepted."),
    user("hawq_rm_stmt_vseg_memory", "128mb", Values::Text, "HAWQ: accepted."),
    user("default_hash_table_bucket_number", "6", Values::Integer(1, 65_535), "HAWQ: buckets."),
    user("explain_memory_verbosity", "suppress", Values::Text, "HAWQ: accepted."),
    user("output_hdfs_block_location", "off", Values::Bool, "HAWQ: accepted."),
    user("debug_print_qd_mirroring", "off", Values::Bool, "HAWQ: accepted."),
    user("password_encryption", "scram-sha-256", Values::Text, "Kind of password verifiers."),
    user("check_function_bodies", "on", Values::Bool, "Accepted."),
    user("array_nulls", "on", Values::Bool, "Accepted."),
    user("backslash_quote", "safe_encoding", Values::Text, "Accepted."),
    user("jit", "off", Values::Bool, "Accepted."),
    user("gp_enable_explain_allstat", "off", Values::Bool, "HAWQ: accepted."),
];
