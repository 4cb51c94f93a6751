//! The settings of high availability: who may take over, when, and where the record is held.

use super::table::{Setting, TIMEOUT, setting};
use super::value::{Kind, Unit};

const CATEGORY: &str = "High availability";

pub(super) const AVAILABILITY: &[Setting] = &[
    setting(
        "enable_master_auto_ha",
        Kind::Bool,
        "off",
        CATEGORY,
        "Whether the primary by itself enables automatic failover with ZooKeeper.",
    ),
    setting(
        "ha_zookeeper_quorum",
        Kind::Text,
        "localhost:2181",
        CATEGORY,
        "ZooKeeper servers as host:port, separated by commas. Must be set where \
         enable_master_auto_ha is on.",
    ),
    setting(
        "ha_zookeeper_path",
        Kind::Text,
        "/aerie",
        CATEGORY,
        "Where clusters keep their trees in ZooKeeper; each has one named by its cluster id.",
    ),
    setting(
        "ha_zookeeper_auth",
        Kind::Text,
        "",
        CATEGORY,
        "As whom this node speaks to ZooKeeper: scheme:identity, such as digest:user:password, \
         separated by commas, or @file to read that from a file.",
    ),
    setting(
        "ha_zookeeper_acl",
        Kind::Text,
        "",
        CATEGORY,
        "Who may touch what is made in ZooKeeper: scheme:identity:permissions, such as \
         digest:user:hash:cdrwa, separated by commas, or @file. Empty: whoever speaks as \
         ha_zookeeper_auth, or everybody where that is empty too.",
    ),
    setting(
        "ha_zookeeper_session_timeout",
        Kind::Duration { unit: Unit::Milliseconds, min: 1_000, max: 600_000 },
        "10s",
        CATEGORY,
        "When ZooKeeper forgets that a lost node was there. Failover does not wait for it.",
    ),
    setting(
        "ha_lease",
        Kind::Duration { unit: Unit::Milliseconds, min: 100, max: 600_000 },
        "500ms",
        CATEGORY,
        "How long a standby promises not to stand after hearing the primary.",
    ),
    setting(
        "ha_standby_timeout",
        TIMEOUT,
        "",
        CATEGORY,
        "A standby that does not flush for so long leaves the in-sync set. Empty: 5s in manual \
         mode, else half of ha_lease.",
    ),
    setting(
        "ha_coordinator_timeout",
        TIMEOUT,
        "",
        CATEGORY,
        "Bound of one request to the coordinator. Empty: 2s; embedded: 0.3 times ha_lease.",
    ),
    setting(
        "ha_disk_timeout",
        TIMEOUT,
        "2s",
        CATEGORY,
        "A primary whose log could not be flushed for so long lets go; at least ha_lease.",
    ),
    setting(
        "ha_commit_timeout",
        TIMEOUT,
        "30s",
        CATEGORY,
        "A commit not confirmed for so long is reported as unknown (08007); at least 4 times \
         ha_lease.",
    ),
    setting(
        "ha_sync_mode",
        Kind::Choice(&["available", "strict"]),
        "available",
        CATEGORY,
        "available: a primary alone goes on; strict: it does not acknowledge commits alone.",
    ),
    setting(
        "ha_read_mode",
        Kind::Choice(&["lease", "confirm"]),
        "lease",
        CATEGORY,
        "lease: reads trust the lease. confirm: each batch of reads asks the members that count, \
         for hosts whose clock may stand still (a virtual machine that is paused).",
    ),
    setting(
        "ha_lone_primary",
        Kind::Choice(&["continue", "stop"]),
        "continue",
        CATEGORY,
        "What a primary alone in its set does when the coordinator does not answer for a lease: \
         continue, or stop to serve until it answers.",
    ),
    setting(
        "ha_manual_shrink",
        Kind::Choice(&["witnessed", "local"]),
        "witnessed",
        CATEGORY,
        "witnessed: most segments must know that the standby is out of sync before commits go on \
         without it; local: it goes on without asking, as HAWQ does.",
    ),
    setting(
        "ha_auto_rejoin",
        Kind::Bool,
        "on",
        CATEGORY,
        "Whether a master that was primary follows the new one by itself; off: it stays out until \
         \"hawq start master --rejoin\".",
    ),
    setting(
        "ha_priority",
        Kind::Integer { min: 0, max: 1_000 },
        "100",
        CATEGORY,
        "Who stands first when several could; 0 never stands.",
    ),
    setting(
        "ha_max_failovers_per_hour",
        Kind::Integer { min: 1, max: 1_000 },
        "6",
        CATEGORY,
        "After so many failovers in a row a person has to act; each part of an hour that a primary \
         reigns is one failover less.",
    ),
    setting(
        "ha_fencing_methods",
        Kind::Text,
        "",
        CATEGORY,
        "What a standby that takes over by itself tries, in order, before it opens: \
         shell(/path/to/script arguments) or none, separated by commas. Empty: none.",
    ),
    setting(
        "ha_fencing_timeout",
        TIMEOUT,
        "30s",
        CATEGORY,
        "A fencing method that is not done by then has failed.",
    ),
    setting(
        "ha_on_role_change",
        Kind::Text,
        "",
        CATEGORY,
        "Command that is told of each change of role of this node, in order: primary, standby or \
         closed, the node's number and the epoch. Nothing waits for it. Empty: none.",
    ),
    setting(
        "ha_on_role_change_timeout",
        TIMEOUT,
        "10s",
        CATEGORY,
        "After so long the command of ha_on_role_change is ended.",
    ),
    setting(
        "ha_http_port",
        Kind::Integer { min: 0, max: 65_535 },
        "0",
        CATEGORY,
        "Port of a master's pages over HTTP, for proxies and probes (docs/health.md); 0: none.",
    ),
    setting(
        "ha_digest_interval",
        Kind::Duration { unit: Unit::Seconds, min: 1_000, max: 86_400_000 * 7 },
        "1h",
        CATEGORY,
        "How often the catalogs of the nodes are compared by digest.",
    ),
];
