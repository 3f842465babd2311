//! `--hex`: bytes from a log or an event.

use std::io::Write;

use gridlatch_session::wire::{Agreed, Conversation, Described, Framer, Framing, Undecodable, decode_frame};
use gridlatch_session::wire::{describe_homeplug, describe_sdp};

use super::print::Printer;
use super::{Failure, Protocol};

/// Decodes and prints; whether everything decoded.
pub(super) fn decode<W: Write>(
    text: &str,
    protocol: Option<Protocol>,
    payload_type: Option<&str>,
    printer: &mut Printer<W>,
) -> Result<bool, Failure> {
    let bytes = unhex(text)?;
    let agreed = protocol.map(|protocol| match protocol {
        Protocol::Iso2 => Agreed::Iso2,
        Protocol::Iso20 => Agreed::Iso20,
        Protocol::Din70121 => Agreed::Din70121,
    });
    let mut whole = true;
    let mut show = |result: Result<Described, Undecodable>| -> Result<(), Failure> {
        match result {
            Ok(described) => {
                whole &= !described.partial;
                printer.bare_message(&described)?;
            }
            Err(undecodable) => {
                whole = false;
                printer.bare_undecodable(&undecodable)?;
            }
        }
        Ok(())
    };
    match bytes.as_slice() {
        [0x01, 0xFE, 0x90, ..] => show(describe_sdp(&bytes))?,
        [0x01, 0xFE, ..] => {
            let mut conversation = Conversation::with(agreed);
            let mut framer = Framer::default();
            framer.push(&bytes);
            while let Some(framing) = framer.next_frame() {
                show(match framing {
                    Framing::Frame {
                        payload_type,
                        payload,
                    } => conversation.decode_frame(payload_type, &payload),
                    Framing::Bad(undecodable) => Err(undecodable),
                })?;
            }
            if framer.pending() > 0 {
                return Err(Failure::Input(format!(
                    "the last V2GTP frame is not whole: {} bytes are there",
                    framer.pending()
                )));
            }
        }
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x88, 0xE1, ..] => show(describe_homeplug(&bytes))?,
        _ => {
            let payload_type = match payload_type {
                Some(text) => number(text)?,
                None => 0x8001,
            };
            show(decode_frame(agreed, payload_type, &bytes))?;
        }
    }
    Ok(whole)
}

/// Hex with any of the usual separators.
fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let digits: String = text
        .replace("0x", "")
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ':' | ',' | '-' | '_'))
        .collect();
    if digits.is_empty() || digits.len() % 2 == 1 {
        return Err(Failure::Input(
            "--hex needs an even number of hex digits".to_owned(),
        ));
    }
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).unwrap_or("?");
            u8::from_str_radix(pair, 16).map_err(|_| Failure::Input(format!("{pair:?} is no hex byte")))
        })
        .collect()
}

fn number(text: &str) -> Result<u16, Failure> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| Failure::Input(format!("{text:?} is no payload type; 0x8001 is one")))
}
