//! Why an attempt to become primary ends without a reign, in a sentence for whoever asked.

use std::fmt;

use crate::types::{Epoch, Mode, NodeId};

/// Why the attempt ends without a reign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NotInSync {
        primary: NodeId,
    },
    NotMember,
    NotRecorded {
        primary: NodeId,
    },
    PrimaryAnswers {
        node: NodeId,
        epoch: Epoch,
    },
    PrimaryHeard {
        by: NodeId,
    },
    ReignsAgain {
        node: NodeId,
        epoch: Epoch,
    },
    TooManyFailovers {
        max: u32,
    },
    Doubtful,
    NeverStands,
    Paused,
    /// Manual mode, and nobody asked.
    PersonDecides,
    /// The cluster is on its way out of manual mode.
    Enabling {
        mode: Mode,
        primary: NodeId,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotInSync { primary } => write!(
                f,
                "this node is not in the in-sync set, so it may lack what primary {primary} \
                 acknowledged; --force takes over all the same and loses that"
            ),
            Refusal::NotMember => f.write_str(
                "this node was removed from the cluster; make it a standby again with hawq init \
                 standby",
            ),
            Refusal::NotRecorded { primary } => {
                write!(f, "the cluster state names node {primary} as primary, not this one")
            }
            Refusal::PrimaryAnswers { node, epoch } => write!(
                f,
                "primary {node} still answers at epoch {epoch}; stop it, or ask for a switchover \
                 (--switchover)"
            ),
            Refusal::ReignsAgain { node, epoch } => {
                write!(f, "node {node} reigns in epoch {epoch}, above what was reported to be over")
            }
            Refusal::TooManyFailovers { max } => write!(
                f,
                "{max} failovers have followed each other (ha_max_failovers_per_hour): a \
                 person has to look why and type hawq activate standby"
            ),
            Refusal::PrimaryHeard { by } => write!(f, "node {by} still hears the primary"),
            Refusal::Doubtful => f.write_str(
                "the log's tail is damaged and may hide acknowledged records; no other in-sync \
                 node has confirmed where the log ends",
            ),
            Refusal::PersonDecides => {
                f.write_str("in manual mode only a person can order a takeover")
            }
            Refusal::Enabling { mode, primary } => write!(
                f,
                "node {primary} was about to enable automatic mode ({mode}); start it again, or \
                 take over with --force if it is gone for good"
            ),
            Refusal::NeverStands => f.write_str("this node's ha_priority is 0: it never stands"),
            Refusal::Paused => f.write_str(
                "automatic takeover is paused; \"hawq ha resume\" ends that, \"hawq ha failover\" \
                 takes over all the same",
            ),
        }
    }
}
