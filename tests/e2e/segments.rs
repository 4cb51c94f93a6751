//! Segments that die, come back, or cannot write: status, reasons and history as HAWQ has them.

use std::fs;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::wait::{eventually, seconds, wait_until};

const UP: &str = "segment is up";
/// Of a segment that does not answer; on a slow machine also of one that lives.
const UNANSWERED: [&str; 3] =
    ["heartbeat timeout", "failed probing segment", "communication error"];

fn is_unanswered(reason: &str) -> bool {
    UNANSWERED.iter().any(|known| reason.contains(known))
}

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
    eventually("a status", READY, || {
        let (found, description) = row(cluster, segment);
        if found == status { Ok(description) } else { Err(format!("{found} {description}")) }
    })
}

/// It is up, and the last of its history says so.
fn eventually_up(cluster: &Cluster, segment: &Node) -> Vec<String> {
    eventually("a segment that is up", READY, || {
        let (status, description) = row(cluster, segment);
        let told = history(cluster, segment);
        let up = told.last().is_some_and(|line| line == UP);
        let up = up && status == "u" && description.is_empty();
        if up { Ok(told) } else { Err(format!("{status} {description} {told:?}")) }
    })
}

#[test]
fn a_killed_segment_goes_down_and_comes_back() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 3 });
    cluster.synchronized();
    let segment = cluster.segments().remove(1);
    let told = eventually_up(&cluster, &segment);
    assert_eq!(told[0], UP, "{told:?}");
    assert!(told.iter().all(|line| line == UP || is_unanswered(line)), "{told:?}");
    assert!(told.windows(2).all(|two| two[0] != two[1]), "told twice: {told:?}");

    cluster.kill(&segment);
    // A further reason may be found between the two looks.
    let reason = eventually("the reason in both relations", READY, || {
        let reason = eventually_row(&cluster, &segment, "d");
        let history = history(&cluster, &segment);
        if history.last() == Some(&reason) { Ok(reason) } else { Err(format!("{history:?}")) }
    });
    assert!(is_unanswered(&reason), "{reason}");
    let others = "select count(*) from gp_segment_configuration where role = 'p' and status = 'u'";
    eventually("the others that stay up", READY, || {
        let found = cluster.psql(others);
        if found.trim() == "2" { Ok(()) } else { Err(found) }
    });

    cluster.restart(&segment.name).expect("restart");
    eventually_up(&cluster, &segment);
}

#[test]
fn a_segment_restarted_quickly_was_reset() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 1 });
    cluster.primary();
    let segment = cluster.segments().remove(0);
    let reset = "resource manager process was reset";
    // One that was away for longer is found out meanwhile, and is up at its first heartbeat.
    eventually("a row of history", seconds(300), || {
        eventually_row(&cluster, &segment, "u");
        cluster.kill(&cluster.node(&segment.name));
        cluster.restart(&segment.name).expect("restart");
        wait_until(seconds(20), || {
            let history = history(&cluster, &segment);
            let found = history.iter().any(|line| line.contains(reset));
            if found { Ok(()) } else { Err(format!("{history:?}")) }
        })
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
    let wanted = format!("failed temporary directory:{}", directory.display());
    // It may have missed heartbeats as well.
    eventually("the directory as the reason", READY, || {
        let reason = eventually_row(&cluster, &segment, "d");
        if reason == wanted { Ok(()) } else { Err(reason) }
    });
    fs::rename(&aside, &directory).expect("move it back");
    let told = eventually_up(&cluster, &segment);
    let mended = told.windows(2).any(|two| two[0] == wanted && two[1] == UP);
    assert!(mended, "{told:?}");
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
    cluster.activate();
    for segment in &segments {
        eventually_row(&cluster, segment, "u");
    }
    assert_eq!(cluster.psql(orders), before, "registration orders survive");
    cluster.kill(&segments[0]);
    eventually_row(&cluster, &segments[0], "d");
    cluster.restart(&segments[0].name).expect("restart");
    assert_eq!(eventually_row(&cluster, &segments[0], "u"), "");
}
