//! OCSP (RFC 6960): questions and answers built and read, and answers believed or not.
//!
//! An answer is believed if the CA that issued the certificate signed it, or somebody whom that CA has
//! certified for nothing else (the purpose OCSPSigning, with `ocsp-nocheck`, so that asking ends there).

mod answer;
mod question;
mod staple;

use der::Encode as _;
use der::asn1::{Null, OctetString};
use gridlatch_vocab::{Code, Timestamp, catalogue::revocation};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::certificate;
use crate::revocation::{Status, serial_content, serial_number, trim};

pub use answer::{
    NonceRule, Responder, Response, build_response, error_response, parse_response, verify_response,
};
pub(crate) use answer::{about, authentic};
pub use question::{Request, build_request, parse_request};
pub use staple::{Stapled, read_staple};

/// The largest request that is read, in octets.
pub const MAX_REQUEST: usize = 16 * 1024;
/// The largest answer that is read, in octets: a chain of certificates and many statuses fit.
pub const MAX_RESPONSE: usize = 64 * 1024;
/// How many certificates one message may speak of.
pub const MAX_IDS: usize = 64;
/// The longest nonce (RFC 8954, 2.1), in octets.
pub const MAX_NONCE: usize = 32;

/// The hash by which a message names an issuer. Not a signature: SHA-1 is what most clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    const ALL: [Self; 2] = [Self::Sha1, Self::Sha256];

    const fn oid(self) -> const_oid::ObjectIdentifier {
        match self {
            Self::Sha1 => const_oid::ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
            Self::Sha256 => const_oid::db::rfc5912::ID_SHA_256,
        }
    }

    /// Of anything.
    #[must_use]
    pub fn of(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(octets).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
        }
    }
}

/// Which certificate is meant: its issuer's name and key, hashed, and its serial number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertId {
    /// The hash used for both.
    pub hash: Hash,
    /// Over the issuer's name in DER.
    pub issuer_name_hash: Vec<u8>,
    /// Over the issuer's key bits.
    pub issuer_key_hash: Vec<u8>,
    /// The serial number, unsigned and big-endian, without leading zeros.
    pub serial: Vec<u8>,
}

impl CertId {
    /// The certificate `serial` of the CA `issuer` (DER).
    ///
    /// # Errors
    /// `issuer` is not a certificate.
    pub fn new(issuer: &[u8], serial: &[u8], hash: Hash) -> Result<Self, OcspError> {
        let issuer = certificate::parse(issuer).map_err(malformed)?;
        Self::of(&issuer, serial, hash)
    }

    pub(crate) fn of(issuer: &Certificate, serial: &[u8], hash: Hash) -> Result<Self, OcspError> {
        let tbs = &issuer.tbs_certificate;
        let name = tbs.subject.to_der().map_err(malformed)?;
        let key = tbs.subject_public_key_info.subject_public_key.raw_bytes();
        Ok(Self {
            hash,
            issuer_name_hash: hash.of(&name),
            issuer_key_hash: hash.of(key),
            serial: trim(serial).to_vec(),
        })
    }

    fn to_asn1(&self) -> der::Result<x509_ocsp::CertId> {
        Ok(x509_ocsp::CertId {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: self.hash.oid(),
                // NULL is what clients compare with, byte by byte in some.
                parameters: Some(Null.into()),
            },
            issuer_name_hash: OctetString::new(self.issuer_name_hash.as_slice())?,
            issuer_key_hash: OctetString::new(self.issuer_key_hash.as_slice())?,
            serial_number: serial_number(&self.serial)?,
        })
    }

    fn from_asn1(id: &x509_ocsp::CertId) -> Result<Self, OcspError> {
        let oid = id.hash_algorithm.oid;
        let hash = Hash::ALL
            .into_iter()
            .find(|hash| hash.oid() == oid)
            .ok_or_else(|| OcspError::Hash(oid.to_string()))?;
        let length = hash.of(&[]).len();
        if [&id.issuer_name_hash, &id.issuer_key_hash]
            .iter()
            .any(|octets| octets.as_bytes().len() != length)
        {
            return Err(malformed(format!("a hash that has not {length} octets")));
        }
        let content = id.serial_number.as_bytes();
        let serial = trim(content).to_vec();
        if serial_content(&serial) != content {
            return Err(malformed("a negative serial number"));
        }
        Ok(Self {
            hash,
            issuer_name_hash: id.issuer_name_hash.as_bytes().to_vec(),
            issuer_key_hash: id.issuer_key_hash.as_bytes().to_vec(),
            serial,
        })
    }
}

/// The status of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Single {
    /// Which.
    pub id: CertId,
    /// What is known about it.
    pub status: Status,
    /// As of when.
    pub this_update: Timestamp,
    /// Before when the responder will know more; `None` if it always knows the latest.
    pub next_update: Option<Timestamp>,
}

/// Why a responder does not answer the question (RFC 6960, 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The question cannot be read.
    MalformedRequest,
    /// The responder has a fault.
    InternalError,
    /// It cannot answer now.
    TryLater,
    /// It answers signed questions alone.
    SigRequired,
    /// It does not speak for this CA, or not to this client.
    Unauthorized,
}

impl Kind {
    /// The standard's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SigRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question or an answer was not read, or an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OcspError {
    /// Larger than the bounds of this module.
    #[error("the OCSP message is larger than allowed")]
    TooLarge,
    /// Not an OCSP message in DER.
    #[error("not an OCSP message in DER: {0}")]
    Malformed(String),
    /// An issuer is named by a hash that is not used here (its OID). A responder answers `unauthorized`.
    #[error("the issuer is named by the hash {0}, not by SHA-1 or SHA-256")]
    Hash(String),
    /// The responder did not answer the question.
    #[error("the OCSP responder answered {0}")]
    Refused(Kind),
    /// The answer is about other certificates.
    #[error("the OCSP answer is not about this certificate")]
    OtherCertificate,
    /// Signed by somebody who may not.
    #[error("the OCSP answer's signer is not authorised: {0}")]
    Unauthorised(String),
    /// The signature does not verify.
    #[error("the OCSP answer's signature does not verify")]
    Signature,
    /// The nonce is not the one that was sent, or there is none and the policy insists.
    #[error("the OCSP answer {0} the nonce that was sent")]
    Nonce(&'static str),
    /// Made in the future, by more than [`crate::revocation::SKEW`].
    #[error("the OCSP answer is of {0}, which is in the future")]
    Future(Timestamp),
    /// It has run out.
    #[error("the OCSP answer ran out at {0}")]
    Old(Timestamp),
}

impl OcspError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge => revocation::TOO_LARGE,
            Self::Malformed(_) | Self::Hash(_) => revocation::MALFORMED,
            Self::Refused(_) => revocation::REFUSED,
            Self::OtherCertificate => revocation::OTHER_CERTIFICATE,
            Self::Unauthorised(_) => revocation::UNAUTHORISED,
            Self::Signature => revocation::BAD_SIGNATURE,
            Self::Nonce(_) => revocation::NONCE,
            Self::Future(_) => revocation::FROM_THE_FUTURE,
            Self::Old(_) => revocation::STALE,
        }
    }
}

fn malformed(error: impl core::fmt::Display) -> OcspError {
    OcspError::Malformed(error.to_string())
}

/// The nonce of a message's extensions, and a refusal of what is critical and not understood.
fn nonce_of(extensions: &[x509_cert::ext::Extension]) -> Result<Option<Vec<u8>>, OcspError> {
    use der::Decode as _;
    let mut found = None;
    for (index, extension) in extensions.iter().enumerate() {
        let again = |earlier: &x509_cert::ext::Extension| earlier.extn_id == extension.extn_id;
        if extensions.iter().take(index).any(again) {
            return Err(malformed(format!("extension {} occurs twice", extension.extn_id)));
        }
        if extension.extn_id == const_oid::db::rfc6960::ID_PKIX_OCSP_NONCE {
            let nonce = OctetString::from_der(extension.extn_value.as_bytes()).map_err(malformed)?;
            if !(1..=MAX_NONCE).contains(&nonce.as_bytes().len()) {
                return Err(malformed(format!("a nonce has 1 to {MAX_NONCE} octets")));
            }
            found = Some(nonce.into_bytes());
        } else if extension.critical {
            return Err(malformed(format!(
                "the critical extension {} is not understood",
                extension.extn_id
            )));
        }
    }
    Ok(found)
}

fn nonce_extension(nonce: &[u8]) -> der::Result<x509_cert::ext::Extension> {
    let value = OctetString::new(nonce)?.to_der()?;
    Ok(x509_cert::ext::Extension {
        extn_id: const_oid::db::rfc6960::ID_PKIX_OCSP_NONCE,
        critical: false,
        extn_value: OctetString::new(value)?,
    })
}
