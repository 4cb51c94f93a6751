//! Makes a demo cluster, or resumes one: what is missing is made, what is down is started, and the
//! end is reached only when every standby is synchronized and every segment is up.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use aerie::proto::v1::Mode;
use aerie::runtime::config::{MasterSettings, Settings};
use anyhow::Context;

use super::layout::{HOST, Layout};
use super::ports;
use super::processes::{Processes, access};
use super::record::{Kind, Record};
use super::text;
use crate::arguments::DemoRun;
use crate::cluster::{Cluster, NodeView};
use crate::ha_enable::enable_at;
use crate::init::make_segment;
use crate::init_standby::{admit, is_in_sync, member_entry};
use crate::launch;
use crate::report::print;
use crate::rpc;
use crate::state_detail;

const UP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

pub async fn run(
    layout: &Layout,
    options: &DemoRun,
    processes: &mut Processes,
) -> anyhow::Result<()> {
    let is_new = !layout.record_file().exists();
    let mut record = plan(layout, options)?;
    record.refresh(layout);
    record.write(layout)?;
    layout.write_etc(&record, &options.settings)?;
    init_first(layout, &record)?;
    let names: Vec<String> = record
        .nodes
        .iter()
        .filter(|node| node.pid.is_none() && node.supervisor_pid.is_none())
        .filter(|node| is_made(node.kind, Path::new(&node.data_dir)))
        .map(|node| node.name.clone())
        .collect();
    for name in names {
        print(&format!("starting {name}"));
        processes.start(layout, &mut record, &name).await?;
    }
    let primary = wait_for_primary(layout, &record).await?;
    add_standbys(layout, &mut record, processes, &primary).await?;
    add_segments(layout, &mut record, processes).await?;
    wait_until_whole(layout, &record).await?;
    if is_new && !options.manual && has_majority(&record) {
        enable(layout, &record).await?;
    }
    record.refresh(layout);
    record.write(layout)?;
    let program = std::env::current_exe().context("find the folder of this program")?;
    let programs = program.parent().unwrap_or(Path::new("/"));
    fs::write(layout.env_file(), text::env_sh(layout, &record, programs))
        .with_context(|| format!("write {}", layout.env_file().display()))
}

/// The cluster that is there, or a new one of the size asked for.
fn plan(layout: &Layout, options: &DemoRun) -> anyhow::Result<Record> {
    let root = layout.root().display();
    if layout.record_file().exists() {
        print(&format!("resuming the cluster in {root}"));
        if !options.settings.is_empty() {
            print("its settings stay as they are; change them with \"hawq config\"");
        }
        return Record::read(layout);
    }
    MasterSettings::new(&Settings::new(None, &options.settings, &|_| None)?)?;
    let others = fs::read_dir(layout.root())?
        .filter_map(Result::ok)
        .any(|entry| entry.file_name() != ".demo.lock");
    if others {
        anyhow::bail!("{root} is not empty and has no demo cluster; choose another --dir");
    }
    if !ports::is_free(options.port) {
        anyhow::bail!("port {} of {HOST} is taken; choose another with --port", options.port);
    }
    let (standbys, segments) = (usize::from(options.standbys), usize::from(options.segments));
    let mut free = ports::free(1 + 2 * (standbys + segments), options.port)?.into_iter();
    let mut next = || free.next().unwrap_or_default();
    let mut nodes = vec![layout.entry(Kind::Master, 1, (options.port, next()))];
    for number in 2..=standbys + 1 {
        nodes.push(layout.entry(Kind::Master, number, (next(), next())));
    }
    for number in 1..=segments {
        nodes.push(layout.entry(Kind::Segment, number, (next(), next())));
    }
    Ok(Record { cluster_id: new_cluster_id()?, nodes })
}

/// A random UUID, version 4.
fn new_cluster_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("random: {error}"))?;
    let mut number = u128::from_be_bytes(bytes);
    number = number & !(0xF << 76) | 4 << 76;
    number = number & !(0b11 << 62) | 0b10 << 62;
    Ok(aerie::types::ClusterId(number).to_string())
}

fn is_made(kind: Kind, data_dir: &Path) -> bool {
    match kind {
        Kind::Master => data_dir.join("node.json").exists(),
        Kind::Segment => data_dir.join("cluster.id").exists(),
    }
}

/// The first master's directory, when this is a new cluster.
fn init_first(layout: &Layout, record: &Record) -> anyhow::Result<()> {
    let made = record.masters().any(|node| is_made(Kind::Master, Path::new(&node.data_dir)));
    let Some(first) = record.masters().next().filter(|_| !made) else { return Ok(()) };
    print(&format!("making {}", first.name));
    let mut arguments = init_arguments(layout, &first.name);
    arguments.extend(["--cluster-id".to_owned(), record.cluster_id.clone()]);
    launch::run_init(&arguments).map(drop).context("hawq-master init")
}

fn init_arguments(layout: &Layout, name: &str) -> Vec<String> {
    let site = layout.home(name).join("etc/hawq-site.xml");
    let data_dir = layout.data_dir(name);
    ["--config", &site.display().to_string(), "--data-dir", &data_dir.display().to_string()]
        .map(str::to_owned)
        .to_vec()
}

async fn add_standbys(
    layout: &Layout,
    record: &mut Record,
    processes: &mut Processes,
    primary: &str,
) -> anyhow::Result<()> {
    let access = access(layout, record);
    let missing: Vec<String> = record
        .masters()
        .filter(|node| !is_made(Kind::Master, Path::new(&node.data_dir)))
        .map(|node| node.name.clone())
        .collect();
    let secret = record
        .masters()
        .map(|node| Path::new(&node.data_dir).join("cluster.secret"))
        .find(|path| path.exists())
        .context("no master has the cluster's secret")?;
    for name in missing {
        print(&format!("making {name}"));
        let mut arguments = init_arguments(layout, &name);
        arguments.extend(["--standby", "--primary", primary, "--secret-file"].map(str::to_owned));
        arguments.push(secret.display().to_string());
        launch::run_init(&arguments).context("hawq-master init --standby")?;
        let environment = layout.environment(&name)?;
        let node = environment.node.as_ref().context("hawq-master init left no node.json")?;
        let entry = member_entry(&environment, node)?;
        admit(primary, &access, entry)
            .await
            .map_err(|problem| anyhow::anyhow!("the primary does not admit {name}: {problem}"))?;
        print(&format!("starting {name}"));
        processes.start(layout, record, &name).await?;
    }
    Ok(())
}

async fn add_segments(
    layout: &Layout,
    record: &mut Record,
    processes: &mut Processes,
) -> anyhow::Result<()> {
    let secret = access(layout, record).secret.context("no master has the cluster's secret")?;
    let missing: Vec<String> = record
        .segments()
        .filter(|node| !is_made(Kind::Segment, Path::new(&node.data_dir)))
        .map(|node| node.name.clone())
        .collect();
    for name in missing {
        print(&format!("starting {name}"));
        make_segment(&layout.data_dir(&name), &secret, &record.cluster_id)?;
        processes.start(layout, record, &name).await?;
    }
    Ok(())
}

/// Asks every master that the cluster has.
pub async fn ask(layout: &Layout, record: &Record) -> Cluster {
    let known = record
        .masters()
        .filter(|node| is_made(Kind::Master, Path::new(&node.data_dir)))
        .map(|node| NodeView {
            node: node.number(),
            host: HOST.to_owned(),
            rpc_port: u32::from(node.rpc_port),
            pg_port: u32::from(node.pg_port),
            answer: Err("not asked".to_owned()),
        })
        .collect();
    Cluster::ask_nodes(known, &access(layout, record)).await
}

/// Its gRPC address.
async fn wait_for_primary(layout: &Layout, record: &Record) -> anyhow::Result<String> {
    let deadline = Instant::now() + UP_TIMEOUT;
    loop {
        let cluster = ask(layout, record).await;
        if let Some(view) = cluster.primary() {
            return Ok(view.rpc_address());
        }
        if Instant::now() >= deadline {
            anyhow::bail!("no primary opened: {}", state_detail::why_no_primary(&cluster));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn wait_until_whole(layout: &Layout, record: &Record) -> anyhow::Result<()> {
    print("waiting until the standbys are synchronized and the segments are up");
    let deadline = Instant::now() + UP_TIMEOUT;
    loop {
        let missing = missing(&ask(layout, record).await, record);
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            anyhow::bail!("not up after {} s: {}", UP_TIMEOUT.as_secs(), missing.join("; "));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the masters, with a segment as witness where they are two, outlive one of them.
fn has_majority(record: &Record) -> bool {
    match record.masters().count() {
        0 | 1 => false,
        2 => record.segments().count() > 0,
        _ => true,
    }
}

/// From here on the rules decide on a takeover.
async fn enable(layout: &Layout, record: &Record) -> anyhow::Result<()> {
    print("enabling automatic failover");
    let primary = wait_for_primary(layout, record).await?;
    let deadline = Instant::now() + UP_TIMEOUT;
    // A voter that was slow to answer once does not end the whole.
    while let Err(reason) = enable_once(layout, record, &primary).await {
        anyhow::ensure!(Instant::now() < deadline, "automatic failover is not enabled: {reason}");
        tokio::time::sleep(POLL).await;
    }
    wait_until_whole(layout, record).await
}

async fn enable_once(layout: &Layout, record: &Record, primary: &str) -> Result<(), String> {
    let client = rpc::connect(primary, &access(layout, record)).await;
    let client = client.map_err(|problem| problem.to_string())?;
    let enabled = enable_at(client, Mode::Embedded).await.map_err(|problem| problem.to_string())?;
    if enabled.ok { Ok(()) } else { Err(enabled.text) }
}

/// What the cluster still waits for.
fn missing(cluster: &Cluster, record: &Record) -> Vec<String> {
    let Some(view) = cluster.primary() else {
        return vec![state_detail::why_no_primary(cluster)];
    };
    let Some(reply) = view.reply() else { return Vec::new() };
    let mut missing = Vec::new();
    for node in record.masters().filter(|node| node.number() != view.node) {
        if !is_in_sync(reply, node.number()) {
            missing.push(format!("{} is not synchronized", node.name));
        }
    }
    for node in record.segments() {
        let port = u32::from(node.pg_port);
        let is_up = |row: &aerie::proto::v1::SegmentRow| {
            row.registration_order > 0 && row.port == port && row.status == "u" && row.has_heard
        };
        if !reply.segments.iter().any(is_up) {
            missing.push(format!("{} is not up", node.name));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use aerie::proto::v1::{Member, SegmentRow, StandbyStatus, StatusReply};

    use super::*;

    #[test]
    fn a_cluster_is_whole_when_all_are_in_sync_and_up() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path()).unwrap();
        let record = Record {
            cluster_id: String::new(),
            nodes: vec![
                layout.entry(Kind::Master, 1, (1, 2)),
                layout.entry(Kind::Master, 2, (3, 4)),
                layout.entry(Kind::Segment, 1, (5, 6)),
            ],
        };
        let cluster = |in_sync: bool, status: &str| {
            let member = Some(Member { node: 2, incarnation: 1 });
            let reply = StatusReply {
                role: "primary".to_owned(),
                open: true,
                standbys: vec![StandbyStatus { member, in_sync, ..StandbyStatus::default() }],
                segments: vec![SegmentRow {
                    registration_order: 1,
                    status: status.to_owned(),
                    port: 5,
                    has_heard: true,
                    ..SegmentRow::default()
                }],
                ..StatusReply::default()
            };
            let answer = Ok(Box::new(reply));
            let host = HOST.to_owned();
            Cluster { nodes: vec![NodeView { node: 1, host, rpc_port: 2, pg_port: 1, answer }] }
        };
        assert!(missing(&cluster(true, "u"), &record).is_empty());
        assert_eq!(
            missing(&cluster(false, "d"), &record),
            ["master2 is not synchronized", "segment1 is not up"]
        );
        assert_eq!(missing(&Cluster::default(), &record).len(), 1);
    }

    #[test]
    fn the_plan_is_kept_and_foreign_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path()).unwrap();
        let port = ports::free(1, 0).unwrap()[0];
        let options = DemoRun {
            dir: directory.path().to_owned(),
            port,
            standbys: 2,
            segments: 2,
            manual: false,
            detach: true,
            settings: vec![("ha_lease".to_owned(), "1s".to_owned())],
        };
        let taken = std::net::TcpListener::bind((HOST, port)).unwrap();
        let refused = plan(&layout, &options).unwrap_err().to_string();
        assert_eq!(refused, format!("port {port} of {HOST} is taken; choose another with --port"));
        drop(taken);
        for (name, value) in [("ha_leese", "3s"), ("ha_lease", "3 weeks")] {
            let settings = vec![(name.to_owned(), value.to_owned())];
            let refused = plan(&layout, &DemoRun { settings, ..options.clone() }).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
        let first = plan(&layout, &options).unwrap();
        let names: Vec<&str> = first.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["master1", "master2", "master3", "segment1", "segment2"]);
        assert_eq!(first.nodes[0].pg_port, port);
        first.write(&layout).unwrap();
        assert_eq!(plan(&layout, &options).unwrap(), first, "resumed");
        fs::remove_file(layout.record_file()).unwrap();
        fs::write(directory.path().join("letter"), "dear").unwrap();
        let refused = plan(&layout, &options).unwrap_err().to_string();
        assert!(refused.ends_with("choose another --dir"), "{refused}");
    }

    #[test]
    fn cluster_ids_are_random_uuids() {
        let (first, second) = (new_cluster_id().unwrap(), new_cluster_id().unwrap());
        assert_ne!(first, second);
        assert_eq!((first.len(), &first[14..15]), (36, "4"));
    }
}
