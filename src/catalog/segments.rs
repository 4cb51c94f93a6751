//! Rows about masters, standbys and segments, as typed values.
//!
//! Reads and writes `gp_segment_configuration`, `gp_configuration_history` and
//! `gp_master_mirroring`. It never decides whether a segment is up (`fts` does) nor who is master,
//! and what a history row says comes from whoever decided; `master` brings the results here.

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
/// * HAWQ's one standby is -1; further standbys follow below.
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
    rows.iter().map(read_row).collect()
}

/// The row with this order, when there is one.
pub fn segment_row(view: &dyn ReadView, order: i32) -> Result<Option<SegmentRow>, Error> {
    let row = view.get(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(order)])?;
    row.as_ref().map(read_row).transpose()
}

/// Puts a row, replacing the one of the same order; true when that changed anything.
pub fn put_segment(t: &mut OpenTransaction, row: &SegmentRow) -> Result<bool, Error> {
    if segment_row(t, row.order)?.as_ref() == Some(row) {
        return Ok(false);
    }
    t.put(GP_SEGMENT_CONFIGURATION, segment_values(row))?;
    Ok(true)
}

/// Removes a row; false when there is none.
pub fn remove_segment(t: &mut OpenTransaction, order: i32) -> Result<bool, Error> {
    t.delete(GP_SEGMENT_CONFIGURATION, &[Datum::Int4(order)])
}

/// Adds a history row. The whole row is its key, so an equal one in the same microsecond is moved
/// on by a microsecond.
pub fn add_history(
    t: &mut OpenTransaction,
    now_micros: i64,
    order: i32,
    hostname: &str,
    description: &str,
) -> Result<(), Error> {
    let row_at = |time| {
        vec![
            Datum::Timestamptz(time),
            Datum::Int4(order),
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

fn segment_values(row: &SegmentRow) -> Row {
    vec![
        Datum::Int4(row.order),
        Datum::Char(row.role as u8),
        Datum::Char(if row.up { b'u' } else { b'd' }),
        Datum::Int4(i32::from(row.port)),
        Datum::Text(row.hostname.clone()),
        Datum::Text(row.address.clone()),
        row.description.clone().map_or(Datum::Null, Datum::Text),
    ]
}

fn read_row(row: &Row) -> Result<SegmentRow, Error> {
    values_of(row).ok_or_else(|| Error::corrupt("gp_segment_configuration"))
}

fn values_of(row: &Row) -> Option<SegmentRow> {
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
