//! Rows about masters, standby and segments, as typed values.
//!
//! Writes `gp_segment_configuration`, `gp_configuration_history` and `gp_master_mirroring`, the
//! row and its history row in one transaction. It never decides whether a segment is up: `fts`
//! does, and `master` brings the result here.

use crate::types::{RegistrationOrder, SegmentStatus, UP_HISTORY_TEXT};

use super::datum::{Datum, Row};
use super::error::Error;
use super::layout::{GP_CONFIGURATION_HISTORY, GP_MASTER_MIRRORING, GP_SEGMENT_CONFIGURATION};
use super::open_transaction::OpenTransaction;
use super::snapshot::ReadView;

/// How many microseconds a history row moves at most to be distinct from an equal one.
const HISTORY_SHIFT_MAX: i64 = 1000;
/// How many old history rows one transaction removes at most.
const HISTORY_PURGE_MAX: usize = 10_000;

/// A row of `gp_segment_configuration`.
///
/// * The role is master `m`, standby `s` or segment `p`.
/// * The description of master and standby is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// As stored: 0, below for standbys, above for segments.
    pub order: i32,
    pub role: char,
    pub up: bool,
    pub port: u16,
    pub hostname: String,
    pub address: String,
    pub description: Option<String>,
}

/// Where a master, standby or segment is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub hostname: String,
    pub address: String,
    pub port: u16,
}

/// A row of `gp_configuration_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    pub time: i64,
    pub order: i32,
    pub hostname: Option<String>,
    pub description: Option<String>,
}

/// `gp_master_mirroring.summary_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirroringState {
    NotConfigured,
    Synchronizing,
    Synchronized,
    NotSynchronized,
    None,
    Unknown,
}

impl MirroringState {
    const ALL: [MirroringState; 6] = [
        MirroringState::NotConfigured,
        MirroringState::Synchronizing,
        MirroringState::Synchronized,
        MirroringState::NotSynchronized,
        MirroringState::None,
        MirroringState::Unknown,
    ];

    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            MirroringState::NotConfigured => "Not Configured",
            MirroringState::Synchronizing => "Synchronizing",
            MirroringState::Synchronized => "Synchronized",
            MirroringState::NotSynchronized => "Not Synchronized",
            MirroringState::None => "None",
            MirroringState::Unknown => "Unknown",
        }
    }
}

/// The row of `gp_master_mirroring`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirroring {
    pub state: MirroringState,
    pub detail: Option<String>,
    /// Microseconds since 1970 UTC.
    pub log_time: Option<i64>,
    pub error: Option<String>,
}

/// All rows of `gp_segment_configuration`, standbys and master first.
pub fn segment_rows(view: &dyn ReadView) -> Result<Vec<SegmentRow>, Error> {
    let rows = view.scan(GP_SEGMENT_CONFIGURATION, &[])?;
    let read = |row| segment_row(row).ok_or_else(|| Error::corrupt("gp_segment_configuration"));
    rows.iter().map(read).collect()
}

/// Puts the row of the master that reigns now.
pub fn set_master(t: &mut OpenTransaction, location: &Location) -> Result<(), Error> {
    put_if_changed(t, segment_values(RegistrationOrder::Master, location, None))
}

/// Puts or, with `None`, removes the standby's row.
pub fn set_standby(t: &mut OpenTransaction, location: Option<&Location>) -> Result<(), Error> {
    let order = RegistrationOrder::Standby;
    match location {
        Some(location) => put_if_changed(t, segment_values(order, location, None)),
        None => {
            t.delete(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(order.to_column())])?;
            Ok(())
        }
    }
}

/// Puts a segment's row, and a history row when its status or description changed or it is new.
/// True when anything changed.
pub fn set_segment(
    t: &mut OpenTransaction,
    order: RegistrationOrder,
    location: &Location,
    status: &SegmentStatus,
    now_micros: i64,
) -> Result<bool, Error> {
    let row = segment_values(order, location, Some(status));
    let before = t.get(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(order.to_column())])?;
    if before.as_ref() == Some(&row) {
        return Ok(false);
    }
    let state = |row: &Row| (row.get(2).cloned(), row.get(6).cloned());
    let changed = before.as_ref().map(state) != Some(state(&row));
    t.put(GP_SEGMENT_CONFIGURATION, row)?;
    if changed {
        let description = match status {
            SegmentStatus::Up => UP_HISTORY_TEXT.to_owned(),
            SegmentStatus::Down(reasons) => reasons.to_string(),
        };
        add_history(t, now_micros, order, &location.hostname, &description)?;
    }
    Ok(true)
}

/// Removes a segment's row; false when there is none.
pub fn remove_segment(t: &mut OpenTransaction, order: RegistrationOrder) -> Result<bool, Error> {
    t.delete(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(order.to_column())])
}

/// Removes the rows of all segments, as HAWQ does when a master starts. Gives how many.
pub fn remove_segments(t: &mut OpenTransaction) -> Result<usize, Error> {
    let rows = segment_rows(t)?;
    let segments: Vec<i32> =
        rows.into_iter().filter(|row| row.order > 0).map(|row| row.order).collect();
    for order in &segments {
        t.delete(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(*order)])?;
    }
    Ok(segments.len())
}

/// Adds a history row. The whole row is its key, so an equal one in the same microsecond is moved
/// on by a microsecond.
pub fn add_history(
    t: &mut OpenTransaction,
    now_micros: i64,
    order: RegistrationOrder,
    hostname: &str,
    description: &str,
) -> Result<(), Error> {
    let row_at = |time| {
        vec![
            Datum::Timestamptz(time),
            Datum::Int4(order.to_column()),
            Datum::Text(hostname.to_owned()),
            Datum::Text(description.to_owned()),
        ]
    };
    for shift in 0..HISTORY_SHIFT_MAX {
        let row = row_at(now_micros.saturating_add(shift));
        if t.get(GP_CONFIGURATION_HISTORY, &row)?.is_none() {
            return t.insert(GP_CONFIGURATION_HISTORY, row);
        }
    }
    Err(Error::DuplicateKey { relation: "gp_configuration_history".to_owned() })
}

/// The history, oldest first.
pub fn history(view: &dyn ReadView) -> Result<Vec<HistoryRow>, Error> {
    let read = |row: &Row| match row.as_slice() {
        [Datum::Timestamptz(time), Datum::Int4(order), hostname, description] => Some(HistoryRow {
            time: *time,
            order: *order,
            hostname: hostname.as_str().map(str::to_owned),
            description: description.as_str().map(str::to_owned),
        }),
        _ => None,
    };
    let rows = view.scan(GP_CONFIGURATION_HISTORY, &[])?;
    let rows: Option<Vec<HistoryRow>> = rows.iter().map(read).collect();
    rows.ok_or_else(|| Error::corrupt("gp_configuration_history"))
}

/// Removes history rows older than `before_micros`, a bounded number at a time. Gives how many.
pub fn purge_history(t: &mut OpenTransaction, before_micros: i64) -> Result<usize, Error> {
    let mut old = t.scan(GP_CONFIGURATION_HISTORY, &[])?;
    old.retain(|row| matches!(row.first(), Some(Datum::Timestamptz(t)) if *t < before_micros));
    old.truncate(HISTORY_PURGE_MAX);
    for row in &old {
        t.delete(GP_CONFIGURATION_HISTORY, row)?;
    }
    Ok(old.len())
}

/// The state of the standby as the catalog has it.
pub fn mirroring(view: &dyn ReadView) -> Result<Option<Mirroring>, Error> {
    let Some(row) = view.get(GP_MASTER_MIRRORING, &[])? else {
        return Ok(None);
    };
    let corrupt = || Error::corrupt("gp_master_mirroring");
    let [summary, detail, log_time, error] = row.as_slice() else {
        return Err(corrupt());
    };
    let state = MirroringState::ALL.into_iter().find(|s| summary.as_str() == Some(s.text()));
    Ok(Some(Mirroring {
        state: state.ok_or_else(corrupt)?,
        detail: detail.as_str().map(str::to_owned),
        log_time: log_time.as_i64(),
        error: error.as_str().map(str::to_owned),
    }))
}

/// Replaces the one row of `gp_master_mirroring`.
pub fn set_mirroring(t: &mut OpenTransaction, mirroring: &Mirroring) -> Result<(), Error> {
    let text = |text: &Option<String>| text.clone().map_or(Datum::Null, Datum::Text);
    let row = vec![
        Datum::Text(mirroring.state.text().to_owned()),
        text(&mirroring.detail),
        mirroring.log_time.map_or(Datum::Null, Datum::Timestamptz),
        text(&mirroring.error),
    ];
    t.put(GP_MASTER_MIRRORING, row)
}

fn put_if_changed(t: &mut OpenTransaction, row: Row) -> Result<(), Error> {
    let key: Vec<Datum> = row.first().cloned().into_iter().collect();
    if t.get(GP_SEGMENT_CONFIGURATION, &key)?.as_ref() == Some(&row) {
        return Ok(());
    }
    t.put(GP_SEGMENT_CONFIGURATION, row)
}

/// The row's values; a master or standby has no status of its own and is always up.
fn segment_values(
    order: RegistrationOrder,
    location: &Location,
    status: Option<&SegmentStatus>,
) -> Row {
    let role = match order {
        RegistrationOrder::Master => b'm',
        RegistrationOrder::Standby => b's',
        RegistrationOrder::Segment(_) => b'p',
    };
    let up = !matches!(status, Some(SegmentStatus::Down(_)));
    vec![
        Datum::Int4(order.to_column()),
        Datum::Char(role),
        Datum::Char(if up { b'u' } else { b'd' }),
        Datum::Int4(i32::from(location.port)),
        Datum::Text(location.hostname.clone()),
        Datum::Text(location.address.clone()),
        status.map_or(Datum::Null, |status| Datum::Text(status.description())),
    ]
}

fn segment_row(row: &Row) -> Option<SegmentRow> {
    let [order, role, status, port, hostname, address, description] = row.as_slice() else {
        return None;
    };
    Some(SegmentRow {
        order: i32::try_from(order.as_i64()?).ok()?,
        role: char::from(role.as_char()?),
        up: status.as_char()? == b'u',
        port: u16::try_from(port.as_i64()?).ok()?,
        hostname: hostname.as_str()?.to_owned(),
        address: address.as_str()?.to_owned(),
        description: description.as_str().map(str::to_owned),
    })
}
