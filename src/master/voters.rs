//! The voters of the embedded register as an operator sees and changes them: which voter a name
//! means, and who answers. The node makes the change (`node::voters`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::ha::{Description, Voters};
use crate::proto::convert::{mode_to_wire, voter_to_wire};
use crate::proto::v1;
use crate::types::{ClusterState, MemberEntry, Mode, Voter};

use super::parts::Parts;
use super::{Answer, Request, enable, voter_choice};

/// The node has a shorter bound of its own.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A process that votes or could: its name as a voter, and what else people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seat {
    name: String,
    host: String,
    rpc_port: u16,
    aliases: Vec<String>,
}

impl Seat {
    fn is(&self, name: &str) -> bool {
        self.name == name
            || self.aliases.iter().any(|alias| alias == name)
            || format!("{}:{}", self.host, self.rpc_port) == name
    }

    fn holds(&self, voter: &Voter) -> bool {
        (&self.host, self.rpc_port) == (&voter.host, voter.rpc_port)
    }
}

pub(super) async fn list(parts: &Arc<Parts>) -> v1::ListVotersReply {
    let view = parts.view();
    let Some(record) = &view.record else { return v1::ListVotersReply::default() };
    let mut reply = v1::ListVotersReply {
        mode: mode_to_wire(record.mode).into(),
        record_version: record.version,
        ..v1::ListVotersReply::default()
    };
    if record.mode != Mode::Embedded {
        return reply;
    }
    let next = record.next_voters.iter().flatten();
    let all: BTreeSet<&Voter> = record.voters.iter().chain(next).collect();
    let asked = all.iter().map(|voter| parts.voters.describe(voter.host.clone(), voter.rpc_port));
    let described = join_all(asked).await;
    for (voter, described) in all.iter().zip(described) {
        reply.voters.push(voter_status(record, voter, described));
    }
    let seats = seats(parts, record).await;
    let others = seats.iter().filter(|seat| !all.iter().any(|voter| seat.holds(voter)));
    reply.others = others.map(|seat| seat.name.clone()).collect();
    reply
}

fn voter_status(
    record: &ClusterState,
    voter: &Voter,
    described: Result<Description, String>,
) -> v1::VoterStatus {
    let (old, next) = (&record.voters, record.next_voters.as_ref());
    let standing = match (old.contains(voter), next.map(|next| next.contains(voter))) {
        (true, None | Some(true)) => "voting",
        (true, Some(false)) => "leaving",
        (false, _) => "joining",
    };
    let at = |entry: &MemberEntry| (&entry.host, entry.rpc_port) == (&voter.host, voter.rpc_port);
    let member = record.members.iter().find(|(_, entry)| at(entry));
    let host = member.map_or("segment".to_owned(), |(node, _)| format!("master {node}"));
    let mut shown = v1::VoterStatus {
        voter: Some(voter_to_wire(voter)),
        standing: standing.to_owned(),
        host,
        ..v1::VoterStatus::default()
    };
    match described.and_then(|described| recognised(record, voter, described)) {
        Ok(found) => {
            shown.promised_ballot = found.promised.0;
            shown.accepted_ballot = found.accepted.0;
            shown.holds_version = found.record.map_or(0, |record| record.version);
        }
        Err(trouble) => shown.trouble = trouble,
    }
    shown
}

/// Whoever answers at the address is this voter, in the life that the record names.
fn recognised(
    record: &ClusterState,
    voter: &Voter,
    found: Description,
) -> Result<Description, String> {
    foreign(record, &found)?;
    if found.incarnation == voter.incarnation {
        return Ok(found);
    }
    Err(format!(
        "another voter lives there now ({}, not {}): its file was lost or made anew; \"hawq ha \
         voter add {}\" lets it take the place of the old one",
        found.incarnation, voter.incarnation, voter.name
    ))
}

fn foreign(record: &ClusterState, found: &Description) -> Result<(), String> {
    let theirs = found.record.as_ref().map(|held| held.cluster_id);
    match theirs.filter(|theirs| *theirs != record.cluster_id) {
        Some(theirs) => {
            Err(format!("it votes for cluster {theirs}, not for {}", record.cluster_id))
        }
        None => Ok(()),
    }
}

/// `add` and `remove` name voters as people do.
pub(super) async fn change(parts: &Arc<Parts>, add: &[String], remove: &[String]) -> Answer {
    let view = parts.view();
    if !view.is_open_primary() {
        return Answer::Refused { reason: enable::not_primary(&view) };
    }
    let Some(record) = &view.record else {
        return Answer::Refused { reason: "the cluster state is not known".to_owned() };
    };
    match wanted(parts, record, add, remove).await {
        Ok((from, to)) if from == to && record.next_voters.is_none() => {
            Answer::Done { text: format!("the voters are {} already", names(&to)) }
        }
        Ok((from, to)) => parts.answers.ask(Request::ChangeVoters { from, to }, ANSWER_MAX).await,
        Err(reason) => Answer::Refused { reason },
    }
}

/// The voters that there are, or will be when the change under way is done, and those wanted.
async fn wanted(
    parts: &Arc<Parts>,
    record: &ClusterState,
    add: &[String],
    remove: &[String],
) -> Result<(BTreeSet<Voter>, BTreeSet<Voter>), String> {
    if record.mode != Mode::Embedded {
        let mode = record.mode;
        return Err(format!("the coordinator is {mode}: only the embedded register has voters"));
    }
    let base = record.next_voters.as_ref().unwrap_or(&record.voters);
    let seats = seats(parts, record).await;
    let mut new = Vec::new();
    for name in add {
        let seat = seat(&seats, base, name)?;
        new.push(ask_seat(parts, record, seat).await?);
    }
    let already = !new.is_empty() && new.iter().all(|voter| base.contains(voter));
    let mut gone = Vec::new();
    for name in remove {
        match leaving(&seats, base, name) {
            Some(voter) => gone.push(voter),
            // Typed again after it was done, when nobody may know that name any more.
            None if already || seats.iter().any(|seat| seat.is(name)) => {}
            None => return Err(format!("\"{name}\" is no voter; the voters are {}", names(base))),
        }
    }
    let to = voter_choice::changed(base, &new, &gone)?;
    if to != *base {
        majority(parts, record, base).await?;
        majority(parts, record, &to).await?;
    }
    Ok((base.clone(), to))
}

/// The masters, and the segment agents that have registered.
async fn seats(parts: &Arc<Parts>, record: &ClusterState) -> Vec<Seat> {
    let masters = record.members.iter().map(|(node, entry)| Seat {
        name: format!("node{node}"),
        host: entry.host.clone(),
        rpc_port: entry.rpc_port,
        aliases: vec![
            node.to_string(),
            entry.host.clone(),
            format!("{}:{}", entry.host, entry.pg_port),
        ],
    });
    let agents = parts.segments.agents().await.into_iter().map(|agent| Seat {
        name: format!("{}:{}", agent.hostname, agent.port),
        aliases: vec![
            agent.hostname,
            agent.address.clone(),
            format!("{}:{}", agent.address, agent.port),
        ],
        host: agent.address,
        rpc_port: agent.rpc_port,
    });
    masters.chain(agents).collect()
}

/// Whom a name means among those that could vote; an address may be anybody's.
fn seat(seats: &[Seat], base: &BTreeSet<Voter>, name: &str) -> Result<Seat, String> {
    let exact = seats.iter().find(|seat| seat.name == name);
    let mut named = seats.iter().filter(|seat| seat.is(name));
    let found = match (exact, named.next(), named.next()) {
        (Some(seat), _, _) | (None, Some(seat), None) => Some(seat.clone()),
        (None, Some(_), Some(_)) => {
            return Err(format!("several masters and segments are at \"{name}\"; say host:port"));
        }
        (None, None, _) => base.iter().find(|voter| voter.name == name).map(|voter| Seat {
            name: voter.name.clone(),
            host: voter.host.clone(),
            rpc_port: voter.rpc_port,
            aliases: Vec::new(),
        }),
    };
    let address = || {
        let (host, port) = name.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let rpc_port = port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty())?;
        let (name, host) = (name.to_owned(), host.to_owned());
        Some(Seat { name, host, rpc_port, aliases: Vec::new() })
    };
    found.or_else(address).ok_or_else(|| {
        let known: Vec<&str> = seats.iter().map(|seat| seat.name.as_str()).collect();
        format!(
            "there is no master or segment \"{name}\"; there are {}, or say host:port",
            known.join(", ")
        )
    })
}

fn leaving(seats: &[Seat], base: &BTreeSet<Voter>, name: &str) -> Option<Voter> {
    let means = |voter: &&Voter| {
        voter.name == name
            || format!("{}:{}", voter.host, voter.rpc_port) == name
            || seats.iter().any(|seat| seat.holds(voter) && seat.is(name))
    };
    let exact = base.iter().find(|voter| voter.name == name);
    let mut found = base.iter().filter(means);
    let only = found.next().filter(|_| found.next().is_none());
    exact.or(only).cloned()
}

async fn ask_seat(parts: &Parts, record: &ClusterState, seat: Seat) -> Result<Voter, String> {
    let Seat { name, host, rpc_port, .. } = seat;
    let described = parts.voters.describe(host.clone(), rpc_port).await;
    let found = described.and_then(|found| foreign(record, &found).map(|()| found));
    match found {
        Ok(found) => Ok(Voter { name, incarnation: found.incarnation, host, rpc_port }),
        Err(reason) => Err(format!("\"{name}\" ({host}:{rpc_port}) cannot vote: {reason}")),
    }
}

/// Without a majority of both the old voters and the next ones the record could change no more.
async fn majority(
    parts: &Parts,
    record: &ClusterState,
    voters: &BTreeSet<Voter>,
) -> Result<(), String> {
    let asked = voters.iter().map(|voter| async move {
        let described = parts.voters.describe(voter.host.clone(), voter.rpc_port).await;
        described.and_then(|found| recognised(record, voter, found).map(drop))
    });
    let answers = join_all(asked).await;
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    if answered * 2 > voters.len() {
        return Ok(());
    }
    let silent = voters.iter().zip(&answers).filter_map(|(voter, answer)| {
        Some(format!("; {}: {}", voter.name, answer.as_ref().err()?))
    });
    let silent: String = silent.collect();
    Err(format!("only {answered} of the voters {} answer{silent}", names(voters)))
}

fn names(voters: &BTreeSet<Voter>) -> String {
    voters.iter().map(|voter| voter.name.as_str()).collect::<Vec<_>>().join(", ")
}
