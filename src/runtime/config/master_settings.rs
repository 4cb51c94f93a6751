//! What a master is told at start, typed and with its relations checked.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::{Mode, NodeId};

use super::fencing::FencingMethod;
use super::settings::{ConfigError, SettingRow, Settings};
use super::zookeeper_settings::ZooKeeperSettings;

/// A person has the last word, so that a standby is given time.
const STANDBY_TIMEOUT_MANUAL: Duration = Duration::from_secs(5);
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    Available,
    Strict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualShrink {
    Witnessed,
    Local,
}

/// A master node as `aerie_peers` names it: `node@host:rpc_port:pg_port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub node: NodeId,
    pub host: String,
    pub rpc_port: u16,
    pub pg_port: u16,
}

impl Peer {
    fn parse(text: &str) -> Option<Peer> {
        let (node, address) = text.split_once('@')?;
        let mut parts = address.rsplitn(3, ':');
        let pg_port = parts.next()?.parse().ok().filter(|port| *port > 0)?;
        let rpc_port = parts.next()?.parse().ok().filter(|port| *port > 0)?;
        let host = parts.next()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let node = NodeId::new(node.parse().ok()?)?;
        (!host.is_empty()).then_some(Peer { node, host, rpc_port, pg_port })
    }

    /// `host:port` of the gRPC service; an IPv6 address in brackets.
    #[must_use]
    pub fn rpc_address(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.rpc_port);
        }
        format!("{}:{}", self.host, self.rpc_port)
    }
}

#[derive(Debug, Clone)]
pub struct MasterSettings {
    /// `aerie_node`: number of this node.
    pub node: NodeId,
    /// Address of this node as its peers know it.
    pub host: String,
    pub pg_port: u16,
    pub rpc_port: u16,
    /// `ha_http_port`; `None`: no HTTP.
    pub http_port: Option<NonZeroU16>,
    /// `listen_addresses`; empty: all.
    pub listen_addresses: Vec<String>,
    /// All masters, this one too: `aerie_peers`, or what HAWQ's address settings say.
    pub peers: Vec<Peer>,
    /// `hawq_standby_address_host`, unless it says that there is none.
    pub standby_host: Option<String>,
    /// `hawq_master_directory`.
    pub data_dir: PathBuf,
    /// `aerie_secret_file`, by default `cluster.secret` in the data directory.
    pub secret_file: PathBuf,
    /// `unix_socket_directory`; `None` when empty.
    pub socket_dir: Option<PathBuf>,
    pub max_connections: u32,
    pub superuser_reserved_connections: u32,
    pub hot_standby: bool,
    pub segment_heartbeat_interval: Duration,
    pub segment_heartbeat_timeout: Duration,
    pub segment_history_keep: Duration,
    /// `hawq_rm_rejectrequest_nseg_limit`: a share, 0 to 1.
    pub segment_reject_limit: f64,
    /// `None`: no ZooKeeper was named.
    pub zookeeper: Option<ZooKeeperSettings>,
    /// `enable_master_auto_ha`: the primary enables ZooKeeper by itself.
    pub auto_ha: bool,
    pub lease: Duration,
    /// `ha_standby_timeout`; by default it depends on the mode.
    standby_timeout: Option<Duration>,
    /// `ha_coordinator_timeout`; by default it depends on the mode.
    coordinator_timeout: Option<Duration>,
    pub disk_timeout: Duration,
    pub commit_timeout: Duration,
    pub sync_mode: SyncMode,
    pub manual_shrink: ManualShrink,
    /// `ha_read_mode = confirm`.
    pub read_confirm: bool,
    /// `ha_lone_primary = stop`.
    pub lone_stops: bool,
    pub auto_rejoin: bool,
    pub priority: u32,
    pub failovers_per_hour_max: u32,
    /// `ha_fencing_methods`, in order.
    pub fencing_methods: Vec<FencingMethod>,
    pub fencing_timeout: Duration,
    /// `ha_on_role_change`: a command for `sh -c`.
    pub on_role_change: Option<String>,
    pub on_role_change_timeout: Duration,
    pub digest_interval: Duration,
    /// `aerie_wal_keep`, in bytes.
    pub wal_keep_bytes: u64,
    /// Every setting for `pg_settings`.
    pub rows: Vec<SettingRow>,
}

impl MasterSettings {
    /// The file, then `overrides`: pairs of name and value from the command line.
    pub fn load(
        file: Option<&Path>,
        overrides: &[(String, String)],
    ) -> Result<MasterSettings, ConfigError> {
        MasterSettings::new(&Settings::load(file, overrides)?)
    }

    pub fn new(settings: &Settings) -> Result<MasterSettings, ConfigError> {
        let node = node(settings)?;
        let peers = peers(settings)?;
        let Some(own) = peers.iter().find(|peer| peer.node == node).cloned() else {
            let problem = format!("aerie_peers does not name node {node}; add it there");
            return Err(settings.misfit("aerie_node", problem));
        };
        let lease = settings.duration("ha_lease").unwrap_or_default();
        let data_dir = settings.path("hawq_master_directory");
        let mut checked = MasterSettings {
            node,
            host: own.host,
            pg_port: own.pg_port,
            rpc_port: own.rpc_port,
            http_port: NonZeroU16::new(settings.number("ha_http_port")),
            listen_addresses: listen_addresses(settings),
            peers,
            standby_host: standby_host(settings),
            secret_file: secret_file(settings, &data_dir),
            data_dir,
            socket_dir: settings
                .optional("unix_socket_directory")
                .map(|_| settings.path("unix_socket_directory")),
            max_connections: settings.number("max_connections"),
            superuser_reserved_connections: settings.number("superuser_reserved_connections"),
            hot_standby: settings.is_on("hawq_hot_standby"),
            segment_heartbeat_interval: seconds(settings, "hawq_rm_segment_heartbeat_interval"),
            segment_heartbeat_timeout: seconds(settings, "hawq_rm_segment_heartbeat_timeout"),
            segment_history_keep: seconds(settings, "hawq_segment_history_keep_period"),
            segment_reject_limit: settings.real("hawq_rm_rejectrequest_nseg_limit"),
            zookeeper: ZooKeeperSettings::new(settings)?,
            auto_ha: settings.is_on("enable_master_auto_ha"),
            lease,
            standby_timeout: settings.duration("ha_standby_timeout"),
            coordinator_timeout: settings.duration("ha_coordinator_timeout"),
            disk_timeout: seconds(settings, "ha_disk_timeout"),
            commit_timeout: seconds(settings, "ha_commit_timeout"),
            sync_mode: match settings.text("ha_sync_mode") {
                "strict" => SyncMode::Strict,
                _ => SyncMode::Available,
            },
            manual_shrink: match settings.text("ha_manual_shrink") {
                "local" => ManualShrink::Local,
                _ => ManualShrink::Witnessed,
            },
            read_confirm: settings.text("ha_read_mode") == "confirm",
            lone_stops: settings.text("ha_lone_primary") == "stop",
            auto_rejoin: settings.is_on("ha_auto_rejoin"),
            priority: settings.number("ha_priority"),
            fencing_methods: FencingMethod::parse_list(settings.text("ha_fencing_methods"))
                .map_err(|problem| settings.misfit("ha_fencing_methods", problem))?,
            fencing_timeout: seconds(settings, "ha_fencing_timeout"),
            on_role_change: settings.optional("ha_on_role_change").map(str::to_owned),
            on_role_change_timeout: seconds(settings, "ha_on_role_change_timeout"),
            failovers_per_hour_max: settings.number("ha_max_failovers_per_hour"),
            digest_interval: seconds(settings, "ha_digest_interval"),
            wal_keep_bytes: settings.megabytes("aerie_wal_keep") << 20,
            rows: settings.rows(),
        };
        checked.check_relations(settings)?;
        checked.show_effective();
        Ok(checked)
    }

    /// `pg_settings` shows what is in force: values that were derived, and PostgreSQL's `port`.
    fn show_effective(&mut self) {
        for (name, time) in [
            ("ha_standby_timeout", self.standby_timeout(Mode::Manual)),
            ("ha_coordinator_timeout", self.coordinator_timeout(Mode::Manual)),
        ] {
            if let Some(row) = self.rows.iter_mut().find(|row| row.name == name) {
                row.setting = time.as_millis().to_string();
            }
        }
        let of_hawq = self.rows.iter().find(|row| row.name == "hawq_master_address_port").cloned();
        if let Some(row) = of_hawq {
            let (name, setting) = ("port".to_owned(), self.pg_port.to_string());
            self.rows.push(SettingRow { name, setting, ..row });
            self.rows.sort_by(|left, right| left.name.cmp(&right.name));
        }
    }

    /// How long a standby has before it leaves the in-sync set.
    #[must_use]
    pub fn standby_timeout(&self, mode: Mode) -> Duration {
        self.standby_timeout.unwrap_or(match mode {
            Mode::Manual => STANDBY_TIMEOUT_MANUAL,
            Mode::Embedded | Mode::ZooKeeper => self.lease / 2,
        })
    }

    /// Bound of one request to the coordinator.
    #[must_use]
    pub fn coordinator_timeout(&self, mode: Mode) -> Duration {
        self.coordinator_timeout.unwrap_or(match mode {
            Mode::Embedded => self.lease * 3 / 10,
            Mode::Manual | Mode::ZooKeeper => COORDINATOR_TIMEOUT,
        })
    }

    /// With these, a cut link shrinks the set before a standby can stand: what a primary that waits
    /// for its standby needs, and the standby's lease allows (protocol, section 3).
    #[must_use]
    pub fn shrinks_in_time(&self, mode: Mode) -> bool {
        self.standby_timeout(mode) + self.coordinator_timeout(mode) < self.lease
    }

    /// A peer by its number.
    #[must_use]
    pub fn peer(&self, node: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.node == node)
    }

    fn check_relations(&self, settings: &Settings) -> Result<(), ConfigError> {
        let misfit = |name, problem: &str| Err(settings.misfit(name, problem.to_owned()));
        let lease = self.lease.as_millis();
        if self.auto_ha && self.zookeeper.is_none() {
            return Err(ConfigError::Missing {
                name: "ha_zookeeper_quorum",
                because: "enable_master_auto_ha",
            });
        }
        if self.superuser_reserved_connections >= self.max_connections {
            let problem =
                format!("it must be less than max_connections ({})", self.max_connections);
            return misfit("superuser_reserved_connections", &problem);
        }
        if self.segment_heartbeat_timeout <= self.segment_heartbeat_interval {
            return misfit(
                "hawq_rm_segment_heartbeat_timeout",
                "it must be longer than hawq_rm_segment_heartbeat_interval",
            );
        }
        if self.disk_timeout < self.lease {
            let problem = format!("it must be at least ha_lease ({lease}ms)");
            return misfit("ha_disk_timeout", &problem);
        }
        if self.commit_timeout < self.lease * 4 {
            let problem = format!("it must be at least 4 times ha_lease ({}ms)", lease * 4);
            return misfit("ha_commit_timeout", &problem);
        }
        Ok(())
    }
}

fn node(settings: &Settings) -> Result<NodeId, ConfigError> {
    NodeId::new(settings.number("aerie_node"))
        .ok_or_else(|| settings.misfit("aerie_node", "expected a number from 1 to 255".to_owned()))
}

fn seconds(settings: &Settings, name: &str) -> Duration {
    settings.duration(name).unwrap_or_default()
}

fn listen_addresses(settings: &Settings) -> Vec<String> {
    let list = settings.list("listen_addresses");
    if list.iter().any(|address| address == "*") { Vec::new() } else { list }
}

pub(super) fn secret_file(settings: &Settings, data_dir: &Path) -> PathBuf {
    match settings.optional("aerie_secret_file") {
        Some(_) => settings.path("aerie_secret_file"),
        None => data_dir.join("cluster.secret"),
    }
}

/// HAWQ reads `none`, nothing and `localhost`, in any case, as "no standby".
fn standby_host(settings: &Settings) -> Option<String> {
    let host = settings.text("hawq_standby_address_host");
    let none = ["", "none", "localhost"].iter().any(|word| host.eq_ignore_ascii_case(word));
    (!none).then(|| host.to_owned())
}

/// `aerie_peers`, or the two hosts of HAWQ's settings on equal ports.
pub(super) fn peers(settings: &Settings) -> Result<Vec<Peer>, ConfigError> {
    let mut peers = Vec::new();
    for part in settings.list("aerie_peers") {
        let Some(peer) = Peer::parse(&part) else {
            let problem = format!("\"{part}\" is not of the form node@host:rpc_port:pg_port");
            return Err(settings.misfit("aerie_peers", problem));
        };
        peers.push(peer);
    }
    if peers.is_empty() {
        let hosts =
            [Some(settings.text("hawq_master_address_host").to_owned()), standby_host(settings)];
        for (number, host) in (1..).zip(hosts) {
            let (Some(node), Some(host)) = (NodeId::new(number), host) else { continue };
            let rpc_port = settings.number("hawq_rm_master_port");
            let pg_port = settings.number("hawq_master_address_port");
            peers.push(Peer { node, host, rpc_port, pg_port });
        }
    }
    let mut nodes = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for peer in &peers {
        let ports = [(&peer.host, peer.rpc_port), (&peer.host, peer.pg_port)];
        if !nodes.insert(peer.node) {
            let problem = format!("node {} is there twice", peer.node);
            return Err(settings.misfit("aerie_peers", problem));
        }
        for (host, port) in ports {
            if !addresses.insert((host.clone(), port)) {
                let problem = format!("{host}:{port} is used twice");
                return Err(settings.misfit("aerie_peers", problem));
            }
        }
    }
    Ok(peers)
}
