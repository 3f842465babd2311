//! From a capture file to a list of [`Entry`]: file format, link layer, IP, TCP streams, V2G.
//!
//! A capture is hostile input. Bounds: a packet above [`MAX_PACKET`] ends the reading; [`MAX_STREAMS`]
//! TCP streams at a time (the longest silent one is closed for a new one); each stream direction holds
//! at most `tcp::MAX_PENDING` bytes out of order and one V2GTP frame; a file of any length is read in
//! constant memory.

mod analyzer;
mod entry;
mod file;
mod link;
mod stream;
mod summary;
mod tcp;

pub use analyzer::{Analyzer, MAX_STREAMS};
pub use entry::{Entry, TlsHandshake, What};
pub use file::{CaptureError, Item, MAX_PACKET, Packet, Packets};
pub use summary::Summary;

use std::io::Read;

use crate::tls::KeyLog;

/// Reads a whole capture and hands each entry to `sink` as soon as it is known. `sink` answers whether
/// to go on.
///
/// # Errors
/// [`CaptureError`] when the file is none or breaks off; what was read before has been handed out.
pub fn read(
    file: impl Read + Send,
    keys: KeyLog,
    sink: &mut dyn FnMut(Entry) -> bool,
) -> Result<Summary, (CaptureError, Box<Summary>)> {
    let mut analyzer = Analyzer::new(keys);
    let mut going = true;
    let mut packets = match Packets::new(file) {
        Ok(packets) => packets,
        Err(error) => return Err((error, Box::new(analyzer.finish(&mut |_| ())))),
    };
    let mut failure = None;
    while going {
        let mut forward = |entry| going = going && sink(entry);
        match packets.next_item() {
            Ok(Some(Item::Packet(packet))) => analyzer.packet(&packet, &mut forward),
            Ok(Some(Item::Secrets(text))) => analyzer.add_keys(&text),
            Ok(None) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let summary = analyzer.finish(&mut |entry| {
        if going {
            going = sink(entry);
        }
    });
    match failure {
        Some(error) => Err((error, Box::new(summary))),
        None => Ok(summary),
    }
}
