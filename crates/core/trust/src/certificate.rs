//! What a certificate says, without judging it.

use const_oid::ObjectIdentifier;
use der::{Any, Decode as _, Encode as _};
use gridlatch_vocab::{Emaid, Personal, Timestamp};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::ext::pkix::AuthorityInfoAccessSyntax;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::KeyAlgorithm;
use crate::build::timestamp;

/// A certificate cannot be read or lacks what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not a certificate in DER.
    #[error("not a certificate in DER")]
    Malformed,
    /// Larger than any profile allows.
    #[error("larger than {MAX_OCTETS} octets")]
    TooLarge,
    /// The common name is no EMAID.
    #[error("the common name is not an EMAID")]
    NoEmaid,
}

/// The largest certificate that is read at all: RSA roots of public PKIs are below 2 kB.
pub const MAX_OCTETS: usize = 8192;

/// The readable facts of a certificate.
///
/// `subject_cn` of a vehicle or contract certificate is personal data: whoever logs a summary wraps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// CN of the subject.
    pub subject_cn: String,
    /// O of the subject.
    pub subject_o: Option<String>,
    /// CN of the issuer.
    pub issuer_cn: String,
    /// DC of the subject.
    pub domain_component: Option<String>,
    /// Serial number, upper-case hex without leading zeros.
    pub serial_hex: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Key type; `None` for one that no profile allows.
    pub key: Option<KeyAlgorithm>,
    /// Whether the subject may sign certificates.
    pub is_ca: bool,
    /// SHA-256 over the DER, upper-case hex.
    pub fingerprint: String,
}

/// The four values by which OCSP and OCPP name a certificate (`OCSPRequestDataType`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspHashData {
    /// Always `SHA256`.
    pub hash_algorithm: &'static str,
    /// Lower-case hex of the hash over the issuer's name in DER.
    pub issuer_name_hash: String,
    /// Lower-case hex of the hash over the issuer's key bits.
    pub issuer_key_hash: String,
    /// Lower-case hex without leading zeros.
    pub serial_number: String,
    /// Where to ask, if the certificate says.
    pub responder_url: Option<String>,
}

/// Reads a certificate.
///
/// # Errors
/// Too large, or not DER.
pub fn parse(der: &[u8]) -> Result<Certificate, CertificateError> {
    if der.len() > MAX_OCTETS {
        return Err(CertificateError::TooLarge);
    }
    Certificate::from_der(der).map_err(|_| CertificateError::Malformed)
}

/// The readable facts.
///
/// # Errors
/// As [`parse`].
pub fn summary(der: &[u8]) -> Result<CertificateSummary, CertificateError> {
    let certificate = parse(der)?;
    let tbs = &certificate.tbs_certificate;
    let subject = names(&tbs.subject);
    Ok(CertificateSummary {
        subject_cn: subject.common_name.unwrap_or_default(),
        subject_o: subject.organization,
        issuer_cn: names(&tbs.issuer).common_name.unwrap_or_default(),
        domain_component: subject.domain_component,
        serial_hex: serial_hex(&certificate).to_ascii_uppercase(),
        not_before: timestamp(&tbs.validity.not_before),
        not_after: timestamp(&tbs.validity.not_after),
        key: key_algorithm(&tbs.subject_public_key_info),
        is_ca: tbs
            .get::<x509_cert::ext::pkix::BasicConstraints>()
            .ok()
            .flatten()
            .is_some_and(|(_, constraints)| constraints.ca),
        fingerprint: hex::encode_upper(Sha256::digest(der)),
    })
}

/// The serial number, unsigned and big-endian, without leading zeros.
///
/// # Errors
/// As [`parse`].
pub fn serial(der: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let certificate = parse(der)?;
    let octets = certificate.tbs_certificate.serial_number.as_bytes();
    let start = octets
        .iter()
        .position(|octet| *octet != 0)
        .unwrap_or(octets.len());
    Ok(octets.get(start..).unwrap_or_default().to_vec())
}

/// The contract id of a contract certificate [V2G2-108].
///
/// # Errors
/// As [`parse`], or the common name is no EMAID.
pub fn emaid_of(leaf: &[u8]) -> Result<Personal<Emaid>, CertificateError> {
    names(&parse(leaf)?.tbs_certificate.subject)
        .common_name
        .and_then(|name| name.parse().ok())
        .map(Personal::new)
        .ok_or(CertificateError::NoEmaid)
}

/// How OCSP names `certificate`, issued by `issuer`.
///
/// # Errors
/// As [`parse`].
pub fn hash_data(certificate: &[u8], issuer: &[u8]) -> Result<OcspHashData, CertificateError> {
    let certificate = parse(certificate)?;
    let issuer = parse(issuer)?;
    let tbs = &certificate.tbs_certificate;
    let name = issuer
        .tbs_certificate
        .subject
        .to_der()
        .map_err(|_| CertificateError::Malformed)?;
    let key = issuer
        .tbs_certificate
        .subject_public_key_info
        .subject_public_key
        .raw_bytes()
        .to_vec();
    let responder_url = tbs
        .get::<AuthorityInfoAccessSyntax>()
        .ok()
        .flatten()
        .and_then(|(_, access)| {
            access
                .0
                .into_iter()
                .find_map(|entry| match entry.access_location {
                    GeneralName::UniformResourceIdentifier(url)
                        if entry.access_method == const_oid::db::rfc5280::ID_AD_OCSP =>
                    {
                        Some(url.to_string())
                    }
                    _ => None,
                })
        });
    Ok(OcspHashData {
        hash_algorithm: "SHA256",
        issuer_name_hash: hex::encode(Sha256::digest(name)),
        issuer_key_hash: hex::encode(Sha256::digest(key)),
        serial_number: serial_hex(&certificate),
        responder_url,
    })
}

/// The key type of a public key (DER SubjectPublicKeyInfo), if it is one that a profile knows.
#[must_use]
pub fn spki_algorithm(spki: &[u8]) -> Option<KeyAlgorithm> {
    use der::Decode as _;
    key_algorithm(&SubjectPublicKeyInfoOwned::from_der(spki).ok()?)
}

/// As [`spki_algorithm`], of a key that can verify something: a point of its curve other than infinity.
#[must_use]
pub fn usable_key(spki: &[u8]) -> Option<KeyAlgorithm> {
    use der::Decode as _;
    let spki = SubjectPublicKeyInfoOwned::from_der(spki).ok()?;
    let octets = spki.subject_public_key.as_bytes()?;
    key_algorithm(&spki).filter(|algorithm| crate::signature::is_key(*algorithm, octets))
}

/// The key type of a public key, if a profile knows it.
#[must_use]
pub fn key_algorithm(spki: &SubjectPublicKeyInfoOwned) -> Option<KeyAlgorithm> {
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
    const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
    if spki.algorithm.oid == ED448 {
        return Some(KeyAlgorithm::Ed448);
    }
    if spki.algorithm.oid != EC {
        return None;
    }
    let curve = spki
        .algorithm
        .parameters
        .as_ref()?
        .decode_as::<ObjectIdentifier>()
        .ok()?;
    match curve {
        P256 => Some(KeyAlgorithm::P256),
        P521 => Some(KeyAlgorithm::P521),
        _ => None,
    }
}

/// The key type in words, also of keys that no profile allows: `RSA with 2048 bits`, `secp384r1`.
#[must_use]
pub fn key_kind(spki: &SubjectPublicKeyInfoOwned) -> String {
    if let Some(algorithm) = key_algorithm(spki) {
        return algorithm.to_string();
    }
    let curve = || {
        spki.algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
    };
    match spki.algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => format!("RSA with {} bits", rsa_bits(spki)),
        "1.2.840.113549.1.1.10" => "RSA-PSS".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.2.840.10045.2.1" => match curve().map(|oid| oid.to_string()).as_deref() {
            Some("1.3.132.0.34") => "secp384r1".to_owned(),
            Some("1.3.132.0.10") => "secp256k1".to_owned(),
            Some("1.3.36.3.3.2.8.1.1.7") => "brainpoolP256r1".to_owned(),
            Some(oid) => format!("on the elliptic curve {oid}"),
            None => "on an elliptic curve without a name".to_owned(),
        },
        oid => format!("of the type {oid}"),
    }
}

/// The length of an RSA modulus, 0 if it cannot be read.
fn rsa_bits(spki: &SubjectPublicKeyInfoOwned) -> usize {
    use der::Reader as _;
    let bits = || -> der::Result<usize> {
        let mut reader = der::SliceReader::new(spki.subject_public_key.raw_bytes())?;
        reader.sequence(|key| {
            let modulus: der::asn1::UintRef<'_> = key.decode()?;
            key.tlv_bytes()?;
            let top = modulus
                .as_bytes()
                .first()
                .map_or(8, |octet| octet.leading_zeros());
            Ok((modulus.as_bytes().len() * 8).saturating_sub(top as usize))
        })
    };
    bits().unwrap_or(0)
}

/// The parts of a distinguished name that profiles speak of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// CN.
    pub common_name: Option<String>,
    /// O.
    pub organization: Option<String>,
    /// DC.
    pub domain_component: Option<String>,
}

/// Reads the first CN, O and DC of a name.
#[must_use]
pub fn names(name: &Name) -> Names {
    let mut names = Names::default();
    for attribute in name.0.iter().flat_map(|part| part.0.iter()) {
        let place = match attribute.oid {
            const_oid::db::rfc4519::CN => &mut names.common_name,
            const_oid::db::rfc4519::O => &mut names.organization,
            const_oid::db::rfc4519::DC => &mut names.domain_component,
            _ => continue,
        };
        if place.is_none() {
            *place = text(&attribute.value);
        }
    }
    names
}

/// A directory string. A NUL or another control character makes it unreadable, so that no two readers
/// of the certificate see different names.
pub(crate) fn text(value: &Any) -> Option<String> {
    use der::{Tag, Tagged as _};
    let octets = value.value();
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString => {
            String::from_utf8(octets.to_vec()).ok()?
        }
        Tag::BmpString => {
            let (pairs, rest) = octets.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())?
        }
        _ => return None,
    };
    (!text.chars().any(char::is_control)).then_some(text)
}

fn serial_hex(certificate: &Certificate) -> String {
    let text = hex::encode(certificate.tbs_certificate.serial_number.as_bytes());
    let trimmed = text.trim_start_matches('0');
    if trimmed.is_empty() {
        "0".to_owned()
    } else {
        trimmed.to_owned()
    }
}

/// The public key as DER SubjectPublicKeyInfo.
///
/// # Errors
/// As [`parse`].
pub fn public_key_der(certificate: &[u8]) -> Result<Vec<u8>, CertificateError> {
    parse(certificate)?
        .tbs_certificate
        .subject_public_key_info
        .to_der()
        .map_err(|_| CertificateError::Malformed)
}

/// The subject's name in DER, as revocation lists name an issuer.
///
/// # Errors
/// As [`parse`].
pub fn subject_der(certificate: &[u8]) -> Result<Vec<u8>, CertificateError> {
    parse(certificate)?
        .tbs_certificate
        .subject
        .to_der()
        .map_err(|_| CertificateError::Malformed)
}

/// The issuer's name in DER, as revocation lists name an issuer.
///
/// # Errors
/// As [`parse`].
pub fn issuer_der(certificate: &[u8]) -> Result<Vec<u8>, CertificateError> {
    parse(certificate)?
        .tbs_certificate
        .issuer
        .to_der()
        .map_err(|_| CertificateError::Malformed)
}

/// The subject key identifier; empty when the certificate has none or cannot be read.
#[must_use]
pub fn subject_key_id(der: &[u8]) -> Vec<u8> {
    use x509_cert::ext::pkix::SubjectKeyIdentifier;
    parse(der)
        .ok()
        .and_then(|parsed| {
            parsed
                .tbs_certificate
                .get::<SubjectKeyIdentifier>()
                .ok()
                .flatten()
                .map(|(_, id)| id.0.as_bytes().to_vec())
        })
        .unwrap_or_default()
}

/// A certificate as PEM.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    // Labels and line endings of our own choice are always encodable.
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap_or_default()
}

/// How many certificates one PEM text may hold.
pub const MAX_PEM: usize = 256;

/// Every certificate of a PEM text, in order; text between blocks is ignored.
///
/// # Errors
/// A block is not Base64, or there are more than [`MAX_PEM`].
pub fn from_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut rest = core::str::from_utf8(text).map_err(|_| CertificateError::Malformed)?;
    let mut found = Vec::new();
    while let Some(start) = rest.find(BEGIN) {
        let block = rest.get(start..).unwrap_or_default();
        let end = block.find(END).ok_or(CertificateError::Malformed)? + END.len();
        let (block, after) = block.split_at(end);
        let (_, der) = der::pem::decode_vec(block.as_bytes()).map_err(|_| CertificateError::Malformed)?;
        if found.len() == MAX_PEM {
            return Err(CertificateError::TooLarge);
        }
        found.push(der);
        rest = after;
    }
    Ok(found)
}
