//! Where this invocation is: the site file, the data directory, the node that lives in it.
//!
//! `GPHOME` or `HAWQSITE_CONF` name the site file, `MASTER_DATA_DIRECTORY` the node. `PGPORT` names
//! it where there is no data directory; `PGHOST` is ignored, since a stale one once pointed cluster
//! control at the wrong server.

use std::fs;
use std::path::{Path, PathBuf};

use aerie::runtime::config::{MasterSettings, Peer, SegmentSettings, Settings};
use aerie::runtime::site_xml::SiteXml;
use anyhow::Context;
use serde::Deserialize;

use crate::rpc::Access;

/// `node.json` of a master's data directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeFile {
    pub cluster_id: String,
    pub node: u8,
    pub incarnation: String,
}

impl NodeFile {
    /// `None` when the directory is not one of ours.
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<NodeFile>> {
        let path = data_dir.join("node.json");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let parsed = serde_json::from_str(&text);
        parsed.map(Some).with_context(|| format!("{} is damaged", path.display()))
    }
}

#[derive(Debug)]
pub struct Environment {
    /// Shown in the preamble, and where `bin/` may be.
    pub gphome: PathBuf,
    pub site: SiteXml,
    pub settings: Settings,
    pub master: MasterSettings,
    pub segment: SegmentSettings,
    /// Of the master data directory, when `hawq init` has made it.
    pub node: Option<NodeFile>,
    /// Lines of `etc/slaves`; `None` when there is no such file.
    pub segment_hosts: Option<Vec<String>>,
}

impl Environment {
    pub fn load() -> anyhow::Result<Environment> {
        Environment::from(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub fn from(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Environment> {
        let gphome = variable("GPHOME").map(PathBuf::from);
        let site_path = match (variable("HAWQSITE_CONF").map(PathBuf::from), &gphome) {
            (Some(path), _) if path.is_dir() => path.join("hawq-site.xml"),
            (Some(path), _) => path,
            (None, Some(home)) => home.join("etc/hawq-site.xml"),
            (None, None) => anyhow::bail!(
                "HAWQ home directory not defined, please check GPHOME settings.\n\
                 (For a demo cluster: source DIR/env.sh, which \"hawq demo\" has written.)"
            ),
        };
        let site = SiteXml::load(&site_path)?;
        let mut overrides = Vec::new();
        if let Some(directory) = variable("MASTER_DATA_DIRECTORY") {
            overrides.push(("hawq_master_directory".to_owned(), directory));
        }
        let first = Settings::new(Some(&site), &overrides, variable)?;
        let node = NodeFile::read(&first.path("hawq_master_directory"))?;
        if let Some(node) = &node {
            overrides.push(("aerie_node".to_owned(), node.node.to_string()));
        }
        let settings = Settings::new(Some(&site), &overrides, variable)?;
        let master = MasterSettings::new(&settings)?;
        let segment = SegmentSettings::new(&settings)?;
        let gphome = gphome.unwrap_or_else(|| {
            site_path.parent().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned()
        });
        let slaves = site_path.with_file_name("slaves");
        let segment_hosts = fs::read_to_string(slaves).ok().map(|text| host_lines(&text));
        Ok(Environment { gphome, site, settings, master, segment, node, segment_hosts })
    }

    pub fn site_path(&self) -> &Path {
        self.site.path()
    }

    /// What every request carries. Without a secret a node refuses, and says so.
    pub fn access(&self) -> Access {
        let beside = self.segment.data_dir.join("cluster.secret");
        let secret = [self.master.secret_file.as_path(), beside.as_path()]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
        let cluster_id = self.node.as_ref().map(|node| node.cluster_id.clone());
        Access { cluster_id, secret }
    }

    /// The master node of this environment, as the peers know it.
    pub fn own_peer(&self) -> Option<&Peer> {
        self.master.peer(self.master.node)
    }

    /// The demo cluster that this home is a node of. Its nodes have homes of their own.
    pub fn demo_root(&self) -> Option<&Path> {
        let root = self.gphome.parent()?;
        let is_demo = ["cluster.json", "env.sh"].iter().all(|name| root.join(name).is_file());
        is_demo.then_some(root)
    }

    /// Whether the settings name a standby, be it as HAWQ does or among the peers.
    pub fn names_standby(&self) -> bool {
        self.master.standby_host.is_some() || self.master.peers.len() > 1
    }
}

/// `etc/slaves`: a host a line, `#` begins a comment anywhere.
fn host_lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a configured host means this machine.
pub fn is_this_host(host: &str) -> bool {
    if host.is_empty() || host.eq_ignore_ascii_case("localhost") || host == "0.0.0.0" {
        return true;
    }
    let own = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    if host.parse::<std::net::IpAddr>().is_err() {
        if !own.is_empty() && short(host) == short(&own) {
            return true;
        }
        // Any other name is of this host when one of its addresses can be bound here.
        return std::net::ToSocketAddrs::to_socket_addrs(&(host, 0u16))
            .is_ok_and(|mut addresses| addresses.any(|address| can_bind(address.ip())));
    }
    host.parse().is_ok_and(can_bind)
}

fn can_bind(address: std::net::IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "<configuration>\
        <property><name>hawq_master_directory</name><value>/data/m</value></property>\
        </configuration>";

    #[test]
    fn gphome_or_the_site_file_is_needed() {
        let error = Environment::from(&|_| None).unwrap_err().to_string();
        assert!(
            error.starts_with("HAWQ home directory not defined, please check GPHOME settings.\n")
        );
    }

    #[test]
    fn the_data_directory_selects_the_node() {
        let home = tempfile::tempdir().unwrap();
        let etc = home.path().join("etc");
        let data = home.path().join("data");
        fs::create_dir_all(&etc).unwrap();
        fs::create_dir_all(&data).unwrap();
        let site = SITE.replace(
            "<configuration>",
            "<configuration><property><name>aerie_peers</name>\
             <value>1@127.0.0.1:7001:7002,2@127.0.0.1:7003:7004</value></property>",
        );
        fs::write(etc.join("hawq-site.xml"), site).unwrap();
        fs::write(etc.join("slaves"), "# segments\nsdw1\n\nsdw2 # second\n").unwrap();
        let node = r#"{"cluster_id":"c","node":2,"incarnation":"00"}"#;
        fs::write(data.join("node.json"), node).unwrap();
        fs::write(data.join("cluster.secret"), "hush\n").unwrap();
        let environment = Environment::from(&|name| match name {
            "GPHOME" => Some(home.path().display().to_string()),
            "MASTER_DATA_DIRECTORY" => Some(data.display().to_string()),
            _ => None,
        })
        .unwrap();
        assert_eq!(environment.own_peer().unwrap().pg_port, 7004);
        assert_eq!(environment.segment_hosts, Some(vec!["sdw1".to_owned(), "sdw2".to_owned()]));
        let access = environment.access();
        assert_eq!(access.secret.as_deref(), Some("hush"));
        assert_eq!(access.cluster_id.as_deref(), Some("c"));
        assert!(environment.names_standby());
    }

    #[test]
    fn loopback_is_this_host_and_a_documentation_address_is_not() {
        assert!(is_this_host("127.0.0.1"));
        assert!(is_this_host("LocalHost"));
        assert!(!is_this_host("192.0.2.1"));
    }
}
