//! Committed records to changes of the store: the same on every node.
//!
//! The batch holds the rows, the transaction ids and the new applied LSN together. Nothing here
//! depends on a clock, on this node, or on how records are grouped into calls, the pruning of old
//! transaction ids apart (which the digest leaves out). It never judges conflicts: what is
//! committed is applied.

use std::ops::ControlFlow;

use crate::types::Lsn;

use super::error::Error;
use super::layout::{FIRST_NORMAL_OID, describes_relations};
use super::meta;
use super::store::{Batch, Family, StoreSnapshot};
use super::transaction::Transaction;

/// How many transaction ids are remembered, and how many more there may be before the oldest are
/// forgotten all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusBound {
    pub(crate) kept: u64,
    pub(crate) slack: u64,
}

impl StatusBound {
    pub(crate) const DEFAULT: StatusBound = StatusBound { kept: 1_000_000, slack: 10_000 };
}

/// A batch and what it will have changed.
pub(crate) struct Applied {
    pub(crate) batch: Batch,
    pub(crate) lsn: Lsn,
    pub(crate) next_oid: u32,
    pub(crate) transactions: Vec<(Lsn, Transaction)>,
}

/// Turns the records beyond what `store` has applied into one batch; `None` if there is none.
pub(crate) fn prepare(
    store: &dyn StoreSnapshot,
    records: &[(Lsn, &[u8])],
    bound: StatusBound,
) -> Result<Option<Applied>, Error> {
    let before = Lsn(meta::read(store, meta::APPLIED_LSN)?);
    let mut lsn = before;
    let mut transactions = Vec::with_capacity(records.len());
    for (end, payload) in records.iter().filter(|(end, _)| *end > before) {
        if *end <= lsn {
            return Err(Error::corrupt(format!("record at {end} after {lsn}")));
        }
        lsn = *end;
        // An epoch-start record changes no row.
        if !payload.is_empty() {
            transactions.push((*end, Transaction::decode(payload)?));
        }
    }
    if lsn == before {
        return Ok(None);
    }
    let mut batch = Batch::default();
    let mut next_oid = next_oid(store)?;
    let mut schema_lsn = None;
    for (end, transaction) in &transactions {
        write_rows(&mut batch, *end, transaction);
        next_oid = next_oid.max(transaction.next_oid);
        if transaction.changes.iter().any(|c| describes_relations(c.key.relation)) {
            schema_lsn = Some(*end);
        }
    }
    if let Some(schema_lsn) = schema_lsn {
        meta::write(&mut batch, meta::SCHEMA_LSN, schema_lsn.0);
    }
    write_statuses(store, &mut batch, &transactions, bound)?;
    meta::write(&mut batch, meta::NEXT_OID, u64::from(next_oid));
    meta::write(&mut batch, meta::APPLIED_LSN, lsn.0);
    Ok(Some(Applied { batch, lsn, next_oid, transactions }))
}

pub(crate) fn next_oid(store: &dyn StoreSnapshot) -> Result<u32, Error> {
    let stored = meta::read(store, meta::NEXT_OID)?;
    let stored = u32::try_from(stored).map_err(|_| Error::corrupt("oid counter"))?;
    Ok(stored.max(FIRST_NORMAL_OID))
}

fn write_rows(batch: &mut Batch, end: Lsn, transaction: &Transaction) {
    for change in &transaction.changes {
        let key = change.key.stored();
        match &change.row {
            None => batch.delete(Family::Rows, key),
            Some(row) => {
                let mut value = Vec::with_capacity(8 + row.len());
                value.extend_from_slice(&end.0.to_be_bytes());
                value.extend_from_slice(row);
                batch.put(Family::Rows, key, value);
            }
        }
    }
}

/// Notes the ids as committed, and forgets the lowest ones when there are too many.
fn write_statuses(
    store: &dyn StoreSnapshot,
    batch: &mut Batch,
    transactions: &[(Lsn, Transaction)],
    bound: StatusBound,
) -> Result<(), Error> {
    let Some((_, last)) = transactions.last() else {
        return Ok(());
    };
    let added = u64::try_from(transactions.len()).unwrap_or(u64::MAX);
    let mut count = meta::read(store, meta::STATUS_COUNT)?.saturating_add(added);
    if count > bound.kept.saturating_add(bound.slack) {
        let mut oldest = Vec::new();
        let excess = usize::try_from(count.saturating_sub(bound.kept)).unwrap_or(usize::MAX);
        store.scan(Family::Status, &[], &mut |key, _| {
            oldest.push(key.to_vec());
            if oldest.len() < excess { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if let Some(newest) = oldest.last().and_then(|key| key.as_slice().try_into().ok()) {
            let kept_from = u64::from_be_bytes(newest).saturating_add(1);
            meta::write(batch, meta::OLDEST_XID, kept_from);
        }
        count = count.saturating_sub(u64::try_from(oldest.len()).unwrap_or(u64::MAX));
        for key in oldest {
            batch.delete(Family::Status, key);
        }
    }
    for (end, transaction) in transactions {
        let key = transaction.xid.to_be_bytes().to_vec();
        batch.put(Family::Status, key, end.0.to_be_bytes().to_vec());
    }
    meta::write(batch, meta::STATUS_COUNT, count);
    meta::write(batch, meta::LAST_XID, last.xid);
    Ok(())
}
