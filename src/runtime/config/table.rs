//! The one table of settings: `pg_settings`, the sample file and every check come from it.
//!
//! Names and defaults are HAWQ's where HAWQ has the setting. Relations between settings are
//! checked in `master_settings` and `segment_settings`, where the values have types.

use super::value::{Kind, Unit};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    /// As one would write it. Empty for a duration that is computed from others.
    pub default: &'static str,
    pub category: &'static str,
    pub description: &'static str,
}

const ADDRESSES: &str = "Addresses";
const DIRECTORIES: &str = "Directories";
const CONNECTIONS: &str = "Connections";
const SEGMENTS: &str = "Segments and fault tolerance";
const AVAILABILITY: &str = "High availability";
const NODES: &str = "Nodes";

const PORT: Kind = Kind::Integer { min: 1, max: 65_535 };
/// HAWQ's bounds of `hawq_rm_*` intervals.
const SECONDS: Kind = Kind::Duration { unit: Unit::Seconds, min: 1_000, max: 65_535_000 };
const TIMEOUT: Kind = Kind::Duration { unit: Unit::Milliseconds, min: 10, max: 3_600_000 };

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    category: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, kind, default, category, description }
}

pub const SETTINGS: &[Setting] = &[
    setting(
        "hawq_master_address_host",
        Kind::Text,
        "localhost",
        ADDRESSES,
        "Host of the primary. Rewritten by \"hawq activate standby\".",
    ),
    setting(
        "hawq_master_address_port",
        PORT,
        "5432",
        ADDRESSES,
        "PostgreSQL port of the masters; aerie_peers can give every master its own.",
    ),
    setting(
        "hawq_standby_address_host",
        Kind::Text,
        "none",
        ADDRESSES,
        "Host of the standby; none, localhost or empty: there is no standby. Removed by \
         \"hawq activate standby\".",
    ),
    setting(
        "hawq_rm_master_port",
        PORT,
        "5437",
        ADDRESSES,
        "gRPC port of the masters: replication, heartbeats of segments, the hawq command.",
    ),
    setting("hawq_segment_address_port", PORT, "40000", ADDRESSES, "PostgreSQL port of a segment."),
    setting("hawq_rm_segment_port", PORT, "5438", ADDRESSES, "gRPC port of a segment's agent."),
    setting(
        "listen_addresses",
        Kind::Text,
        "*",
        ADDRESSES,
        "Addresses to listen on, separated by commas; * means all.",
    ),
    setting(
        "unix_socket_directory",
        Kind::Text,
        "/tmp",
        ADDRESSES,
        "Directory of the Unix socket; empty: no Unix socket.",
    ),
    setting(
        "hawq_master_directory",
        Kind::Text,
        "~/hawq-data-directory/masterdd",
        DIRECTORIES,
        "Data directory of a master.",
    ),
    setting(
        "hawq_segment_directory",
        Kind::Text,
        "~/hawq-data-directory/segmentdd",
        DIRECTORIES,
        "Data directory of a segment.",
    ),
    setting(
        "hawq_segment_temp_directory",
        Kind::Text,
        "/tmp",
        DIRECTORIES,
        "Temporary directories of a segment, separated by commas; each is tested by writing.",
    ),
    setting(
        "max_connections",
        Kind::Integer { min: 1, max: 65_535 },
        "1280",
        CONNECTIONS,
        "Sessions that a master serves at once.",
    ),
    setting(
        "superuser_reserved_connections",
        Kind::Integer { min: 0, max: 65_535 },
        "3",
        CONNECTIONS,
        "How many of them are kept for superusers; less than max_connections.",
    ),
    setting(
        "hawq_hot_standby",
        Kind::Bool,
        "off",
        CONNECTIONS,
        "Whether a standby serves read-only sessions; off: it refuses clients, as HAWQ's does.",
    ),
    setting(
        "hawq_rm_segment_heartbeat_interval",
        SECONDS,
        "30s",
        SEGMENTS,
        "Time between two heartbeats of a segment.",
    ),
    setting(
        "hawq_rm_segment_heartbeat_timeout",
        SECONDS,
        "300s",
        SEGMENTS,
        "A segment not heard for so long is down; longer than the interval.",
    ),
    setting(
        "hawq_rm_segment_tmpdir_detect_interval",
        Kind::Duration { unit: Unit::Seconds, min: 1_000, max: 65_535_000 },
        "300s",
        SEGMENTS,
        "Time between two tests of a segment's temporary directories.",
    ),
    setting(
        "hawq_rm_memory_limit_perseg",
        Kind::Memory { min: 1 },
        "64GB",
        SEGMENTS,
        "Memory that a segment offers.",
    ),
    setting(
        "hawq_rm_nvcore_limit_perseg",
        Kind::Real { min: 1.0, max: 65_535.0 },
        "16",
        SEGMENTS,
        "Virtual cores that a segment offers.",
    ),
    setting(
        "hawq_rm_rejectrequest_nseg_limit",
        Kind::Real { min: 0.0, max: 1.0 },
        "0.25",
        SEGMENTS,
        "Share of the segments that may be down before requests are refused.",
    ),
    setting(
        "hawq_segment_history_keep_period",
        Kind::Duration { unit: Unit::Days, min: 86_400_000, max: 86_400_000 * 36_500 },
        "365d",
        SEGMENTS,
        "How long rows of gp_configuration_history are kept.",
    ),
    setting(
        "enable_master_auto_ha",
        Kind::Bool,
        "off",
        AVAILABILITY,
        "Whether the primary by itself enables automatic failover with ZooKeeper.",
    ),
    setting(
        "ha_zookeeper_quorum",
        Kind::Text,
        "localhost:2181",
        AVAILABILITY,
        "ZooKeeper servers as host:port, separated by commas. Must be set where \
         enable_master_auto_ha is on.",
    ),
    setting(
        "ha_zookeeper_path",
        Kind::Text,
        "/aerie",
        AVAILABILITY,
        "Where clusters keep their trees in ZooKeeper; each has one named by its cluster id.",
    ),
    setting(
        "ha_zookeeper_auth",
        Kind::Text,
        "",
        AVAILABILITY,
        "As whom this node speaks to ZooKeeper: scheme:identity, such as digest:user:password, \
         separated by commas, or @file to read that from a file.",
    ),
    setting(
        "ha_zookeeper_acl",
        Kind::Text,
        "",
        AVAILABILITY,
        "Who may touch what is made in ZooKeeper: scheme:identity:permissions, such as \
         digest:user:hash:cdrwa, separated by commas, or @file. Empty: whoever speaks as \
         ha_zookeeper_auth, or everybody where that is empty too.",
    ),
    setting(
        "ha_zookeeper_session_timeout",
        Kind::Duration { unit: Unit::Milliseconds, min: 1_000, max: 600_000 },
        "10s",
        AVAILABILITY,
        "When ZooKeeper forgets that a lost node was there. Failover does not wait for it.",
    ),
    setting(
        "ha_lease",
        Kind::Duration { unit: Unit::Milliseconds, min: 100, max: 600_000 },
        "500ms",
        AVAILABILITY,
        "How long a standby promises not to stand after hearing the primary.",
    ),
    setting(
        "ha_standby_timeout",
        TIMEOUT,
        "",
        AVAILABILITY,
        "A standby that does not flush for so long leaves the in-sync set. Empty: 5s in manual \
         mode, else half of ha_lease.",
    ),
    setting(
        "ha_coordinator_timeout",
        TIMEOUT,
        "",
        AVAILABILITY,
        "Bound of one request to the coordinator. Empty: 2s; embedded: 0.3 times ha_lease.",
    ),
    setting(
        "ha_disk_timeout",
        TIMEOUT,
        "2s",
        AVAILABILITY,
        "A primary whose log could not be flushed for so long lets go; at least ha_lease.",
    ),
    setting(
        "ha_commit_timeout",
        TIMEOUT,
        "30s",
        AVAILABILITY,
        "A commit not confirmed for so long is reported as unknown (08007); at least 4 times \
         ha_lease.",
    ),
    setting(
        "ha_sync_mode",
        Kind::Choice(&["available", "strict"]),
        "available",
        AVAILABILITY,
        "available: a primary alone goes on; strict: it does not acknowledge commits alone.",
    ),
    setting(
        "ha_read_mode",
        Kind::Choice(&["lease", "confirm"]),
        "lease",
        AVAILABILITY,
        "lease: reads trust the lease. confirm: each batch of reads asks the members that count, \
         for hosts whose clock may stand still (a virtual machine that is paused).",
    ),
    setting(
        "ha_lone_primary",
        Kind::Choice(&["continue", "stop"]),
        "continue",
        AVAILABILITY,
        "What a primary alone in its set does when the coordinator does not answer for a lease: \
         continue, or stop to serve until it answers.",
    ),
    setting(
        "ha_manual_shrink",
        Kind::Choice(&["witnessed", "local"]),
        "witnessed",
        AVAILABILITY,
        "witnessed: most segments must know that the standby is out of sync before commits go on \
         without it; local: it goes on without asking, as HAWQ does.",
    ),
    setting(
        "ha_auto_rejoin",
        Kind::Bool,
        "on",
        AVAILABILITY,
        "Whether a master that was primary follows the new one by itself; off: it stays out until \
         \"hawq start master\" is told to let it rejoin.",
    ),
    setting(
        "ha_priority",
        Kind::Integer { min: 0, max: 1_000 },
        "100",
        AVAILABILITY,
        "Who stands first when several could; 0 never stands.",
    ),
    setting(
        "ha_max_failovers_per_hour",
        Kind::Integer { min: 1, max: 1_000 },
        "6",
        AVAILABILITY,
        "After so many failovers in a row a person has to act; each part of an hour that a primary \
         reigns is one failover less.",
    ),
    setting(
        "ha_fencing_methods",
        Kind::Text,
        "",
        AVAILABILITY,
        "What a standby that takes over by itself tries, in order, before it opens: \
         shell(/path/to/script arguments) or none, separated by commas. Empty: none.",
    ),
    setting(
        "ha_fencing_timeout",
        TIMEOUT,
        "30s",
        AVAILABILITY,
        "A fencing method that is not done by then has failed.",
    ),
    setting(
        "ha_on_role_change",
        Kind::Text,
        "",
        AVAILABILITY,
        "Command that is told of each change of role of this node, in order: primary, standby or \
         closed, the node's number and the epoch. Nothing waits for it. Empty: none.",
    ),
    setting(
        "ha_on_role_change_timeout",
        TIMEOUT,
        "10s",
        AVAILABILITY,
        "After so long the command of ha_on_role_change is ended.",
    ),
    setting(
        "ha_http_port",
        Kind::Integer { min: 0, max: 65_535 },
        "0",
        AVAILABILITY,
        "Port of a master's pages over HTTP, for proxies and probes (docs/health.md); 0: none.",
    ),
    setting(
        "ha_digest_interval",
        Kind::Duration { unit: Unit::Seconds, min: 1_000, max: 86_400_000 * 7 },
        "1h",
        AVAILABILITY,
        "How often the catalogs of the nodes are compared by digest.",
    ),
    setting(
        "aerie_node",
        Kind::Integer { min: 1, max: 255 },
        "1",
        NODES,
        "Number of this master node; every master of a cluster has its own.",
    ),
    setting(
        "aerie_peers",
        Kind::Text,
        "",
        NODES,
        "All masters as node@host:rpc_port:pg_port, separated by commas. Empty: node 1 is \
         hawq_master_address_host and node 2 is hawq_standby_address_host, on equal ports.",
    ),
    setting(
        "aerie_secret_file",
        Kind::Text,
        "",
        NODES,
        "File with the cluster's secret. Empty: cluster.secret in the data directory.",
    ),
    setting(
        "aerie_wal_keep",
        Kind::Memory { min: 16 },
        "1GB",
        NODES,
        "Log that is kept for standbys that lag behind; one that lags further is seeded anew.",
    ),
    setting(
        "aerie_segment_host",
        Kind::Text,
        "",
        NODES,
        "Host name under which this segment registers. Empty: the name of this host.",
    ),
    setting(
        "aerie_check_postgres",
        Kind::Bool,
        "off",
        NODES,
        "Whether the agent reports itself dead when the segment's PostgreSQL does not answer.",
    ),
];
