//! `ha_on_role_change`: an operator's command hears of every role, in order, also after a crash.

use std::fs;
use std::path::Path;

use crate::cluster::{Cluster, Node, Shape};
use crate::machine::end;
use crate::wait::{eventually, seconds};

/// Adds a property to the site file of a node that does not run.
pub fn set(cluster: &Cluster, node: &Node, name: &str, value: &str) {
    let site = cluster.dir().join(&node.name).join("etc/hawq-site.xml");
    let text = fs::read_to_string(&site).expect("site file");
    let property = format!("<property><name>{name}</name><value>{value}</value></property>\n");
    fs::write(&site, text.replace("</configuration>", &format!("{property}</configuration>")))
        .expect("site file");
}

/// Waits for what the command was told: the roles, and that epochs only grow.
fn told(file: &Path, wanted: &[&str]) {
    eventually("the news of each role", seconds(60), || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        let roles: Vec<&str> = lines.iter().map(|words| words[0]).collect();
        let counter = |epoch: &str| epoch.split('.').next().and_then(|n| n.parse::<u64>().ok());
        let epochs: Vec<Option<u64>> = lines.iter().map(|words| counter(words[2])).collect();
        assert!(epochs.is_sorted(), "{text}");
        if roles == wanted { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_command_hears_of_every_role() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 0 });
    cluster.may_log("starting it again");
    let node = cluster.primary();
    cluster.stop().expect("stop");
    let file = cluster.dir().join("told");
    set(
        &cluster,
        &node,
        "ha_on_role_change",
        &format!("f() {{ echo $* &gt;&gt; {}; }}; f", file.display()),
    );
    cluster.demo().expect("demo");
    told(&file, &["closed", "primary"]);
    end(cluster.node(&node.name).pid.expect("a process"));
    // After the crash the parent says so, and the next process begins closed.
    told(&file, &["closed", "primary", "closed", "closed", "primary"]);
    cluster.stop().expect("stop");
    told(&file, &["closed", "primary", "closed", "closed", "primary", "closed"]);
}
