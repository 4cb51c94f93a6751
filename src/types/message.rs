//! What master nodes say to each other. One-way: any message may be lost, repeated or late.

use std::fmt;
use std::time::Duration;

use super::{ClusterId, ClusterState, Epoch, Instant, Lsn, Member, NodeId, TimelineHistory};

/// A message with what every receiver checks before it looks inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub cluster: ClusterId,
    pub from: Member,
    pub to: NodeId,
    pub message: Message,
}

/// Why a lower epoch is refused (a promise is not an epoch: the primary reacts differently).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseCause {
    /// A higher epoch is in the cluster state.
    Recorded,
    /// A candidate promised a higher epoch; its swap may yet fail.
    Promised,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A node that wants to follow says how its log ends. Asked of anyone who may be primary.
    Hello {
        followed: Epoch,
        end: Lsn,
        commit_lsn: Lsn,
        history: TimelineHistory,
        /// Everything is discarded here; a checkpoint is wanted, not the log.
        seeding: bool,
    },
    /// The primary's answer: cut your log at `cut`, then stream from there.
    Align { epoch: Epoch, cut: Lsn, history: TimelineHistory, record: ClusterState },
    /// The primary no longer has the log that the node needs (or the node's is unusable).
    /// `judged` is the log end of the hello that this answers: a late answer is passed over.
    SeedRequired { epoch: Epoch, judged: Lsn, reason: String },
    /// Records of the log from `from`, whole ones only.
    Append { epoch: Epoch, from: Lsn, records: Vec<u8>, commit_lsn: Lsn, sent_at: Instant },
    Heartbeat {
        epoch: Epoch,
        /// How far the log was sent to this receiver; zero while it is not aligned.
        write_lsn: Lsn,
        commit_lsn: Lsn,
        sent_at: Instant,
        /// Sent when the receiver may not have this version yet.
        record: Option<ClusterState>,
    },
    /// "Durable here up to `flush_lsn`", and a promise not to stand for one lease from receipt of
    /// the message that is echoed by `echo`.
    Ack { epoch: Epoch, flush_lsn: Lsn, apply_lsn: Lsn, record_version: u64, echo: Instant },
    /// "I follow or have promised a higher epoch than yours."
    Refuse { refused: Epoch, higher: Epoch, cause: RefuseCause, record: Option<ClusterState> },
    /// A candidate asks whether anybody hears the primary.
    Inquiry { attempt: u64 },
    InquiryAnswer {
        attempt: u64,
        /// The answering node is an open primary in this epoch.
        reigning: Option<Epoch>,
        hears_primary: bool,
        followed: Epoch,
        promised: Epoch,
        flush_lsn: Lsn,
        record: Option<ClusterState>,
    },
    /// The primary has stopped acknowledging and reading and hands its reign back.
    /// Nothing new has been accepted for `stopped_for`.
    Release { epoch: Epoch, end: Lsn, to: Option<NodeId>, planned: bool, stopped_for: Duration },
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Hello { followed, end, history, .. } => {
                write!(f, "hello followed={followed} end={end} history={history}")
            }
            Message::Align { epoch, cut, .. } => write!(f, "align epoch={epoch} cut={cut}"),
            Message::SeedRequired { epoch, reason, .. } => {
                write!(f, "seed-required epoch={epoch} reason={reason}")
            }
            Message::Append { epoch, from, records, commit_lsn, .. } => {
                let bytes = records.len();
                write!(f, "append epoch={epoch} from={from} bytes={bytes} commit={commit_lsn}")
            }
            Message::Heartbeat { epoch, write_lsn, commit_lsn, .. } => {
                write!(f, "heartbeat epoch={epoch} write={write_lsn} commit={commit_lsn}")
            }
            Message::Ack { epoch, flush_lsn, apply_lsn, .. } => {
                write!(f, "ack epoch={epoch} flush={flush_lsn} apply={apply_lsn}")
            }
            Message::Refuse { refused, higher, cause, .. } => {
                write!(f, "refuse epoch={refused} higher={higher} cause={cause:?}")
            }
            Message::Inquiry { attempt } => write!(f, "inquiry attempt={attempt}"),
            Message::InquiryAnswer { attempt, reigning, hears_primary, followed, .. } => {
                write!(f, "inquiry-answer attempt={attempt} followed={followed} ")?;
                write!(f, "hears_primary={hears_primary} reigning={}", reigning.is_some())
            }
            Message::Release { epoch, end, .. } => write!(f, "release epoch={epoch} end={end}"),
        }
    }
}
