//! Checking signatures with OpenSSL.

use std::sync::OnceLock;

use gridlatch_trust::{KeyAlgorithm, Verify};
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::sha::{sha256, sha512};
use openssl::sign::Verifier;

use crate::KeyError;
use crate::file::crypto;

/// A SubjectPublicKeyInfo of P-256 up to its point (RFC 5480, 2).
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86,
    0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same of P-521.
const P521_HEAD: [u8; 25] = [
    0x30, 0x81, 0x9B, 0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B,
    0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
];
/// An uncompressed point begins with this octet (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

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
    match plain_key(algorithm, spki).map_err(crypto("read the public key"))? {
        Some(key) => Ok(verify_ecdsa(algorithm, &key, message, signature)),
        None => verify_any(algorithm, spki, message, signature),
    }
}

/// The key of an SPKI in the one form that everybody writes: a named curve and an uncompressed point. OpenSSL's
/// general decoder takes longer over it than the signature check itself.
fn plain_key(algorithm: KeyAlgorithm, spki: &[u8]) -> Result<Option<EcKey<Public>>, ErrorStack> {
    static P256: OnceLock<EcGroup> = OnceLock::new();
    static P521: OnceLock<EcGroup> = OnceLock::new();
    let (head, group, nid) = match algorithm {
        KeyAlgorithm::P256 => (P256_HEAD.as_slice(), &P256, Nid::X9_62_PRIME256V1),
        KeyAlgorithm::P521 => (P521_HEAD.as_slice(), &P521, Nid::SECP521R1),
        KeyAlgorithm::Ed448 => return Ok(None),
    };
    let Some(point) = spki
        .strip_prefix(head)
        .filter(|point| point.first() == Some(&UNCOMPRESSED))
    else {
        return Ok(None);
    };
    let group = match group.get() {
        Some(group) => group,
        None => {
            let made = EcGroup::from_curve_name(nid)?;
            group.get_or_init(|| made)
        }
    };
    // Refuses a point of another length and one that is not on the curve.
    let mut context = BigNumContext::new()?;
    let point = EcPoint::from_bytes(group, point, &mut context)?;
    EcKey::from_public_key(group, &point).map(Some)
}

fn verify_ecdsa(algorithm: KeyAlgorithm, key: &EcKey<Public>, message: &[u8], signature: &[u8]) -> bool {
    let parsed = EcdsaSig::from_der(signature);
    let check = parsed.and_then(|parsed| {
        // One signature has one encoding: what follows it, or BER, is refused.
        if parsed.to_der()? != signature {
            return Ok(false);
        }
        match algorithm {
            KeyAlgorithm::P256 => parsed.verify(&sha256(message), key),
            _ => parsed.verify(&sha512(message), key),
        }
    });
    check.unwrap_or(false)
}

fn verify_any(
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FileKey, Signer as _};

    const EC: [KeyAlgorithm; 2] = [KeyAlgorithm::P256, KeyAlgorithm::P521];

    #[test]
    fn the_short_way_is_taken_for_every_key_made_here_and_for_no_other_form() {
        for algorithm in EC {
            let key = FileKey::generate(algorithm).unwrap();
            let spki = key.public_key_der();
            assert!(plain_key(algorithm, spki).unwrap().is_some());
            // A point that is not on the curve, and one that is cut off.
            let mut off = spki.to_vec();
            *off.last_mut().unwrap() ^= 1;
            assert!(plain_key(algorithm, &off).is_err());
            assert!(plain_key(algorithm, &spki[..spki.len() - 1]).is_err());
            let mut longer = spki.to_vec();
            longer.push(0);
            assert!(plain_key(algorithm, &longer).is_err());
            for other in EC.into_iter().filter(|other| *other != algorithm) {
                assert!(plain_key(other, spki).unwrap().is_none());
                assert!(
                    !verify(other, spki, b"x", &key.sign(b"x").unwrap()).unwrap_or(false),
                    "a signature of {algorithm} passed as one of {other}"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The short way and OpenSSL's general one agree about good, damaged and reshaped signatures.
        #[test]
        fn the_short_way_says_what_the_general_one_says(
            message in proptest::collection::vec(any::<u8>(), 0..200),
            place in any::<proptest::sample::Index>(),
            flip in any::<u8>(),
            tail in proptest::collection::vec(any::<u8>(), 0..3),
            curve in 0..2_usize,
        ) {
            let algorithm = EC[curve];
            let key = FileKey::generate(algorithm).unwrap();
            let spki = key.public_key_der();
            let good = key.sign(&message).unwrap();
            prop_assert!(verify(algorithm, spki, &message, &good).unwrap());
            let mut other = good.clone();
            let place = place.index(other.len());
            other[place] ^= flip;
            other.extend(tail);
            prop_assert_eq!(
                verify(algorithm, spki, &message, &other).unwrap(),
                verify_any(algorithm, spki, &message, &other).unwrap()
            );
            prop_assert_eq!(verify(algorithm, spki, &message, &other).unwrap(), other == good);
        }
    }
}
