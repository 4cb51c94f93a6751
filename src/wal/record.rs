//! One record on disk.

/// Bytes before the payload: length, checksum, epoch, LSN, commit LSN.
pub const HEADER_LEN: usize = 32;

/// Bytes that a record with a payload of `payload_len` bytes takes in the log.
#[must_use]
pub fn encoded_len(payload_len: usize) -> u64 {
    (HEADER_LEN + payload_len).next_multiple_of(8) as u64
}

/// The offset in `records` (whole encoded ones) that lies `skip` bytes on, if a record begins there.
#[must_use]
pub fn boundary_at(records: &[u8], skip: u64) -> Option<usize> {
    let skip = usize::try_from(skip).ok()?;
    let mut at = 0;
    while at < skip {
        let length = records.get(at..at + 4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        at += usize::try_from(encoded_len(usize::try_from(length).ok()?)).ok()?;
    }
    (at == skip && at <= records.len()).then_some(at)
}
