//! Splits the byte stream into V2GTP frames under a limit that depends on what may come next.
//!
//! The limit is the guard against the string-table bomb: the EXI decoder's memory grows with the square
//! of the payload (75 KB make 470 MB), so a request is never decoded unless its size is plausible.
//! 4 KiB bound the decoder to about 3 MB, 8 KiB to about 9 MB.

use thiserror::Error;

/// Bytes of a V2GTP header.
pub(super) const HEADER: usize = 8;

/// Largest payload of requests without certificates. The largest real one, a `supportedAppProtocolReq`
/// with 20 entries, has about 2 KB.
pub(super) const SMALL: usize = 4 * 1024;

/// Largest payload where a contract chain may come: three certificates of 1,600 bytes (ISO 15118-20
/// annex B) and a signature fit.
pub(super) const LARGE: usize = 8 * 1024;

/// The stream cannot be a V2G session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum FramingError {
    #[error("{0:02X?} is no V2GTP header")]
    Header([u8; HEADER]),
    #[error("a message announces {announced} bytes where at most {limit} are plausible")]
    TooLarge { announced: u64, limit: usize },
    #[error("the vehicle sent more requests before the last one was answered")]
    Pipelined,
}

#[derive(Debug)]
pub(super) struct Framing {
    buffer: Vec<u8>,
    limit: usize,
}

impl Framing {
    pub(super) const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            limit: SMALL,
        }
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Keeps bytes for [`Framing::next`]. One frame in work and one early one are tolerated.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        if self.buffer.len() + bytes.len() > 2 * (LARGE + HEADER) {
            // Look at the header first: an oversized message is the better explanation.
            let missing = HEADER.saturating_sub(self.buffer.len()).min(bytes.len());
            self.buffer.extend_from_slice(&bytes[..missing]);
            self.announced()?;
            return Err(FramingError::Pipelined);
        }
        self.buffer.extend_from_slice(bytes);
        self.announced().map(|_| ())
    }

    /// The length the first header announces, checked as soon as the header is complete; a wrong first
    /// byte is refused at once.
    fn announced(&self) -> Result<Option<usize>, FramingError> {
        let start = &self.buffer[..self.buffer.len().min(HEADER)];
        let plausible = match start {
            [] => true,
            [version] => *version == 0x01,
            [version, inverse, ..] => *version == 0x01 && *inverse == 0xFE,
        };
        if !plausible {
            let mut header = [0; HEADER];
            header[..start.len()].copy_from_slice(start);
            return Err(FramingError::Header(header));
        }
        let [.., a, b, c, d] = start else { return Ok(None) };
        if start.len() < HEADER {
            return Ok(None);
        }
        let announced = u32::from_be_bytes([*a, *b, *c, *d]);
        match usize::try_from(announced) {
            Ok(length) if length <= self.limit => Ok(Some(length)),
            _ => Err(FramingError::TooLarge {
                announced: u64::from(announced),
                limit: self.limit,
            }),
        }
    }

    /// The next whole frame, header included.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        let Some(length) = self.announced()? else {
            return Ok(None);
        };
        let total = HEADER + length;
        if self.buffer.len() < total {
            return Ok(None);
        }
        if self.buffer.len() == total {
            return Ok(Some(std::mem::take(&mut self.buffer)));
        }
        let rest = self.buffer.split_off(total);
        Ok(Some(std::mem::replace(&mut self.buffer, rest)))
    }
}
