//! Runs a command with a bound on its time. Output goes through files: a process that it leaves
//! behind may keep them open without holding the test up.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::wait::wait_until;

#[derive(Debug, Clone)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output of a command that had to succeed.
    #[track_caller]
    pub fn expect(self, what: &str) -> String {
        assert!(self.ok(), "{what}: {self:#?}");
        self.stdout
    }

    /// Both outputs of a command that had to fail.
    #[track_caller]
    pub fn expect_failure(self, what: &str) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{what} should fail: {self:#?}");
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Panics when the command cannot be started or does not end in time.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Outcome {
    attempt(command, limit).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Ends the command by force when it takes longer than `limit`; that is a failure.
pub fn attempt(command: &mut Command, limit: Duration) -> Result<Outcome, String> {
    Running::start(command)?.end(limit)
}

/// A command that runs beside the test.
pub struct Running {
    child: Child,
    folder: TempDir,
    command: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Result<Running, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = |name| File::create(folder.path().join(name)).map_err(|error| error.to_string());
        command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?);
        let text = format!("{command:?}");
        let child = command.spawn().map_err(|error| format!("{text}: {error}"))?;
        Ok(Running { child, folder, command: text })
    }

    /// As Ctrl-C does it.
    pub fn interrupt(&self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("SIGINT");
    }

    /// Waits for the end, at most `limit`.
    pub fn end(mut self, limit: Duration) -> Result<Outcome, String> {
        let child = &mut self.child;
        let ended = wait_until(limit, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs on".to_string()),
            Err(error) => Err(error.to_string()),
        });
        let (stdout, stderr) = (self.text("out"), self.text("err"));
        match ended {
            Ok(status) => Ok(Outcome { code: status.code(), stdout, stderr }),
            Err(why) => Err(format!("{}: {why} after {limit:?}\n{stdout}\n{stderr}", self.command)),
        }
    }

    fn text(&self, name: &str) -> String {
        let text = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
