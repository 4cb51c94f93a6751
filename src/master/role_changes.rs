//! Tells an operator's command of each change of this node's role (`ha_on_role_change`), for a
//! virtual address or a name that has to move. One at a time and in order, each with a deadline;
//! the node waits for none of them, and decides nothing by how they end.

use std::sync::Arc;

use crate::runtime::Script;
use crate::runtime::config::MasterSettings;
use crate::types::{Epoch, NodeId};

use super::node::NodeView;
use super::parts::Parts;

/// What the command is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary(Epoch),
    Standby,
    /// Neither: starting, taking over, without a primary, or ended.
    Closed,
}

impl Role {
    fn of(view: &NodeView) -> Role {
        match view.role {
            _ if view.open => Role::Primary(view.epoch),
            role if role.is_standby() => Role::Standby,
            _ => Role::Closed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Role::Primary(_) => "primary",
            Role::Standby => "standby",
            Role::Closed => "closed",
        }
    }
}

/// Until the node's loop ends, which closes it. A role that lasted for less than a command takes
/// may be left out; the last one never is.
pub(super) async fn tell(parts: Arc<Parts>) {
    let mut node = parts.node.clone();
    let mut told = None;
    loop {
        let view = Arc::clone(&node.borrow_and_update());
        let role = Role::of(&view);
        if told != Some(role) {
            told = Some(role);
            run(&parts.settings, role.name(), view.epoch).await;
        } else if node.changed().await.is_err() {
            if told != Some(Role::Closed) {
                tell_closed(&parts.settings, view.epoch).await;
            }
            return;
        }
    }
}

/// The process has ended.
pub(super) async fn tell_closed(settings: &MasterSettings, epoch: Epoch) {
    run(settings, Role::Closed.name(), epoch).await;
}

async fn run(settings: &MasterSettings, role: &str, epoch: Epoch) {
    let Some(script) = script(settings, role, epoch) else { return };
    match script.run().await {
        Ok(()) => tracing::info!("ha_on_role_change: told of {role} epoch={epoch}"),
        Err(problem) => tracing::error!("ha_on_role_change for {role} epoch={epoch}: {problem}"),
    }
}

fn script(settings: &MasterSettings, role: &str, epoch: Epoch) -> Option<Script> {
    let command = settings.on_role_change.as_ref()?;
    let node: NodeId = settings.node;
    let (node, epoch) = (node.to_string(), epoch.to_string());
    Some(Script {
        command: format!("{command} \"$@\""),
        arguments: vec![role.to_owned(), node.clone(), epoch.clone()],
        environment: [
            ("AERIE_ROLE", role.to_owned()),
            ("AERIE_NODE", node),
            ("AERIE_EPOCH", epoch),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        deadline: settings.on_role_change_timeout,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_told_role_node_and_epoch() {
        let temp = tempfile::tempdir().unwrap();
        let (file, line) = (temp.path().join("told"), "primary 7 3.7 primary 7 3.7\n");
        let command = temp.path().join("hook");
        let text = format!(
            "#!/bin/sh\necho \"$*\" $AERIE_ROLE $AERIE_NODE $AERIE_EPOCH >> {}\n",
            file.display()
        );
        std::fs::write(&command, text).unwrap();
        let pairs = [
            ("aerie_node".to_owned(), "7".to_owned()),
            ("aerie_peers".to_owned(), "7@localhost:1:2".to_owned()),
            ("ha_on_role_change".to_owned(), format!("sh {}", command.display())),
        ];
        let settings = MasterSettings::load(None, &pairs).unwrap();
        let epoch = Epoch::new(3, NodeId::new(7).unwrap());
        run(&settings, "primary", epoch).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), line);
    }
}
