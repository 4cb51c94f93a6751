//! Names and values of the store's `meta` family: a few numbers.

use super::error::Error;
use super::store::{Batch, Family, StoreSnapshot};

pub(crate) const APPLIED_LSN: &str = "applied_lsn";
/// The LSN of the last transaction that changed what relations look like.
pub(crate) const SCHEMA_LSN: &str = "schema_lsn";
pub(crate) const NEXT_OID: &str = "next_oid";
/// How many transaction ids the `status` family holds.
pub(crate) const STATUS_COUNT: &str = "status_count";
/// Ids below this one may have been forgotten.
pub(crate) const OLDEST_XID: &str = "oldest_xid";
/// The id of the last transaction that was applied.
pub(crate) const LAST_XID: &str = "last_xid";

/// A number that was never written is zero.
pub(crate) fn read(store: &dyn StoreSnapshot, name: &str) -> Result<u64, Error> {
    match store.get(Family::Meta, name.as_bytes())? {
        None => Ok(0),
        Some(value) => value
            .as_slice()
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| Error::corrupt(format!("meta value {name}"))),
    }
}

pub(crate) fn write(batch: &mut Batch, name: &str, value: u64) {
    batch.put(Family::Meta, name.as_bytes().to_vec(), value.to_be_bytes().to_vec());
}
