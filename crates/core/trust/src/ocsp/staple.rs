//! The answer a TLS server staples to its own certificate.

use gridlatch_vocab::Timestamp;

use super::answer::{NonceRule, about, parse_response, verify_response};
use super::{OcspError, malformed};
use crate::Verify;
use crate::certificate;
use crate::revocation::Status;

/// What a believed staple says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stapled {
    /// About the server's certificate.
    pub status: Status,
    /// As of when.
    pub this_update: Timestamp,
    /// Before when there will be a newer one, where the responder says so.
    pub next_update: Option<Timestamp>,
}

/// Reads the staple (a DER `OCSPResponse`) of the certificate `leaf`, issued by `issuer` (both DER).
///
/// # Errors
/// Why it is not believed at `now`.
pub fn read_staple(
    staple: &[u8],
    leaf: &[u8],
    issuer: &[u8],
    now: Timestamp,
    verifier: &dyn Verify,
) -> Result<Stapled, OcspError> {
    let response = parse_response(staple)?;
    let leaf = certificate::parse(leaf).map_err(malformed)?;
    let serial = leaf.tbs_certificate.serial_number.as_bytes();
    let status = verify_response(&response, issuer, serial, NonceRule::NotSent, now, verifier)?;
    let single = about(&response, &certificate::parse(issuer).map_err(malformed)?, serial)?;
    Ok(Stapled {
        status,
        this_update: single.this_update,
        next_update: single.next_update,
    })
}
