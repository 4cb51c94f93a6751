//! Daemons of this host, found by their command line in `/proc`.
//!
//! A pid alone is never trusted, since it may have been given to another process: a daemon is a
//! process whose program and `--data-dir` are the ones looked for.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A master has two processes of this program: it, and the parent that watches it.
const MASTER: &str = "hawq-master";

/// The parent's mark on the process that it starts.
const SUPERVISED: &str = "--supervised";

const POLL: Duration = Duration::from_millis(50);

/// A process that was seen alive; the start time tells it from a later one of the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// In clock ticks since boot.
    pub started: u64,
}

impl Process {
    /// The daemon `program` that works in `data_dir`.
    pub fn find(program: &str, data_dir: &Path) -> Option<Process> {
        all().find_map(|pid| Process::at(pid, program, data_dir))
    }

    /// The process `pid`, if it is that daemon.
    pub fn at(pid: u32, program: &str, data_dir: &Path) -> Option<Process> {
        Process::with(pid, program, data_dir, false)
    }

    /// The parent that starts the master in `data_dir` again when it crashes.
    pub fn supervisor(data_dir: &Path) -> Option<Process> {
        all().find_map(|pid| Process::with(pid, MASTER, data_dir, true))
    }

    /// Whether the master in `data_dir` had such a parent, and it is gone.
    pub fn lost_its_supervisor(data_dir: &Path) -> bool {
        let supervised = |process: Process| {
            let command = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            command.split(|byte| *byte == 0).any(|word| word == SUPERVISED.as_bytes())
        };
        Process::find(MASTER, data_dir).is_some_and(supervised)
            && Process::supervisor(data_dir).is_none()
    }

    fn with(pid: u32, program: &str, data_dir: &Path, supervises: bool) -> Option<Process> {
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<String> = command
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let name = Path::new(words.first()?).file_name()?;
        let is_init = words.get(1).is_some_and(|word| word == "init");
        if name != program || is_init || !works_in(&words, data_dir) {
            return None;
        }
        let serves = words.iter().any(|word| word == SUPERVISED || word == "--alone");
        if supervises == (serves || program != MASTER) {
            return None;
        }
        Some(Process { pid, started: started(pid)? })
    }

    /// Not gone, and not a zombie whose parent has not looked yet.
    pub fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// `false` when the process is gone.
    pub fn signal(self, signal: Signal) -> bool {
        let Ok(pid) = i32::try_from(self.pid) else { return false };
        self.is_alive() && kill(Pid::from_raw(pid), signal) != Err(Errno::ESRCH)
    }

    /// Whether the process ended in time.
    pub async fn wait_for_end(self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn works_in(words: &[String], data_dir: &Path) -> bool {
    let pairs = words.iter().zip(words.iter().skip(1));
    let apart = pairs.filter(|(flag, _)| *flag == "--data-dir").map(|(_, value)| value.as_str());
    let joined = words.iter().filter_map(|word| word.strip_prefix("--data-dir="));
    let wanted = fs::canonicalize(data_dir).ok();
    apart.chain(joined).any(|value| {
        let value = Path::new(value);
        value == data_dir || (wanted.is_some() && fs::canonicalize(value).ok() == wanted)
    })
}

/// Field 22 of `/proc/PID/stat`; `None` for a process that is gone or a zombie.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, may hold blanks and brackets; what follows it does not.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_daemon_is_known_by_program_and_directory() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("hawq-segment");
        fs::copy("/bin/sleep", &program).unwrap();
        let command = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let data = directory.path().to_str().unwrap();
        assert!(works_in(&command(&["x", "--data-dir", data]), directory.path()));
        assert!(works_in(&command(&["x", &format!("--data-dir={data}/")]), directory.path()));
        assert!(!works_in(&command(&["x", "--data-dir", "/"]), directory.path()));

        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let pid = child.id();
        assert_eq!(Process::supervisor(directory.path()), None);
        assert_eq!(Process::at(pid, "hawq-segment", directory.path()), None, "other directory");
        let process = Process { pid, started: started(pid).unwrap() };
        assert!(process.is_alive());
        assert!(!Process { started: process.started + 1, ..process }.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
        assert!(!process.signal(Signal::SIGTERM));
    }
}
