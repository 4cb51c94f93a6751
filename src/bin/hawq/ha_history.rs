//! `hawq ha history`: the reigns that there were, from the node that knows most of them.

use aerie::proto::v1::{HistoryRequest, ReignEntry};
use aerie::types::{Epoch, Lsn};
use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::report;
use crate::rpc::{self, Access};

#[derive(Debug, Args)]
pub struct HistoryOptions {
    /// One JSON array instead of text.
    #[arg(long)]
    pub json: bool,
    /// The newest N only.
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
}

pub async fn run_in(environment: &Environment, options: &HistoryOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let mut reigns = match fetch(&cluster, &environment.access()).await {
        Ok(reigns) => reigns,
        Err(problem) => return Ok(Trouble::silent(problem).tell()),
    };
    let skip = options.last.map_or(0, |last| reigns.len().saturating_sub(last));
    reigns.drain(..skip);
    if options.json {
        let values: Vec<Value> = reigns.iter().map(object).collect();
        report::print(&serde_json::to_string_pretty(&values)?);
        return Ok(Done::Well);
    }
    for reign in &reigns {
        report::print(&line(reign));
    }
    Ok(Done::Well)
}

/// The primary knows all of them; without it, whoever knows the newest.
pub async fn fetch(cluster: &Cluster, access: &Access) -> Result<Vec<ReignEntry>, String> {
    let mut best: Option<Vec<ReignEntry>> = None;
    let mut problem = String::from("no node answers; start one with \"hawq start master\"");
    let mut nodes: Vec<&NodeView> = cluster.nodes.iter().filter(|v| v.answer.is_ok()).collect();
    nodes.sort_by_key(|view| !view.is_open_primary());
    for view in nodes {
        match ask(view, access).await {
            Ok(reigns) if view.is_open_primary() => return Ok(reigns),
            Ok(reigns) => {
                let newest = |list: &Vec<ReignEntry>| list.last().map_or(0, |reign| reign.epoch);
                if best.as_ref().is_none_or(|known| newest(known) < newest(&reigns)) {
                    best = Some(reigns);
                }
            }
            Err(error) => problem = format!("node {}: {error}", view.node),
        }
    }
    best.ok_or(problem)
}

async fn ask(view: &NodeView, access: &Access) -> Result<Vec<ReignEntry>, String> {
    let mut client = rpc::connect(&view.rpc_address(), access).await?;
    let reply = rpc::bounded(client.history(HistoryRequest {})).await?;
    Ok(reply.reigns)
}

/// One reign in one line.
pub fn line(reign: &ReignEntry) -> String {
    let at = at(reign).unwrap_or_else(|| "-".to_owned());
    let epoch = Epoch(reign.epoch).to_string();
    let (node, start, cause) = (reign.node, Lsn(reign.start_lsn), cause(reign));
    format!("{at:<20} epoch {epoch:<7} node {node:<3} from {start}: {cause}")
}

/// Why it began, and after which gap.
pub fn cause(reign: &ReignEntry) -> String {
    let cause = if reign.cause.is_empty() { "not recorded" } else { &reign.cause };
    let gap = reign.gap_us.map(|gap| format!(", nobody served for {}", ha_nodes::gap_text(gap)));
    format!("{cause}{}", gap.unwrap_or_default())
}

fn at(reign: &ReignEntry) -> Option<String> {
    let seconds = (reign.at_us > 0).then_some(reign.at_us / 1_000_000)?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

pub fn object(reign: &ReignEntry) -> Value {
    json!({
        "epoch": Epoch(reign.epoch).to_string(),
        "node": reign.node,
        "start_lsn": Lsn(reign.start_lsn).to_string(),
        "at": at(reign),
        "cause": reign.cause,
        "gap_us": reign.gap_us,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reign_is_a_line() {
        let reign = ReignEntry {
            epoch: 3 << 8 | 2,
            node: 2,
            start_lsn: 0x28,
            at_us: 1_700_000_000_000_000,
            cause: "switchover from node 1".to_owned(),
            gap_us: Some(12_345),
        };
        assert_eq!(
            line(&reign),
            "2023-11-14T22:13:20Z epoch 3.2     node 2   from 0/28: switchover from node 1, nobody \
             served for 12.3 ms"
        );
        let old = ReignEntry { at_us: 0, cause: String::new(), gap_us: None, ..reign };
        assert!(line(&old).ends_with("from 0/28: not recorded"));
    }
}
