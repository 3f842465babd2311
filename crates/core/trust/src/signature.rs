//! Checking signatures without OpenSSL.

use der::{Decode as _, Reader as _, SliceReader};
use p256::ecdsa::signature::Verifier as _;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::KeyAlgorithm;

/// Something that checks signatures.
pub trait Verify {
    /// Whether `signature` over `message` was made by the key `spki` (DER SubjectPublicKeyInfo) with the
    /// digest that belongs to `algorithm`; `None` if this verifier does not know the algorithm.
    fn verify(&self, algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<bool>;
}

/// P-256 and P-521 in Rust. Ed448 takes OpenSSL: `gridlatch_keys::OpensslVerifier`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RustCrypto;

impl Verify for RustCrypto {
    fn verify(&self, algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        match algorithm {
            KeyAlgorithm::P256 => Some(p256_verifies(spki, message, signature).is_some()),
            KeyAlgorithm::P521 => Some(p521_verifies(spki, message, signature).is_some()),
            KeyAlgorithm::Ed448 => None,
        }
    }
}

fn p256_verifies(spki: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(spki.subject_public_key.raw_bytes()).ok()?;
    let signature = p256::ecdsa::Signature::from_slice(&fixed::<32>(signature)?).ok()?;
    key.verify(message, &signature).ok()
}

fn p521_verifies(spki: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(spki.subject_public_key.raw_bytes()).ok()?;
    let signature = p521::ecdsa::Signature::from_slice(&fixed::<66>(signature)?).ok()?;
    key.verify(message, &signature).ok()
}

/// Whether the octets of a public key are a point of the curve other than infinity. Ed448 keys are judged by whoever
/// verifies with them; here only their length counts.
pub(crate) fn is_key(algorithm: KeyAlgorithm, octets: &[u8]) -> bool {
    match algorithm {
        KeyAlgorithm::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(octets).is_ok(),
        KeyAlgorithm::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(octets).is_ok(),
        KeyAlgorithm::Ed448 => octets.len() == 57,
    }
}

/// An ECDSA signature on P-256 as JOSE writes it (r and s, 32 octets each) from its DER (`ECDSA-Sig-Value`);
/// `None` if it is not one.
#[must_use]
pub fn p256_raw(signature: &[u8]) -> Option<[u8; 64]> {
    fixed::<32>(signature)?.try_into().ok()
}

/// The DER of an ECDSA signature on P-256 from r and s, 32 octets each.
#[must_use]
pub fn p256_der(raw: &[u8; 64]) -> Vec<u8> {
    // Two INTEGERs of at most 33 octets each: every length is one octet.
    let integer = |octets: &[u8]| {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let digits = &octets[zeros.min(octets.len() - 1)..];
        let sign = usize::from(digits[0] >= 0x80);
        let mut der = vec![0x02, (digits.len() + sign) as u8];
        der.extend(std::iter::repeat_n(0, sign));
        der.extend(digits);
        der
    };
    let (r, s) = raw.split_at(32);
    let content = [integer(r), integer(s)].concat();
    let mut der = vec![0x30, content.len() as u8];
    der.extend(content);
    der
}

/// From the DER of an `ECDSA-Sig-Value` to r and s at their full width.
fn fixed<const N: usize>(signature: &[u8]) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(signature).ok()?;
    let (r, s) = reader
        .sequence(|inner| {
            let r: der::asn1::UintRef<'_> = inner.decode()?;
            let s: der::asn1::UintRef<'_> = inner.decode()?;
            Ok((r, s))
        })
        .ok()?;
    if !reader.is_finished() {
        return None;
    }
    let mut fixed = Vec::with_capacity(2 * N);
    for number in [r, s] {
        let octets = number.as_bytes();
        fixed.extend(std::iter::repeat_n(0, N.checked_sub(octets.len())?));
        fixed.extend(octets);
    }
    Some(fixed)
}
