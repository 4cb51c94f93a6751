//! What a master is at the moment, as it is shown and told to others.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeRole {
    Joining,
    CatchingUp,
    InSync,
    TakingOver,
    Primary,
    SteppingDown,
}

impl NodeRole {
    pub const ALL: [NodeRole; 6] = [
        NodeRole::Joining,
        NodeRole::CatchingUp,
        NodeRole::InSync,
        NodeRole::TakingOver,
        NodeRole::Primary,
        NodeRole::SteppingDown,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NodeRole::Joining => "joining",
            NodeRole::CatchingUp => "catching-up",
            NodeRole::InSync => "in-sync",
            NodeRole::TakingOver => "taking-over",
            NodeRole::Primary => "primary",
            NodeRole::SteppingDown => "stepping-down",
        }
    }

    /// It follows a primary.
    #[must_use]
    pub fn is_standby(self) -> bool {
        matches!(self, NodeRole::CatchingUp | NodeRole::InSync)
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
