//! `DIR/cluster.json`: which processes the cluster has. Tests read it; it is replaced by rename, so
//! that a reader never sees half of it.

use std::fs::{self, File};
use std::io::Write;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::layout::Layout;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Master,
    Segment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// `master1`, `segment2`, …; a master's number is its node number.
    pub name: String,
    pub kind: Kind,
    /// `None` while it does not run.
    pub pid: Option<u32>,
    pub supervisor_pid: Option<u32>,
    pub pg_port: u16,
    pub rpc_port: u16,
    pub data_dir: String,
    pub log: String,
}

impl NodeEntry {
    pub fn number(&self) -> u32 {
        let digits = self.name.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.parse().unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub cluster_id: String,
    pub nodes: Vec<NodeEntry>,
}

impl Record {
    pub fn read(layout: &Layout) -> anyhow::Result<Record> {
        let path = layout.record_file();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub fn write(&self, layout: &Layout) -> anyhow::Result<()> {
        let path = layout.record_file();
        let swap = path.with_extension("json.swp");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&swap)?;
            writeln!(file, "{}", serde_json::to_string_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&swap, &path)
        };
        write().with_context(|| format!("write {}", path.display()))
    }

    pub fn masters(&self) -> impl Iterator<Item = &NodeEntry> {
        self.nodes.iter().filter(|node| node.kind == Kind::Master)
    }

    pub fn segments(&self) -> impl Iterator<Item = &NodeEntry> {
        self.nodes.iter().filter(|node| node.kind == Kind::Segment)
    }

    /// Looks which processes there are.
    pub fn refresh(&mut self, layout: &Layout) {
        for node in &mut self.nodes {
            node.pid = layout.process(node).map(|process| process.pid);
            node.supervisor_pid = layout.supervisor(node).map(|process| process.pid);
        }
    }
}

/// Held by whoever starts or stops nodes of the cluster.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl Lock {
    pub fn take(layout: &Layout) -> anyhow::Result<Lock> {
        let file = open(layout)?;
        file.lock().context("lock the demo directory")?;
        Ok(Lock(file))
    }

    pub fn try_take(layout: &Layout) -> anyhow::Result<Option<Lock>> {
        let file = open(layout)?;
        Ok(file.try_lock().is_ok().then_some(Lock(file)))
    }
}

fn open(layout: &Layout) -> anyhow::Result<File> {
    let path = layout.root().join(".demo.lock");
    File::create(&path).with_context(|| format!("open {}", path.display()))
}
