//! Reading and writing of plain bytes, shared by the row codec and the transaction codec.
//!
//! Everything is big-endian. A reader never panics and never allocates more than its input could
//! fill: what it reads may be a damaged or foreign payload.

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decode {what} at byte {at}")]
pub struct CodecError {
    pub what: &'static str,
    pub at: usize,
}

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn error(&self, what: &'static str) -> CodecError {
        CodecError { what, at: self.at }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let end = self.at.checked_add(len).ok_or_else(|| self.error(what))?;
        let slice = self.bytes.get(self.at..end).ok_or_else(|| self.error(what))?;
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        let error = self.error(what);
        self.take(N, what)?.try_into().map_err(|_| error)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, CodecError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// Bytes that are preceded by their length.
    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], CodecError> {
        let error = self.error(what);
        let len = usize::try_from(self.u32(what)?).map_err(|_| error)?;
        self.take(len, what)
    }

    pub(crate) fn string(&mut self, what: &'static str) -> Result<String, CodecError> {
        let error = self.error(what);
        let bytes = self.bytes(what)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| error)
    }

    pub(crate) fn end(&self, what: &'static str) -> Result<(), CodecError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.error(what)) }
    }
}

/// Appends `bytes` preceded by their length. A length beyond 4 GB cannot occur: a record of the
/// log is far smaller, and the caller refuses longer values when the row is built.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}
