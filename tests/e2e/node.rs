//! A node as `cluster.json` of `hawq demo` has it.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    pub name: String,
    pub kind: String,
    /// `None` while it does not run.
    pub pid: Option<i32>,
    pub supervisor_pid: Option<i32>,
    #[serde(default)]
    pub pg_port: u16,
    #[serde(default)]
    pub rpc_port: u16,
    pub data_dir: PathBuf,
    pub log: PathBuf,
}

impl Node {
    /// What to kill, in this order: the supervisor first.
    pub fn pids(&self) -> Vec<i32> {
        self.supervisor_pid.into_iter().chain(self.pid).collect()
    }

    /// Adds a setting to its `hawq-site.xml`, for its next start.
    pub fn set(&self, name: &str, value: &str) {
        let path = self.site();
        let text = fs::read_to_string(&path).expect("hawq-site.xml");
        let (before, after) = text.rsplit_once("</configuration>").expect("the end");
        let property = format!("<property><name>{name}</name><value>{value}</value></property>");
        fs::write(&path, format!("{before}{property}</configuration>{after}")).expect("written");
    }

    /// Another value for what has this one there.
    pub fn reset(&self, before: &str, value: &str) {
        let text = fs::read_to_string(self.site()).expect("hawq-site.xml");
        let (before, after) = [before, value].map(|it| format!("<value>{it}</value>")).into();
        let text = text.replace(&before, &after);
        fs::write(self.site(), text).expect("written");
    }

    fn site(&self) -> PathBuf {
        self.data_dir.parent().expect("the node's folder").join("etc/hawq-site.xml")
    }
}
