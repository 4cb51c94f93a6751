//! The cluster state and members by reference: names for the conversions that segments use.

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
