//! Runs an operator's script with a deadline: a fencing method, or the news of a change of role.
//!
//! A script gets a process group of its own, so that what it has started ends with it when time is
//! up. It never decides what a failure means.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Of what a script says on standard output and error, so much is kept for the log.
const SAID_BYTES_MAX: u64 = 2_000;

const LAST_WORDS_MAX: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For `sh -c`; `$1` and so on are `arguments`.
    pub command: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub deadline: Duration,
}

impl Script {
    /// Success is exit status 0 in time; otherwise why not, with what the script said.
    pub async fn run(&self) -> Result<(), String> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&self.command).arg("sh").args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("start /bin/sh: {error}"))?;
        let mut group = Group(child.id());
        let ended = tokio::time::timeout(self.deadline, wait(&mut child)).await;
        if matches!(ended, Ok(Ok(_))) {
            // What it left running, it left running on purpose.
            group.0 = None;
        }
        drop(group);
        match ended {
            Ok(Ok((status, _))) if status.success() => Ok(()),
            Ok(Ok((status, said))) => Err(format!("{status}{}", quoted(&said))),
            Ok(Err(error)) => Err(format!("wait: {error}")),
            Err(_) => Err(format!("not done within {:?}", self.deadline)),
        }
    }
}

async fn wait(child: &mut Child) -> std::io::Result<(ExitStatus, String)> {
    let (errors, output) = (child.stderr.take(), child.stdout.take());
    let errors = tokio::spawn(async move { hear(errors).await });
    let output = tokio::spawn(async move { hear(output).await });
    let status = child.wait().await?;
    let mut said = Vec::new();
    for words in [errors, output] {
        // What the script left running may hold its output open.
        if let Ok(Ok(words)) = tokio::time::timeout(LAST_WORDS_MAX, words).await {
            said.extend(words);
        }
    }
    let said: Vec<String> = said.into_iter().filter(|words| !words.is_empty()).collect();
    Ok((status, said.join("; ")))
}

/// The beginning of what is said; the rest is read too, so that no speaker is held up.
async fn hear(source: Option<impl AsyncRead + Unpin>) -> Option<String> {
    let mut source = source?;
    let mut said = Vec::new();
    (&mut source).take(SAID_BYTES_MAX).read_to_end(&mut said).await.ok()?;
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
    tokio::io::copy(&mut source, &mut tokio::io::sink()).await.ok();
    Some(said)
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", and said: {said}") }
}

/// Ends whatever of the script is left, also when nobody waits for it any more.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            // Usually nothing is left.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(command: &str) -> Script {
        Script {
            command: command.to_owned(),
            arguments: vec!["one two".to_owned()],
            environment: vec![("AERIE_TEST".to_owned(), "x".to_owned())],
            deadline: Duration::from_secs(20),
        }
    }

    #[tokio::test]
    async fn arguments_and_environment_arrive() {
        let found = script("test \"$1\" = 'one two' && test \"$AERIE_TEST\" = x").run().await;
        assert_eq!(found, Ok(()));
    }

    #[tokio::test]
    async fn a_failure_tells_status_and_words() {
        let failed = script("echo no power >&2; exit 3").run().await.unwrap_err();
        assert_eq!(failed, "exit status: 3, and said: no power");
    }

    #[tokio::test]
    async fn what_runs_on_does_not_hold_up_the_answer() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}", file.display());
        assert_eq!(script(&command).run().await, Ok(()));
        let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn a_deadline_ends_the_script_and_its_children() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}; wait", file.display());
        let mut pid = None;
        for deadline in [1, 5, 25].map(Duration::from_secs) {
            let slow = Script { deadline, ..script(&command) };
            assert!(slow.run().await.unwrap_err().contains("not done within"));
            pid = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
            if pid.is_some() {
                break;
            }
        }
        let pid: i32 = pid.expect("the shell came to its second command");
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.contains(") S")
        };
        eventually(gone);
    }

    fn eventually(done: impl Fn() -> bool) {
        for _ in 0..1000 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not come to pass");
    }
}
