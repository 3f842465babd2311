//! The one shape of everything that is signed here: SEQUENCE { body, algorithm, signature, ... }.
//!
//! A signature covers octets, not meaning: it is checked over the body exactly as it was sent, never
//! over what a decoder made of it and encoded again.

use der::asn1::BitStringRef;
use der::{Encode as _, Reader as _, SliceReader};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::{KeyAlgorithm, Verify, certificate};

/// A signed object, taken apart but not judged.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// What the signature covers, tag and length included.
    pub(crate) body: &'a [u8],
    /// The algorithm stated outside the body.
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    /// The signature's octets.
    pub(crate) signature: &'a [u8],
    /// What follows the signature inside the SEQUENCE: an OCSP answer's certificates.
    pub(crate) rest: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes `der` apart. What follows the SEQUENCE is refused.
    pub(crate) fn split(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let signed = reader.sequence(|inner| {
            let body = inner.tlv_bytes()?;
            let algorithm = inner.decode()?;
            let signature = inner.decode::<BitStringRef<'_>>()?;
            let rest = inner.read_slice(inner.remaining_len())?;
            Ok((body, algorithm, signature, rest))
        })?;
        let (body, algorithm, bits, rest) = reader.finish(signed)?;
        let signature = bits.as_bytes().ok_or_else(|| der::Tag::BitString.value_error())?;
        Ok(Self {
            body,
            algorithm,
            signature,
            rest,
        })
    }

    /// As [`Self::split`], where nothing may follow the signature.
    pub(crate) fn alone(der: &'a [u8]) -> der::Result<Self> {
        let signed = Self::split(der)?;
        if signed.rest.is_empty() {
            Ok(signed)
        } else {
            Err(der::Tag::Sequence.value_error())
        }
    }

    /// Whether the key `spki` made the signature.
    pub(crate) fn made_by(
        &self,
        spki: &SubjectPublicKeyInfoOwned,
        verifier: &dyn Verify,
    ) -> Result<KeyAlgorithm, SignatureFault> {
        let algorithm = KeyAlgorithm::from_signature_oid(&self.algorithm.oid)
            .ok_or_else(|| SignatureFault::Unsupported(self.algorithm.oid.to_string()))?;
        if certificate::key_algorithm(spki) != Some(algorithm) {
            return Err(SignatureFault::OtherKey(algorithm));
        }
        let spki = spki.to_der().map_err(|_| SignatureFault::Wrong)?;
        match verifier.verify(algorithm, &spki, self.body, self.signature) {
            Some(true) => Ok(algorithm),
            Some(false) => Err(SignatureFault::Wrong),
            None => Err(SignatureFault::Unsupported(algorithm.to_string())),
        }
    }
}

/// Why a signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignatureFault {
    /// No profile allows the algorithm (its OID), or the verifier does not know it (its name).
    Unsupported(String),
    /// It is of this algorithm, and the key is of another.
    OtherKey(KeyAlgorithm),
    /// It does not verify.
    Wrong,
}
