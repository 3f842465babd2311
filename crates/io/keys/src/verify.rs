//! Checking signatures with OpenSSL.

use gridlatch_trust::{KeyAlgorithm, Verify};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;

use crate::KeyError;
use crate::file::crypto;

/// Whether `signature` over `message` was made by the key `spki` (DER SubjectPublicKeyInfo) with the
/// digest that belongs to `algorithm`.
///
/// # Errors
/// The key cannot be read. A malformed signature is `Ok(false)`.
pub fn verify(
    algorithm: KeyAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, KeyError> {
    let key = PKey::public_key_from_der(spki).map_err(crypto("read the public key"))?;
    let mut verifier = match algorithm {
        KeyAlgorithm::P256 => Verifier::new(MessageDigest::sha256(), &key),
        KeyAlgorithm::P521 => Verifier::new(MessageDigest::sha512(), &key),
        KeyAlgorithm::Ed448 => Verifier::new_without_digest(&key),
    }
    .map_err(crypto("start verifying"))?;
    // OpenSSL reports a signature it cannot parse as an error; for the caller both mean "not signed".
    Ok(verifier.verify_oneshot(signature, message).unwrap_or(false))
}

/// OpenSSL as the verifier of `gridlatch_trust::verdict`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpensslVerifier;

impl Verify for OpensslVerifier {
    fn verify(&self, algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        // An unreadable key cannot have signed anything.
        Some(verify(algorithm, spki, message, signature).unwrap_or(false))
    }
}
