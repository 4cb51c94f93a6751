//! Segments between two floors: the catalog's rows as `fts` wants them, and what `fts` has decided
//! as a catalog transaction. It decides nothing itself.

use crate::catalog::segments::{self, SegmentRow as StoredRow};
use crate::catalog::{Error, OpenTransaction, ReadView};
use crate::fts::{SegmentRow, Write};
use crate::types::RegistrationOrder;

/// All segments; a row whose status this program did not write is left out.
pub(super) fn load(view: &dyn ReadView) -> Result<Vec<SegmentRow>, Error> {
    let rows = segments::segment_rows(view)?;
    Ok(rows.into_iter().filter_map(segment).collect())
}

fn segment(row: StoredRow) -> Option<SegmentRow> {
    let RegistrationOrder::Segment(order) = RegistrationOrder::from_column(row.order)? else {
        return None;
    };
    let status = if row.up { 'u' } else { 'd' };
    let description = row.description.unwrap_or_default();
    Some(SegmentRow {
        order,
        status: SegmentRow::status_from_columns(status, &description)?,
        hostname: row.hostname,
        address: row.address,
        port: row.port,
    })
}

/// Puts the row (or, with `only_known`, updates it where it still exists) and its history.
/// False when there is nothing to write.
pub(super) fn store(
    transaction: &mut OpenTransaction,
    write: &Write,
    only_known: bool,
    now: i64,
) -> Result<bool, Error> {
    let SegmentRow { order, hostname, address, port, status } = &write.row;
    let order = RegistrationOrder::Segment(*order).to_column();
    if only_known && segments::segment_row(transaction, order)?.is_none() {
        return Ok(false);
    }
    let row = StoredRow {
        order,
        role: 'p',
        up: status.column() == 'u',
        port: *port,
        hostname: hostname.clone(),
        address: address.clone(),
        description: Some(status.description()),
    };
    let changed = segments::put_segment(transaction, &row)?;
    for (line, text) in (0..).zip(&write.history) {
        // Told in this order, also where the clock stands still.
        segments::add_history(transaction, now + line, order, hostname, text)?;
    }
    Ok(changed || !write.history.is_empty())
}
