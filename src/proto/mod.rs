//! Generated messages of `proto/hawq/v1`, and the only conversion between them and `types`.

pub mod convert;
mod convert_record;
mod convert_segment;
mod message;

pub use convert::BadField;
pub use convert_record::{
    member_from_wire, member_to_wire, record_from_hex, record_from_wire, record_to_hex,
    record_to_wire,
};
pub use convert_segment::{
    FenceAnswer, can_be_described, fence_from_wire, fence_to_wire, heartbeat_from_wire,
    heartbeat_to_wire,
};

#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod v1 {
    tonic::include_proto!("hawq.v1");
}

#[cfg(test)]
pub(crate) use test_record::test_record;

#[cfg(test)]
mod test_record {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::types::{
        ClusterId, ClusterState, Epoch, Incarnation, Lsn, Member, MemberEntry, NodeId, Nonce,
        TimelineHistory, Voter,
    };

    /// A record with something in every field that the first one leaves empty and a reign fills.
    pub(crate) fn test_record() -> ClusterState {
        let node = |number| NodeId::new(number).unwrap();
        let entry = |number: u16| MemberEntry {
            incarnation: Incarnation(u64::from(number)),
            host: format!("mdw{number}"),
            rpc_port: 5437 + number,
            pg_port: 5432,
            priority: 3,
        };
        let voter = |name: &str| Voter {
            name: name.to_owned(),
            incarnation: Incarnation(9),
            host: "h".to_owned(),
            rpc_port: 1,
        };
        let entries = vec![(Epoch(0x0101), Lsn(0)), (Epoch(0x0202), Lsn(100))];
        let primary = Member { node: node(2), incarnation: Incarnation(2) };
        let members = BTreeMap::from([(node(1), entry(1)), (node(2), entry(2))]);
        ClusterState {
            version: 5,
            epoch: Epoch(0x0202),
            voters: BTreeSet::from([voter("a")]),
            next_voters: Some(BTreeSet::from([voter("a"), voter("b")])),
            nonce: Nonce(0x1234),
            lease: std::time::Duration::from_millis(700),
            history: TimelineHistory::from_entries(entries).unwrap(),
            ..ClusterState::first(ClusterId(7), primary, members)
        }
    }
}
