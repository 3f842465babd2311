//! PEM blocks other than certificates: public keys and requests.

use der::pem::{LineEnding, decode_vec, encode_string};

/// The first block with this label (`PUBLIC KEY`), decoded; text around it is ignored.
#[must_use]
pub fn from_pem_block(text: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = core::str::from_utf8(text).ok()?;
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let block = text.get(text.find(&begin)?..)?;
    let block = block.get(..block.find(&end)? + end.len())?;
    decode_vec(block.as_bytes()).ok().map(|(_, octets)| octets)
}

/// Octets as a PEM block.
#[must_use]
pub fn to_pem_block(octets: &[u8], label: &str) -> String {
    // A label of letters and spaces is always encodable.
    encode_string(label, LineEnding::LF, octets).unwrap_or_default()
}

/// Hexadecimal text as octets.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok()
}
