//! `ha_on_role_change`: an operator's command hears of every role, in order, also after a crash.

use std::fs;
use std::path::Path;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::machine::end;
use crate::wait::eventually;

/// Adds a property to the site file of a node that does not run.
pub fn set(cluster: &Cluster, node: &Node, name: &str, value: &str) {
    let site = cluster.dir().join(&node.name).join("etc/hawq-site.xml");
    let text = fs::read_to_string(&site).expect("site file");
    let property = format!("<property><name>{name}</name><value>{value}</value></property>\n");
    fs::write(&site, text.replace("</configuration>", &format!("{property}</configuration>")))
        .expect("site file");
}

/// Waits for what the command was told: the roles from the first `primary` on, and that epochs only
/// grow. Before that the node is closed, and after a crash twice, for its parent and for itself: a
/// role that does not last as long as it takes to be told may be left out.
fn told(file: &Path, wanted: &[&str]) {
    eventually("the news of each role", READY, || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        let roles = lines.iter().map(|words| words[0]);
        let mut roles: Vec<&str> = roles.skip_while(|role| *role == "closed").collect();
        roles.dedup();
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
    told(&file, &["primary"]);
    end(cluster.node(&node.name).pid.expect("a process"));
    // After the crash the parent says so, and the next process begins closed.
    told(&file, &["primary", "closed", "primary"]);
    cluster.stop().expect("stop");
    told(&file, &["primary", "closed", "primary", "closed"]);
}
