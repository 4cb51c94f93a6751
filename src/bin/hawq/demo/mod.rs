//! `hawq demo`: a cluster of real processes on loopback, for people and for tests.
//!
//! `layout` says where everything lies, `record` keeps `cluster.json`, `processes` starts and ends
//! nodes, `bring_up` makes and resumes a cluster, `text` tells the user what to try. A process is
//! ended only when program and data directory are those of this demo.

mod bring_up;
mod layout;
mod ports;
mod processes;
mod record;
mod text;

use std::path::Path;
use std::time::Duration;

use aerie::proto::v1::Mode;
use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::Done;
use crate::arguments::{DemoAction, DemoOptions, DemoRun};
use crate::report::print;

use layout::Layout;
use processes::Processes;
use record::{Kind, Lock, NodeEntry, Record};
use text::Takeover;

/// How often the foreground process looks after its children.
const WATCH: Duration = Duration::from_millis(500);

pub async fn run(options: &DemoOptions) -> anyhow::Result<Done> {
    match &options.action {
        None => up(&options.run).await,
        Some(DemoAction::Stop(place)) => stop(&place.dir).await,
        Some(DemoAction::Status(place)) => status(&place.dir).await,
        Some(DemoAction::Kill { node, place }) => kill(&place.dir, node).await,
        Some(DemoAction::Restart { node, place }) => restart(&place.dir, node).await,
    }
}

async fn up(options: &DemoRun) -> anyhow::Result<Done> {
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("create directory {}", options.dir.display()))?;
    let layout = Layout::new(&options.dir)?;
    let mut processes = Processes::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let lock = Lock::take(&layout)?;
    let brought = tokio::select! {
        brought = bring_up::run(&layout, options, &mut processes) => brought,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    if let Err(error) = brought {
        // What we started goes; what ran before stays.
        processes.kill_started(&layout).await;
        if let Ok(mut record) = Record::read(&layout) {
            record.refresh(&layout);
            record.write(&layout)?;
        }
        return Err(error);
    }
    drop(lock);
    let record = Record::read(&layout)?;
    let cluster = bring_up::ask(&layout, &record).await;
    let automatic = cluster.record().is_some_and(|record| record.mode() != Mode::Manual);
    let takeover = if automatic { Takeover::ByItself } else { Takeover::ByHand };
    print(&text::welcome(&layout, &record, takeover));
    if options.detach {
        return Ok(Done::Well);
    }
    print("Press Ctrl-C to stop the cluster.");
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = tokio::time::sleep(WATCH) => watch(&layout, &mut processes)?,
        }
        if !layout.record_file().exists() {
            return Ok(Done::Well);
        }
    }
    stop(&options.dir).await
}

/// Collects ended children, and keeps `cluster.json` current. Another command that holds the lock
/// is doing the latter itself.
fn watch(layout: &Layout, processes: &mut Processes) -> anyhow::Result<()> {
    processes.reap();
    let Some(_lock) = Lock::try_take(layout)? else { return Ok(()) };
    let mut record = Record::read(layout)?;
    let before = record.clone();
    record.refresh(layout);
    for (old, new) in before.nodes.iter().zip(&record.nodes) {
        if let (Some(pid), None, None) = (old.pid, new.pid, new.supervisor_pid) {
            print(&format!(
                "{} (pid {pid}) has ended; start it with: hawq demo restart {} --dir {}",
                old.name,
                old.name,
                layout.root().display()
            ));
        }
    }
    if record != before {
        record.write(layout)?;
    }
    Ok(())
}

fn existing(dir: &Path) -> anyhow::Result<Layout> {
    let layout = Layout::new(dir)?;
    if !layout.record_file().exists() {
        anyhow::bail!("{} has no demo cluster (no cluster.json)", layout.root().display());
    }
    Ok(layout)
}

async fn stop(dir: &Path) -> anyhow::Result<Done> {
    let layout = existing(dir)?;
    let _lock = Lock::take(&layout)?;
    let mut record = Record::read(&layout)?;
    let stopped = processes::stop_all(&layout, &record).await;
    record.refresh(&layout);
    record.write(&layout)?;
    print(&format!("stopped {stopped} processes; the data stays in {}", layout.root().display()));
    Ok(if record.nodes.iter().all(|node| node.pid.is_none()) { Done::Well } else { Done::Badly })
}

async fn status(dir: &Path) -> anyhow::Result<Done> {
    let layout = existing(dir)?;
    let mut record = Record::read(&layout)?;
    record.refresh(&layout);
    if let Some(_lock) = Lock::try_take(&layout)? {
        record.write(&layout)?;
    }
    print(&format!("cluster {}", record.cluster_id));
    let mut all = true;
    for node in &record.nodes {
        let state = match node.pid {
            Some(_) if node.kind == Kind::Master => processes::role(&layout, &record, node).await,
            Some(_) => "runs".to_owned(),
            None => "does not run".to_owned(),
        };
        all &= node.pid.is_some();
        let pid = node.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        print(&format!(
            "{:<10} pid {pid:<8} port {:<6} gRPC {:<6} {state}",
            node.name, node.pg_port, node.rpc_port
        ));
    }
    Ok(if all { Done::Well } else { Done::Badly })
}

/// As a crash of its host would: nothing is told to anybody.
async fn kill(dir: &Path, name: &str) -> anyhow::Result<Done> {
    let layout = existing(dir)?;
    let record = Record::read(&layout)?;
    let cluster = bring_up::ask(&layout, &record).await;
    let primary = cluster.primary().map(|view| view.node);
    let wanted = |node: &&NodeEntry| match name {
        "primary" => node.kind == Kind::Master && Some(node.number()) == primary,
        name => node.name == name,
    };
    let Some(node) = record.nodes.iter().find(wanted) else {
        anyhow::bail!("there is no node {name} that runs");
    };
    // The supervisor first: it would start its master again.
    for process in layout.supervisor(node).into_iter().chain(layout.process(node)) {
        process.signal(Signal::SIGKILL);
    }
    print(&format!("{} was killed", node.name));
    Ok(Done::Well)
}

async fn restart(dir: &Path, name: &str) -> anyhow::Result<Done> {
    let layout = existing(dir)?;
    let _lock = Lock::take(&layout)?;
    let mut record = Record::read(&layout)?;
    let Some(node) = record.nodes.iter().find(|node| node.name == name).cloned() else {
        let names: Vec<&str> = record.nodes.iter().map(|node| node.name.as_str()).collect();
        anyhow::bail!("there is no node {name}; there are {}", names.join(", "));
    };
    let process = layout.process(&node);
    if let Some(process) = process
        && !process.wait_for_end(Duration::from_secs(1)).await
    {
        print(&format!("{name} runs already (pid {})", process.pid));
        return Ok(Done::Well);
    }
    if let Some(supervisor) = layout.supervisor(&node) {
        // It waits before it starts its master again; whoever typed this does not want to.
        processes::end_supervisor(supervisor).await;
    }
    let mut processes = Processes::default();
    let state = processes.start_and_wait(&layout, &mut record, name).await;
    record.refresh(&layout);
    record.write(&layout)?;
    let state = state?;
    let pid = record.nodes.iter().find(|node| node.name == name).and_then(|node| node.pid);
    print(&format!("{name} runs (pid {}): {state}", pid.unwrap_or_default()));
    Ok(Done::Well)
}
