//! V2GTP frames out of a byte stream, with a bound and with recovery.
//!
//! A live session closes on the first bad header. A capture is read on: the framer skips to the next
//! plausible header and says how much it skipped.

use gridlatch_vocab::catalogue::wire::{V2GTP_BAD_HEADER, V2GTP_TOO_LARGE};

use super::{Layer, MAX_PAYLOAD, Undecodable};

const HEADER: usize = 8;

/// What came out of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Framing {
    /// One whole frame.
    Frame {
        /// Payload type.
        payload_type: u16,
        /// The payload.
        payload: Vec<u8>,
    },
    /// Bytes that are no frame, or a frame above the bound; the stream goes on after them.
    Bad(Undecodable),
}

/// Splits one direction of one stream. Holds at most one frame of [`MAX_PAYLOAD`] plus what the caller
/// pushes at a time.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    skip: u64,
    out_of_step: bool,
}

impl Framer {
    /// Adds the next bytes of the stream.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets a half-received frame, because bytes of the stream are missing; the next header is
    /// looked for.
    pub fn lose(&mut self) {
        self.buffer.clear();
        self.skip = 0;
        self.out_of_step = true;
    }

    /// Bytes waiting for the rest of their frame.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame, or `None` until more bytes come.
    pub fn next_frame(&mut self) -> Option<Framing> {
        if self.out_of_step {
            let at = self.find_header();
            self.buffer.drain(..at);
        }
        if self.buffer.len() < HEADER {
            return None;
        }
        let head = &self.buffer[..HEADER];
        let payload_type = u16::from_be_bytes([head[2], head[3]]);
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if head[0] != 0x01 || head[1] != 0xFE {
            return Some(self.bad_header());
        }
        self.out_of_step = false;
        if length as usize > MAX_PAYLOAD {
            return Some(self.too_large(payload_type, length));
        }
        let end = HEADER + length as usize;
        if self.buffer.len() < end {
            return None;
        }
        let payload = self.buffer[HEADER..end].to_vec();
        self.buffer.drain(..end);
        Some(Framing::Frame {
            payload_type,
            payload,
        })
    }

    /// Where the next plausible header starts; what is before it is lost.
    fn find_header(&self) -> usize {
        let plausible = |window: &[u8]| window[0] == 0x01 && window[1] == 0xFE && window[2] >= 0x80;
        self.buffer
            .windows(3)
            .position(plausible)
            .unwrap_or_else(|| self.buffer.len().saturating_sub(2))
    }

    fn bad_header(&mut self) -> Framing {
        let first_bytes = Undecodable::excerpt(&self.buffer);
        self.out_of_step = true;
        let skipped = self.find_header().max(1);
        self.buffer.drain(..skipped);
        Framing::Bad(Undecodable {
            code: V2GTP_BAD_HEADER,
            layer: Layer::V2gtp,
            protocol: None,
            payload_type: None,
            reason: format!(
                "a V2GTP header starts with 01 fe, this with {:02x} {:02x}",
                first_bytes[0], first_bytes[1]
            ),
            offset: Some(0),
            length: skipped,
            first_bytes,
        })
    }

    fn too_large(&mut self, payload_type: u16, length: u32) -> Framing {
        let available = self.buffer.len() - HEADER;
        let first_bytes = Undecodable::excerpt(&self.buffer[HEADER..]);
        let here = available.min(length as usize);
        self.skip = u64::from(length) - here as u64;
        self.buffer.drain(..HEADER + here);
        Framing::Bad(Undecodable {
            code: V2GTP_TOO_LARGE,
            layer: Layer::V2gtp,
            protocol: None,
            payload_type: Some(payload_type),
            reason: format!(
                "the header announces {length} bytes, more than the {MAX_PAYLOAD} this reader accepts"
            ),
            offset: None,
            length: length as usize,
            first_bytes,
        })
    }
}
