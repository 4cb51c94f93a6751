//! What the verbs of `hawq ha` share: which node is meant, asking one to take over, and waiting
//! until it has.

use std::time::Duration;

use aerie::proto::v1::{ActivateRequest, Progress};
use tokio::time::Instant;

use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::rpc::{self, Access};

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
    let mut client = rpc::connect(&target.rpc_address(), access).await.map_err(Trouble::Refused)?;
    let mut stream = rpc::bounded(client.activate(request)).await.map_err(Trouble::Lost)?;
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, stream.message()).await;
        let problem = match next {
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

/// Why a takeover that was asked for is not known to have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The node has said no; nothing has changed.
    Refused(String),
    /// The answer is missing, so that it may have happened.
    Lost(String),
}

/// Waits until `number` is an open primary, and gives its view; the cluster as it is otherwise.
pub async fn await_primary(environment: &Environment, number: u32) -> Result<NodeView, Cluster> {
    let until = Instant::now() + SETTLE_MAX;
    loop {
        let cluster = Cluster::ask(environment).await;
        let view = cluster.node(number).filter(|view| view.is_open_primary());
        if let Some(view) = view {
            return Ok(view.clone());
        }
        let other = cluster.primary().is_some();
        if other || Instant::now() >= until {
            return Err(cluster);
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// "12.3 ms", "0.612 s".
pub fn gap_text(micros: u64) -> String {
    if micros < 1_000_000 {
        return format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100);
    }
    format!("{}.{:03} s", micros / 1_000_000, micros % 1_000_000 / 1_000)
}
