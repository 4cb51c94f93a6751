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

/// The numbers of the store's `meta` family that every batch continues from. Whoever writes the
/// store keeps them, so that applying a record reads nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) applied: Lsn,
    /// The last change to what relations look like.
    pub(crate) schema: Lsn,
    pub(crate) next_oid: u32,
    status_count: u64,
}

impl Numbers {
    pub(crate) fn read(store: &dyn StoreSnapshot) -> Result<Numbers, Error> {
        let next_oid = u32::try_from(meta::read(store, meta::NEXT_OID)?);
        let next_oid = next_oid.map_err(|_| Error::corrupt("oid counter"))?;
        Ok(Numbers {
            applied: Lsn(meta::read(store, meta::APPLIED_LSN)?),
            schema: Lsn(meta::read(store, meta::SCHEMA_LSN)?),
            next_oid: next_oid.max(FIRST_NORMAL_OID),
            status_count: meta::read(store, meta::STATUS_COUNT)?,
        })
    }
}

/// A batch, and what the store holds with it.
pub(crate) struct Applied {
    pub(crate) batch: Batch,
    pub(crate) numbers: Numbers,
    pub(crate) transactions: Vec<(Lsn, Transaction)>,
}

/// Turns the records beyond what `store` has applied into one batch; `None` if there is none.
pub(crate) fn prepare(
    store: &dyn StoreSnapshot,
    before: &Numbers,
    records: &[(Lsn, &[u8])],
    bound: StatusBound,
) -> Result<Option<Applied>, Error> {
    let mut numbers = *before;
    let mut lsn = before.applied;
    let mut transactions = Vec::with_capacity(records.len());
    for (end, payload) in records.iter().filter(|(end, _)| *end > before.applied) {
        if *end <= lsn {
            return Err(Error::corrupt(format!("record at {end} after {lsn}")));
        }
        lsn = *end;
        // An epoch-start record changes no row.
        if !payload.is_empty() {
            transactions.push((*end, Transaction::decode(payload)?));
        }
    }
    if lsn == before.applied {
        return Ok(None);
    }
    let mut batch = Batch::default();
    for (end, transaction) in &transactions {
        write_rows(&mut batch, *end, transaction);
        numbers.next_oid = numbers.next_oid.max(transaction.next_oid);
        if transaction.changes.iter().any(|c| describes_relations(c.key.relation)) {
            numbers.schema = *end;
        }
    }
    numbers.applied = lsn;
    numbers.status_count = write_statuses(store, &mut batch, &transactions, (before, bound))?;
    let values = [
        (meta::SCHEMA_LSN, before.schema.0, numbers.schema.0),
        (meta::NEXT_OID, u64::from(before.next_oid), u64::from(numbers.next_oid)),
        (meta::STATUS_COUNT, before.status_count, numbers.status_count),
        (meta::APPLIED_LSN, before.applied.0, numbers.applied.0),
    ];
    for (name, _, value) in values.into_iter().filter(|(_, old, new)| old != new) {
        meta::write(&mut batch, name, value);
    }
    Ok(Some(Applied { batch, numbers, transactions }))
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

/// Notes the ids as committed, and forgets the lowest ones when there are too many. Gives their
/// number.
fn write_statuses(
    store: &dyn StoreSnapshot,
    batch: &mut Batch,
    transactions: &[(Lsn, Transaction)],
    (before, bound): (&Numbers, StatusBound),
) -> Result<u64, Error> {
    let Some((_, last)) = transactions.last() else {
        return Ok(before.status_count);
    };
    let added = u64::try_from(transactions.len()).unwrap_or(u64::MAX);
    let mut count = before.status_count.saturating_add(added);
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
    meta::write(batch, meta::LAST_XID, last.xid);
    Ok(count)
}
