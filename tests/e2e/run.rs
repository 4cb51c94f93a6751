//! Runs a command with a bound on its time. Output goes through files: a process that it leaves
//! behind may keep them open without holding the test up.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let file = |path: &Path| File::create(path).map_err(|error| error.to_string());
    command.stdin(Stdio::null()).stdout(file(&out)?).stderr(file(&err)?);
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let ended = wait_until(limit, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        Ok(None) => Err("it runs on".to_string()),
        Err(error) => Err(error.to_string()),
    });
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into();
    let (stdout, stderr): (String, String) = (text(&out), text(&err));
    match ended {
        Ok(status) => Ok(Outcome { code: status.code(), stdout, stderr }),
        Err(why) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("{command:?}: {why} after {limit:?}\n{stdout}\n{stderr}"))
        }
    }
}
