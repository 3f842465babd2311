//! One direction of a TCP connection put back in order.
//!
//! Repeated bytes are dropped (the first copy wins), bytes out of order wait, and bytes the capture does
//! not have become a gap that is reported: when the receiver acknowledged what lies behind it, when too
//! much waits, or at the end.

use std::collections::BTreeMap;

/// Bytes that may wait for a missing segment, per direction.
pub(super) const MAX_PENDING: usize = 256 * 1024;

/// Segments that may wait, per direction.
const MAX_SEGMENTS: usize = 512;

/// A segment this far ahead belongs to no stream we follow.
const MAX_AHEAD: i64 = 64 * 1024 * 1024;

/// Acknowledgements beyond a hole before it counts as lost by the capture.
const PATIENCE: u8 = 2;

/// The next piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes in order.
    Data(Vec<u8>),
    /// That many bytes are missing here.
    Gap(u64),
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Sequence number of stream offset 0.
    base: Option<u32>,
    /// Stream offset of the next byte in order.
    delivered: i64,
    pending: BTreeMap<i64, Vec<u8>>,
    pending_bytes: usize,
    acknowledged_beyond: u8,
    fin: bool,
}

impl Half {
    /// Starts (or restarts) at a SYN.
    pub(super) fn open(&mut self, sequence: u32) {
        let base = sequence.wrapping_add(1);
        if self.base != Some(base) {
            *self = Self {
                base: Some(base),
                ..Self::default()
            };
        }
    }

    /// Whether the SYN announces another connection than the one followed.
    pub(super) fn is_other(&self, sequence: u32) -> bool {
        self.base.is_some_and(|base| base != sequence.wrapping_add(1)) && (self.delivered > 0 || self.fin)
    }

    /// Whether this side has said its last.
    pub(super) fn is_finished(&self) -> bool {
        self.fin && self.pending.is_empty()
    }

    /// Marks the end.
    pub(super) fn finish(&mut self) {
        self.fin = true;
    }

    /// Takes a segment and returns what is now in order.
    pub(super) fn push(&mut self, sequence: u32, mut data: &[u8]) -> Vec<Piece> {
        if data.is_empty() {
            return Vec::new();
        }
        let base = *self.base.get_or_insert(sequence);
        let expected = base.wrapping_add(self.delivered as u32);
        let mut at = self.delivered + i64::from(sequence.wrapping_sub(expected) as i32);
        if at < self.delivered {
            let known = (self.delivered - at) as usize;
            if known >= data.len() {
                return Vec::new();
            }
            data = &data[known..];
            at = self.delivered;
        }
        if at > self.delivered {
            if at - self.delivered <= MAX_AHEAD {
                self.hold(at, data);
            }
            if self.pending_bytes > MAX_PENDING || self.pending.len() > MAX_SEGMENTS {
                return self.give_up();
            }
            return Vec::new();
        }
        let mut pieces = Vec::new();
        self.deliver(data.to_vec(), &mut pieces);
        self.drain(&mut pieces);
        pieces
    }

    /// Notes that the receiver has everything before `acknowledges`; a hole it covers is the capture's.
    pub(super) fn acknowledged(&mut self, acknowledges: u32) -> Vec<Piece> {
        let (Some(base), Some((&first, _))) = (self.base, self.pending.first_key_value()) else {
            return Vec::new();
        };
        let expected = base.wrapping_add(self.delivered as u32);
        let at = self.delivered + i64::from(acknowledges.wrapping_sub(expected) as i32);
        if at < first {
            return Vec::new();
        }
        self.acknowledged_beyond += 1;
        if self.acknowledged_beyond < PATIENCE {
            return Vec::new();
        }
        self.give_up()
    }

    /// Steps over the first hole.
    pub(super) fn give_up(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if let Some((&first, _)) = self.pending.first_key_value() {
            pieces.push(Piece::Gap((first - self.delivered).unsigned_abs()));
            self.delivered = first;
            self.drain(&mut pieces);
        }
        self.acknowledged_beyond = 0;
        pieces
    }

    fn hold(&mut self, at: i64, data: &[u8]) {
        let longer = self.pending.get(&at).is_none_or(|held| held.len() < data.len());
        if longer {
            let replaced = self.pending.insert(at, data.to_vec());
            self.pending_bytes = self.pending_bytes + data.len() - replaced.map_or(0, |held| held.len());
        }
    }

    fn deliver(&mut self, data: Vec<u8>, pieces: &mut Vec<Piece>) {
        self.delivered += data.len() as i64;
        self.acknowledged_beyond = 0;
        pieces.push(Piece::Data(data));
    }

    fn drain(&mut self, pieces: &mut Vec<Piece>) {
        while let Some(entry) = self.pending.first_entry() {
            let at = *entry.key();
            if at > self.delivered {
                return;
            }
            let data = entry.remove();
            self.pending_bytes -= data.len();
            let known = (self.delivered - at) as usize;
            if known < data.len() {
                self.deliver(data[known..].to_vec(), pieces);
            }
        }
    }
}
