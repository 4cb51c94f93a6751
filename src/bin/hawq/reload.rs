//! `hawq reload`: has the daemons of this host read again what can be read while they run. Which
//! settings have to wait for the next start, the daemon says in its log.

use nix::sys::signal::Signal;

use crate::Done;
use crate::arguments::ReloadOptions;
use crate::environment::Environment;
use crate::process::Process;
use crate::report::{self, Report};
use crate::usage::{self, Command, Object};

pub fn run(options: &ReloadOptions) -> anyhow::Result<Done> {
    let object = match usage::object(Command::Reload, &options.objects) {
        Ok(object) => object,
        Err(text) => {
            report::print(&text);
            return Ok(Done::Badly);
        }
    };
    let environment = Environment::load()?;
    let report = Report::open("hawq_reload", &options.common)?;
    report.preamble("reload", &environment.gphome, &["reload", object.name()]);
    let done = match object {
        Object::Master => master(&environment, &report, "Master"),
        Object::Standby => master(&environment, &report, "Standby master"),
        Object::Segment | Object::AllSegments => segment(&report),
        Object::Cluster => {
            report.info("Reload hawq cluster");
            let done = master(&environment, &report, "Master");
            if done {
                report.info("Cluster reloaded successfully");
            }
            done
        }
    };
    Ok(if done { Done::Well } else { Done::Badly })
}

fn master(environment: &Environment, report: &Report, title: &str) -> bool {
    report.info(&format!("Reload hawq {}", title.to_lowercase()));
    let found = Process::find("hawq-master", &environment.master.data_dir);
    if !found.is_some_and(|process| process.signal(Signal::SIGHUP)) {
        let directory = environment.master.data_dir.display();
        report.error(&format!("{title} is not running in {directory}"));
        return false;
    }
    report.info(&format!("{title} reloaded successfully"));
    report.info("Settings that take effect at the next start are named in the server log");
    true
}

fn segment(report: &Report) -> bool {
    report.info("A segment's settings take effect at its next start: hawq restart segment");
    true
}
