//! `hawq activate standby`: asks a standby to take over and shows what it says.
//!
//! Whether it may, the standby decides: it refuses while the old primary answers, and when commits
//! could be lost, unless it is told otherwise. Segments are not restarted; they follow.

use aerie::proto::v1::{ActivateRequest, Progress};
use aerie::runtime::log_line::Level;
use aerie::runtime::site_xml::SiteXml;

use crate::Done;
use crate::arguments::ActivateOptions;
use crate::cluster::{Cluster, NodeView};
use crate::environment::Environment;
use crate::ha_nodes;
use crate::ha_standing::{self, Agreed};
use crate::init_standby::peer_text;
use crate::prompt;
use crate::report::{self, Report};
use crate::state_detail;
use crate::usage::{self, Command, Object};

pub async fn run(options: &ActivateOptions) -> anyhow::Result<Done> {
    let object = match usage::object(Command::Activate, &options.objects) {
        Ok(object) => object,
        Err(text) => {
            report::print(&text);
            return Ok(Done::Badly);
        }
    };
    run_in(Environment::load()?, options, object).await
}

pub async fn run_in(
    environment: Environment,
    options: &ActivateOptions,
    object: Object,
) -> anyhow::Result<Done> {
    let report = Report::open("hawq_activate", &options.common)?;
    report.preamble("activate", &environment.gphome, &["activate", object.name()]);
    if !prompt::ask("Continue with HAWQ standby master activate", options.common.no_prompt)? {
        return Ok(Done::Badly);
    }
    let cluster = Cluster::ask(&environment).await;
    let defined = environment.names_standby() || cluster.nodes.len() > 1;
    if !defined {
        report.error("No valid standby host name found, skip activate standby");
        return Ok(Done::Badly);
    }
    let target = match choose(&cluster, options.node, u32::from(environment.master.node.get())) {
        Ok(target) => target,
        Err(problem) => {
            report.error(&problem);
            for line in state_detail::nodes(&cluster) {
                report.info(&line.text);
            }
            return Ok(Done::Badly);
        }
    };
    report.info(&format!("Starting to activate standby master '{}'", target.host));
    if cluster.primary().is_none() {
        report.info("HAWQ master is not running, skip");
    }
    let mut request = ActivateRequest {
        force: options.force,
        switchover: options.switchover,
        allow_data_loss: false,
    };
    if options.allow_data_loss {
        match accepts_loss(&report, &cluster, (target, options))? {
            Some(agreed) => request.allow_data_loss = agreed.allow_data_loss,
            None => return Ok(Done::Badly),
        }
    }
    match activate(&environment, &report, target, request).await {
        Done::Well => {}
        not_done => return Ok(not_done),
    }
    if let Err(error) = name_primary(environment.site, &report, target, &cluster) {
        let problem = format!("the standby is active, but hawq-site.xml was not changed: {error}");
        report.warning(&problem);
    }
    report.info("HAWQ activate standby successfully");
    Ok(Done::Well)
}

/// The standby to activate: the one asked for, this host's own, as HAWQ has it, else the one that
/// loses least. A choice can lose nothing: the standby itself refuses when it is behind.
fn choose(cluster: &Cluster, wanted: Option<u32>, own: u32) -> Result<&NodeView, String> {
    let answers = |view: &&NodeView| view.answer.is_ok() && !view.is_open_primary();
    let own_standby = cluster.node(own).filter(answers).map(|view| view.node);
    match wanted.or(own_standby) {
        Some(number) => ha_standing::named(cluster, number),
        None => ha_standing::best(cluster, own),
    }
}

/// `--allow-data-loss`: says what is lost, and asks. `None`: it is not agreed to.
fn accepts_loss(
    report: &Report,
    cluster: &Cluster,
    (target, options): (&NodeView, &ActivateOptions),
) -> anyhow::Result<Option<Agreed>> {
    let agreed = match ha_standing::agreed(cluster, target, ("--allow-data-loss", true)) {
        Ok(agreed) => agreed,
        Err(refusal) => {
            report.error(&refusal);
            return Ok(None);
        }
    };
    if let Some(loss) = &agreed.loss {
        report.warning(loss);
        if !prompt::ask("Continue although that is lost", options.common.no_prompt)? {
            return Ok(None);
        }
    }
    Ok(Some(agreed))
}

async fn activate(
    environment: &Environment,
    report: &Report,
    target: &NodeView,
    request: ActivateRequest,
) -> Done {
    let mut show = |line: &Progress| show(report, line);
    match ha_nodes::take_over(environment, target, request, &mut show).await {
        Ok(()) => Done::Well,
        // As HAWQ's callers know it, whatever the reason.
        Err(trouble) => {
            report.error(trouble.text());
            Done::Badly
        }
    }
}

fn show(report: &Report, progress: &Progress) {
    let level = match progress.level.as_str() {
        "ERROR" => Level::Error,
        "WARNING" => Level::Warning,
        _ => Level::Info,
    };
    if !progress.text.is_empty() {
        report.log(level, &progress.text);
    }
}

/// Names the new primary in the site file and removes the standby, as HAWQ does.
fn name_primary(
    mut site: SiteXml,
    report: &Report,
    primary: &NodeView,
    cluster: &Cluster,
) -> anyhow::Result<()> {
    report.info("Update master host name in hawq-site.xml");
    // HAWQ's two hosts number the nodes; once they change, the numbers must be written down.
    if site.get("aerie_peers").is_none_or(|property| property.value.is_empty()) {
        let peers: Vec<String> = cluster.nodes.iter().map(peer_text).collect();
        site.set("aerie_peers", &peers.join(","))?;
    }
    let changes = [
        ("hawq_master_address_host", primary.host.clone()),
        ("hawq_master_address_port", primary.pg_port.to_string()),
        ("hawq_rm_master_port", primary.rpc_port.to_string()),
    ];
    for (name, value) in changes {
        let old = site.get(name).map(|property| property.value.clone());
        // HAWQ always writes the host; ports differ only where several nodes share a host.
        if old.as_deref() == Some(value.as_str()) && name != "hawq_master_address_host" {
            continue;
        }
        for line in change_lines(name, old.is_some(), &value) {
            report.info(&line);
        }
        site.set(name, &value)?;
    }
    if site.remove("hawq_standby_address_host")? {
        report.info("Remove current standby from hawq-site.xml");
    }
    Ok(site.save()?)
}

/// What HAWQ's config tool prints of a change.
pub fn change_lines(name: &str, existed: bool, value: &str) -> [String; 2] {
    if existed {
        return [
            format!("GUC {name} already exist in hawq-site.xml"),
            format!("Update it with value: {value}"),
        ];
    }
    [
        format!("GUC {name} does not exist in hawq-site.xml"),
        format!("Try to add it with value: {value}"),
    ]
}

#[cfg(test)]
mod tests {
    use aerie::proto::v1::StatusReply;

    use super::*;

    fn view(node: u32, role: &str, flush_lsn: u64) -> NodeView {
        let open = role == "primary";
        let behind = (role == "catching-up").then(|| "rule 6: it is not in sync".to_owned());
        let reply = StatusReply {
            role: role.to_owned(),
            open,
            flush_lsn,
            cannot_stand: behind.into_iter().collect(),
            ..StatusReply::default()
        };
        let answer = if role.is_empty() { Err("refused".to_owned()) } else { Ok(Box::new(reply)) };
        NodeView { node, host: "127.0.0.1".to_owned(), rpc_port: node, pg_port: node, answer }
    }

    fn chosen(nodes: &[NodeView], wanted: Option<u32>, own: u32) -> Result<u32, String> {
        choose(&Cluster { nodes: nodes.to_vec() }, wanted, own).map(|view| view.node)
    }

    #[test]
    fn the_standby_is_asked_for_or_own_or_the_furthest() {
        let nodes = [
            view(1, "", 0),
            view(2, "in-sync", 10),
            view(3, "in-sync", 20),
            view(4, "catching-up", 30),
        ];
        assert_eq!(chosen(&nodes, None, 1), Ok(3));
        assert_eq!(chosen(&nodes, None, 2), Ok(2));
        assert_eq!(chosen(&nodes, None, 4), Ok(4));
        assert_eq!(chosen(&nodes, Some(4), 2), Ok(4));
        assert_eq!(chosen(&nodes, Some(1), 2), Err("node 1 does not answer: refused".to_owned()));
        assert_eq!(chosen(&nodes, Some(9), 2), Err("there is no node 9".to_owned()));
    }

    #[test]
    fn the_primary_is_never_the_target() {
        let nodes = [view(1, "primary", 10), view(2, "", 0)];
        assert!(chosen(&nodes, None, 1).unwrap_err().starts_with("no standby answers"));
        let refused = chosen(&nodes, Some(1), 1);
        assert_eq!(refused, Err("node 1 is the primary already".to_owned()));
    }
}
