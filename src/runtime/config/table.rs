//! The one table of settings: `pg_settings`, the sample file and every check come from it. Those of
//! high availability stand in `availability`.
//!
//! Names and defaults are HAWQ's where HAWQ has the setting. Relations between settings are
//! checked in `master_settings` and `segment_settings`, where the values have types.

use super::availability::AVAILABILITY;
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
const OWN: &str = "Nodes";

const PORT: Kind = Kind::Integer { min: 1, max: 65_535 };
/// HAWQ's bounds of `hawq_rm_*` intervals.
const SECONDS: Kind = Kind::Duration { unit: Unit::Seconds, min: 1_000, max: 65_535_000 };
pub(super) const TIMEOUT: Kind =
    Kind::Duration { unit: Unit::Milliseconds, min: 10, max: 3_600_000 };

pub(super) const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    category: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, kind, default, category, description }
}

/// All of them, in the order in which they are shown.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    [PLACES, AVAILABILITY, NODES].into_iter().flatten()
}

const PLACES: &[Setting] = &[
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
];

const NODES: &[Setting] = &[
    setting(
        "aerie_node",
        Kind::Integer { min: 1, max: 255 },
        "1",
        OWN,
        "Number of this master node; every master of a cluster has its own.",
    ),
    setting(
        "aerie_peers",
        Kind::Text,
        "",
        OWN,
        "All masters as node@host:rpc_port:pg_port, separated by commas. Empty: node 1 is \
         hawq_master_address_host and node 2 is hawq_standby_address_host, on equal ports.",
    ),
    setting(
        "aerie_secret_file",
        Kind::Text,
        "",
        OWN,
        "File with the cluster's secret. Empty: cluster.secret in the data directory.",
    ),
    setting(
        "aerie_wal_keep",
        Kind::Memory { min: 16 },
        "1GB",
        OWN,
        "Log that is kept for standbys that lag behind; one that lags further is seeded anew.",
    ),
    setting(
        "aerie_segment_host",
        Kind::Text,
        "",
        OWN,
        "Host name under which this segment registers. Empty: the name of this host.",
    ),
    setting(
        "aerie_check_postgres",
        Kind::Bool,
        "off",
        OWN,
        "Whether the agent reports itself dead when the segment's PostgreSQL does not answer.",
    ),
];
