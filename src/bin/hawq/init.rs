//! `hawq init`: makes data directories on this host and leaves what it made running.
//!
//! The directories of masters are made by `hawq-master init`; this verb checks, calls it, starts
//! the node and verifies the result. Nothing is ever deleted.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::Done;
use crate::arguments::InitOptions;
use crate::environment::{Environment, is_this_host};
use crate::init_standby;
use crate::launch;
use crate::prompt;
use crate::report::{self, Report};
use crate::start::{Start, own_host_name};
use crate::usage::{self, Command, Object};

pub async fn run(options: &InitOptions) -> anyhow::Result<Done> {
    let object = match usage::object(Command::Init, &options.objects) {
        Ok(object) => object,
        Err(text) => {
            report::print(&text);
            return Ok(Done::Badly);
        }
    };
    let environment = Environment::load()?;
    let report = Report::open("hawq_init", &options.common)?;
    report.preamble("init", &environment.gphome, &["init", object.name()]);
    let question = match object {
        Object::Standby => "Master will get restarted, continue with standby init",
        _ => "Continue with HAWQ init",
    };
    if !prompt::ask(question, options.common.no_prompt)? {
        return Ok(Done::Badly);
    }
    if object == Object::Standby {
        return init_standby::run(environment, &report, options).await;
    }
    let environment = match &options.standby_host {
        Some(host) => name_standby(environment, host)?,
        None => environment,
    };
    let done = match object {
        Object::Segment => segment(&environment, &report, options).await?,
        Object::Cluster => cluster(environment, &report, options).await?,
        _ => master(&environment, &report, options).await?,
    };
    Ok(if done { Done::Well } else { Done::Badly })
}

/// `-s`: into the site file, after checking that it can be.
pub fn name_standby(mut environment: Environment, host: &str) -> anyhow::Result<Environment> {
    let master = environment.settings.text("hawq_master_address_host");
    let one_address = environment.settings.optional("aerie_peers").is_none();
    if one_address
        && (host.eq_ignore_ascii_case(master) || is_this_host(host) && is_this_host(master))
    {
        anyhow::bail!("Standby host name can't be the same as master host name");
    }
    environment.site.set("hawq_standby_address_host", host)?;
    environment.site.save()?;
    Environment::load()
}

async fn cluster(
    environment: Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<bool> {
    let hosts = environment.segment_hosts.clone().unwrap_or_default();
    report.info(&format!("{} segment hosts defined", hosts.len()));
    if !master(&environment, report, options).await? {
        return Ok(false);
    }
    match &environment.master.standby_host {
        Some(host) => report.info(&format!(
            "On host {host}, copy {} there and type: hawq init standby --secret-file COPY",
            environment.master.secret_file.display()
        )),
        None => report.info("No standby host configured, skip it"),
    }
    let mut done = true;
    for host in &hosts {
        if is_this_host(host) {
            done &= segment(&Environment::load()?, report, options).await?;
        } else {
            report.info(&format!(
                "On host {host}, copy {} there and type: hawq init segment --secret-file COPY",
                environment.master.secret_file.display()
            ));
        }
    }
    if done {
        report.info("Init HAWQ cluster successfully");
    }
    Ok(done)
}

async fn master(
    environment: &Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<bool> {
    let settings = &environment.master;
    report.info(&format!("Start to init master node: '{}'", settings.host));
    if !is_this_host(&settings.host) {
        report.error(&format!("{0} is not this host; type there: hawq init master", settings.host));
        return Ok(false);
    }
    if !is_empty(&settings.data_dir) {
        report.error(&not_empty(&settings.data_dir));
        return Ok(false);
    }
    let mut arguments = init_arguments(environment);
    if let Some(id) = &options.cluster_id {
        arguments.extend(["--cluster-id".to_owned(), id.clone()]);
    }
    if let Err(error) = launch::run_init(&arguments) {
        report.error(&format!("{error:#}"));
        report.error("Master init failed, exit");
        return Ok(false);
    }
    let environment = Environment::load()?;
    let timeout = Duration::from_secs(options.common.timeout);
    let start = Start { environment: &environment, report, timeout, force: false, rejoin: false };
    if !start.master("Master").await? {
        report.error("Start hawq master failed");
        return Ok(false);
    }
    report.info("Master init successfully");
    Ok(true)
}

async fn segment(
    environment: &Environment,
    report: &Report,
    options: &InitOptions,
) -> anyhow::Result<bool> {
    let data_dir = &environment.segment.data_dir;
    if !is_empty(data_dir) {
        report.error(&not_empty(data_dir));
        return Ok(false);
    }
    for directory in &environment.segment.temp_dirs {
        if !directory.is_dir() {
            let shown = directory.display();
            report.error(&format!("Temporary directory {shown} does not exist, please create it"));
            return Ok(false);
        }
    }
    let secret = match init_standby::secret_file(environment, options) {
        Ok(secret) => secret,
        Err(error) => {
            report.error(&format!("{error:#}"));
            return Ok(false);
        }
    };
    let Some(primary) = init_standby::find_primary(environment, &secret).await? else {
        report.error("no primary answers, so that its cluster is not known; start it first");
        return Ok(false);
    };
    make_segment(data_dir, &secret, &primary.cluster_id)?;
    let timeout = Duration::from_secs(options.common.timeout);
    let start = Start { environment, report, timeout, force: false, rejoin: false };
    if !start.segment().await? {
        report.error("Segment init failed, exit");
        return Ok(false);
    }
    report.info("Segment init successfully");
    Ok(true)
}

/// The directory of a segment: its cluster and the cluster's secret; the agent adds the rest.
pub fn make_segment(data_dir: &Path, secret: &str, cluster_id: &str) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("create directory {}", data_dir.display()))?;
    for (name, text) in [("cluster.secret", secret), ("cluster.id", cluster_id)] {
        let path = data_dir.join(name);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("write {}", path.display()))?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
    }
    Ok(())
}

pub fn init_arguments(environment: &Environment) -> Vec<String> {
    vec![
        "--config".to_owned(),
        environment.site_path().display().to_string(),
        "--data-dir".to_owned(),
        environment.master.data_dir.display().to_string(),
    ]
}

/// Missing, or without anything in it.
pub fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(true, |mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "pg_log"))
    }) && !directory.is_file()
}

pub fn not_empty(directory: &Path) -> String {
    format!("Data directory {} is not empty on {}", directory.display(), own_host_name())
}
