//! What a certification authority remembers: its CAs, every certificate they ever signed, what was
//! taken back, what waits for a second pair of eyes.
//!
//! A serial number is taken in the same commit as its certificate, so no crash gives one serial to two
//! certificates: what was not committed was never handed out. Subjects are kept as a label that is safe
//! to list and a lookup value under the store's pseudonym key; the certificate itself holds the name.

mod approval;
mod authority;
mod certificate;
mod crl;
mod ends;
pub(crate) mod intake;
mod revocation;
#[cfg(test)]
mod tests;

pub use approval::{Approval, RequestRow};
pub use authority::{AuthorityRow, NewAuthority, SignerRow};
pub use certificate::{CertificateRow, Inserted, Listing, NewCertificate};
pub use crl::CrlRow;
pub use ends::EndRow;
pub use revocation::{ReleaseOutcome, RevocationRow, RevokeOutcome};
