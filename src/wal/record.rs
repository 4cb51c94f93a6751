//! One record of the log as bytes.
//!
//! ```text
//!  0      4        8       16     24           32        32 + payload
//!  | len  | crc32c | epoch | lsn  | commit_lsn | payload | 0 … 0 5A |
//! ```
//!
//! Little-endian, padded to 8 bytes. `lsn` is the position of the record's own first byte, so the
//! log ends at the last record's `lsn` plus its encoded length. Two details serve the one question
//! that matters after a crash, "half written, or damaged?":
//!
//! * The padding is 1 to 8 bytes and its last byte is never zero. So a record of which every
//!   sector arrived never ends in a sector of zeros, and one that does was not written completely.
//! * `len` is 26 bits wide; the upper 6 bits of its word are a parity of the lower, so that one
//!   flipped bit in it cannot make a whole record look like the first half of a longer one.
//!
//! The checksum covers everything but itself, padding included. This file never touches a disk.

use std::fmt;

use crate::types::{Epoch, Lsn};

pub const HEADER_LEN: usize = 32;

/// Longest record, header and padding included.
pub const RECORD_LEN_MAX: u64 = 64 << 20;

const END_MARK: u8 = 0x5A;
const LEN_BITS: u32 = 26;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub epoch: Epoch,
    pub lsn: Lsn,
    /// What the writer knew to be committed; never beyond `lsn`.
    pub commit_lsn: Lsn,
    /// Never empty: the first byte is the `PayloadKind`.
    pub payload: Vec<u8>,
}

impl Record {
    /// Position after this record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.lsn.advance(encoded_len(self.payload.len()))
    }
}

/// A record still in its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub epoch: Epoch,
    pub lsn: Lsn,
    pub commit_lsn: Lsn,
    pub payload: &'a [u8],
    /// The whole record, as encoded.
    pub bytes: &'a [u8],
}

impl Frame<'_> {
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record {
            epoch: self.epoch,
            lsn: self.lsn,
            commit_lsn: self.commit_lsn,
            payload: self.payload.to_vec(),
        }
    }
}

/// What is wrong with bytes that should be a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("record length {0:#010x} fails its check")]
    Length(u32),
    #[error("record says LSN {found}, expected {expected}")]
    Position { expected: Lsn, found: Lsn },
    #[error("record checksum {found:08x}, computed {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    #[error("record of epoch {found} after epoch {last}")]
    EpochWentBack { last: Epoch, found: Epoch },
    #[error("record at {lsn} says that {commit_lsn} is committed")]
    CommitBeyondItself { lsn: Lsn, commit_lsn: Lsn },
    #[error("record is {missing} bytes short")]
    Short { missing: u64 },
    #[error("zeros where a record should be")]
    Zeros,
    #[error("unknown kind of payload {0}")]
    Kind(u8),
    #[error("empty payload")]
    EmptyPayload,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    Record {
        record: Record,
        len: usize,
    },
    /// The bytes end before the record does.
    Incomplete,
    Zeros,
    Bad {
        why: Flaw,
    },
}

/// As `Decoded`, without a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    Frame(Frame<'a>),
    Incomplete { missing: u64 },
    Zeros,
    Bad(Flaw),
}

/// Length on disk of a record with a payload of this length.
#[must_use]
pub fn encoded_len(payload_len: usize) -> u64 {
    (HEADER_LEN as u64 + payload_len as u64 + 1).next_multiple_of(8)
}

/// Appends the record's bytes to `out`.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    let length = encoded_len(record.payload.len());
    assert!(length <= RECORD_LEN_MAX, "the caller has refused a record of {length} bytes");
    assert!(!record.payload.is_empty(), "a payload begins with its kind");
    let start = out.len();
    let word = length_word(record.payload.len() as u32);
    out.extend_from_slice(&word.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&record.epoch.0.to_le_bytes());
    out.extend_from_slice(&record.lsn.0.to_le_bytes());
    out.extend_from_slice(&record.commit_lsn.0.to_le_bytes());
    out.extend_from_slice(&record.payload);
    out.resize(start + length as usize - 1, 0);
    out.push(END_MARK);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

#[must_use]
pub fn decode(bytes: &[u8], expected_lsn: Lsn) -> Decoded {
    match parse(bytes, expected_lsn) {
        Parsed::Frame(frame) => {
            Decoded::Record { record: frame.to_record(), len: frame.bytes.len() }
        }
        Parsed::Incomplete { .. } => Decoded::Incomplete,
        Parsed::Zeros => Decoded::Zeros,
        Parsed::Bad(why) => Decoded::Bad { why },
    }
}

/// Reads the record that begins with the first byte of `bytes`.
#[must_use]
pub fn parse(bytes: &[u8], expected: Lsn) -> Parsed<'_> {
    let header = &bytes[..bytes.len().min(HEADER_LEN)];
    if !header.is_empty() && header.iter().all(|byte| *byte == 0) {
        return Parsed::Zeros;
    }
    if header.len() < HEADER_LEN {
        return Parsed::Incomplete { missing: (HEADER_LEN - header.len()) as u64 };
    }
    let word = read_u32(header, 0);
    let Some(payload_len) = payload_len(word) else {
        return Parsed::Bad(Flaw::Length(word));
    };
    let found = Lsn(read_u64(header, 16));
    if found != expected {
        return Parsed::Bad(Flaw::Position { expected, found });
    }
    let length = encoded_len(payload_len);
    if length > bytes.len() as u64 {
        return Parsed::Incomplete { missing: length - bytes.len() as u64 };
    }
    let whole = &bytes[..length as usize];
    let (found, computed) = (read_u32(header, 4), checksum(whole));
    if found != computed {
        return Parsed::Bad(Flaw::Checksum { found, computed });
    }
    let lsn = expected;
    let commit_lsn = Lsn(read_u64(header, 24));
    if commit_lsn > lsn {
        return Parsed::Bad(Flaw::CommitBeyondItself { lsn, commit_lsn });
    }
    Parsed::Frame(Frame {
        epoch: Epoch(read_u64(header, 8)),
        lsn,
        commit_lsn,
        payload: &whole[HEADER_LEN..HEADER_LEN + payload_len],
        bytes: whole,
    })
}

/// Whether `tail`, at which reading stopped, is a record of which only the front arrived: its
/// length stands, and from a sector border inside it there is nothing but zeros.
///
/// `offset` is where `tail` begins in the file, `used` how much of it there is up to its last byte
/// that is not zero.
#[must_use]
pub(crate) fn is_torn(tail: &[u8], expected: Lsn, offset: u64, used: usize) -> bool {
    const SECTOR: u64 = 512;
    if tail.len() < 4 {
        return false;
    }
    let Some(payload_len) = payload_len(read_u32(tail, 0)) else { return false };
    let border = (offset + used as u64).next_multiple_of(SECTOR) - offset;
    let reaches_beyond = encoded_len(payload_len) > border;
    let position_arrived = border >= 24 && tail.len() >= 24;
    reaches_beyond && (!position_arrived || Lsn(read_u64(tail, 16)) == expected)
}

/// What a record's payload is; its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// The first record of a reign.
    EpochStart,
    Transaction,
}

impl PayloadKind {
    fn byte(self) -> u8 {
        match self {
            PayloadKind::EpochStart => 1,
            PayloadKind::Transaction => 2,
        }
    }
}

impl fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PayloadKind::EpochStart => "epoch-start",
            PayloadKind::Transaction => "transaction",
        })
    }
}

#[must_use]
pub fn encode_payload(kind: PayloadKind, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(1 + body.len());
    payload.push(kind.byte());
    payload.extend_from_slice(body);
    payload
}

pub fn decode_payload(payload: &[u8]) -> Result<(PayloadKind, &[u8]), Flaw> {
    match payload.split_first() {
        None => Err(Flaw::EmptyPayload),
        Some((1, body)) => Ok((PayloadKind::EpochStart, body)),
        Some((2, body)) => Ok((PayloadKind::Transaction, body)),
        Some((kind, _)) => Err(Flaw::Kind(*kind)),
    }
}

/// The offset in `records` (whole encoded ones) that lies `skip` bytes on, if one begins there.
#[must_use]
pub fn boundary_at(records: &[u8], skip: u64) -> Option<usize> {
    let skip = usize::try_from(skip).ok()?;
    let mut at = 0;
    while at < skip {
        let word = records.get(at..at + 4)?;
        let length = payload_len(read_u32(word, 0))?;
        at += usize::try_from(encoded_len(length)).ok()?;
    }
    (at == skip && at <= records.len()).then_some(at)
}

fn length_word(payload_len: u32) -> u32 {
    payload_len | parity(payload_len) << LEN_BITS
}

/// The length in a word that passes its check and is one that a record can have.
fn payload_len(word: u32) -> Option<usize> {
    let length = word & LEN_MASK;
    let sound = word >> LEN_BITS == parity(length);
    let length = length as usize;
    (sound && length > 0 && encoded_len(length) <= RECORD_LEN_MAX).then_some(length)
}

/// Exclusive or of the six-bit groups: one flipped bit below flips one of these.
fn parity(length: u32) -> u32 {
    (0..5).fold(0, |fold, group| fold ^ (length >> (6 * group))) & 0x3F
}

fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..])
}

/// As all numbers of a WAL file: little-endian.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(super) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn sample(payload_len: usize) -> Record {
        Record {
            epoch: Epoch::new(3, NodeId::new(1).unwrap()),
            lsn: Lsn(4096),
            commit_lsn: Lsn(4000),
            payload: (0..payload_len).map(|i| (i % 7) as u8 + 1).collect(),
        }
    }

    #[test]
    fn every_length_round_trips() {
        for length in (1..100).chain([511, 4096, 70_000]) {
            let record = sample(length);
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            assert_eq!(bytes.len() as u64, encoded_len(length));
            assert_eq!(bytes.len() % 8, 0);
            let len = bytes.len();
            assert_eq!(decode(&bytes, Lsn(4096)), Decoded::Record { record, len });
        }
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let mut bytes = Vec::new();
        encode(&sample(200), &mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end], Lsn(4096)), Decoded::Incomplete, "{end} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        encode(&sample(70), &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(&damaged, Lsn(4096));
            assert!(matches!(decoded, Decoded::Bad { .. }), "bit {bit}: {decoded:?}");
        }
    }

    #[test]
    fn a_flipped_bit_never_looks_torn() {
        let mut bytes = Vec::new();
        encode(&sample(700), &mut bytes);
        let whole = bytes.len();
        bytes.resize(whole + 100_000, 0);
        for bit in 0..whole * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_torn(&damaged, Lsn(4096), 4096, whole), "bit {bit}");
        }
    }

    #[test]
    fn a_front_half_looks_torn() {
        let mut bytes = Vec::new();
        encode(&sample(3000), &mut bytes);
        for sectors in 1..5 {
            let mut front = bytes.clone();
            front[sectors * 512..].fill(0);
            let used = front.iter().rposition(|b| *b != 0).unwrap() + 1;
            assert!(is_torn(&front, Lsn(4096), 4096, used), "{sectors} sectors");
        }
    }

    #[test]
    fn zeros_and_foreign_positions_are_told_apart() {
        assert_eq!(decode(&[0; 64], Lsn(0)), Decoded::Zeros);
        let mut bytes = Vec::new();
        encode(&sample(8), &mut bytes);
        let why = Flaw::Position { expected: Lsn(8), found: Lsn(4096) };
        assert_eq!(decode(&bytes, Lsn(8)), Decoded::Bad { why });
    }

    #[test]
    fn payload_kinds_round_trip() {
        for kind in [PayloadKind::EpochStart, PayloadKind::Transaction] {
            let payload = encode_payload(kind, b"body");
            assert_eq!(decode_payload(&payload), Ok((kind, b"body".as_slice())));
        }
        assert_eq!(decode_payload(&[]), Err(Flaw::EmptyPayload));
        assert_eq!(decode_payload(&[9]), Err(Flaw::Kind(9)));
    }
}
