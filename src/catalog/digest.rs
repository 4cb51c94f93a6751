//! One number for the whole catalog, to compare nodes at equal LSN (invariant I7).
//!
//! Covers every row with the LSN of its last change, every index, and the oid counter. It leaves
//! out which old transaction ids have been forgotten, which may differ between nodes.

use std::fmt;
use std::ops::ControlFlow;

use super::apply::Numbers;
use super::error::Error;
use super::snapshot::Snapshot;
use super::store::Family;

/// FNV-1a of 128 bits: enough to find a difference that nobody made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Digest {
    const EMPTY: Digest = Digest(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Digest::PRIME);
        }
    }

    /// With its length, so that no two different lists of values read alike.
    fn value(&mut self, bytes: &[u8]) {
        self.bytes(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.bytes(bytes);
    }
}

pub fn digest_of(snapshot: &Snapshot) -> Result<Digest, Error> {
    let mut digest = Digest::EMPTY;
    snapshot.store().scan(Family::Rows, &[], &mut |key, value| {
        digest.value(key);
        digest.value(value);
        ControlFlow::Continue(())
    })?;
    digest.bytes(&Numbers::read(snapshot.store())?.next_oid.to_be_bytes());
    Ok(digest)
}
