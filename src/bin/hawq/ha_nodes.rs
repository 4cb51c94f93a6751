//! What the verbs of `hawq ha` share: which node is meant, asking one to take over, and waiting
//! until it has; and what to say, and which exit code to give, when something is not done.

use std::time::Duration;

use aerie::proto::v1::{ActivateRequest, Outcome, Progress};
use tokio::time::Instant;

use crate::Done;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::report;
use crate::rpc::{self, Access, Client};
use crate::state_detail;

/// Progress lines come at least this often while a takeover goes on.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long a takeover whose own answer was lost is waited for.
const SETTLE_MAX: Duration = Duration::from_secs(10);

const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// A node by its number, `nodeN`, host, or `host:port` (either port).
pub fn find<'a>(cluster: &'a Cluster, name: &str) -> Result<&'a NodeView, String> {
    let number = name.strip_prefix("node").unwrap_or(name).parse::<u32>().ok();
    let is = |view: &&NodeView| {
        let ports = [view.pg_port, view.rpc_port];
        Some(view.node) == number
            || view.host == name
            || ports.iter().any(|port| format!("{}:{port}", view.host) == name)
    };
    let mut found = cluster.nodes.iter().filter(is);
    match (found.next(), found.next()) {
        (Some(view), None) => Ok(view),
        (Some(_), Some(_)) => Err(format!("several nodes are at \"{name}\"; give a node number")),
        (None, _) => {
            let known: Vec<String> = cluster.nodes.iter().map(|v| v.node.to_string()).collect();
            Err(format!("there is no node \"{name}\"; there are {}", known.join(", ")))
        }
    }
}

/// Asks `target` to become primary and shows what it says on the way. The error is its refusal, or
/// why its answer did not come.
pub async fn order_takeover(
    access: &Access,
    target: &NodeView,
    request: ActivateRequest,
    show: &mut dyn FnMut(&Progress),
) -> Result<(), Trouble> {
    let mut client = connect(target, access).await?;
    let mut stream = rpc::bounded(client.activate(request)).await.map_err(Trouble::lost)?;
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, stream.message()).await;
        let problem = match next {
            Ok(Ok(Some(line))) if line.finished && line.unknown => {
                return Err(Trouble::Lost(line.text));
            }
            Ok(Ok(Some(line))) if line.finished && !line.ok => {
                return Err(Trouble::Refused(line.text));
            }
            Ok(Ok(Some(line))) => {
                show(&line);
                if line.finished {
                    return Ok(());
                }
                continue;
            }
            Ok(Ok(None)) => "the standby ended the connection without an outcome".to_owned(),
            Ok(Err(status)) => rpc::explain(&status),
            Err(_) => "the standby said nothing for 60 s; see \"hawq state\"".to_owned(),
        };
        return Err(Trouble::Lost(problem));
    }
}

/// The same, and where the answer got lost the nodes are asked what came of it.
pub async fn take_over(
    environment: &Environment,
    target: &NodeView,
    request: ActivateRequest,
    show: &mut dyn FnMut(&Progress),
) -> Result<(), Trouble> {
    match order_takeover(&environment.access(), target, request, show).await {
        Err(Trouble::Lost(problem)) => {
            let text = format!("{problem}; waiting for what comes of it");
            show(&Progress { text, level: "WARNING".to_owned(), ..Progress::default() });
            settle(environment, target.node, problem).await
        }
        asked => asked,
    }
}

/// Why what was asked for is not done, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody has said no; nothing has changed.
    Refused(String),
    /// Who could do or tell it does not answer; nothing was asked.
    Silent(String),
    /// It was asked for and the answer is missing: it may have happened, or may yet. Or only a part
    /// of it has happened.
    Lost(String),
}

impl Trouble {
    /// Of a node that could not be asked.
    pub fn silent(problem: String) -> Trouble {
        if rpc::is_refusal(&problem) { Trouble::Refused(problem) } else { Trouble::Silent(problem) }
    }

    /// Of a call that ended without an answer.
    pub fn lost(problem: String) -> Trouble {
        if rpc::is_refusal(&problem) { Trouble::Refused(problem) } else { Trouble::Lost(problem) }
    }

    pub fn text(&self) -> &str {
        let (Trouble::Refused(text) | Trouble::Silent(text) | Trouble::Lost(text)) = self;
        text
    }

    /// The same with more words.
    pub fn with(self, say: impl FnOnce(String) -> String) -> Trouble {
        match self {
            Trouble::Refused(text) => Trouble::Refused(say(text)),
            Trouble::Silent(text) => Trouble::Silent(say(text)),
            Trouble::Lost(text) => Trouble::Lost(say(text)),
        }
    }

    /// Says it and gives the exit code.
    pub fn tell(&self) -> Done {
        report::complain(self.text());
        match self {
            Trouble::Refused(_) => Done::Badly,
            Trouble::Silent(_) | Trouble::Lost(_) => Done::Unknown,
        }
    }
}

/// Says what came of a request, and gives the exit code.
pub fn ended(result: Result<String, Trouble>) -> Done {
    match result {
        Ok(text) => {
            report::print(&text);
            Done::Well
        }
        Err(trouble) => trouble.tell(),
    }
}

/// What a node answered to a request.
pub fn judged(answer: Result<Outcome, String>) -> Result<String, Trouble> {
    match answer {
        Ok(outcome) if outcome.ok => Ok(outcome.text),
        Ok(outcome) if outcome.unknown => Err(Trouble::Lost(outcome.text)),
        Ok(outcome) => Err(Trouble::Refused(outcome.text)),
        Err(problem) => Err(Trouble::lost(problem)),
    }
}

pub async fn connect(view: &NodeView, access: &Access) -> Result<Client, Trouble> {
    rpc::connect(&view.rpc_address(), access).await.map_err(Trouble::silent)
}

/// A connection to the open primary.
pub async fn primary(cluster: &Cluster, access: &Access) -> Result<Client, Trouble> {
    match cluster.primary() {
        Some(view) => connect(view, access).await,
        None => Err(no_primary(cluster, "no node is an open primary")),
    }
}

/// None of those that answer is primary; where nobody answers, it is not known who is.
pub fn no_primary(cluster: &Cluster, what: &str) -> Trouble {
    let text = format!("{what}: {}", state_detail::why_no_primary(cluster));
    if answers(cluster) { Trouble::Refused(text) } else { Trouble::Silent(text) }
}

pub fn answers(cluster: &Cluster) -> bool {
    // Who refuses our credentials has answered.
    let answered =
        |view: &NodeView| view.answer.as_ref().map_or_else(|e| rpc::is_refusal(e), |_| true);
    cluster.nodes.iter().any(answered)
}

/// Waits until `number` is an open primary, and gives its view; the cluster as it is otherwise.
pub async fn await_primary(environment: &Environment, number: u32) -> Result<NodeView, Cluster> {
    let cluster = settled(environment, |cluster| cluster.primary().is_some()).await;
    let view = cluster.node(number).filter(|view| view.is_open_primary()).cloned();
    view.ok_or(cluster)
}

/// Waits for an open primary above the epoch `before`; gives the cluster as it is otherwise.
pub async fn await_next(environment: &Environment, before: u64) -> Result<NodeView, Cluster> {
    let later = |view: &&NodeView| view.reply().is_some_and(|reply| reply.epoch > before);
    let reigns = |cluster: &Cluster| cluster.primary().is_some_and(|view| later(&view));
    let cluster = settled(environment, reigns).await;
    let view = cluster.primary().filter(later).cloned();
    view.ok_or(cluster)
}

/// Asks the nodes until it is as wanted, or time is up.
async fn settled(environment: &Environment, wanted: impl Fn(&Cluster) -> bool) -> Cluster {
    let until = Instant::now() + SETTLE_MAX;
    loop {
        let cluster = Cluster::ask(environment).await;
        if wanted(&cluster) || Instant::now() >= until {
            return cluster;
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// What became of a takeover of `number` whose outcome was not told: it reigns, another node does,
/// or that is not known.
async fn settle(environment: &Environment, number: u32, problem: String) -> Result<(), Trouble> {
    match await_primary(environment, number).await {
        Ok(_) => Ok(()),
        Err(cluster) => Err(match cluster.primary() {
            Some(view) => Trouble::Refused(format!("{problem}; node {} is primary", view.node)),
            None => Trouble::Lost(problem),
        }),
    }
}

/// "12.3 ms", "0.612 s".
pub fn gap_text(micros: u64) -> String {
    if micros < 1_000_000 {
        return format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100);
    }
    format!("{}.{:03} s", micros / 1_000_000, micros % 1_000_000 / 1_000)
}
