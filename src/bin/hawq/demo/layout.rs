//! Where a demo cluster keeps its things: a folder a node, each with the `etc` of a `GPHOME`.
//!
//! ```text
//! DIR/cluster.json  DIR/env.sh
//! DIR/master1/{etc/hawq-site.xml, etc/slaves, data/}     DIR/segment1/{etc/…, data/, tmp/}
//! ```

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::record::{Kind, NodeEntry, Record};
use crate::environment::Environment;
use crate::launch::Daemon;
use crate::process::Process;

pub const HOST: &str = "127.0.0.1";
pub const SUPERUSER: &str = "gpadmin";

#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of an existing directory; everything below is named absolutely.
    pub fn new(dir: &Path) -> anyhow::Result<Layout> {
        let root = fs::canonicalize(dir).with_context(|| format!("find {}", dir.display()))?;
        Ok(Layout { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn record_file(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub fn env_file(&self) -> PathBuf {
        self.root.join("env.sh")
    }

    /// The node's `GPHOME`.
    pub fn home(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.home(name).join("data")
    }

    pub fn entry(&self, kind: Kind, number: usize, ports: (u16, u16)) -> NodeEntry {
        let prefix = match kind {
            Kind::Master => "master",
            Kind::Segment => "segment",
        };
        let name = format!("{prefix}{number}");
        let data_dir = self.data_dir(&name);
        NodeEntry {
            kind,
            pid: None,
            supervisor_pid: None,
            pg_port: ports.0,
            rpc_port: ports.1,
            log: data_dir.join("pg_log/startup.log").display().to_string(),
            data_dir: data_dir.display().to_string(),
            name,
        }
    }

    /// The node's process, told by program and data directory.
    pub fn process(&self, node: &NodeEntry) -> Option<Process> {
        let program = match node.kind {
            Kind::Master => "hawq-master",
            Kind::Segment => "hawq-segment",
        };
        let data_dir = Path::new(&node.data_dir);
        node.pid
            .and_then(|pid| Process::at(pid, program, data_dir))
            .or_else(|| Process::find(program, data_dir))
    }

    /// The parent that starts a master again.
    pub fn supervisor(&self, node: &NodeEntry) -> Option<Process> {
        let master = node.kind == Kind::Master;
        master.then(|| Process::supervisor(Path::new(&node.data_dir))).flatten()
    }

    /// As the `hawq` command sees it in that node's environment.
    pub fn environment(&self, name: &str) -> anyhow::Result<Environment> {
        let home = self.home(name).display().to_string();
        Environment::from(&|variable| (variable == "GPHOME").then(|| home.clone()))
    }

    pub fn daemon(&self, node: &NodeEntry, cluster_id: &str) -> anyhow::Result<Daemon> {
        let environment = self.environment(&node.name)?;
        let daemon = match node.kind {
            Kind::Master => Daemon::master(environment.site_path(), Path::new(&node.data_dir)),
            Kind::Segment => Daemon::segment(&environment.segment, HOST, cluster_id),
        };
        Ok(Daemon { account: Some(SUPERUSER), ..daemon })
    }

    /// Writes `etc` of every node, once; `hawq activate` and people may change it later. The
    /// settings are the masters'.
    pub fn write_etc(&self, record: &Record, settings: &[(String, String)]) -> anyhow::Result<()> {
        for node in &record.nodes {
            let etc = self.home(&node.name).join("etc");
            fs::create_dir_all(&etc).with_context(|| format!("create {}", etc.display()))?;
            if node.kind == Kind::Segment {
                fs::create_dir_all(self.home(&node.name).join("tmp"))?;
            }
            let site = etc.join("hawq-site.xml");
            if !site.exists() {
                let text = site_xml(self, record, node, settings);
                fs::write(&site, text).with_context(|| format!("write {}", site.display()))?;
            }
            let slaves = format!("{HOST}\n").repeat(record.segments().count());
            fs::write(etc.join("slaves"), slaves)?;
        }
        Ok(())
    }
}

fn site_xml(
    layout: &Layout,
    record: &Record,
    node: &NodeEntry,
    settings: &[(String, String)],
) -> String {
    let first = record.masters().next();
    let port = |of: fn(&NodeEntry) -> u16| first.map_or(0, of).to_string();
    let peers: Vec<String> = record
        .masters()
        .map(|peer| format!("{}@{HOST}:{}:{}", peer.number(), peer.rpc_port, peer.pg_port))
        .collect();
    let mut properties = vec![
        ("hawq_master_address_host", HOST.to_owned()),
        ("hawq_master_address_port", port(|node| node.pg_port)),
        ("hawq_rm_master_port", port(|node| node.rpc_port)),
        ("aerie_peers", peers.join(",")),
        ("listen_addresses", HOST.to_owned()),
        ("hawq_rm_segment_heartbeat_interval", "1s".to_owned()),
        ("hawq_rm_segment_heartbeat_timeout", "10s".to_owned()),
        ("hawq_rm_segment_tmpdir_detect_interval", "10s".to_owned()),
        // Whoever plays with a demo kills primaries more often.
        ("ha_max_failovers_per_hour", "1000".to_owned()),
    ];
    if record.masters().count() > 1 {
        properties.push(("hawq_standby_address_host", HOST.to_owned()));
    }
    match node.kind {
        Kind::Master => {
            properties.push(("aerie_node", node.number().to_string()));
            properties.push(("hawq_master_directory", node.data_dir.clone()));
            for (name, value) in settings {
                properties.retain(|(other, _)| other != name);
                properties.push((name, value.clone()));
            }
        }
        Kind::Segment => {
            let temp = layout.home(&node.name).join("tmp").display().to_string();
            properties.extend([
                ("hawq_segment_directory", node.data_dir.clone()),
                ("hawq_segment_address_port", node.pg_port.to_string()),
                ("hawq_rm_segment_port", node.rpc_port.to_string()),
                ("hawq_segment_temp_directory", temp),
                ("aerie_secret_file", format!("{}/cluster.secret", node.data_dir)),
                ("aerie_segment_host", HOST.to_owned()),
                ("hawq_rm_memory_limit_perseg", "1GB".to_owned()),
                ("hawq_rm_nvcore_limit_perseg", "1".to_owned()),
            ]);
        }
    }
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {} of the demo cluster. -->\n\
         <configuration>\n",
        node.name
    );
    for (name, value) in properties {
        let value = quick_xml::escape::partial_escape(value.as_str()).into_owned();
        let _ = write!(
            text,
            "    <property>\n        <name>{name}</name>\n        <value>{value}</value>\n    \
             </property>\n"
        );
    }
    text.push_str("</configuration>\n");
    text
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
