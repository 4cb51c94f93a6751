//! Segments that die, come back, or cannot write: status, reasons and history as HAWQ has them.

use std::fs;

use crate::cluster::{Cluster, Node, Shape};
use crate::wait::{eventually, seconds};

/// (status, description) of the segment on this port.
fn row(cluster: &Cluster, segment: &Node) -> (String, String) {
    let sql = format!(
        "select status, description from gp_segment_configuration where role = 'p' and port = {}",
        segment.pg_port
    );
    let found = cluster.psql(&sql);
    let (status, description) = found.trim_end_matches('\n').split_once('|').unwrap_or_default();
    (status.to_string(), description.to_string())
}

fn history(cluster: &Cluster, segment: &Node) -> Vec<String> {
    let sql = format!(
        "select h.description from gp_configuration_history h join gp_segment_configuration s \
         on s.registration_order = h.registration_order where s.port = {} and s.role = 'p' \
         order by h.time",
        segment.pg_port
    );
    cluster.psql(&sql).lines().map(ToString::to_string).collect()
}

fn eventually_row(cluster: &Cluster, segment: &Node, status: &str) -> String {
    eventually("a status", seconds(90), || {
        let (found, description) = row(cluster, segment);
        if found == status { Ok(description) } else { Err(format!("{found} {description}")) }
    })
}

#[test]
fn a_killed_segment_goes_down_and_comes_back() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 3 });
    cluster.synchronized();
    let segment = cluster.segments().remove(1);
    assert_eq!(row(&cluster, &segment), ("u".to_string(), String::new()));
    assert_eq!(history(&cluster, &segment), ["segment is up"]);

    cluster.kill(&segment);
    // A further reason may be found between the two looks.
    let reason = eventually("the reason in both relations", seconds(90), || {
        let reason = eventually_row(&cluster, &segment, "d");
        let history = history(&cluster, &segment);
        if history.last() == Some(&reason) { Ok(reason) } else { Err(format!("{history:?}")) }
    });
    let reasons = ["heartbeat timeout", "failed probing segment", "communication error"];
    assert!(reasons.iter().any(|known| reason.contains(known)), "{reason}");
    let others = "select count(*) from gp_segment_configuration where role = 'p' and status = 'u'";
    assert_eq!(cluster.psql(others).trim(), "2", "the others stay up");

    cluster.restart(&segment.name).expect("restart");
    assert_eq!(eventually_row(&cluster, &segment, "u"), "");
    let history = history(&cluster, &segment);
    assert_eq!(history.last().map(String::as_str), Some("segment is up"), "{history:?}");
}

#[test]
fn a_segment_restarted_quickly_was_reset() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 1 });
    cluster.primary();
    let segment = cluster.segments().remove(0);
    eventually_row(&cluster, &segment, "u");
    cluster.kill(&segment);
    cluster.restart(&segment.name).expect("restart");
    let reset = "resource manager process was reset";
    eventually("a row of history", seconds(60), || {
        let history = history(&cluster, &segment);
        let found = history.iter().any(|line| line.contains(reset));
        if found { Ok(()) } else { Err(format!("{history:?}")) }
    });
    assert_eq!(eventually_row(&cluster, &segment, "u"), "");
}

#[test]
fn a_failed_temporary_directory_is_named() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 2 });
    cluster.primary();
    let segment = cluster.segments().remove(0);
    eventually_row(&cluster, &segment, "u");
    let directory = segment.data_dir.with_file_name("tmp");
    let aside = directory.with_extension("aside");
    fs::rename(&directory, &aside).expect("move the directory away");
    let reason = eventually_row(&cluster, &segment, "d");
    let wanted = format!("failed temporary directory:{}", directory.display());
    assert_eq!(reason, wanted);
    fs::rename(&aside, &directory).expect("move it back");
    assert_eq!(eventually_row(&cluster, &segment, "u"), "");
    let history = history(&cluster, &segment);
    assert_eq!(history[history.len() - 2..], [wanted, "segment is up".to_string()]);
}

#[test]
fn segments_follow_a_failover() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 2 });
    let old = cluster.synchronized();
    let segments = cluster.segments();
    let orders = "select registration_order, port from gp_segment_configuration \
                  where role = 'p' order by 1";
    let before = cluster.psql(orders);
    cluster.kill(&old);
    cluster.hawq(&["activate", "standby", "-a"]).expect("activate");
    for segment in &segments {
        eventually_row(&cluster, segment, "u");
    }
    assert_eq!(cluster.psql(orders), before, "registration orders survive");
    cluster.kill(&segments[0]);
    eventually_row(&cluster, &segments[0], "d");
    cluster.restart(&segments[0].name).expect("restart");
    assert_eq!(eventually_row(&cluster, &segments[0], "u"), "");
}
