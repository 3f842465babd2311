//! Building a certificate to its profile. Nothing is signed that the profile would refuse.

use der::asn1::{
    BitString, GeneralizedTime, Ia5String, OctetString, PrintableString, UtcTime, Utf8StringRef,
};
use der::{Any, Decode as _, Encode as _};
use gridlatch_vocab::{Code, Timestamp, catalogue::pki};
use sha1::{Digest as _, Sha1};
use thiserror::Error;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
    CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate, Version};

use crate::profile::{Authority, Profile, Purpose};
use crate::{KeyAlgorithm, lint};

/// The subject of a certificate to be issued; the domain component comes from the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// CN.
    pub common_name: String,
    /// O.
    pub organization: Option<String>,
    /// C, two letters.
    pub country: Option<String>,
}

/// An alternative name of a CSMS certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AltName {
    /// dNSName.
    Dns(String),
    /// iPAddress, 4 or 16 octets.
    Ip(Vec<u8>),
}

/// Everything about a certificate that its profile does not fix.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What to issue.
    pub profile: Profile,
    /// For whom.
    pub subject: Subject,
    /// The subject's public key as DER SubjectPublicKeyInfo.
    pub spki: &'a [u8],
    /// 1 to 20 octets, unique per issuer; made positive and non-zero here.
    pub serial: &'a [u8],
    /// Start of validity; never before the issuer's.
    pub not_before: Timestamp,
    /// End of validity; `None` for the profile's lifetime. Never after the issuer's.
    pub not_after: Option<Timestamp>,
    /// Names a CSMS certificate is valid for.
    pub alt_names: Vec<AltName>,
    /// Where the issuer answers OCSP.
    pub ocsp_url: Option<String>,
    /// Where the issuer publishes its revocation list.
    pub crl_url: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, Copy)]
pub enum Issuer<'a> {
    /// The key being certified: a root.
    Itself,
    /// The CA with this certificate (DER).
    Ca(&'a [u8]),
    /// A CA whose certificate was read before.
    Known(&'a IssuerFacts),
}

/// What certificates take over from their issuer's: name, key identifier, and the time they end at the latest.
#[derive(Debug, Clone)]
pub struct IssuerFacts {
    name: Name,
    key_id: OctetString,
    validity: Validity,
}

impl IssuerFacts {
    /// Reads the issuer's certificate (DER).
    ///
    /// # Errors
    /// It is no certificate.
    pub fn read(der: &[u8]) -> Result<Self, BuildError> {
        let ca = Certificate::from_der(der)?.tbs_certificate;
        let key_id = match ca.get::<SubjectKeyIdentifier>()? {
            Some((_, id)) => id.0,
            None => key_id(&ca.subject_public_key_info)?,
        };
        Ok(Self {
            name: ca.subject,
            key_id,
            validity: ca.validity,
        })
    }
}

/// A signed certificate and the validity it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The certificate.
    pub der: Vec<u8>,
    /// Start of validity, whole seconds.
    pub not_before: Timestamp,
    /// End of validity, whole seconds.
    pub not_after: Timestamp,
}

/// A certificate was not issued.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The certificate would break its profile; nothing was signed.
    #[error("refusing to issue a {profile}: {}", join(.faults))]
    Lint {
        /// What was asked for.
        profile: Profile,
        /// Each broken rule.
        faults: Vec<lint::Fault>,
    },
    /// An input is not what it should be.
    #[error("cannot build the certificate: {0}")]
    Input(&'static str),
    /// A value cannot be encoded.
    #[error("cannot encode the certificate")]
    Encode(#[from] der::Error),
    /// The issuer's key refused.
    #[error("cannot sign the certificate")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BuildError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Lint { .. } | Self::Input(_) | Self::Encode(_) => pki::LINT_REFUSED,
            Self::Sign(_) => pki::KEY_UNAVAILABLE,
        }
    }
}

fn join(faults: &[lint::Fault]) -> String {
    faults
        .iter()
        .map(|fault| fault.message.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

/// What a signing closure may fail with.
pub type SignError = Box<dyn std::error::Error + Send + Sync>;

/// What signs: from the bytes to be signed to the signature of the issuer's key.
pub type Sign<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, SignError> + 'a;

/// Builds, lints, and has signed: `sign` gets the bytes to be signed and returns the signature of the
/// issuer's key, whose algorithm is `issuer_algorithm`.
///
/// # Errors
/// The request breaks its profile, or the key refused. Nothing is signed in the former case.
pub fn build(
    request: &Request<'_>,
    issuer: Issuer<'_>,
    issuer_algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    build_dated(request, issuer, issuer_algorithm, sign).map(|built| built.der)
}

/// As [`build`], with the validity that the certificate got within its issuer's.
///
/// # Errors
/// As [`build`].
pub fn build_dated(
    request: &Request<'_>,
    issuer: Issuer<'_>,
    issuer_algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Built, BuildError> {
    let tbs = tbs(request, issuer, issuer_algorithm)?;
    let message = tbs.to_der()?;
    let faults = lint::lint(&tbs, message.len() + SIGNATURE_ROOM, request.profile);
    if !faults.is_empty() {
        return Err(BuildError::Lint {
            profile: request.profile,
            faults,
        });
    }
    let (not_before, not_after) = (
        timestamp(&tbs.validity.not_before),
        timestamp(&tbs.validity.not_after),
    );
    Ok(Built {
        der: finish(tbs, &message, sign)?,
        not_before,
        not_after,
    })
}

/// Has `message`, the DER of `tbs`, signed and puts the certificate together.
pub(crate) fn finish(tbs: TbsCertificate, message: &[u8], sign: &Sign<'_>) -> Result<Vec<u8>, BuildError> {
    let signature = sign(message).map_err(BuildError::Sign)?;
    let certificate = Certificate {
        signature_algorithm: tbs.signature.clone(),
        tbs_certificate: tbs,
        signature: BitString::from_bytes(&signature)?,
    };
    Ok(certificate.to_der()?)
}

/// The largest signature (P-521, 139 octets) with the outer framing, for the size limit.
pub(crate) const SIGNATURE_ROOM: usize = 170;

fn tbs(
    request: &Request<'_>,
    issuer: Issuer<'_>,
    algorithm: KeyAlgorithm,
) -> Result<TbsCertificate, BuildError> {
    let row = request.profile.row();
    let spki = SubjectPublicKeyInfoOwned::from_der(request.spki)?;
    let subject = name(&request.subject, row.domain_component)?;
    let own_key_id = key_id(&spki)?;
    let mut validity = Window {
        not_before: request.not_before,
        not_after: request
            .not_after
            .unwrap_or_else(|| Timestamp(request.not_before.0 + time::Duration::days(i64::from(row.days)))),
    };
    let (issuer_name, issuer_key_id) = match issuer {
        Issuer::Itself => (subject.clone(), None),
        Issuer::Ca(der) => {
            let facts = IssuerFacts::read(der)?;
            validity.clamp(&facts.validity);
            (facts.name, Some(facts.key_id))
        }
        Issuer::Known(facts) => {
            validity.clamp(&facts.validity);
            (facts.name.clone(), Some(facts.key_id.clone()))
        }
    };
    if validity.not_after <= validity.not_before {
        return Err(BuildError::Input(
            "the validity ends before it begins; the issuer may have expired",
        ));
    }
    let mut extensions = Vec::new();
    let mut add = |extension: &dyn ToExtension| -> Result<(), der::Error> {
        let made = extension.make(&subject, &extensions)?;
        extensions.push(made);
        Ok(())
    };
    add(&Marked(
        true,
        BasicConstraints {
            ca: matches!(row.authority, Authority::Ca { .. }),
            path_len_constraint: match row.authority {
                Authority::Ca { path_len } => path_len,
                Authority::Leaf => None,
            },
        },
    ))?;
    add(&Marked(true, KeyUsage(usage_flags(row.issued_usage)?)))?;
    add(&Marked(false, SubjectKeyIdentifier(own_key_id)))?;
    if let Some(key_id) = issuer_key_id {
        add(&Marked(
            false,
            AuthorityKeyIdentifier {
                key_identifier: Some(key_id),
                ..Default::default()
            },
        ))?;
    }
    if !row.purposes.is_empty() {
        let purposes = row.purposes.iter().map(|purpose| purpose_oid(*purpose)).collect();
        add(&Marked(false, ExtendedKeyUsage(purposes)))?;
    }
    if !request.alt_names.is_empty() {
        add(&Marked(false, SubjectAltName(alt_names(&request.alt_names)?)))?;
    }
    if let Some(url) = &request.ocsp_url {
        add(&Marked(false, responder(url)?))?;
    }
    if let Some(url) = &request.crl_url {
        add(&Marked(false, distribution_point(url)?))?;
    }
    if row.purposes.contains(&Purpose::OcspSigning) {
        extensions.push(Extension {
            extn_id: const_oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK,
            critical: false,
            extn_value: OctetString::new([0x05, 0x00])?,
        });
    }
    Ok(TbsCertificate {
        version: Version::V3,
        serial_number: serial(request.serial)?,
        signature: AlgorithmIdentifierOwned {
            oid: algorithm.signature_oid(),
            parameters: None,
        },
        issuer: issuer_name,
        validity: Validity {
            not_before: asn1_time(validity.not_before)?,
            not_after: asn1_time(validity.not_after)?,
        },
        subject,
        subject_public_key_info: spki,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    })
}

/// CN, O, C, DC: the order of the standard's examples and of other stacks.
pub(crate) fn name(subject: &Subject, domain_component: Option<&str>) -> Result<Name, BuildError> {
    let utf8 = |text: &str| -> Result<Any, der::Error> { Any::encode_from(&Utf8StringRef::new(text)?) };
    let mut parts = vec![(const_oid::db::rfc4519::CN, utf8(&subject.common_name)?)];
    if let Some(organization) = &subject.organization {
        parts.push((const_oid::db::rfc4519::O, utf8(organization)?));
    }
    if let Some(country) = &subject.country {
        parts.push((
            const_oid::db::rfc4519::C,
            Any::encode_from(&PrintableString::new(country)?)?,
        ));
    }
    if let Some(domain) = domain_component {
        parts.push((
            const_oid::db::rfc4519::DC,
            Any::encode_from(&Ia5String::new(domain)?)?,
        ));
    }
    let parts = parts
        .into_iter()
        .map(|(oid, value)| RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid, value }]))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RdnSequence(parts))
}

/// RFC 5280, 4.2.1.2 (1): SHA-1 over the key bits, as `trusted_ca_keys` names a key too.
pub(crate) fn key_id(spki: &SubjectPublicKeyInfoOwned) -> Result<OctetString, der::Error> {
    OctetString::new(Sha1::digest(spki.subject_public_key.raw_bytes()).as_slice())
}

pub(crate) fn usage_flags(
    bits: u16,
) -> Result<der::flagset::FlagSet<x509_cert::ext::pkix::KeyUsages>, BuildError> {
    der::flagset::FlagSet::new(bits).map_err(|_| BuildError::Input("the profile names an unknown key usage"))
}

pub(crate) fn purpose_oid(purpose: Purpose) -> const_oid::ObjectIdentifier {
    match purpose {
        Purpose::ServerAuth => const_oid::db::rfc5280::ID_KP_SERVER_AUTH,
        Purpose::ClientAuth => const_oid::db::rfc5280::ID_KP_CLIENT_AUTH,
        Purpose::OcspSigning => const_oid::db::rfc5280::ID_KP_OCSP_SIGNING,
    }
}

/// RFC 5280, 4.2.2.1: where OCSP is answered.
pub(crate) fn responder(url: &str) -> Result<AuthorityInfoAccessSyntax, der::Error> {
    Ok(AuthorityInfoAccessSyntax(vec![AccessDescription {
        access_method: const_oid::db::rfc5280::ID_AD_OCSP,
        access_location: GeneralName::UniformResourceIdentifier(Ia5String::new(url)?),
    }]))
}

/// RFC 5280, 4.2.1.13: one place, for every reason, signed by the issuer itself.
pub(crate) fn distribution_point(url: &str) -> Result<CrlDistributionPoints, der::Error> {
    let place = GeneralName::UniformResourceIdentifier(Ia5String::new(url)?);
    Ok(CrlDistributionPoints(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![place])),
        reasons: None,
        crl_issuer: None,
    }]))
}

pub(crate) fn alt_names(names: &[AltName]) -> Result<Vec<GeneralName>, BuildError> {
    names
        .iter()
        .map(|name| {
            Ok(match name {
                AltName::Dns(name) => GeneralName::DnsName(Ia5String::new(name)?),
                AltName::Ip(octets) if matches!(octets.len(), 4 | 16) => {
                    GeneralName::IpAddress(OctetString::new(octets.as_slice())?)
                }
                AltName::Ip(_) => return Err(BuildError::Input("an IP address has 4 or 16 octets")),
            })
        })
        .collect()
}

pub(crate) fn serial(octets: &[u8]) -> Result<SerialNumber, BuildError> {
    let trimmed = octets
        .iter()
        .position(|octet| *octet != 0)
        .and_then(|start| octets.get(start..));
    let Some(octets) = trimmed.filter(|octets| octets.len() <= 20) else {
        return Err(BuildError::Input(
            "a serial number has 1 to 20 octets and is not zero",
        ));
    };
    if octets.len() == 20 && octets.first().is_some_and(|octet| octet & 0x80 != 0) {
        return Err(BuildError::Input(
            "a serial number of 20 octets must leave room for its sign",
        ));
    }
    Ok(SerialNumber::new(octets)?)
}

/// UTCTime through 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5): a V2G root of 40 years needs both.
pub(crate) fn asn1_time(at: Timestamp) -> Result<Time, BuildError> {
    let seconds = u64::try_from(at.0.unix_timestamp())
        .map_err(|_| BuildError::Input("the validity lies before 1970"))?;
    let since_epoch = core::time::Duration::from_secs(seconds);
    Ok(if at.0.year() < 2050 {
        Time::UtcTime(UtcTime::from_unix_duration(since_epoch)?)
    } else {
        Time::GeneralTime(GeneralizedTime::from_unix_duration(since_epoch)?)
    })
}

/// The time of a certificate's field.
pub(crate) fn timestamp(time: &Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX / 1000);
    Timestamp::from_unix_millis(seconds.saturating_mul(1000))
}

struct Window {
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Window {
    /// [V2G20-3000], [V2G20-3001]: a certificate is valid only within its issuer's validity. Kept for
    /// both generations: it never harms, and a leaf beyond its CA is useless.
    fn clamp(&mut self, issuer: &Validity) {
        self.not_before = self.not_before.max(timestamp(&issuer.not_before));
        self.not_after = self.not_after.min(timestamp(&issuer.not_after));
    }
}

/// An extension with its criticality, whatever the library's default.
pub(crate) struct Marked<E>(pub(crate) bool, pub(crate) E);

pub(crate) trait ToExtension {
    fn make(&self, subject: &Name, others: &[Extension]) -> Result<Extension, der::Error>;
}

impl<E: AsExtension> ToExtension for Marked<E> {
    fn make(&self, subject: &Name, others: &[Extension]) -> Result<Extension, der::Error> {
        let mut extension = self.1.to_extension(subject, others)?;
        extension.critical = self.0;
        Ok(extension)
    }
}
