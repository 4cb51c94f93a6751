//! Tries the operator's fencing methods (`ha_fencing_methods`) on an old primary, in order, until
//! one succeeds. Whether that is needed, and what follows, the node decides.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::runtime::Script;
use crate::runtime::config::{FencingMethod, MasterSettings};
use crate::types::{Epoch, Unfenced};

use super::inbox::Inbox;
use super::{ControlFile, Event};

pub(super) struct OldPrimary {
    methods: Vec<FencingMethod>,
    deadline: Duration,
    control: ControlFile,
    inbox: Arc<Inbox>,
    tasks: Handle,
    running: Option<JoinHandle<()>>,
}

impl OldPrimary {
    pub(super) fn new(
        settings: &MasterSettings,
        control: ControlFile,
        inbox: Arc<Inbox>,
        tasks: Handle,
    ) -> OldPrimary {
        let (methods, deadline) = (settings.fencing_methods.clone(), settings.fencing_timeout);
        OldPrimary { methods, deadline, control, inbox, tasks, running: None }
    }

    /// In the name of the reign of `reign`; what was tried in an earlier one's name is ended.
    pub(super) fn fence(&mut self, old: Unfenced, reign: Epoch) {
        if let Some(earlier) = self.running.take() {
            earlier.abort();
        }
        let environment = self.environment(old);
        let (methods, deadline) = (self.methods.clone(), self.deadline);
        let inbox = Arc::clone(&self.inbox);
        self.running = Some(self.tasks.spawn(async move {
            let outcome = try_all(&methods, environment, deadline).await;
            inbox.report(Event::Fenced { reign, outcome });
        }));
    }

    /// Who is to be fenced; the two names in small letters are those of HDFS.
    fn environment(&self, old: Unfenced) -> Vec<(String, String)> {
        let record = self.control.content().record;
        let entry = record.and_then(|record| record.members.get(&old.node).cloned());
        let (host, port) = entry.map_or_else(Default::default, |entry| (entry.host, entry.pg_port));
        [
            ("AERIE_FENCED_NODE", old.node.to_string()),
            ("AERIE_FENCED_EPOCH", old.epoch.to_string()),
            ("AERIE_FENCED_HOST", host.clone()),
            ("AERIE_FENCED_PORT", port.to_string()),
            ("target_host", host),
            ("target_port", port.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

async fn try_all(
    methods: &[FencingMethod],
    environment: Vec<(String, String)>,
    deadline: Duration,
) -> Result<String, String> {
    let mut failures = Vec::new();
    for method in methods {
        let command = match method {
            FencingMethod::None => return Ok("none".to_owned()),
            FencingMethod::Shell(command) => command.clone(),
        };
        let environment = environment.clone();
        let script =
            Script { command: command.clone(), arguments: Vec::new(), environment, deadline };
        match script.run().await {
            Ok(()) => return Ok(format!("shell({command})")),
            Err(problem) => failures.push(format!("shell({command}): {problem}")),
        }
    }
    if methods.is_empty() {
        return Ok("no method is set on this node".to_owned());
    }
    Err(failures.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(text: &[&str]) -> Vec<FencingMethod> {
        text.iter().map(|text| FencingMethod::Shell((*text).to_owned())).collect()
    }

    #[tokio::test]
    async fn the_first_method_that_succeeds_counts_and_ends_the_row() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("tried");
        let note = |word: &str, status: u8| {
            format!("echo {word} $target_host >> {}; exit {status}", file.display())
        };
        let (first, second, third) = (note("a", 1), note("b", 0), note("c", 0));
        let environment = vec![("target_host".to_owned(), "mdw".to_owned())];
        let wait = Duration::from_secs(20);
        let found = try_all(&methods(&[&first, &second, &third]), environment.clone(), wait).await;
        assert_eq!(found, Ok(format!("shell({second})")));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a mdw\nb mdw\n");
        let failed = try_all(&methods(&[&first, "exit 7"]), environment, wait).await.unwrap_err();
        assert!(failed.contains("exit status: 1; shell(exit 7): exit status: 7"), "{failed}");
    }

    #[tokio::test]
    async fn none_succeeds_and_so_does_no_method() {
        let wait = Duration::from_secs(20);
        assert_eq!(try_all(&[FencingMethod::None], Vec::new(), wait).await, Ok("none".to_owned()));
        assert!(try_all(&[], Vec::new(), wait).await.is_ok());
    }
}
