//! Everything that can happen to a node, and everything that it may ask for.
//!
//! The node (`master::node`) is pure: the daemon's loop and the simulation both feed it events and
//! perform its effects. An effect that must come after another is not relied on by order of
//! calls: the driver reports completion by an event, and the node waits for it.

use std::collections::BTreeSet;
use std::fmt;

use crate::ha::{Authority, ReadOutcome, SwapOutcome};
use crate::types::{
    ClusterState, Epoch, Fence, Incarnation, Instant, Lsn, Member, MemberEntry, Message, Mode,
    NodeId, Nonce, TimelineHistory, Unfenced, Voter,
};

/// What a node keeps in its control file, written atomically and durably as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Control {
    /// The highest epoch that this node follows or reigned in.
    pub followed: Epoch,
    /// The highest epoch that it has promised to a candidacy of its own.
    pub promised: Epoch,
    /// The cluster state as last learned. In manual mode this copy is the record itself.
    pub record: Option<ClusterState>,
}

/// How the log was found at start; by default there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    pub end: Lsn,
    /// Oldest position that is still on disk.
    pub first: Lsn,
    /// The highest commit LSN found in the log.
    pub commit_lsn: Lsn,
    /// What the catalog has applied durably.
    pub apply_lsn: Lsn,
    pub history: TimelineHistory,
    /// The tail is damaged in a way that may hide a committed record (rule 12).
    pub doubtful: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "short-lived, moved once; boxing costs more")]
pub enum Event {
    Received {
        from: Member,
        message: Message,
    },
    /// The local log is durable up to `end`, written at `epoch`.
    Flushed {
        epoch: Epoch,
        end: Lsn,
    },
    Applied {
        lsn: Lsn,
    },
    /// `Effect::Persist` with this ticket is durable.
    Persisted {
        ticket: u64,
    },
    /// `Effect::Cut` is done; the log ends at `end`, durably.
    Cut {
        end: Lsn,
    },
    /// `Effect::Ship` to this peer has sent everything up to `end` (all of it may still get lost).
    Shipped {
        to: NodeId,
        epoch: Epoch,
        end: Lsn,
    },
    /// Old log files were removed.
    Recycled {
        first: Lsn,
    },
    RecordRead {
        attempt: u64,
        outcome: ReadOutcome,
    },
    Swapped {
        nonce: Nonce,
        outcome: SwapOutcome,
    },
    /// The node has been seeded from a checkpoint; it is a new life of this node.
    Seeded {
        incarnation: Incarnation,
        log: LogState,
    },
    /// The primary said no to `AskRelease`.
    NotReleased {
        ticket: u64,
        reason: String,
    },
    SeedFailed {
        reason: String,
    },
    /// A client's transaction, already encoded and checked for conflicts.
    Propose {
        ticket: u64,
        payload: Vec<u8>,
    },
    Request {
        ticket: u64,
        request: Request,
    },
    /// `Effect::FenceOld` was tried in the name of this reign: how it was done, or why not.
    Fenced {
        reign: Epoch,
        outcome: Result<String, String>,
    },
    /// Reads wait for a confirmation (`ha_read_mode = confirm`).
    ConfirmReads,
    Deadline,
}

/// What an operator or another part of the daemon asks of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `hawq activate standby`.
    Activate { force: bool, switchover: bool },
    /// `hawq start master --force`: open without hearing from the others.
    ForceOpen,
    /// Adds a standby to the members, or changes its entry (primary only).
    Admit { node: NodeId, entry: MemberEntry },
    /// Takes a standby out of the members (primary only).
    Remove { node: NodeId },
    /// No takeovers without a person while `paused`; by any node, so that it can be ended.
    Pause { paused: bool },
    /// Hand the reign back, to `to` where given, so that it may be taken over at once.
    Release { to: Option<NodeId> },
    /// The coordinator is lost for good: this node's copy of the record is to be the record.
    Abandon { force: bool },
    /// `hawq ha enable`: leave manual mode (primary only).
    Enable { mode: Mode, voters: BTreeSet<Voter> },
    /// `hawq ha disable`: back to manual mode (primary only).
    Disable,
    /// `hawq ha voter`: other voters of the embedded register, in place of `from` (primary only).
    ChangeVoters { from: BTreeSet<Voter>, to: BTreeSet<Voter> },
    /// This node's catalog differs from the primary's: leave the set and be seeded anew.
    Reseed { reason: String },
    /// `hawq start master --rejoin`: follow, although this node was primary.
    Rejoin,
    /// A supervisor: this member's process ended, and with it its epochs up to that one.
    Ended { member: Member, upto: Epoch },
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "short-lived, moved once; boxing costs more")]
pub enum Effect {
    /// Write one record at `lsn`; durable only after a later `Flushed`.
    Append {
        epoch: Epoch,
        lsn: Lsn,
        commit_lsn: Lsn,
        payload: Payload,
    },
    /// Write whole encoded records received from the primary.
    AppendEncoded {
        epoch: Epoch,
        from: Lsn,
        records: Vec<u8>,
    },
    /// Make everything appended so far durable, then report `Flushed`. Requests may be merged.
    Flush {
        epoch: Epoch,
    },
    /// Cut the log at `at`, keeping what is cut under `pg_lost_wal/`, then report `Cut`.
    Cut {
        at: Lsn,
    },
    /// Read whole records from `from` (at least one, at most about `max_bytes`), send them as an
    /// `Append` with these fields, then report `Shipped` with the end of what was sent; `from`
    /// itself where nothing can be read there.
    Ship {
        to: NodeId,
        epoch: Epoch,
        from: Lsn,
        max_bytes: u32,
        commit_lsn: Lsn,
        sent_at: Instant,
    },
    Send {
        to: NodeId,
        message: Message,
    },
    /// Ask the primary, as an operator would, to release its reign to this node.
    AskRelease {
        of: NodeId,
        ticket: u64,
    },
    /// Try the operator's fencing methods on an old primary, then report `Fenced`.
    FenceOld {
        old: Unfenced,
        reign: Epoch,
    },
    /// Apply committed records up to `lsn`, then report `Applied`.
    Apply {
        lsn: Lsn,
    },
    Persist {
        ticket: u64,
        control: Box<Control>,
    },
    ReadRecord {
        attempt: u64,
        authority: Authority,
        /// Whom to ask: the mode says who holds the record.
        coordinator: Mode,
    },
    Swap {
        authority: Authority,
        coordinator: Mode,
        proposed: Box<ClusterState>,
    },
    /// Put the record into a coordinator that has none, then report `Swapped`.
    Create {
        coordinator: Mode,
        first: Box<ClusterState>,
    },
    /// Fetch a checkpoint from the primary, then report `Seeded` or `SeedFailed`.
    Seed {
        from: NodeId,
        reason: String,
    },
    /// This node is an open primary: admit sessions and proposals.
    Open {
        fence: Fence,
    },
    /// This node is no longer an open primary: end sessions with 57P01, answer what is in flight
    /// with 08007.
    Close {
        reason: String,
    },
    /// The proposal stands in the log and ends at `end`; answer it when `Applied` reaches that.
    Proposed {
        ticket: u64,
        end: Lsn,
    },
    /// The proposal was certainly not appended.
    Rejected {
        ticket: u64,
        reason: Rejection,
    },
    /// An operator's request is done, or is not, with a sentence.
    Answer {
        ticket: u64,
        answer: Answer,
    },
    /// One line for the operator's log.
    Report {
        level: Level,
        text: String,
    },
    /// The process must end: going on could lose or fork data.
    Fatal {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The first record of a reign.
    EpochStart,
    Transaction(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    NotPrimary {
        primary: Option<NodeId>,
    },
    /// Primary, but not (or no longer) open; worth another try soon.
    NotOpen,
    /// Too much is waiting for the standby.
    Overloaded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done {
        text: String,
    },
    Refused {
        reason: String,
    },
    /// It may have taken effect, or may yet.
    Unknown {
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Received { from, message } => write!(f, "received from={} {message}", from.node),
            Event::Flushed { epoch, end } => write!(f, "flushed epoch={epoch} end={end}"),
            Event::Applied { lsn } => write!(f, "applied lsn={lsn}"),
            Event::Persisted { ticket } => write!(f, "persisted ticket={ticket}"),
            Event::Cut { end } => write!(f, "cut end={end}"),
            Event::Shipped { to, epoch, end } => {
                write!(f, "shipped to={to} epoch={epoch} end={end}")
            }
            Event::Recycled { first } => write!(f, "recycled first={first}"),
            Event::RecordRead { attempt, outcome } => match outcome {
                ReadOutcome::Record(record) => {
                    write!(f, "record-read attempt={attempt} {record}")
                }
                ReadOutcome::Empty => write!(f, "record-empty attempt={attempt}"),
                ReadOutcome::Unavailable { reason } => {
                    write!(f, "record-unavailable attempt={attempt} reason={reason}")
                }
            },
            Event::Swapped { outcome, .. } => match outcome {
                SwapOutcome::Done => f.write_str("swapped"),
                SwapOutcome::Failed { reason, .. } => write!(f, "swap-failed reason={reason}"),
                SwapOutcome::Unknown { reason } => write!(f, "swap-unknown reason={reason}"),
            },
            Event::Seeded { incarnation, log } => {
                write!(f, "seeded incarnation={incarnation} end={}", log.end)
            }
            Event::NotReleased { reason, .. } => write!(f, "not-released reason={reason}"),
            Event::SeedFailed { reason } => write!(f, "seed-failed reason={reason}"),
            Event::Propose { ticket, payload } => {
                write!(f, "propose ticket={ticket} bytes={}", payload.len())
            }
            Event::Request { ticket, request } => write!(f, "request ticket={ticket} {request:?}"),
            Event::Fenced { reign, outcome } => write!(f, "fenced reign={reign} {outcome:?}"),
            Event::ConfirmReads => f.write_str("confirm-reads"),
            Event::Deadline => f.write_str("deadline"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Append { epoch, lsn, payload, .. } => {
                let kind = match payload {
                    Payload::EpochStart => "epoch-start",
                    Payload::Transaction(_) => "transaction",
                };
                write!(f, "append epoch={epoch} lsn={lsn} {kind}")
            }
            Effect::AppendEncoded { epoch, from, records } => {
                write!(f, "append-encoded epoch={epoch} from={from} bytes={}", records.len())
            }
            Effect::Flush { epoch } => write!(f, "flush epoch={epoch}"),
            Effect::Cut { at } => write!(f, "cut at={at}"),
            Effect::Ship { to, from, .. } => write!(f, "ship to={to} from={from}"),
            Effect::Send { to, message } => write!(f, "send to={to} {message}"),
            Effect::AskRelease { of, .. } => write!(f, "ask-release of={of}"),
            Effect::FenceOld { old, reign } => {
                write!(f, "fence-old node={} epoch={} reign={reign}", old.node, old.epoch)
            }
            Effect::Apply { lsn } => write!(f, "apply lsn={lsn}"),
            Effect::Persist { ticket, control } => write!(
                f,
                "persist ticket={ticket} followed={} promised={} record={}",
                control.followed,
                control.promised,
                control.record.as_ref().map_or(0, |record| record.version)
            ),
            Effect::ReadRecord { attempt, .. } => write!(f, "read-record attempt={attempt}"),
            Effect::Swap { proposed, .. } => write!(f, "swap {proposed}"),
            Effect::Create { first, .. } => write!(f, "create {first}"),
            Effect::Seed { from, reason } => write!(f, "seed from={from} reason={reason}"),
            Effect::Open { fence } => write!(f, "open epoch={}", fence.epoch()),
            Effect::Close { reason } => write!(f, "close reason={reason}"),
            Effect::Proposed { ticket, end } => write!(f, "proposed ticket={ticket} end={end}"),
            Effect::Rejected { ticket, reason } => {
                write!(f, "rejected ticket={ticket} reason={reason:?}")
            }
            Effect::Answer { ticket, answer } => write!(f, "answer ticket={ticket} {answer:?}"),
            Effect::Report { text, .. } => write!(f, "report {text}"),
            Effect::Fatal { reason } => write!(f, "fatal reason={reason}"),
        }
    }
}
