//! What a person and a script see: HAWQ's log lines on standard output and in the log file, and
//! plain lines on standard output alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aerie::runtime::log_line::{Level, Speaker};
use time::{OffsetDateTime, UtcOffset};

use crate::arguments::Common;

static LOCAL_OFFSET: OnceLock<UtcOffset> = OnceLock::new();

/// Call once, before any thread is started.
pub fn remember_local_offset() {
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    LOCAL_OFFSET.get_or_init(|| offset);
}

pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().to_offset(LOCAL_OFFSET.get().copied().unwrap_or(UtcOffset::UTC))
}

/// A line without prefix. A closed standard output is not our trouble.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// A line on standard error.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[derive(Debug)]
pub struct Report {
    speaker: Speaker,
    screen: Level,
    lowest: Level,
    file: Option<File>,
    path: PathBuf,
}

impl Report {
    /// `program` is `hawq_state`, `hawq_start`, …
    pub fn open(program: &str, common: &Common) -> anyhow::Result<Report> {
        if common.quiet && common.verbose {
            anyhow::bail!("Multiple actions specified.  See the --help info.");
        }
        let directory = common.logdir.clone().unwrap_or_else(default_directory);
        let date = now().date();
        let day = format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day());
        let path = directory.join(format!("{program}_{day}.log"));
        let file = open_file(&directory, &path);
        if let Err(error) = &file {
            complain(&format!("cannot write log file {}: {error}", path.display()));
        }
        let lowest = if common.verbose { Level::Debug } else { Level::Info };
        let screen = if common.quiet { Level::Warning } else { lowest };
        let speaker = Speaker::here(program);
        Ok(Report { speaker, screen, lowest, file: file.ok(), path })
    }

    /// The lines with which HAWQ's `start`, `stop`, `init` and `activate` begin.
    pub fn preamble(&self, verb: &str, gphome: &Path, words: &[&str]) {
        self.info(&format!("Prepare to do 'hawq {verb}'"));
        self.info("You can find log in:");
        self.info(&self.path.display().to_string());
        self.info("GPHOME is set to:");
        self.info(&gphome.display().to_string());
        let mut title = verb.to_owned();
        if let Some(first) = title.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        self.info(&format!("{title} hawq with args: [{}]", words.join(", ")));
    }

    pub fn debug(&self, message: &str) {
        self.log(Level::Debug, message);
    }

    pub fn info(&self, message: &str) {
        self.log(Level::Info, message);
    }

    pub fn warning(&self, message: &str) {
        self.log(Level::Warning, message);
    }

    pub fn error(&self, message: &str) {
        self.log(Level::Error, message);
    }

    pub fn log(&self, level: Level, message: &str) {
        if level < self.lowest {
            return;
        }
        let line = self.speaker.line(now(), level, message);
        if level >= self.screen {
            print(&line);
        }
        if let Some(mut file) = self.file.as_ref() {
            let _ = writeln!(file, "{line}");
        }
    }
}

fn default_directory() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    home.join("hawqAdminLogs")
}

fn open_file(directory: &Path, path: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(logdir: &Path) -> Common {
        Common {
            no_prompt: true,
            quiet: true,
            verbose: false,
            logdir: Some(logdir.to_owned()),
            timeout: 1,
            ignore_bad_hosts: false,
        }
    }

    #[test]
    fn lines_go_to_a_file_of_the_day() {
        let directory = tempfile::tempdir().unwrap();
        let report = Report::open("hawq_start", &common(directory.path())).unwrap();
        report.preamble("start", Path::new("/opt/hawq"), &["start", "cluster"]);
        report.debug("not written");
        let name = report.path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("hawq_start_2") && name.ends_with(".log"), "{name}");
        let text = fs::read_to_string(&report.path).unwrap();
        let messages: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("-[INFO]:-")).map(|m| m.1).collect();
        let path = report.path.display().to_string();
        assert_eq!(
            messages,
            [
                "Prepare to do 'hawq start'",
                "You can find log in:",
                path.as_str(),
                "GPHOME is set to:",
                "/opt/hawq",
                "Start hawq with args: ['start', 'cluster']",
            ]
        );
    }

    #[test]
    fn quiet_and_verbose_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let both = Common { verbose: true, ..common(directory.path()) };
        let refused = Report::open("hawq_start", &both).unwrap_err().to_string();
        assert_eq!(refused, "Multiple actions specified.  See the --help info.");
    }
}
