//! A transaction as it is logged: changes to rows, nothing else.
//!
//! Changes are physical (relation, encoded key, whole row), so that applying one needs neither a
//! schema nor a clock and gives the same bytes on every node. The payload begins with a version;
//! decoding a foreign or damaged payload is an error, never a panic.

use crate::types::Lsn;

use super::codec::{CodecError, Reader, put_bytes};
use super::key::RowKey;

const VERSION: u8 = 1;
/// Names what a payload is, so that bytes of another origin are told apart.
const MAGIC: [u8; 3] = *b"txn";
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// One changed row; `row` is encoded as `row.rs` says, `None` deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: RowKey,
    pub row: Option<Vec<u8>>,
}

/// What a session hands over to be committed.
///
/// * `changes` are in key order and name no key twice.
/// * `guards` are keys that were relied on and not changed here.
/// * `next_oid` is greater than every oid that the transaction took; zero if it took none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub xid: u64,
    pub snapshot: Lsn,
    pub changes: Vec<Change>,
    pub guards: Vec<RowKey>,
    pub next_oid: u32,
}

impl Transaction {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.changes.len() * 64);
        out.push(VERSION);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&self.snapshot.0.to_be_bytes());
        out.extend_from_slice(&self.next_oid.to_be_bytes());
        put_count(&mut out, self.changes.len());
        for change in &self.changes {
            out.push(if change.row.is_some() { PUT } else { DELETE });
            put_key(&mut out, &change.key);
            if let Some(row) = &change.row {
                put_bytes(&mut out, row);
            }
        }
        put_count(&mut out, self.guards.len());
        for guard in &self.guards {
            put_key(&mut out, guard);
        }
        out
    }

    pub fn decode(payload: &[u8]) -> Result<Transaction, CodecError> {
        let mut reader = Reader::new(payload);
        if reader.u8("transaction version")? != VERSION {
            return Err(reader.error("transaction version"));
        }
        if reader.take(MAGIC.len(), "transaction mark")? != MAGIC {
            return Err(reader.error("transaction mark"));
        }
        let xid = reader.u64("transaction id")?;
        let snapshot = Lsn(reader.u64("snapshot")?);
        let next_oid = reader.u32("next oid")?;
        let mut changes = Vec::new();
        for _ in 0..reader.u32("change count")? {
            let kind = reader.u8("change kind")?;
            let key = key(&mut reader)?;
            let row = match kind {
                PUT => Some(reader.bytes("row")?.to_vec()),
                DELETE => None,
                _ => return Err(reader.error("change kind")),
            };
            changes.push(Change { key, row });
        }
        let mut guards = Vec::new();
        for _ in 0..reader.u32("guard count")? {
            guards.push(key(&mut reader)?);
        }
        reader.end("end of transaction")?;
        Ok(Transaction { xid, snapshot, changes, guards, next_oid })
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn put_key(out: &mut Vec<u8>, key: &RowKey) {
    out.extend_from_slice(&key.relation.to_be_bytes());
    put_bytes(out, &key.key);
}

fn key(reader: &mut Reader<'_>) -> Result<RowKey, CodecError> {
    let relation = reader.u32("relation")?;
    Ok(RowKey { relation, key: reader.bytes("key")?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Transaction {
        let key = |relation, byte| RowKey { relation, key: vec![byte; 3] };
        Transaction {
            xid: 7 << 40 | 3,
            snapshot: Lsn(4096),
            changes: vec![
                Change { key: key(1259, 1), row: Some(vec![1, 2, 3]) },
                Change { key: key(1259, 2), row: None },
            ],
            guards: vec![key(2615, 9)],
            next_oid: 16_400,
        }
    }

    #[test]
    fn a_payload_survives_a_round_trip() {
        assert_eq!(Transaction::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_cut_and_every_flipped_header_byte_is_refused() {
        let bytes = sample().encode();
        for end in 0..bytes.len() {
            assert!(Transaction::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..4 {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert!(Transaction::decode(&bad).is_err(), "flip at {at}");
        }
        assert!(Transaction::decode(&[]).is_err());
    }
}
