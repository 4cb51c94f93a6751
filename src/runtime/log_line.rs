//! HAWQ's log line: `20260101:12:00:00:004242 hawq_state:mdw:gpadmin-[INFO]:-message`.
//!
//! Scripts parse it, so it is byte for byte what HAWQ's tools print; the sixth field is the
//! process id, not microseconds. Nothing here writes anywhere.

use std::fmt;

use time::OffsetDateTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        })
    }
}

/// Who logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// `hawq_state`, `hawq_start`, …
    pub program: String,
    /// The host's name up to the first dot.
    pub host: String,
    pub user: String,
    pub pid: u32,
}

impl Speaker {
    /// This process on this host; `user` as `LOGNAME` or `USER` has it.
    #[must_use]
    pub fn here(program: &str) -> Speaker {
        let host = nix::unistd::gethostname()
            .map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned());
        let short = host.split('.').next().unwrap_or_default().to_owned();
        let user = ["LOGNAME", "USER"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        let user = user.unwrap_or_else(account);
        Speaker { program: program.to_owned(), host: short, user, pid: std::process::id() }
    }

    /// One line, without a line break.
    #[must_use]
    pub fn line(&self, time: OffsetDateTime, level: Level, message: &str) -> String {
        let (date, clock) = (time.date(), time.time());
        format!(
            "{:04}{:02}{:02}:{:02}:{:02}:{:02}:{:06} {}:{}:{}-[{level}]:-{message}",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            self.pid,
            self.program,
            self.host,
            self.user,
        )
    }
}

/// The name of the account that runs the process.
fn account() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| "unknown".to_owned(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_line_is_hawqs() {
        let speaker = Speaker {
            program: "hawq_state".to_owned(),
            host: "mdw".to_owned(),
            user: "gpadmin".to_owned(),
            pid: 4242,
        };
        let line = speaker.line(datetime!(2026-01-02 03:04:05 UTC), Level::Info, "-- done");
        assert_eq!(line, "20260102:03:04:05:004242 hawq_state:mdw:gpadmin-[INFO]:--- done");
        let speaker = Speaker { pid: 1_234_567, ..speaker };
        let line = speaker.line(datetime!(2026-11-22 23:59:59 UTC), Level::Warning, "x");
        assert_eq!(line, "20261122:23:59:59:1234567 hawq_state:mdw:gpadmin-[WARNING]:-x");
    }

    #[test]
    fn the_host_has_no_domain() {
        assert!(!Speaker::here("hawq_state").host.contains('.'));
    }
}
