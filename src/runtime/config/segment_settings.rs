//! What a segment's agent is told at start, typed and with its relations checked.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::master_settings::{Peer, peers, secret_file};
use super::settings::{ConfigError, SettingRow, Settings};

#[derive(Debug, Clone)]
pub struct SegmentSettings {
    /// `hawq_segment_directory`.
    pub data_dir: PathBuf,
    /// `aerie_segment_host`; `None`: the name of this host.
    pub host: Option<String>,
    /// `hawq_segment_address_port`: the segment's PostgreSQL.
    pub port: u16,
    /// `hawq_rm_segment_port`: the agent.
    pub rpc_port: u16,
    /// `listen_addresses`, when it is one address; `None`: all.
    pub listen: Option<IpAddr>,
    /// Every master; the agent sends its heartbeats to each.
    pub masters: Vec<Peer>,
    /// `aerie_secret_file`, by default `cluster.secret` in the data directory.
    pub secret_file: PathBuf,
    /// `hawq_segment_temp_directory`.
    pub temp_dirs: Vec<PathBuf>,
    pub heartbeat_interval: Duration,
    pub temp_dir_check_interval: Duration,
    pub memory_mb: u64,
    pub cores: f64,
    pub check_postgres: bool,
    pub rows: Vec<SettingRow>,
}

impl SegmentSettings {
    /// The file, then `overrides`: pairs of name and value from the command line.
    pub fn load(
        file: Option<&Path>,
        overrides: &[(String, String)],
    ) -> Result<SegmentSettings, ConfigError> {
        SegmentSettings::new(&Settings::load(file, overrides)?)
    }

    pub fn new(settings: &Settings) -> Result<SegmentSettings, ConfigError> {
        let data_dir = settings.path("hawq_segment_directory");
        let checked = SegmentSettings {
            secret_file: secret_file(settings, &data_dir),
            data_dir,
            host: settings.optional("aerie_segment_host").map(str::to_owned),
            port: settings.number("hawq_segment_address_port"),
            rpc_port: settings.number("hawq_rm_segment_port"),
            listen: settings.text("listen_addresses").parse().ok(),
            masters: peers(settings)?,
            temp_dirs: settings
                .list("hawq_segment_temp_directory")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            heartbeat_interval: settings
                .duration("hawq_rm_segment_heartbeat_interval")
                .unwrap_or_default(),
            temp_dir_check_interval: settings
                .duration("hawq_rm_segment_tmpdir_detect_interval")
                .unwrap_or_default(),
            memory_mb: settings.megabytes("hawq_rm_memory_limit_perseg"),
            cores: settings.real("hawq_rm_nvcore_limit_perseg"),
            check_postgres: settings.is_on("aerie_check_postgres"),
            rows: settings.rows(),
        };
        if checked.port == checked.rpc_port {
            let problem = "it is also hawq_segment_address_port; give each its own".to_owned();
            return Err(settings.misfit("hawq_rm_segment_port", problem));
        }
        Ok(checked)
    }
}
