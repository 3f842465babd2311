//! Evidence: what a meter signed, and what a bill's issuer signed, made and checked without doing anything.
//!
//! - [`ocmf`]: the Open Charge Metering Format of the S.A.F.E. initiative: a session's begin and end readings of
//!   both registers, signed by the meter.
//! - [`jws`]: a detached signature (RFC 7515, ES256) over the canonical form (RFC 8785, [`jcs`]) of a document, with the
//!   signer's certificates.
//! - [`bill`]: a whole signed bill: who signed it, whether its readings are the meter's, and whether its total follows
//!   from them. A stranger needs the file and the issuer's root, nothing else.
//!
//! Deliberately absent: keys (signing closures are passed in), clocks, files, and any opinion on whether a
//! session should have been billed.
#![forbid(unsafe_code)]

pub mod bill;
pub mod jcs;
pub mod jws;
pub mod ocmf;

use gridlatch_vocab::Code;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Fault {
    /// The row of the catalogue.
    pub code: Code,
    /// One sentence.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// SHA-256 of a public key (DER SubjectPublicKeyInfo) or a certificate (DER), lower-case hexadecimal.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// A fingerprint as people compare it: the first 16 octets in pairs.
#[must_use]
pub fn short(fingerprint: &str) -> String {
    let pairs: Vec<&str> = (0..16)
        .filter_map(|index| fingerprint.get(2 * index..2 * index + 2))
        .collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests;
