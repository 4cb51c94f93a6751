//! Rows: the body of a DataRow message, and a line of COPY's text format.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;

use crate::frontend::Failure;

use super::array::{length, write_sized};
use super::binary;
use super::calendar::Zone;
use super::text;
use super::value::{Column, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

/// Writes the rows of one batch.
pub struct RowWriter<'a> {
    columns: Vec<(Column, u32, Format)>,
    zone: &'a Zone,
    scratch: String,
}

impl<'a> RowWriter<'a> {
    /// `types` and `formats` are as long as the batch has columns.
    pub fn new(
        batch: &RecordBatch,
        types: &[u32],
        formats: &[Format],
        zone: &'a Zone,
    ) -> Result<RowWriter<'a>, Failure> {
        if batch.num_columns() != types.len() || types.len() != formats.len() {
            return Err(Failure::internal("a result has other columns than announced"));
        }
        let columns: Result<Vec<_>, Failure> = batch
            .columns()
            .iter()
            .zip(types.iter().zip(formats))
            .map(|(array, (type_oid, format))| Ok((Column::new(array)?, *type_oid, *format)))
            .collect();
        Ok(RowWriter { columns: columns?, zone, scratch: String::new() })
    }
}

/// Appends a whole DataRow message; on an error nothing is appended.
pub fn data_row(writer: &mut RowWriter<'_>, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    let start = out.len();
    let written = try_data_row(writer, row, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn try_data_row(writer: &mut RowWriter<'_>, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    out.put_u8(b'D');
    let start = out.len();
    out.put_i32(0);
    out.put_u16(u16::try_from(writer.columns.len()).unwrap_or(u16::MAX));
    for (column, type_oid, format) in &writer.columns {
        let scratch = &mut writer.scratch;
        write_sized(&column.value(row), out, |value, out| match format {
            Format::Binary => binary::write(value, *type_oid, out),
            Format::Text => put_text(value, *type_oid, writer.zone, (scratch, out)),
        })?;
    }
    let message = length(out.len() - start)?;
    if let Some(word) = out.get_mut(start..start + 4) {
        word.copy_from_slice(&message.to_be_bytes());
    }
    Ok(())
}

fn put_text(
    value: &Value<'_>,
    type_oid: u32,
    zone: &Zone,
    (scratch, out): (&mut String, &mut BytesMut),
) -> Result<(), Failure> {
    if let Value::Text(text) = value {
        out.put_slice(text.as_bytes());
        return Ok(());
    }
    scratch.clear();
    text::write(value, type_oid, zone, scratch)?;
    out.put_slice(scratch.as_bytes());
    Ok(())
}

/// Appends one line of COPY's text format.
pub fn copy_row(writer: &mut RowWriter<'_>, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    for (place, (column, type_oid, _)) in writer.columns.iter().enumerate() {
        if place > 0 {
            out.put_u8(b'\t');
        }
        let value = column.value(row);
        if matches!(value, Value::Null) {
            out.put_slice(b"\\N");
            continue;
        }
        writer.scratch.clear();
        text::write(&value, *type_oid, writer.zone, &mut writer.scratch)?;
        for byte in writer.scratch.bytes() {
            match copy_escape(byte) {
                Some(letter) => out.put_slice(&[b'\\', letter]),
                None => out.put_u8(byte),
            }
        }
    }
    out.put_u8(b'\n');
    Ok(())
}

fn copy_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'\\' => b'\\',
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0B => b'v',
        _ => return None,
    })
}
