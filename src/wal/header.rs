//! The header of a WAL file: whose log it is, where it begins, which epochs came before.
//!
//! ```text
//!      0  magic, version, crc32c, cluster id, incarnation, first LSN, capacity, lengths
//!    512  mark: the position up to which the log was durable *before* the last flush, and its crc
//!   1024  timeline history up to the first LSN: so many pairs (epoch, start)
//!   4096  records (or a later multiple of 4096, where the history is long)
//! ```
//!
//! The mark has a sector of its own since it changes with every flush; everything else never does.

use crate::types::{ClusterId, Epoch, Incarnation, Lsn, TimelineHistory};

use super::record::{read_u32, read_u64};

pub(crate) const FIXED_LEN: usize = 4096;
pub(crate) const MARK_OFFSET: u64 = 512;
const HISTORY_OFFSET: usize = 1024;
const ENTRY_LEN: usize = 16;
const HISTORY_MAX: usize = 1 << 20;
const MAGIC: [u8; 8] = *b"HAWQWAL\0";
const VERSION: u32 = 1;

/// Whose log it is; a directory of somebody else is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterId,
    pub incarnation: Incarnation,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub identity: Identity,
    pub first: Lsn,
    /// Length of the file, this header included.
    pub capacity: u64,
    pub history: TimelineHistory,
}

/// What makes a header unusable, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadHeader {
    pub offset: u64,
    pub why: String,
}

impl Header {
    /// Where the records begin.
    pub(crate) fn len(&self) -> u64 {
        header_len(self.history.entries().len()) as u64
    }

    pub(crate) fn encode(&self, mark: Lsn) -> Vec<u8> {
        let entries = self.history.entries();
        let mut out = vec![0; header_len(entries.len())];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 8, &VERSION.to_le_bytes());
        put(&mut out, 16, &self.identity.cluster.0.to_le_bytes());
        put(&mut out, 32, &self.identity.incarnation.0.to_le_bytes());
        put(&mut out, 40, &self.first.0.to_le_bytes());
        put(&mut out, 48, &self.capacity.to_le_bytes());
        put(&mut out, 56, &(entries.len() as u32).to_le_bytes());
        for (index, (epoch, start)) in entries.iter().enumerate() {
            let at = HISTORY_OFFSET + index * ENTRY_LEN;
            put(&mut out, at, &epoch.0.to_le_bytes());
            put(&mut out, at + 8, &start.0.to_le_bytes());
        }
        let crc = checksum(&out);
        put(&mut out, 12, &crc.to_le_bytes());
        put(&mut out, MARK_OFFSET as usize, &encode_mark(self.first, mark));
        out
    }

    /// How many bytes the header that begins with `front` has, as far as that can be believed.
    pub(crate) fn len_of(front: &[u8]) -> Result<usize, BadHeader> {
        if front.len() < FIXED_LEN {
            return bad(0, format!("file is only {} bytes long", front.len()));
        }
        if front[..8] != MAGIC {
            return bad(0, "not a WAL file: wrong magic number".to_owned());
        }
        let version = read_u32(front, 8);
        if version != VERSION {
            return bad(8, format!("WAL file version {version}, expected {VERSION}"));
        }
        let entries = read_u32(front, 56) as usize;
        if entries > HISTORY_MAX / ENTRY_LEN {
            return bad(56, format!("timeline history of {entries} entries"));
        }
        Ok(header_len(entries))
    }

    /// The header and its mark from exactly the bytes that `len_of` asked for.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Header, Lsn), BadHeader> {
        let (found, computed) = (read_u32(bytes, 12), checksum(bytes));
        if found != computed {
            return bad(12, format!("header checksum {found:08x}, computed {computed:08x}"));
        }
        let pairs = (0..read_u32(bytes, 56) as usize).map(|index| {
            let at = HISTORY_OFFSET + index * ENTRY_LEN;
            (Epoch(read_u64(bytes, at)), Lsn(read_u64(bytes, at + 8)))
        });
        let Some(history) = TimelineHistory::from_entries(pairs.collect()) else {
            return bad(HISTORY_OFFSET as u64, "timeline history out of order".to_owned());
        };
        let mut cluster = [0; 16];
        cluster.copy_from_slice(&bytes[16..32]);
        let header = Header {
            identity: Identity {
                cluster: ClusterId(u128::from_le_bytes(cluster)),
                incarnation: Incarnation(read_u64(bytes, 32)),
            },
            first: Lsn(read_u64(bytes, 40)),
            capacity: read_u64(bytes, 48),
            history,
        };
        let at = MARK_OFFSET as usize;
        let mark = Lsn(read_u64(bytes, at));
        if bytes[at..at + 12] != encode_mark(header.first, mark) {
            return bad(MARK_OFFSET, "flush mark fails its checksum".to_owned());
        }
        Ok((header, mark))
    }
}

/// The mark's bytes; bound to its file, so that a stray sector is noticed.
pub(crate) fn encode_mark(first: Lsn, mark: Lsn) -> [u8; 12] {
    let mut out = [0; 12];
    out[..8].copy_from_slice(&mark.0.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&first.0.to_le_bytes()), &out[..8]);
    out[8..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn header_len(entries: usize) -> usize {
    (HISTORY_OFFSET + entries * ENTRY_LEN).next_multiple_of(FIXED_LEN)
}

fn checksum(header: &[u8]) -> u32 {
    let front = crc32c::crc32c(&header[..12]);
    let fixed = crc32c::crc32c_append(front, &header[16..MARK_OFFSET as usize]);
    crc32c::crc32c_append(fixed, &header[HISTORY_OFFSET..])
}

fn bad<T>(offset: u64, why: String) -> Result<T, BadHeader> {
    Err(BadHeader { offset, why })
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(epochs: u64) -> Header {
        let entries = (1..=epochs).map(|n| (Epoch(n << 8 | 1), Lsn(n * 100))).collect();
        Header {
            identity: Identity { cluster: ClusterId(7), incarnation: Incarnation(9) },
            first: Lsn(1 << 40),
            capacity: 1 << 24,
            history: TimelineHistory::from_entries(entries).unwrap(),
        }
    }

    #[test]
    fn headers_round_trip_however_long_the_history() {
        for epochs in [0, 1, 191, 192, 193, 5000] {
            let header = sample(epochs);
            let bytes = header.encode(Lsn(77));
            assert_eq!(Header::len_of(&bytes[..FIXED_LEN]), Ok(bytes.len()));
            assert_eq!(header.len(), bytes.len() as u64);
            assert_eq!(Header::decode(&bytes), Ok((header, Lsn(77))));
        }
    }

    #[test]
    fn flipped_bits_in_what_is_used_are_noticed() {
        let bytes = sample(3).encode(Lsn(77));
        let used = (0..60).chain(512..524).chain(1024..1072);
        for at in used {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let length = Header::len_of(&damaged);
            let noticed = length != Ok(bytes.len()) || Header::decode(&damaged).is_err();
            assert!(noticed, "byte {at}");
        }
    }
}
