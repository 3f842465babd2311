//! TLS records out of a byte stream.

/// Largest record body: 2^14 plus the expansion TLS 1.2 allows.
const MAX_BODY: usize = (1 << 14) + 2048;

/// Content types.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// One record as it was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) content_type: u8,
    pub(super) version: [u8; 2],
    pub(super) body: Vec<u8>,
}

/// Splits one direction of a connection; holds at most one record.
#[derive(Debug, Default)]
pub(super) struct Records {
    buffer: Vec<u8>,
    broken: bool,
}

impl Records {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next record, `Ok(None)` until more bytes come; an error once, when the bytes are no record.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>, Vec<u8>> {
        if self.broken || self.buffer.len() < 5 {
            return Ok(None);
        }
        let length = usize::from(u16::from_be_bytes([self.buffer[3], self.buffer[4]]));
        if !(CHANGE_CIPHER_SPEC..=24).contains(&self.buffer[0]) || self.buffer[1] != 3 || length > MAX_BODY {
            self.broken = true;
            let mut first = std::mem::take(&mut self.buffer);
            first.truncate(16);
            return Err(first);
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        let record = Record {
            content_type: self.buffer[0],
            version: [self.buffer[1], self.buffer[2]],
            body: self.buffer[5..5 + length].to_vec(),
        };
        self.buffer.drain(..5 + length);
        Ok(Some(record))
    }
}

/// Whether a stream that starts like this is TLS.
pub(crate) fn looks_like_tls(start: &[u8]) -> bool {
    matches!(start, [20..=23, 3, 0..=4, ..])
}
