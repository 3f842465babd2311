//! A detached JSON Web Signature (RFC 7515, appendix F) with ES256 over the canonical form of a document, with the
//! signer's certificates in its header (`x5c`). Any JOSE library verifies it: the payload it wants is the canonical
//! form ([`crate::jcs`]) of the document.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gridlatch_trust::{KeyAlgorithm, Verify, build, certificate, p256_der, p256_raw};
use gridlatch_vocab::catalogue::bill as codes;
use gridlatch_vocab::{Code, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::Fault;
use crate::jcs::{self, NotCanonical};

/// The longest detached signature, in bytes: eight certificates of 1600 octets fit.
pub const MAX_JWS: usize = 32 * 1024;
/// Certificates in the header.
const MAX_CHAIN: usize = 8;

/// A document could not be signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// It has no canonical form.
    #[error("sign a document")]
    Document(#[from] NotCanonical),
    /// The key refused.
    #[error("sign a document with the signer's key")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the key made is no ECDSA signature on P-256, or there is no certificate.
    #[error("sign a document: {0}")]
    Signer(&'static str),
}

impl SignError {
    /// The row of the catalogue.
    #[must_use]
    pub const fn code(&self) -> Code {
        codes::SIGNING_FAILED
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b64: Option<bool>,
    /// When it was signed, in seconds since 1970.
    iat: i64,
    x5c: Vec<String>,
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

/// Signs `document` at `at`; `chain` is the signer's certificates (DER, leaf first, without the root).
///
/// # Errors
/// The document has no canonical form, or the key refused.
pub fn sign(
    document: &Value,
    chain: &[Vec<u8>],
    at: Timestamp,
    sign: &build::Sign<'_>,
) -> Result<String, SignError> {
    let leaf = chain
        .first()
        .ok_or(SignError::Signer("the signer has no certificate"))?;
    let header = Header {
        alg: "ES256".to_owned(),
        crit: None,
        b64: None,
        iat: at.unix_millis().div_euclid(1000),
        x5c: chain.iter().map(|der| STANDARD.encode(der)).collect(),
        thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(leaf)),
    };
    // Texts and a number always have a JSON form.
    let protected = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap_or_default());
    let message = input(&protected, document)?;
    let signature = sign(&message).map_err(SignError::Key)?;
    let raw = p256_raw(&signature).ok_or(SignError::Signer("the key is not a P-256 key"))?;
    Ok(format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw)))
}

/// RFC 7515, 5.1: what is signed.
fn input(protected: &str, document: &Value) -> Result<Vec<u8>, NotCanonical> {
    let payload = URL_SAFE_NO_PAD.encode(jcs::canonical(document)?);
    Ok(format!("{protected}.{payload}").into_bytes())
}

/// A detached signature, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached {
    protected: String,
    signature: [u8; 64],
    /// The signer's certificates, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// When the signer says it was made.
    pub at: Timestamp,
}

impl Detached {
    /// Reads the compact form `header..signature`.
    ///
    /// # Errors
    /// `bill.document_malformed`.
    pub fn parse(jws: &str) -> Result<Self, Fault> {
        let bad = |what: &str| Fault::new(codes::DOCUMENT_MALFORMED, format!("the signature {what}"));
        if jws.len() > MAX_JWS {
            return Err(bad("is too long"));
        }
        let mut parts = jws.split('.');
        let (Some(protected), Some(""), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad("is not a detached JWS in its compact form"));
        };
        let header = URL_SAFE_NO_PAD
            .decode(protected)
            .ok()
            .and_then(|json| serde_json::from_slice::<Header>(&json).ok())
            .ok_or_else(|| bad("has an unreadable header"))?;
        if header.alg != "ES256" || header.crit.is_some() || header.b64.is_some() {
            return Err(bad("asks for something other than plain ES256"));
        }
        if header.x5c.is_empty() || header.x5c.len() > MAX_CHAIN {
            return Err(bad("has no certificate or too many"));
        }
        let chain: Vec<Vec<u8>> = header
            .x5c
            .iter()
            .map(|text| STANDARD.decode(text))
            .collect::<Result<_, _>>()
            .map_err(|_| bad("has a certificate that is not base64"))?;
        if URL_SAFE_NO_PAD.encode(Sha256::digest(&chain[0])) != header.thumbprint {
            return Err(bad("names another certificate than it brings"));
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .ok()
            .and_then(|raw| raw.try_into().ok())
            .ok_or_else(|| bad("is not the 64 octets of ES256"))?;
        Ok(Self {
            protected: protected.to_owned(),
            signature,
            chain,
            at: Timestamp::from_unix_millis(header.iat.clamp(0, 253_402_300_799) * 1000),
        })
    }

    /// Whether the first certificate's key signed `document`. Whose certificate that is, is another question.
    ///
    /// # Errors
    /// `bill.signature_invalid`.
    pub fn verify(&self, document: &Value, verifier: &dyn Verify) -> Result<(), Fault> {
        let wrong = |what: String| Fault::new(codes::SIGNATURE_INVALID, what);
        let message = input(&self.protected, document).map_err(|error| wrong(error.to_string()))?;
        let spki = certificate::public_key_der(&self.chain[0])
            .map_err(|error| wrong(format!("the signer's certificate: {error}")))?;
        let signature = p256_der(&self.signature);
        match verifier.verify(KeyAlgorithm::P256, &spki, &message, &signature) {
            Some(true) => Ok(()),
            _ => Err(wrong("the signature does not fit the bill".to_owned())),
        }
    }
}
