//! `hawq init standby`: a new standby on this host, online; `-n` waits for an existing one, `-r`
//! takes one out of the cluster.
//!
//! The primary is not restarted and its sessions go on. The standby's process seeds itself; the
//! verb says "successfully" when the primary says that it is synchronized, not before.

use std::time::{Duration, Instant};

use aerie::proto::v1::{
    AdmitRequest, ClusterState, MemberEntry, RemoveRequest, StatusReply, StopMode, StopRequest,
    Voter,
};
use anyhow::Context;

use crate::Done;
use crate::arguments::InitOptions;
use crate::cluster::{Cluster, NodeView};
use crate::environment::{Environment, NodeFile, is_this_host};
use crate::init::{init_arguments, is_empty, name_standby, not_empty};
use crate::launch;
use crate::report::Report;
use crate::rpc::{self, Access};
use crate::start::Start;

const POLL: Duration = Duration::from_millis(200);

pub async fn run(
    environment: Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<Done> {
    let done = if options.remove_standby {
        remove(&environment, report, options).await?
    } else if options.no_update {
        resync(&environment, report, options).await?
    } else {
        create(environment, report, options).await?
    };
    Ok(if done { Done::Well } else { Done::Badly })
}

/// The secret of the cluster, from `--secret-file`, else where the settings say it lies.
pub fn secret_file(environment: &Environment, options: &InitOptions) -> anyhow::Result<String> {
    let path = options.secret_file.as_ref().unwrap_or(&environment.master.secret_file);
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "read the cluster's secret from {}; copy cluster.secret from the primary's data \
             directory and name the copy with --secret-file",
            path.display()
        )
    })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The open primary, asked with this secret.
pub async fn find_primary(
    environment: &Environment,
    secret: &str,
) -> anyhow::Result<Option<StatusReply>> {
    Ok(primary_view(environment, secret).await.and_then(|view| view.reply().cloned()))
}

async fn primary_view(environment: &Environment, secret: &str) -> Option<NodeView> {
    let access = Access { cluster_id: None, secret: Some(secret.to_owned()) };
    let known = Cluster::known(environment);
    Cluster::ask_nodes(known, &access).await.primary().cloned()
}

async fn create(
    environment: Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<bool> {
    let environment = match &options.standby_host {
        Some(host) if !is_this_host(host) => {
            report.error(&format!(
                "{host} is not this host; copy hawq-site.xml and {} there and type: hawq init \
                 standby --secret-file COPY",
                environment.master.secret_file.display()
            ));
            return Ok(false);
        }
        Some(host) => name_standby(environment, host)?,
        None => environment,
    };
    let data_dir = environment.master.data_dir.clone();
    if !is_empty(&data_dir) {
        report.error(&not_empty(&data_dir));
        return Ok(false);
    }
    let secret = secret_file(&environment, options)?;
    let Some(primary) = primary_view(&environment, &secret).await else {
        report.error("no primary answers; a standby is made from a running primary");
        return Ok(false);
    };
    let Some(environment) = number_node(environment, report, &primary)? else { return Ok(false) };
    let host = environment.master.host.clone();
    report.info(&format!("Start to init standby master: '{host}'"));
    report.info("This might take a couple of minutes, please wait...");
    let mut arguments = init_arguments(&environment);
    arguments.extend([
        "--standby".to_owned(),
        "--primary".to_owned(),
        primary.rpc_address(),
        "--secret-file".to_owned(),
        options
            .secret_file
            .as_ref()
            .unwrap_or(&environment.master.secret_file)
            .display()
            .to_string(),
    ]);
    if let Err(error) = launch::run_init(&arguments) {
        report.error(&format!("{error:#}"));
        report.error("Init standby failed, exit");
        return Ok(false);
    }
    let environment = Environment::load()?;
    let Some(node) = &environment.node else {
        anyhow::bail!("hawq-master init left no node.json in {}", data_dir.display())
    };
    let entry = member_entry(&environment, node)?;
    if let Err(problem) = admit(&primary.rpc_address(), &environment.access(), entry).await {
        report.error(&format!("Register standby infomation failed: {problem}"));
        return Ok(false);
    }
    report.info("Register standby to master successfully");
    let timeout = Duration::from_secs(options.common.timeout);
    let start = Start { environment: &environment, report, timeout, force: false, rejoin: false };
    start.master("Standby master").await?;
    report.info("HAWQ standby started");
    if !wait_synchronized(&environment, u32::from(node.node), timeout).await {
        report.error(&format!("Standby is not synced after {} seconds", timeout.as_secs()));
        return Ok(false);
    }
    report.info("Init standby successfully");
    Ok(true)
}

/// Sees to it that the site file gives this node a number and an address of its own.
fn number_node(
    mut environment: Environment,
    report: &Report,
    primary: &NodeView,
) -> anyhow::Result<Option<Environment>> {
    let named = environment.settings.optional("aerie_peers").is_some();
    let own = environment.own_peer().cloned();
    if named {
        if own.is_some_and(|own| u32::from(own.node.get()) == primary.node) {
            report.error(&format!(
                "aerie_node in {} is {}, the primary's number; give the standby its own, and name \
                 it in aerie_peers",
                environment.site_path().display(),
                primary.node
            ));
            return Ok(None);
        }
        return Ok(Some(environment));
    }
    let Some(host) = environment.master.standby_host.clone() else {
        report.error("No standby host found");
        report.error("Please check your standby host name");
        return Ok(None);
    };
    if !is_this_host(&host) {
        report.error(&format!("{host} is not this host; type there: hawq init standby"));
        return Ok(None);
    }
    let members = primary.reply().and_then(|reply| reply.record.clone()).unwrap_or_default();
    let taken: Vec<u32> = members.members.iter().map(|entry| entry.node).collect();
    let number = (1..=255).find(|number| !taken.contains(number) && *number != primary.node);
    let Some(number) = number else { anyhow::bail!("all 255 node numbers are taken") };
    let settings = &environment.master;
    let (rpc_port, pg_port) = (settings.rpc_port, settings.pg_port);
    let mut peers = vec![peer_text(primary)];
    peers.push(format!("{number}@{host}:{rpc_port}:{pg_port}"));
    environment.site.set("aerie_node", &number.to_string())?;
    environment.site.set("aerie_peers", &peers.join(","))?;
    environment.site.save()?;
    Environment::load().map(Some)
}

/// A node as `aerie_peers` names it.
pub fn peer_text(view: &NodeView) -> String {
    format!("{}@{}:{}:{}", view.node, view.host, view.rpc_port, view.pg_port)
}

/// This node as the primary is to know it.
pub fn member_entry(environment: &Environment, node: &NodeFile) -> anyhow::Result<MemberEntry> {
    let incarnation = u64::from_str_radix(&node.incarnation, 16)
        .with_context(|| format!("node.json has incarnation \"{}\"", node.incarnation))?;
    let settings = &environment.master;
    Ok(MemberEntry {
        node: u32::from(node.node),
        incarnation,
        host: settings.host.clone(),
        rpc_port: u32::from(settings.rpc_port),
        pg_port: u32::from(settings.pg_port),
        priority: settings.priority,
    })
}

pub async fn admit(address: &str, access: &Access, entry: MemberEntry) -> Result<(), String> {
    let mut client = rpc::connect(address, access).await?;
    let outcome = rpc::bounded(client.admit(AdmitRequest { entry: Some(entry) })).await?;
    if outcome.ok { Ok(()) } else { Err(outcome.text) }
}

/// Until the primary says so.
pub async fn wait_synchronized(environment: &Environment, node: u32, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let cluster = Cluster::ask(environment).await;
        if cluster.primary().and_then(NodeView::reply).is_some_and(|r| is_in_sync(r, node)) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
}

pub fn is_in_sync(primary: &StatusReply, node: u32) -> bool {
    primary
        .standbys
        .iter()
        .any(|standby| standby.in_sync && standby.member.is_some_and(|member| member.node == node))
}

async fn resync(
    environment: &Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<bool> {
    report.info("Re-sync standby");
    let Some(node) = &environment.node else {
        report.error("this host has no standby; make one with \"hawq init standby\"");
        return Ok(false);
    };
    let timeout = Duration::from_secs(options.common.timeout);
    let start = Start { environment, report, timeout, force: false, rejoin: false };
    start.master("Standby master").await?;
    if !wait_synchronized(environment, u32::from(node.node), timeout).await {
        report.error("Re-sync standby master failed, exit");
        return Ok(false);
    }
    report.info("Standby master re-sync successfully");
    Ok(true)
}

async fn remove(
    environment: &Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<bool> {
    report.info("Try to remove standby master");
    let cluster = Cluster::ask(environment).await;
    let Some(primary) = cluster.primary() else {
        report.error("no primary answers; only it can remove a standby");
        return Ok(false);
    };
    let members = primary.reply().and_then(|reply| reply.record.clone()).unwrap_or_default();
    let mut standbys = members.members.iter().filter(|entry| entry.node != primary.node);
    let standby = match options.node {
        Some(number) => standbys.find(|entry| entry.node == number),
        None => standbys.next(),
    };
    let Some(standby) = standby else {
        report.info("Do not find a running standby master");
        return Ok(true);
    };
    report.info(&format!("running standby host is {}", standby.host));
    report.info("Remove standby from Database catalog.");
    let mut client = match rpc::connect(&primary.rpc_address(), &environment.access()).await {
        Ok(client) => client,
        Err(problem) => anyhow::bail!("{}: {problem}", primary.rpc_address()),
    };
    match rpc::bounded(client.remove(RemoveRequest { node: standby.node })).await {
        Ok(outcome) if outcome.ok => report.info("Catalog updated successfully."),
        Ok(outcome) => {
            report.error(&outcome.text);
            return Ok(false);
        }
        Err(problem) => {
            report.error(&problem);
            return Ok(false);
        }
    }
    let mut site = environment.site.clone();
    if site.remove("hawq_standby_address_host")? {
        site.save()?;
    }
    stop_removed(environment, report, standby).await;
    if let Some(voter) = vote_of(&members, standby) {
        report.warning(&format!(
            "voter {voter} of the cluster state answers no more; let another vote in its place: \
             hawq ha voter add HOST:PORT --replace {voter}"
        ));
    }
    report.info("Remove standby master finished");
    Ok(true)
}

/// A voter is one by its own name, member or not.
fn vote_of(record: &ClusterState, standby: &MemberEntry) -> Option<String> {
    let voters = [&record.voters, &record.next_voters].into_iter().flatten();
    let mut voters = voters.flat_map(|set| &set.voters);
    let own = |voter: &&Voter| voter.host == standby.host && voter.rpc_port == standby.rpc_port;
    voters.find(own).map(|voter| voter.name.clone())
}

/// A removed standby has no one to follow; left running it could be taken for one.
async fn stop_removed(environment: &Environment, report: &Report, standby: &MemberEntry) {
    report.info(&format!("Check if gpsyncmaster running on {}", standby.host));
    let address = format!("{}:{}", standby.host, standby.rpc_port);
    let Ok(mut client) = rpc::connect(&address, &environment.access()).await else {
        report.info("Not able to connect to Standby master, skip node clean");
        return;
    };
    report.info(&format!("Stopping gpsyncmaster on {}", standby.host));
    let request = StopRequest { mode: StopMode::Fast.into(), without_failover: true };
    if let Err(problem) = rpc::bounded(client.stop(request)).await {
        report.warning(&format!("{address} was not stopped: {problem}"));
    }
}
