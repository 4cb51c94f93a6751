//! `hawq ha voter`: who holds the embedded register, and other voters in their place while the
//! cluster serves.
//!
//! The primary changes them, by two swaps; what an interruption leaves half done is finished by it,
//! or by the next primary, and the command typed again waits for that and says so. There are 3 or 5
//! voters after every change, so that none makes the register weaker.

use aerie::ha::register::Ballot;
use aerie::proto::v1::{
    ChangeVotersRequest, ListVotersReply, ListVotersRequest, Mode, Voter, VoterStatus,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes::{self, Trouble};
use crate::report;
use crate::rpc::{self, Access};

#[derive(Debug, Subcommand)]
pub enum VoterAction {
    /// Each voter with its host, whether it answers and what it holds; exits 1 when no majority
    /// answers.
    List(ListOptions),
    /// Let a master or a segment agent vote; with --replace in place of another.
    Add(AddOptions),
    /// Let a voter vote no more; 3 or 5 have to be left.
    Remove(RemoveOptions),
}

#[derive(Debug, Args)]
pub struct ListOptions {
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct AddOptions {
    /// A master (number, nodeN, host or host:port) or a segment agent (host:port).
    #[arg(required = true, value_name = "VOTER")]
    pub voters: Vec<String>,
    /// Who votes no more, as `list` names it; it need not answer.
    #[arg(long, value_name = "VOTER")]
    pub replace: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveOptions {
    /// As `list` names it; it need not answer.
    #[arg(required = true, value_name = "VOTER")]
    pub voters: Vec<String>,
}

pub async fn run_in(environment: &Environment, action: &VoterAction) -> anyhow::Result<Done> {
    match action {
        VoterAction::List(options) => list(environment, options).await,
        VoterAction::Add(AddOptions { voters, replace }) => {
            Ok(change(environment, voters, replace).await)
        }
        VoterAction::Remove(RemoveOptions { voters }) => Ok(change(environment, &[], voters).await),
    }
}

async fn change(environment: &Environment, add: &[String], remove: &[String]) -> Done {
    let cluster = Cluster::ask(environment).await;
    let request = ChangeVotersRequest { add: add.to_vec(), remove: remove.to_vec() };
    let asked = match ha_nodes::primary(&cluster, &environment.access()).await {
        Ok(mut client) => ha_nodes::judged(rpc::bounded(client.change_voters(request)).await),
        Err(trouble) => Err(trouble),
    };
    ha_nodes::ended(asked)
}

async fn list(environment: &Environment, options: &ListOptions) -> anyhow::Result<Done> {
    let cluster = Cluster::ask(environment).await;
    let reply = match fetch(&cluster, &environment.access()).await {
        Ok(reply) => reply,
        Err(trouble) => return Ok(trouble.tell()),
    };
    if reply.mode() != Mode::Embedded {
        let text = "only the embedded register has voters; \"hawq ha status\" shows the mode";
        return Ok(Trouble::Refused(text.to_owned()).tell());
    }
    if options.json {
        report::print(&serde_json::to_string_pretty(&object(&reply))?);
    } else {
        lines(&reply).iter().for_each(|line| report::print(line));
    }
    Ok(if decides(&reply) { Done::Well } else { Done::Badly })
}

/// The primary knows the newest record; without it, whoever knows a newer one than the others.
async fn fetch(cluster: &Cluster, access: &Access) -> Result<ListVotersReply, Trouble> {
    let none = "no node answers; start one with \"hawq start master\"";
    let mut trouble = Trouble::Silent(none.to_owned());
    let mut nodes: Vec<&NodeView> = cluster.nodes.iter().collect();
    nodes.retain(|view| view.answer.is_ok());
    nodes.sort_by_key(|view| std::cmp::Reverse((view.is_open_primary(), version(view))));
    for view in nodes {
        match ask(view, access).await {
            Ok(reply) => return Ok(reply),
            Err(why) => trouble = why.with(|text| format!("node {}: {text}", view.node)),
        }
    }
    Err(trouble)
}

fn version(view: &NodeView) -> u64 {
    let record = view.reply().and_then(|reply| reply.record.as_ref());
    record.map_or(0, |record| record.version)
}

async fn ask(view: &NodeView, access: &Access) -> Result<ListVotersReply, Trouble> {
    let mut client = ha_nodes::connect(view, access).await?;
    let asked = rpc::bounded(client.list_voters(ListVotersRequest {})).await;
    asked.map_err(Trouble::silent)
}

/// Whether a majority answers: while voters are being changed of the old and of the next ones.
fn decides(reply: &ListVotersReply) -> bool {
    let majority = |not: &str| {
        let counted = || reply.voters.iter().filter(|voter| voter.standing != not);
        counted().filter(|voter| voter.trouble.is_empty()).count() * 2 > counted().count()
    };
    majority("joining") && majority("leaving")
}

fn lines(reply: &ListVotersReply) -> Vec<String> {
    let line = |words: [&str; 6]| {
        let [name, address, host, standing, answers, holds] = words;
        format!("{name:<20} {address:<22} {host:<10} {standing:<9} {answers:<8} {holds}")
            .trim_end()
            .to_owned()
    };
    let mut lines = vec![line(["voter", "address", "host", "standing", "answers", "holds"])];
    for status in &reply.voters {
        let (name, address) = (name(status), address(status));
        let answers = if status.trouble.is_empty() { "yes" } else { "no" };
        let VoterStatus { host, standing, .. } = status;
        lines.push(line([&name, &address, host, standing, answers, &holds(status)]));
    }
    let changing = reply.voters.iter().any(|status| status.standing != "voting");
    if changing {
        lines.push("the voters are being changed; the primary goes on with it".to_owned());
    }
    if !decides(reply) {
        lines.push("no majority of the voters answers: the cluster state cannot change".to_owned());
    }
    if !reply.others.is_empty() {
        lines.push(format!("could vote too: {}", reply.others.join(", ")));
    }
    lines
}

/// What it holds, or why it does not answer.
fn holds(status: &VoterStatus) -> String {
    if !status.trouble.is_empty() {
        return status.trouble.clone();
    }
    let promised = Ballot(status.promised_ballot);
    match status.holds_version {
        0 => format!("no record, promised ballot {promised}"),
        version => {
            let accepted = Ballot(status.accepted_ballot);
            format!("record v{version} of ballot {accepted}, promised ballot {promised}")
        }
    }
}

fn name(status: &VoterStatus) -> String {
    status.voter.as_ref().map_or_else(String::new, |voter| voter.name.clone())
}

fn address(status: &VoterStatus) -> String {
    let at = |voter: &Voter| format!("{}:{}", voter.host, voter.rpc_port);
    status.voter.as_ref().map_or_else(String::new, at)
}

fn object(reply: &ListVotersReply) -> Value {
    let voter = |status: &VoterStatus| {
        json!({
            "name": name(status),
            "address": address(status),
            "host": status.host,
            "standing": status.standing,
            "answers": status.trouble.is_empty(),
            "trouble": status.trouble,
            "promised_ballot": Ballot(status.promised_ballot).to_string(),
            "accepted_ballot": Ballot(status.accepted_ballot).to_string(),
            "holds_version": status.holds_version,
        })
    };
    json!({
        "record_version": reply.record_version,
        "majority_answers": decides(reply),
        "voters": reply.voters.iter().map(voter).collect::<Vec<_>>(),
        "others": reply.others,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, standing: &str, trouble: &str) -> VoterStatus {
        let voter = Voter { name: name.to_owned(), host: "h".to_owned(), ..Voter::default() };
        VoterStatus {
            voter: Some(Voter { rpc_port: 1, ..voter }),
            standing: standing.to_owned(),
            host: "segment".to_owned(),
            trouble: trouble.to_owned(),
            promised_ballot: 3 << 8 | 1,
            accepted_ballot: 2 << 8 | 1,
            holds_version: 7,
        }
    }

    #[test]
    fn voters_are_lines_and_a_missing_majority_is_said() {
        let mut reply = ListVotersReply {
            voters: vec![
                status("a", "voting", ""),
                status("b", "voting", "no answer"),
                status("c", "voting", ""),
            ],
            others: vec!["d".to_owned()],
            ..ListVotersReply::default()
        };
        assert!(decides(&reply));
        let lines = lines(&reply);
        assert!(lines[1].ends_with("yes      record v7 of ballot 2.1, promised ballot 3.1"));
        assert!(lines[2].ends_with("no       no answer"), "{lines:?}");
        assert_eq!(lines[4], "could vote too: d");
        // Two of the old ones answer, and only one of the next.
        reply.voters[2].standing = "leaving".to_owned();
        reply.voters.push(status("d", "joining", "no answer"));
        assert!(!decides(&reply));
        reply.voters[3].trouble.clear();
        assert!(decides(&reply));
        reply.voters[0].trouble = "no answer".to_owned();
        assert!(!decides(&reply));
    }
}
