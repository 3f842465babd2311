//! Certification requests (PKCS#10, RFC 2986): built for our own keys, and read from anybody.
//!
//! A request is believed in one respect only: that whoever sent it holds the private key. Whether the
//! subject may have what is asked for is the issuing policy's question.

use der::asn1::{BitString, SetOfVec};
use der::{Any, Decode as _, Encode as _};
use gridlatch_vocab::{Code, catalogue::pki};
use thiserror::Error;
use x509_cert::attr::Attributes;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::build::{AltName, BuildError, Sign, Subject, name};
use crate::certificate::{self, Names};
use crate::signed::{SignatureFault, Signed};
use crate::{KeyAlgorithm, Verify};

/// The largest request that is read, in octets. One for P-521 is below 700.
pub const MAX_OCTETS: usize = 16 * 1024;
/// Attributes, and extensions asked for, that are looked at.
pub const MAX_PARTS: usize = 32;
/// challengePassword (RFC 2985, 5.4.1).
const CHALLENGE: const_oid::ObjectIdentifier =
    const_oid::ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");

/// What a request asks for. Its signature was checked: the sender holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    /// The subject. Personal data for vehicles and contracts.
    pub subject: Names,
    /// The public key as DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The key's type.
    pub algorithm: KeyAlgorithm,
    /// Alternative names asked for.
    pub alt_names: Vec<AltName>,
    /// The challenge password (RFC 2985, 5.4.1): a secret, or the channel binding of EST.
    pub challenge: Option<String>,
    /// Whether it asks to become a CA.
    pub wants_ca: bool,
}

/// A request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CsrError {
    /// Larger than [`MAX_OCTETS`], or of more than [`MAX_PARTS`] parts.
    #[error("the request is larger than {MAX_OCTETS} octets or has more than {MAX_PARTS} parts")]
    TooLarge,
    /// Not a PKCS#10 request in DER.
    #[error("not a PKCS#10 request in DER: {0}")]
    Malformed(String),
    /// The key is of a type that no profile allows.
    #[error("the key is neither secp256r1, secp521r1 nor Ed448")]
    Key,
    /// Signed with an algorithm that no profile allows.
    #[error("the request is signed with {0}, which no profile allows")]
    Algorithm(String),
    /// The digest is not the one that goes with the key: OpenSSL takes SHA-256 unless told otherwise.
    #[error("the request is not signed as its {0} key has to sign it: {how}", how = digest(*.0))]
    Digest(KeyAlgorithm),
    /// The signature was not made by the key inside: the sender does not hold it.
    #[error("proof of possession failed: the request is not signed by the key it carries")]
    Possession,
    /// A name that readers would see differently, or of a kind that is never issued.
    #[error("{0}")]
    Name(&'static str),
}

impl CsrError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge => pki::CSR_TOO_LARGE,
            Self::Malformed(_) => pki::CSR_MALFORMED,
            Self::Key => pki::WRONG_CURVE,
            Self::Algorithm(_) | Self::Digest(_) => pki::UNSUPPORTED_ALGORITHM,
            Self::Possession => pki::CSR_POSSESSION,
            Self::Name(_) => pki::CSR_NAME,
        }
    }
}

/// How a key of this type signs requests, in OpenSSL's words.
const fn digest(key: KeyAlgorithm) -> &'static str {
    match key {
        KeyAlgorithm::P256 => "with SHA-256 (openssl req -sha256)",
        KeyAlgorithm::P521 => "with SHA-512 (openssl req -sha512)",
        KeyAlgorithm::Ed448 => "with Ed448 itself, without a digest",
    }
}

fn malformed(error: impl core::fmt::Display) -> CsrError {
    CsrError::Malformed(error.to_string())
}

/// A request as PEM.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    // Labels and line endings of our own choice are always encodable.
    der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, der).unwrap_or_default()
}

/// The one request of a PEM text, in DER; `NEW CERTIFICATE REQUEST` is the older label for the same.
///
/// # Errors
/// Larger than twice [`MAX_OCTETS`], or not one PEM block of a request.
pub fn from_pem(text: &[u8]) -> Result<Vec<u8>, CsrError> {
    if text.len() > 2 * MAX_OCTETS {
        return Err(CsrError::TooLarge);
    }
    let (label, der) = der::pem::decode_vec(text.trim_ascii()).map_err(malformed)?;
    if !matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
        return Err(malformed(format!("the PEM block is a {label}")));
    }
    Ok(der)
}

/// Reads a request and checks that its sender holds the key.
///
/// # Errors
/// Too large, not a request, a key or a name no certificate could have, or the wrong proof of possession.
pub fn parse(der: &[u8], verifier: &dyn Verify) -> Result<Csr, CsrError> {
    if der.len() > MAX_OCTETS {
        return Err(CsrError::TooLarge);
    }
    let signed = Signed::alone(der).map_err(malformed)?;
    let CertReqInfo {
        subject,
        public_key,
        attributes,
        ..
    } = CertReqInfo::from_der(signed.body).map_err(malformed)?;
    let algorithm = certificate::key_algorithm(&public_key).ok_or(CsrError::Key)?;
    let asked = asked(&attributes)?;
    let names = subject_names(&subject)?;
    // The costly part last.
    signed
        .made_by(&public_key, verifier)
        .map_err(|fault| match fault {
            SignatureFault::Unsupported(algorithm) => CsrError::Algorithm(algorithm),
            SignatureFault::OtherKey(_) => CsrError::Digest(algorithm),
            SignatureFault::Wrong => CsrError::Possession,
        })?;
    Ok(Csr {
        subject: names,
        spki: public_key.to_der().map_err(malformed)?,
        algorithm,
        alt_names: asked.alt_names,
        challenge: asked.challenge,
        wants_ca: asked.wants_ca,
    })
}

/// What the attributes ask for.
#[derive(Default)]
struct Asked {
    alt_names: Vec<AltName>,
    challenge: Option<String>,
    wants_ca: bool,
}

fn asked(attributes: &Attributes) -> Result<Asked, CsrError> {
    let mut asked = Asked::default();
    if attributes.len() > MAX_PARTS {
        return Err(CsrError::TooLarge);
    }
    let mut seen = Vec::new();
    for attribute in attributes.iter() {
        if seen.contains(&attribute.oid) {
            return Err(malformed(format!("attribute {} occurs twice", attribute.oid)));
        }
        seen.push(attribute.oid);
        let value = || match attribute.values.as_slice() {
            [value] => Ok(value),
            _ => Err(malformed(format!(
                "attribute {} has not one value",
                attribute.oid
            ))),
        };
        match attribute.oid {
            const_oid::db::rfc5912::ID_EXTENSION_REQ => {
                let extensions = ExtensionReq::from_der(&value()?.to_der().map_err(malformed)?)
                    .map_err(malformed)?
                    .0;
                extensions_asked(&extensions, &mut asked)?;
            }
            CHALLENGE => {
                let text = certificate::text(value()?).filter(|text| (1..=255).contains(&text.len()));
                asked.challenge =
                    Some(text.ok_or(CsrError::Name("the challenge password is not readable text"))?);
            }
            _ => {}
        }
    }
    Ok(asked)
}

fn extensions_asked(extensions: &[x509_cert::ext::Extension], asked: &mut Asked) -> Result<(), CsrError> {
    if extensions.len() > MAX_PARTS {
        return Err(CsrError::TooLarge);
    }
    for (index, extension) in extensions.iter().enumerate() {
        let again = |earlier: &x509_cert::ext::Extension| earlier.extn_id == extension.extn_id;
        if extensions.iter().take(index).any(again) {
            return Err(malformed(format!("extension {} occurs twice", extension.extn_id)));
        }
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME => {
                let names = SubjectAltName::from_der(value).map_err(malformed)?.0;
                if names.len() > MAX_PARTS {
                    return Err(CsrError::TooLarge);
                }
                asked.alt_names = names.into_iter().map(alt_name).collect::<Result<_, _>>()?;
            }
            const_oid::db::rfc5280::ID_CE_BASIC_CONSTRAINTS => {
                asked.wants_ca = BasicConstraints::from_der(value).map_err(malformed)?.ca;
            }
            _ => {}
        }
    }
    Ok(())
}

fn alt_name(name: GeneralName) -> Result<AltName, CsrError> {
    match name {
        GeneralName::DnsName(name) if is_host(name.as_str()) => Ok(AltName::Dns(name.to_string())),
        GeneralName::DnsName(_) => Err(CsrError::Name("an alternative name is not a host name")),
        GeneralName::IpAddress(octets) if matches!(octets.as_bytes().len(), 4 | 16) => {
            Ok(AltName::Ip(octets.into_bytes()))
        }
        _ => Err(CsrError::Name(
            "an alternative name is neither a host name nor an address",
        )),
    }
}

/// Letters, digits, hyphens and dots: what resolvers and `CommonName`s agree on. No NUL, no wildcard.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// CN, O and DC, each at most once and readable, so that no two readers see different subjects.
fn subject_names(subject: &Name) -> Result<Names, CsrError> {
    const ONCE: [const_oid::ObjectIdentifier; 3] = [
        const_oid::db::rfc4519::CN,
        const_oid::db::rfc4519::O,
        const_oid::db::rfc4519::DC,
    ];
    let attributes = || subject.0.iter().flat_map(|part| part.0.iter());
    if attributes().count() > MAX_PARTS {
        return Err(CsrError::TooLarge);
    }
    for oid in ONCE {
        let mut values = attributes().filter(|attribute| attribute.oid == oid);
        if values
            .next()
            .is_some_and(|value| certificate::text(&value.value).is_none())
        {
            return Err(CsrError::Name(
                "the subject holds a control character or is not text",
            ));
        }
        if values.next().is_some() {
            return Err(CsrError::Name(
                "the subject holds two values where one is meant (CN, O or DC)",
            ));
        }
    }
    Ok(certificate::names(subject))
}

/// Builds a request for the key `spki` and has it signed by that key, whose type is `algorithm`.
///
/// # Errors
/// A value cannot be encoded, or the key refused.
pub fn build(
    subject: &Subject,
    domain_component: Option<&str>,
    spki: &[u8],
    algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    build_with(subject, domain_component, spki, &[], None, algorithm, sign)
}

/// As [`build`], asking for alternative names and carrying a challenge password.
///
/// # Errors
/// As [`build`].
pub fn build_with(
    subject: &Subject,
    domain_component: Option<&str>,
    spki: &[u8],
    alt_names: &[AltName],
    challenge: Option<&str>,
    algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    let public_key = SubjectPublicKeyInfoOwned::from_der(spki)?;
    if certificate::key_algorithm(&public_key) != Some(algorithm) {
        return Err(BuildError::Input(
            "the key is of another type than its request says",
        ));
    }
    let mut attributes = SetOfVec::new();
    if let Some(challenge) = challenge {
        let value = Any::encode_from(&der::asn1::Utf8StringRef::new(challenge)?)?;
        attributes.insert(x509_cert::attr::Attribute {
            oid: CHALLENGE,
            values: SetOfVec::try_from(vec![value])?,
        })?;
    }
    if !alt_names.is_empty() {
        let names = SubjectAltName(crate::build::alt_names(alt_names)?);
        let extension = x509_cert::ext::Extension {
            extn_id: const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME,
            critical: false,
            extn_value: der::asn1::OctetString::new(names.to_der()?)?,
        };
        attributes.insert(ExtensionReq(vec![extension]).try_into()?)?;
    }
    let info = CertReqInfo {
        version: Version::V1,
        subject: name(subject, domain_component)?,
        public_key,
        attributes,
    };
    let signature = sign(&info.to_der()?).map_err(BuildError::Sign)?;
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned {
            oid: algorithm.signature_oid(),
            parameters: None,
        },
        signature: BitString::from_bytes(&signature)?,
    };
    Ok(request.to_der()?)
}
