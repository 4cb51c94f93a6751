//! Starts and ends the nodes of a demo cluster.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use aerie::proto::v1::StopMode;
use nix::sys::signal::Signal;

use super::layout::{HOST, Layout};
use super::record::{Kind, NodeEntry, Record};
use crate::launch::{Daemon, Waiting};
use crate::process::Process;
use crate::rpc::{self, Access};
use crate::start::serves;

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A node that answers may wait for others; whoever starts the whole cluster waits for them later.
const SERVE_TIMEOUT: Duration = Duration::from_secs(15);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// What this command has started.
#[derive(Debug, Default)]
pub struct Processes {
    children: Vec<Child>,
    started: Vec<NodeEntry>,
}

impl Processes {
    /// Collects ended children, so that they do not stay as zombies.
    pub fn reap(&mut self) {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Starts a node, waits until it answers; the name of its state.
    pub async fn start_and_wait(
        &mut self,
        layout: &Layout,
        record: &mut Record,
        name: &str,
    ) -> anyhow::Result<String> {
        self.start(layout, record, name).await?;
        let Some(node) = record.nodes.iter().find(|node| node.name == name) else {
            anyhow::bail!("there is no node {name}")
        };
        if node.kind == Kind::Segment {
            return Ok("answers".to_owned());
        }
        let daemon = layout.daemon(node, &record.cluster_id)?;
        let access = access(layout, record);
        let address = format!("{HOST}:{}", node.rpc_port);
        let timeout = SERVE_TIMEOUT;
        let waiting = Waiting { address: &address, access: &access, timeout, daemon: &daemon };
        Ok(match waiting.until(&mut None, serves).await? {
            Ok(reply) => reply.role,
            Err(Some(reply)) => format!("{}, closed: {}", reply.role, reply.closed_reason),
            Err(None) => "does not answer any more".to_owned(),
        })
    }

    /// Starts a node and waits until it answers at all.
    pub async fn start(
        &mut self,
        layout: &Layout,
        record: &mut Record,
        name: &str,
    ) -> anyhow::Result<()> {
        let cluster_id = record.cluster_id.clone();
        let access = access(layout, record);
        let Some(node) = record.nodes.iter_mut().find(|node| node.name == name) else {
            anyhow::bail!("there is no node {name}")
        };
        let daemon = layout.daemon(node, &cluster_id)?;
        let child = daemon.start()?;
        match node.kind {
            Kind::Master => node.supervisor_pid = Some(child.id()),
            Kind::Segment => node.pid = Some(child.id()),
        }
        let node = node.clone();
        // From here on it is ours to end, whatever happens while we wait for it.
        self.started.push(node.clone());
        record.write(layout)?;
        let mut child = Some(child);
        let answered = match node.kind {
            Kind::Master => {
                let address = format!("{HOST}:{}", node.rpc_port);
                let timeout = START_TIMEOUT;
                let waiting =
                    Waiting { address: &address, access: &access, timeout, daemon: &daemon };
                waiting.until(&mut child, |_| true).await?.is_ok()
            }
            Kind::Segment => wait_for_port(&node, &daemon, &mut child).await?,
        };
        self.children.extend(child);
        if !answered {
            let seconds = START_TIMEOUT.as_secs();
            anyhow::bail!("{name} does not answer within {seconds} s; {}", daemon.log_tail());
        }
        record.refresh(layout);
        record.write(layout)
    }

    /// After a failed start: ends what this command has started, and nothing else.
    pub async fn kill_started(&mut self, layout: &Layout) {
        // Supervisors first: they would start their masters again.
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.children.clear();
        for node in self.started.drain(..) {
            for process in layout.supervisor(&node).into_iter().chain(layout.process(&node)) {
                process.signal(Signal::SIGKILL);
            }
        }
    }
}

async fn wait_for_port(
    node: &NodeEntry,
    daemon: &Daemon,
    child: &mut Option<Child>,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + START_TIMEOUT;
    while tokio::net::TcpStream::connect((HOST, node.rpc_port)).await.is_err() {
        if let Some(child) = child
            && let Some(status) = child.try_wait()?
        {
            anyhow::bail!("{} ended ({status}); {}", node.name, daemon.log_tail());
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(true)
}

/// Credentials of the cluster, from the first master that has them.
pub fn access(layout: &Layout, record: &Record) -> Access {
    let secret = record.masters().find_map(|node| {
        let path = Path::new(&node.data_dir).join("cluster.secret");
        let text = std::fs::read_to_string(path).ok()?;
        text.lines().next().map(|line| line.trim().to_owned())
    });
    debug_assert!(layout.root().is_absolute());
    Access { cluster_id: Some(record.cluster_id.clone()), secret }
}

/// Ends every process of the cluster: the primary first, so that nobody is reported as lost.
pub async fn stop_all(layout: &Layout, record: &Record) -> usize {
    let access = access(layout, record);
    let mut masters: Vec<(bool, &NodeEntry)> = Vec::new();
    for node in record.masters() {
        let address = format!("{HOST}:{}", node.rpc_port);
        let reply = rpc::status(&address, &access).await;
        masters.push((!reply.is_ok_and(|reply| reply.role == "primary"), node));
    }
    masters.sort_by_key(|(follows, _)| *follows);
    // One after the other, without waiting in between: nobody has a reason to take over.
    let mut ending = Vec::new();
    for (_, node) in masters {
        let (supervisor, process) = (layout.supervisor(node), layout.process(node));
        let address = format!("{HOST}:{}", node.rpc_port);
        match process {
            Some(process) => {
                let stop = (StopMode::Fast, false);
                if rpc::stop(&address, &access, stop).await.is_err() {
                    supervisor.unwrap_or(process).signal(Signal::SIGTERM);
                }
            }
            // Crashed, and not started again yet.
            None => {
                if let Some(parent) = supervisor {
                    parent.signal(Signal::SIGTERM);
                }
            }
        }
        ending.push((process.or(supervisor), supervisor));
    }
    let mut stopped = 0;
    for (process, supervisor) in ending {
        let Some(process) = process else { continue };
        let ended = end(process).await;
        let alone = match supervisor {
            Some(supervisor) => end(supervisor).await,
            None => true,
        };
        stopped += usize::from(ended && alone);
    }
    let segments: Vec<Process> =
        record.segments().filter_map(|node| layout.process(node)).collect();
    for process in &segments {
        process.signal(Signal::SIGTERM);
    }
    for process in segments {
        stopped += usize::from(end(process).await);
    }
    stopped
}

/// Waits for the end, and hastens it.
async fn end(process: Process) -> bool {
    if process.wait_for_end(STOP_TIMEOUT).await {
        return true;
    }
    process.signal(Signal::SIGKILL);
    process.wait_for_end(STOP_TIMEOUT).await
}

/// Of a master that has crashed.
pub async fn end_supervisor(supervisor: Process) {
    supervisor.signal(Signal::SIGTERM);
    end(supervisor).await;
}

/// What a master says of itself, for `hawq demo status`.
pub async fn role(layout: &Layout, record: &Record, node: &NodeEntry) -> String {
    let address = format!("{HOST}:{}", node.rpc_port);
    match rpc::status(&address, &access(layout, record)).await {
        Ok(reply) if reply.role == "primary" && !reply.open => {
            format!("primary, closed: {}", reply.closed_reason)
        }
        Ok(reply) => reply.role,
        Err(problem) => format!("no answer: {problem}"),
    }
}
