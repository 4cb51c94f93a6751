//! `hawq restart`: stop, then start; what does not run is started.

use std::time::Duration;

use crate::Done;
use crate::arguments::StopOptions;
use crate::demo_home;
use crate::environment::Environment;
use crate::prompt;
use crate::report::{self, Report};
use crate::start::Start;
use crate::stop::Stop;
use crate::usage::{self, Command};

pub async fn run(options: &StopOptions) -> anyhow::Result<Done> {
    let object = match usage::object(Command::Restart, &options.objects) {
        Ok(object) => object,
        Err(text) => {
            report::print(&text);
            return Ok(Done::Badly);
        }
    };
    let environment = Environment::load()?;
    let timeout = Duration::from_secs(options.common.timeout);
    let report = Report::open("hawq_stop", &options.common)?;
    report.preamble("stop", &environment.gphome, &["stop", object.name()]);
    if let Some(text) = demo_home::refusal(&environment, Command::Restart, object) {
        report.error(&text);
        return Ok(Done::Badly);
    }
    if !prompt::ask("Continue with HAWQ service stop", options.common.no_prompt)? {
        return Ok(Done::Badly);
    }
    let stop = Stop { environment: &environment, report: &report, mode: options.mode, timeout };
    if !stop.object(object).await? {
        return Ok(Done::Badly);
    }
    let report = Report::open("hawq_start", &options.common)?;
    report.preamble("start", &environment.gphome, &["start", object.name()]);
    let start =
        Start { environment: &environment, report: &report, timeout, force: false, rejoin: false };
    Ok(if start.object(object).await? { Done::Well } else { Done::Badly })
}
