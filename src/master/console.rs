//! The server's text log: every line in HAWQ's shape, on standard error (whoever starts the
//! process sends that to a file under `pg_log/`).

use std::fmt;

use time::OffsetDateTime;
use tracing::{Event, Level as TracingLevel, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::runtime::log_line::{Level, Speaker};

struct HawqLines {
    speaker: Speaker,
}

impl<S, N> FormatEvent<S, N> for HawqLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            TracingLevel::ERROR => Level::Error,
            TracingLevel::WARN => Level::Warning,
            TracingLevel::INFO => Level::Info,
            _ => Level::Debug,
        };
        let mut message = String::new();
        context.field_format().format_fields(Writer::new(&mut message), event)?;
        // A line break would let a message pass for another line.
        let message = message.replace('\n', " ");
        let now = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc());
        writeln!(writer, "{}", self.speaker.line(now, level, &message))
    }
}

/// `filter` is a level, or directives as `info,node=debug`.
pub fn start(program: &str, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("log filter: {error}"))?;
    let lines = HawqLines { speaker: Speaker::here(program) };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .event_format(lines)
        .try_init()
        .map_err(|error| format!("start logging: {error}"))
}
