//! The cluster state and members by reference: names for the conversions that segments use, and
//! the record as text for files that people look into.

use prost::Message as _;

use crate::types::{ClusterState, Member};

use super::convert::BadField;
use super::v1;

impl BadField {
    /// The gRPC status of a request with such a field.
    #[must_use]
    pub fn status(&self) -> tonic::Status {
        tonic::Status::invalid_argument(self.to_string())
    }
}

#[must_use]
pub fn member_to_wire(member: Member) -> v1::Member {
    member.into()
}

pub fn member_from_wire(wire: &v1::Member) -> Result<Member, BadField> {
    (*wire).try_into()
}

#[must_use]
pub fn record_to_wire(record: &ClusterState) -> v1::ClusterState {
    record.clone().into()
}

pub fn record_from_wire(wire: v1::ClusterState) -> Result<ClusterState, BadField> {
    wire.try_into()
}

/// `hawq.v1.ClusterState`, hexadecimal.
#[must_use]
pub fn record_to_hex(record: &ClusterState) -> String {
    let bytes = record_to_wire(record).encode_to_vec();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// # Errors
/// What is wrong with the text.
pub fn record_from_hex(text: &str) -> Result<ClusterState, String> {
    let not_hex = || "record is not hexadecimal".to_owned();
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(not_hex());
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap_or_default(), 16);
    let bytes: Result<Vec<u8>, _> = (0..text.len()).step_by(2).map(byte).collect();
    let bytes = bytes.map_err(|_| not_hex())?;
    let wire = v1::ClusterState::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
    record_from_wire(wire).map_err(|error| error.to_string())
}
