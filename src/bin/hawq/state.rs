//! `hawq state`: from any node, with the primary or without.

use std::time::Duration;

use aerie::runtime::log_line::Level;

use crate::Done;
use crate::arguments::StateOptions;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::report::{self, Report};
use crate::state_block::{Block, SiteFacts};
use crate::state_detail::{self, Line};
use crate::state_json;

/// HAWQ's sentence when the database is not up.
const NO_DATABASE: &str =
    "Failed to connect to database, this script can only be run when the database is up.";

/// A catalog of a million tables is read in less.
const DIGEST_MAX: Duration = Duration::from_secs(20);

pub async fn run(options: &StateOptions) -> anyhow::Result<Done> {
    run_in(&Environment::load()?, options).await
}

pub async fn run_in(environment: &Environment, options: &StateOptions) -> anyhow::Result<Done> {
    let report = Report::open("hawq_state", &options.common)?;
    let mut cluster = Cluster::ask(environment).await;
    if options.json || options.status {
        cluster.add_digests(&environment.access(), DIGEST_MAX).await;
    }
    if options.json {
        report::print(&serde_json::to_string_pretty(&state_json::object(&cluster))?);
        return Ok(if cluster.primary().is_some() { Done::Well } else { Done::Badly });
    }
    let Some(primary) = cluster.primary().and_then(NodeView::reply) else {
        report::print(NO_DATABASE);
        report.error(&state_detail::why_no_primary(&cluster));
        show(&report, &lines(&cluster, options.errors));
        return Ok(Done::Badly);
    };
    if options.errors {
        let attention = lines(&cluster, true);
        show(&report, &attention);
        if attention.is_empty() {
            report.info("All segments are running normally");
        }
        return Ok(if attention.is_empty() { Done::Well } else { Done::Badly });
    }
    if options.quick {
        let segments = state_detail::all_segments(primary).len();
        return Ok(quick(&report, &state_detail::segments(primary), segments));
    }
    if options.standby {
        show(&report, &state_detail::standby_details(primary));
        show(&report, state_detail::commits_wait(primary).as_slice());
        return Ok(Done::Well);
    }
    let facts = SiteFacts {
        names_standby: environment.master.standby_host.is_some(),
        segment_hosts: environment.segment_hosts.as_ref().map(Vec::len),
        acl_type: environment.settings.text("hawq_acl_type").to_owned(),
    };
    for line in Block::new(primary, &facts).lines() {
        report.info(&line);
    }
    if options.brief {
        show(&report, state_detail::commits_wait(primary).as_slice());
    } else {
        show(&report, &lines(&cluster, false));
    }
    if options.status {
        show(&report, &state_detail::all_segments(primary));
        show(&report, &state_detail::node_details(&cluster));
    }
    Ok(Done::Well)
}

/// All that is to be said of high availability, or only what needs attention.
fn lines(cluster: &Cluster, errors: bool) -> Vec<Line> {
    let lines = state_detail::lines(cluster).into_iter();
    lines.filter(|line| line.attention || !errors).collect()
}

fn show(report: &Report, lines: &[Line]) {
    for line in lines {
        let level = if line.attention { Level::Warning } else { Level::Info };
        report.log(level, &line.text);
    }
}

fn quick(report: &Report, down: &[Line], segments: usize) -> Done {
    let up = segments.saturating_sub(down.len());
    report.info(&format!("-# of up segments, from configuration table     = {up}"));
    show(report, down);
    if down.is_empty() { Done::Well } else { Done::Badly }
}
