//! `segment.proto` and the types that it carries. Bounds what a heartbeat may bring into rows.

use crate::types::{ClusterState, Epoch, Heartbeat};

use super::convert::BadField;
use super::convert_record::{record_from_wire, record_to_wire};
use super::v1;

/// Addresses and failed directories that one heartbeat may name.
const LIST_MAX: usize = 256;

/// Longest host name, address or directory.
const TEXT_BYTES_MAX: usize = 4096;

/// What a segment keeps durably of the reigns that it knows, and answers to every fencing call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceAnswer {
    pub accepted: bool,
    pub followed: Epoch,
    pub promised: Epoch,
    pub record: Option<ClusterState>,
}

#[must_use]
pub fn heartbeat_to_wire(heartbeat: &Heartbeat) -> v1::ImAliveRequest {
    v1::ImAliveRequest {
        epoch: heartbeat.highest().0,
        segment: heartbeat.segment,
        hostname: heartbeat.hostname.clone(),
        addresses: heartbeat.addresses.clone(),
        port: u32::from(heartbeat.port),
        rpc_port: u32::from(heartbeat.rpc_port),
        memory_mb: heartbeat.memory_mb,
        cores: heartbeat.cores,
        failed_directories: heartbeat.failed_directories.clone(),
        started_at_us: heartbeat.started_at,
        followed_epoch: heartbeat.followed.0,
        promised_epoch: heartbeat.promised.0,
    }
}

pub fn heartbeat_from_wire(wire: v1::ImAliveRequest) -> Result<Heartbeat, BadField> {
    if wire.segment == 0 {
        return Err(BadField::new("ImAliveRequest.segment", "the identity is missing"));
    }
    check_text("ImAliveRequest.hostname", &wire.hostname)?;
    check_list("ImAliveRequest.addresses", &wire.addresses)?;
    check_list("ImAliveRequest.failed_directories", &wire.failed_directories)?;
    if let Some(bad) = wire.failed_directories.iter().find(|name| !can_be_described(name)) {
        let reason = format!("{bad:?} is empty or contains a comma or semicolon");
        return Err(BadField::new("ImAliveRequest.failed_directories", reason));
    }
    let (followed, promised) = (Epoch(wire.followed_epoch), Epoch(wire.promised_epoch));
    if followed.max(promised) != Epoch(wire.epoch) {
        let reason = "it is not the higher of followed_epoch and promised_epoch";
        return Err(BadField::new("ImAliveRequest.epoch", reason));
    }
    Ok(Heartbeat {
        segment: wire.segment,
        hostname: wire.hostname,
        addresses: wire.addresses,
        port: port("ImAliveRequest.port", wire.port)?,
        rpc_port: port("ImAliveRequest.rpc_port", wire.rpc_port)?,
        memory_mb: wire.memory_mb,
        cores: wire.cores,
        failed_directories: wire.failed_directories,
        started_at: wire.started_at_us,
        followed,
        promised,
    })
}

/// Whether a directory's name can stand in HAWQ's description, which joins by `,` and `;`.
#[must_use]
pub fn can_be_described(directory: &str) -> bool {
    !directory.is_empty() && !directory.contains([',', ';']) && !directory.contains('\0')
}

/// Zero is allowed: a segment may have no PostgreSQL.
fn port(field: &str, value: u32) -> Result<u16, BadField> {
    u16::try_from(value).map_err(|_| BadField::new(field, format!("{value} is not a port")))
}

fn check_text(field: &str, text: &str) -> Result<(), BadField> {
    if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
        return Err(BadField::new(field, "too long, or contains a zero byte"));
    }
    Ok(())
}

fn check_list(field: &str, list: &[String]) -> Result<(), BadField> {
    if list.len() > LIST_MAX {
        return Err(BadField::new(field, format!("more than {LIST_MAX} entries")));
    }
    list.iter().try_for_each(|text| check_text(field, text))
}

#[must_use]
pub fn fence_to_wire(answer: &FenceAnswer) -> v1::FenceReply {
    v1::FenceReply {
        accepted: answer.accepted,
        followed_epoch: answer.followed.0,
        promised_epoch: answer.promised.0,
        record: answer.record.as_ref().map(record_to_wire),
    }
}

pub fn fence_from_wire(wire: v1::FenceReply) -> Result<FenceAnswer, BadField> {
    Ok(FenceAnswer {
        accepted: wire.accepted,
        followed: Epoch(wire.followed_epoch),
        promised: Epoch(wire.promised_epoch),
        record: wire.record.map(record_from_wire).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> v1::ImAliveRequest {
        v1::ImAliveRequest {
            epoch: 0x0101,
            segment: 7,
            hostname: "sdw1".to_owned(),
            addresses: vec!["10.0.0.1".to_owned()],
            port: 40_000,
            rpc_port: 5438,
            memory_mb: 65_536,
            cores: 16,
            failed_directories: vec!["/d1/tmp".to_owned()],
            started_at_us: 5,
            followed_epoch: 0x0001,
            promised_epoch: 0x0101,
        }
    }

    #[test]
    fn a_heartbeat_comes_back_as_it_was() {
        let heartbeat = heartbeat_from_wire(wire()).unwrap();
        assert_eq!(heartbeat_to_wire(&heartbeat), wire());
    }

    #[test]
    fn a_bad_heartbeat_is_refused_by_the_name_of_its_field() {
        let check = |change: fn(&mut v1::ImAliveRequest), field: &str| {
            let mut bad = wire();
            change(&mut bad);
            let error = heartbeat_from_wire(bad).unwrap_err();
            assert_eq!(error.field, field);
            assert_eq!(error.status().code(), tonic::Code::InvalidArgument);
        };
        check(|w| w.port = 70_000, "ImAliveRequest.port");
        check(|w| w.rpc_port = 70_000, "ImAliveRequest.rpc_port");
        check(|w| w.epoch = 0x0201, "ImAliveRequest.epoch");
        check(|w| w.segment = 0, "ImAliveRequest.segment");
        check(|w| w.hostname = "a\0b".to_owned(), "ImAliveRequest.hostname");
        check(|w| w.addresses = vec![String::new(); 300], "ImAliveRequest.addresses");
        check(
            |w| w.failed_directories = vec!["/a,/b".to_owned()],
            "ImAliveRequest.failed_directories",
        );
    }

    #[test]
    fn a_fence_answer_comes_back_with_its_record() {
        let mut record = super::super::test_record();
        record.not_synchronized_since = Some(crate::types::Lsn(77));
        let answer = FenceAnswer {
            accepted: true,
            followed: Epoch(0x0201),
            promised: Epoch(0x0302),
            record: Some(record),
        };
        assert_eq!(fence_from_wire(fence_to_wire(&answer)), Ok(answer));
    }
}
