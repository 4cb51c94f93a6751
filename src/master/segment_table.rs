//! The catalog's rows that this node keeps by itself: segments, master, standbys, the mirroring
//! state, and the history of all of them. Only the conversion between rows and values, and the
//! transactions; when to write is decided elsewhere (`fts`, `upkeep`).

use std::num::NonZeroU32;

use crate::catalog::{
    Catalog, Datum, Error, GP_CONFIGURATION_HISTORY, GP_MASTER_MIRRORING, GP_SEGMENT_CONFIGURATION,
    OpenTransaction, ReadView, Row,
};
use crate::fts::{SegmentRow, Write};
use crate::types::RegistrationOrder;

/// A row of `gp_segment_configuration` for a master or a standby.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MasterRow {
    /// Master 0, standbys -1, -2, … in the order of their node numbers.
    pub(super) order: i32,
    pub(super) role: u8,
    pub(super) port: u16,
    pub(super) hostname: String,
    pub(super) address: String,
}

/// The one row of `gp_master_mirroring`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirroring {
    pub(super) summary: &'static str,
    pub(super) detail: Option<String>,
    pub(super) error: Option<String>,
}

/// All segments, as `fts` wants them; a row that this program did not write is left out.
pub(super) fn segments(view: &dyn ReadView) -> Result<Vec<SegmentRow>, Error> {
    let rows = view.scan(GP_SEGMENT_CONFIGURATION, &[])?;
    Ok(rows.iter().filter_map(|row| segment(row)).collect())
}

fn segment(row: &Row) -> Option<SegmentRow> {
    let [order, _, status, port, hostname, address, description] = row.as_slice() else {
        return None;
    };
    let order = RegistrationOrder::from_column(i32::try_from(order.as_i64()?).ok()?)?;
    let RegistrationOrder::Segment(order) = order else { return None };
    let description = description.as_str().unwrap_or_default();
    let status = char::from(status.as_char()?);
    Some(SegmentRow {
        order,
        hostname: hostname.as_str()?.to_owned(),
        address: address.as_str()?.to_owned(),
        port: u16::try_from(port.as_i64()?).ok()?,
        status: SegmentRow::status_from_columns(status, description)?,
    })
}

/// Puts the row (or, with `only_known`, updates it where it still exists) and its history.
pub(super) fn write_segment(
    transaction: &mut OpenTransaction,
    write: &Write,
    only_known: bool,
    now: i64,
) -> Result<bool, Error> {
    let SegmentRow { order, hostname, address, port, status } = &write.row;
    let column = RegistrationOrder::Segment(*order).to_column();
    let known = transaction.get(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(column)])?;
    if only_known && known.is_none() {
        return Ok(false);
    }
    let row = vec![
        Datum::Int4(column),
        Datum::Char(b'p'),
        Datum::Char(status.column() as u8),
        Datum::Int4(i32::from(*port)),
        Datum::Text(hostname.clone()),
        Datum::Text(address.clone()),
        Datum::Text(status.description()),
    ];
    transaction.put(GP_SEGMENT_CONFIGURATION, row)?;
    for (line, text) in (0..).zip(&write.history) {
        // The whole row is its key, so that two lines of one moment need two times.
        history(transaction, column, hostname, (text, now + line))?;
    }
    Ok(true)
}

pub(super) fn history(
    transaction: &mut OpenTransaction,
    order: i32,
    hostname: &str,
    (text, time): (&str, i64),
) -> Result<(), Error> {
    let row = vec![
        Datum::Timestamptz(time),
        Datum::Int4(order),
        Datum::Text(hostname.to_owned()),
        Datum::Text(text.to_owned()),
    ];
    transaction.put(GP_CONFIGURATION_HISTORY, row)
}

/// The rows of master and standbys as they are stored.
pub(super) fn masters(view: &dyn ReadView) -> Result<Vec<MasterRow>, Error> {
    let rows = view.scan(GP_SEGMENT_CONFIGURATION, &[])?;
    let mut masters: Vec<MasterRow> = rows.iter().filter_map(|row| master(row)).collect();
    masters.sort_by_key(|row| std::cmp::Reverse(row.order));
    Ok(masters)
}

fn master(row: &Row) -> Option<MasterRow> {
    let [order, role, _, port, hostname, address, _] = row.as_slice() else { return None };
    let order = i32::try_from(order.as_i64()?).ok().filter(|order| *order <= 0)?;
    Some(MasterRow {
        order,
        role: role.as_char()?,
        port: u16::try_from(port.as_i64()?).ok()?,
        hostname: hostname.as_str()?.to_owned(),
        address: address.as_str()?.to_owned(),
    })
}

pub(super) fn put_master(transaction: &mut OpenTransaction, row: &MasterRow) -> Result<(), Error> {
    let row = vec![
        Datum::Int4(row.order),
        Datum::Char(row.role),
        Datum::Char(b'u'),
        Datum::Int4(i32::from(row.port)),
        Datum::Text(row.hostname.clone()),
        Datum::Text(row.address.clone()),
        Datum::Null,
    ];
    transaction.put(GP_SEGMENT_CONFIGURATION, row)
}

pub(super) fn delete_master(transaction: &mut OpenTransaction, order: i32) -> Result<bool, Error> {
    transaction.delete(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(order)])
}

/// What `gp_master_mirroring` says now: summary, detail and error.
pub(super) fn mirroring(
    view: &dyn ReadView,
) -> Result<Option<(String, Option<String>, Option<String>)>, Error> {
    let text = |datum: &Datum| datum.as_str().map(str::to_owned);
    Ok(view.scan(GP_MASTER_MIRRORING, &[])?.first().and_then(|row| match row.as_slice() {
        [summary, detail, _, error] => Some((text(summary)?, text(detail), text(error))),
        _ => None,
    }))
}

pub(super) fn put_mirroring(
    transaction: &mut OpenTransaction,
    state: &Mirroring,
    now: i64,
) -> Result<(), Error> {
    let text = |value: &Option<String>| value.clone().map_or(Datum::Null, Datum::Text);
    let row = vec![
        Datum::Text(state.summary.to_owned()),
        text(&state.detail),
        Datum::Timestamptz(now),
        text(&state.error),
    ];
    transaction.put(GP_MASTER_MIRRORING, row)
}

/// How many segments are registered; zero where the catalog cannot tell.
pub(super) fn registered(catalog: &Catalog) -> usize {
    segments(&catalog.snapshot()).map_or(0, |rows| rows.len())
}

/// The orders and places of the registered segments.
pub(super) fn places(catalog: &Catalog) -> Vec<(NonZeroU32, String, u16)> {
    let rows = segments(&catalog.snapshot()).unwrap_or_default();
    rows.into_iter().map(|row| (row.order, row.hostname, row.port)).collect()
}
