//! `hawq ha explain`: for each standby whether it could take over now, by which rule not, and what
//! would be lost with it. Each standby tells of itself; nothing is tried.

use clap::Args;
use serde_json::{Value, json};

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes;
use crate::ha_standing;
use crate::report;

#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// One JSON array instead of text.
    #[arg(long)]
    pub json: bool,
}

pub async fn run_in(environment: &Environment, options: &ExplainOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    if cluster.record().is_none() {
        return Ok(ha_nodes::no_primary(&cluster, "nobody knows the cluster state").tell());
    }
    let verdicts = verdicts(&cluster);
    if options.json {
        let values: Vec<Value> = verdicts.iter().map(Verdict::object).collect();
        report::print(&serde_json::to_string_pretty(&values)?);
    } else {
        for verdict in &verdicts {
            verdict.lines().iter().for_each(|line| report::print(line));
        }
    }
    let able = verdicts.iter().any(|verdict| verdict.able());
    Ok(if able { Done::Well } else { Done::Badly })
}

/// What is to be said of one standby.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    node: u32,
    /// Why it cannot take over without loss, by rule.
    cannot: Vec<String>,
    /// Why it would not by itself, by rule.
    not_by_itself: Vec<String>,
    /// Its place among those that would.
    place: Option<usize>,
    lost: Option<String>,
}

fn verdicts(cluster: &Cluster) -> Vec<Verdict> {
    let Some(record) = cluster.record() else { return Vec::new() };
    let primary = cluster.primary().map_or(record.primary, |view| view.node);
    let order: Vec<u32> =
        ha_standing::order_of_standbys(record).iter().map(|entry| entry.node).collect();
    let standbys = cluster.nodes.iter().filter(|view| view.node != primary);
    standbys.map(|view| verdict(cluster, view, &order)).collect()
}

fn verdict(cluster: &Cluster, view: &NodeView, order: &[u32]) -> Verdict {
    let node = view.node;
    let reply = view.reply();
    let not_by_itself = reply.map(|reply| reply.not_by_itself.clone()).unwrap_or_default();
    let place = order.iter().position(|number| *number == node);
    // Without the coordinator no force helps either.
    let reaches = reply.is_some_and(|reply| reply.coordinator_trouble.is_empty());
    Verdict {
        node,
        cannot: ha_standing::cannot(cluster, view),
        place: place.filter(|_| not_by_itself.is_empty()),
        not_by_itself,
        lost: reaches.then(|| ha_standing::loss(cluster, view)).flatten(),
    }
}

impl Verdict {
    fn able(&self) -> bool {
        self.cannot.is_empty()
    }

    fn lines(&self) -> Vec<String> {
        let node = self.node;
        if !self.able() {
            let mut lines = vec![format!("node {node} cannot take over:")];
            lines.extend(self.cannot.iter().map(|reason| format!("  {reason}")));
            lines.extend(self.lost.iter().map(|lost| format!("  by force: {lost}")));
            return lines;
        }
        let how = match self.place {
            Some(0) => "by itself, before all others".to_owned(),
            Some(place) => format!("by itself, as number {}", place + 1),
            None => "at a person's word".to_owned(),
        };
        let mut lines = vec![format!("node {node} can take over {how}; nothing would be lost")];
        lines.extend(self.not_by_itself.iter().map(|reason| format!("  {reason}")));
        lines
    }

    fn object(&self) -> Value {
        json!({
            "node": self.node,
            "able": self.able(),
            "cannot": self.cannot,
            "not_by_itself": self.not_by_itself,
            "place": self.place.map(|place| place + 1),
            "lost": self.lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use aerie::proto::v1::{ClusterState, Member, MemberEntry, StatusReply};

    use super::*;
    use crate::ha_standing::tests::view;

    fn said(nodes: Vec<NodeView>) -> Vec<String> {
        verdicts(&Cluster { nodes }).iter().flat_map(Verdict::lines).collect()
    }

    /// Node 1 reigns over five, of whom 2 and 5 are in sync.
    fn primary() -> NodeView {
        let entry = |node| MemberEntry { node, priority: 1, ..MemberEntry::default() };
        let record = ClusterState {
            primary: 1,
            members: (1..6).map(entry).collect(),
            in_sync: [2, 5].map(|node| Member { node, incarnation: 1 }).to_vec(),
            ..ClusterState::default()
        };
        let reply = StatusReply {
            role: "primary".to_owned(),
            open: true,
            commit_lsn: 100,
            record: Some(record),
            ..StatusReply::default()
        };
        view(1, Ok(reply))
    }

    fn standby(node: u32) -> StatusReply {
        StatusReply { member: Some(Member { node, incarnation: 1 }), ..StatusReply::default() }
    }

    #[test]
    fn each_standby_is_judged_by_what_it_says() {
        let behind = StatusReply {
            cannot_stand: vec!["rule 6: it is not in the recorded in-sync set".to_owned()],
            flush_lsn: 60,
            ..standby(3)
        };
        let lines = said(vec![
            primary(),
            view(2, Ok(standby(2))),
            view(3, Ok(behind)),
            view(4, Err("connection refused")),
        ]);
        assert_eq!(
            lines,
            [
                "node 2 can take over by itself, before all others; nothing would be lost",
                "node 3 cannot take over:",
                "  rule 6: it is not in the recorded in-sync set",
                "  by force: node 3: rule 6: it is not in the recorded in-sync set; its log ends \
                 at 0/3C, and whatever was acknowledged after that would be lost (40 bytes of it \
                 are known of)",
                "node 4 cannot take over:",
                "  it does not answer: connection refused",
            ]
        );
    }

    #[test]
    fn nobody_can_take_over_whom_the_coordinator_or_the_limit_keeps_from_it() {
        let trouble = "2 of 3 voters do not answer".to_owned();
        let cut = |node| StatusReply { coordinator_trouble: trouble.clone(), ..standby(node) };
        let outside =
            StatusReply { cannot_stand: vec!["rule 6: it is not in the set".to_owned()], ..cut(3) };
        let limited =
            StatusReply { not_by_itself: vec!["6 failovers followed".to_owned()], ..standby(5) };
        let nodes =
            vec![primary(), view(2, Ok(cut(2))), view(3, Ok(outside)), view(5, Ok(limited))];
        let rule_15 = "  rule 15: it does not reach the coordinator: 2 of 3 voters do not answer";
        assert_eq!(
            said(nodes),
            [
                "node 2 cannot take over:",
                rule_15,
                "node 3 cannot take over:",
                "  rule 6: it is not in the set",
                rule_15,
                "node 5 can take over at a person's word; nothing would be lost",
                "  6 failovers followed",
            ]
        );
    }
}
