//! Messages between master nodes, to and from the wire.

use std::time::Duration;

use super::convert::{
    BadField, cluster_id, history_from_wire, history_to_wire, nested, nested_option, node_id,
    required,
};
use super::v1;
use crate::types::{Envelope, Epoch, Instant, Lsn, Message, RefuseCause};

use v1::envelope::Message as Wire;

impl From<Envelope> for v1::Envelope {
    fn from(envelope: Envelope) -> v1::Envelope {
        v1::Envelope {
            cluster_id: envelope.cluster.to_string(),
            from: Some(envelope.from.into()),
            to: u32::from(envelope.to.get()),
            epoch: epoch_of(&envelope.message).0,
            message: Some(envelope.message.into()),
        }
    }
}

impl TryFrom<v1::Envelope> for Envelope {
    type Error = BadField;

    fn try_from(envelope: v1::Envelope) -> Result<Envelope, BadField> {
        Ok(Envelope {
            cluster: cluster_id("cluster_id", &envelope.cluster_id)?,
            from: nested("from", required("from", envelope.from)?)?,
            to: node_id("to", envelope.to)?,
            message: required("message", envelope.message)?.try_into()?,
        })
    }
}

/// The epoch in whose name a message is sent; zero where it is sent in nobody's.
fn epoch_of(message: &Message) -> Epoch {
    match message {
        Message::Hello { followed, .. } | Message::InquiryAnswer { followed, .. } => *followed,
        Message::Align { epoch, .. }
        | Message::SeedRequired { epoch, .. }
        | Message::Append { epoch, .. }
        | Message::Heartbeat { epoch, .. }
        | Message::Ack { epoch, .. }
        | Message::Release { epoch, .. } => *epoch,
        Message::Refuse { higher, .. } => *higher,
        Message::Inquiry { .. } => Epoch::ZERO,
    }
}

fn cause_to_wire(cause: RefuseCause) -> i32 {
    match cause {
        RefuseCause::Recorded => v1::RefuseCause::Recorded.into(),
        RefuseCause::Promised => v1::RefuseCause::Promised.into(),
    }
}

fn cause_from_wire(value: i32) -> Result<RefuseCause, BadField> {
    match v1::RefuseCause::try_from(value) {
        Ok(v1::RefuseCause::Recorded) => Ok(RefuseCause::Recorded),
        Ok(v1::RefuseCause::Promised) => Ok(RefuseCause::Promised),
        Ok(v1::RefuseCause::Unspecified) => Err(BadField::missing("cause")),
        Err(_) => Err(BadField::new("cause", format!("unknown value {value}"))),
    }
}

impl From<Message> for Wire {
    // A table: one message after the other, its fields side by side.
    #[rustfmt::skip]
    fn from(message: Message) -> Wire {
        match message {
            Message::Hello { followed, end, commit_lsn, history, seeding } => {
                Wire::Hello(v1::Hello {
                    followed_epoch: followed.0, end_lsn: end.0, commit_lsn: commit_lsn.0,
                    history: history_to_wire(&history), seeding,
                })
            }
            Message::Align { epoch, cut, history, record } => Wire::Align(v1::Align {
                epoch: epoch.0, cut_lsn: cut.0, history: history_to_wire(&history),
                record: Some(record.into()),
            }),
            Message::SeedRequired { epoch, judged, reason } => {
                let judged_lsn = judged.0;
                Wire::SeedRequired(v1::SeedRequired { epoch: epoch.0, reason, judged_lsn })
            }
            Message::Append { epoch, from, records, commit_lsn, sent_at } => {
                Wire::Append(v1::Append {
                    epoch: epoch.0, from_lsn: from.0, records, commit_lsn: commit_lsn.0,
                    sent_at_ns: sent_at.0,
                })
            }
            Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record } => {
                Wire::Heartbeat(v1::Heartbeat {
                    epoch: epoch.0, write_lsn: write_lsn.0, commit_lsn: commit_lsn.0,
                    sent_at_ns: sent_at.0, record: record.map(Into::into),
                })
            }
            Message::Ack { epoch, flush_lsn, apply_lsn, record_version, echo } => {
                Wire::Ack(v1::Ack {
                    epoch: epoch.0, flush_lsn: flush_lsn.0, apply_lsn: apply_lsn.0,
                    record_version, echo_ns: echo.0,
                })
            }
            Message::Refuse { refused, higher, cause, record } => Wire::Refuse(v1::Refuse {
                refused_epoch: refused.0, higher_epoch: higher.0, cause: cause_to_wire(cause),
                record: record.map(Into::into),
            }),
            Message::Inquiry { attempt } => Wire::Inquiry(v1::Inquiry { attempt }),
            Message::InquiryAnswer {
                attempt, reigning, hears_primary, followed, promised, flush_lsn, record,
            } => Wire::InquiryAnswer(v1::InquiryAnswer {
                attempt, reigning_epoch: reigning.map(|epoch| epoch.0), hears_primary,
                followed_epoch: followed.0, promised_epoch: promised.0, flush_lsn: flush_lsn.0,
                record: record.map(Into::into),
            }),
            Message::Release { epoch, end, to, planned, stopped_for } => Wire::Release(v1::Release {
                epoch: epoch.0, end_lsn: end.0, to: to.map_or(0, |node| u32::from(node.get())),
                stopped_for_us: u64::try_from(stopped_for.as_micros()).unwrap_or(u64::MAX), planned,
            }),
        }
    }
}

impl TryFrom<Wire> for Message {
    type Error = BadField;

    fn try_from(message: Wire) -> Result<Message, BadField> {
        match message {
            Wire::Hello(hello) => nested("hello", hello),
            Wire::Align(align) => nested("align", align),
            Wire::SeedRequired(v1::SeedRequired { epoch, reason, judged_lsn }) => {
                let (epoch, judged) = (Epoch(epoch), Lsn(judged_lsn));
                Ok(Message::SeedRequired { epoch, judged, reason })
            }
            Wire::Append(append) => Ok(Message::Append {
                epoch: Epoch(append.epoch),
                from: Lsn(append.from_lsn),
                records: append.records,
                commit_lsn: Lsn(append.commit_lsn),
                sent_at: Instant(append.sent_at_ns),
            }),
            Wire::Heartbeat(heartbeat) => nested("heartbeat", heartbeat),
            Wire::Ack(ack) => Ok(Message::Ack {
                epoch: Epoch(ack.epoch),
                flush_lsn: Lsn(ack.flush_lsn),
                apply_lsn: Lsn(ack.apply_lsn),
                record_version: ack.record_version,
                echo: Instant(ack.echo_ns),
            }),
            Wire::Refuse(refuse) => nested("refuse", refuse),
            Wire::Inquiry(v1::Inquiry { attempt }) => Ok(Message::Inquiry { attempt }),
            Wire::InquiryAnswer(answer) => nested("inquiry_answer", answer),
            Wire::Release(release) => nested("release", release),
        }
    }
}

impl TryFrom<v1::Hello> for Message {
    type Error = BadField;

    fn try_from(hello: v1::Hello) -> Result<Message, BadField> {
        Ok(Message::Hello {
            followed: Epoch(hello.followed_epoch),
            end: Lsn(hello.end_lsn),
            commit_lsn: Lsn(hello.commit_lsn),
            history: history_from_wire("history", &hello.history)?,
            seeding: hello.seeding,
        })
    }
}

impl TryFrom<v1::Align> for Message {
    type Error = BadField;

    fn try_from(align: v1::Align) -> Result<Message, BadField> {
        Ok(Message::Align {
            epoch: Epoch(align.epoch),
            cut: Lsn(align.cut_lsn),
            history: history_from_wire("history", &align.history)?,
            record: nested("record", required("record", align.record)?)?,
        })
    }
}

impl TryFrom<v1::Heartbeat> for Message {
    type Error = BadField;

    fn try_from(heartbeat: v1::Heartbeat) -> Result<Message, BadField> {
        Ok(Message::Heartbeat {
            epoch: Epoch(heartbeat.epoch),
            write_lsn: Lsn(heartbeat.write_lsn),
            commit_lsn: Lsn(heartbeat.commit_lsn),
            sent_at: Instant(heartbeat.sent_at_ns),
            record: nested_option("record", heartbeat.record)?,
        })
    }
}

impl TryFrom<v1::Refuse> for Message {
    type Error = BadField;

    fn try_from(refuse: v1::Refuse) -> Result<Message, BadField> {
        Ok(Message::Refuse {
            refused: Epoch(refuse.refused_epoch),
            higher: Epoch(refuse.higher_epoch),
            cause: cause_from_wire(refuse.cause)?,
            record: nested_option("record", refuse.record)?,
        })
    }
}

impl TryFrom<v1::InquiryAnswer> for Message {
    type Error = BadField;

    fn try_from(answer: v1::InquiryAnswer) -> Result<Message, BadField> {
        Ok(Message::InquiryAnswer {
            attempt: answer.attempt,
            reigning: answer.reigning_epoch.map(Epoch),
            hears_primary: answer.hears_primary,
            followed: Epoch(answer.followed_epoch),
            promised: Epoch(answer.promised_epoch),
            flush_lsn: Lsn(answer.flush_lsn),
            record: nested_option("record", answer.record)?,
        })
    }
}

impl TryFrom<v1::Release> for Message {
    type Error = BadField;

    fn try_from(release: v1::Release) -> Result<Message, BadField> {
        Ok(Message::Release {
            epoch: Epoch(release.epoch),
            end: Lsn(release.end_lsn),
            to: match release.to {
                0 => None,
                node => Some(node_id("to", node)?),
            },
            planned: release.planned,
            stopped_for: Duration::from_micros(release.stopped_for_us),
        })
    }
}
