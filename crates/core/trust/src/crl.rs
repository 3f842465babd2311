//! Certificate revocation lists (RFC 5280, section 5), full and delta: built, read, and believed or not.

use core::fmt;

use der::asn1::{BitString, OctetString, Uint};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber};
use gridlatch_vocab::{Code, Timestamp, catalogue::revocation};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::crl::{BaseCrlNumber, CrlNumber, FreshestCrl};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, CrlReason, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use crate::build::{BuildError, Sign, asn1_time, distribution_point, key_id, timestamp};
use crate::profile::usage;
use crate::revocation::{Reason, Revoked, Stale, Status, fresh, serial_content};
use crate::signed::{SignatureFault, Signed};
use crate::{KeyAlgorithm, Verify, certificate, lint};

/// The largest list that is read, in octets: some 200 000 entries with reasons.
pub const MAX_OCTETS: usize = 10 * 1024 * 1024;
/// The longest list that is read.
pub const MAX_ENTRIES: usize = 250_000;

/// A list to be made.
#[derive(Debug, Clone, Copy)]
pub struct CrlRequest<'a> {
    /// The CA whose list it is (DER).
    pub issuer: &'a [u8],
    /// Grows with each list of this CA, full or delta.
    pub number: u64,
    /// For a delta: the number of the full list it completes.
    pub base: Option<u64>,
    /// When it is made.
    pub this_update: Timestamp,
    /// Before when the next one comes.
    pub next_update: Timestamp,
    /// What is revoked; in a delta, what has changed since.
    pub revoked: &'a [Revoked],
    /// Where deltas to this full list are published; OpenSSL looks at deltas only if a list says so.
    pub delta_url: Option<&'a str>,
}

/// Builds a list and has it signed by the issuer's key.
///
/// # Errors
/// The numbers, times or entries contradict each other, or the key refused.
pub fn build(
    request: &CrlRequest<'_>,
    algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    if request.base.is_some_and(|base| base >= request.number) {
        return Err(BuildError::Input(
            "a delta must have a greater number than its base",
        ));
    }
    if request.next_update <= request.this_update {
        return Err(BuildError::Input("the next list must come after this one"));
    }
    if request.revoked.len() > MAX_ENTRIES {
        return Err(BuildError::Input("more entries than a list may have"));
    }
    let issuer = Certificate::from_der(request.issuer)?.tbs_certificate;
    let signature = AlgorithmIdentifierOwned {
        oid: algorithm.signature_oid(),
        parameters: None,
    };
    let entries = entries(request)?;
    let tbs = TbsCertList {
        version: x509_cert::Version::V2,
        signature: signature.clone(),
        this_update: asn1_time(request.this_update)?,
        next_update: Some(asn1_time(request.next_update)?),
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: Some(list_extensions(request, &issuer)?),
        issuer: issuer.subject,
    };
    let signed = sign(&tbs.to_der()?).map_err(BuildError::Sign)?;
    let list = CertificateList {
        tbs_cert_list: tbs,
        signature_algorithm: signature,
        signature: BitString::from_bytes(&signed)?,
    };
    Ok(list.to_der()?)
}

fn entries(request: &CrlRequest<'_>) -> Result<Vec<RevokedCert>, BuildError> {
    let mut serials: Vec<Vec<u8>> = request
        .revoked
        .iter()
        .map(|entry| serial_content(&entry.serial))
        .collect();
    serials.sort();
    if serials.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(BuildError::Input("a serial number is listed twice"));
    }
    request
        .revoked
        .iter()
        .map(|entry| {
            if entry.reason == Reason::RemoveFromCrl && request.base.is_none() {
                return Err(BuildError::Input("removeFromCRL belongs into a delta"));
            }
            Ok(RevokedCert {
                serial_number: SerialNumber::new(&entry.serial)?,
                revocation_date: asn1_time(entry.at)?,
                // RFC 5280, 5.3.1: an unspecified reason is left out.
                crl_entry_extensions: (entry.reason != Reason::Unspecified)
                    .then(|| extension(REASON, false, &entry.reason.to_asn1()).map(|reason| vec![reason]))
                    .transpose()?,
            })
        })
        .collect()
}

const NUMBER: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_CRL_NUMBER;
const DELTA: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_DELTA_CRL_INDICATOR;
const FRESHEST: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_FRESHEST_CRL;
const POINT: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
const AUTHORITY: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER;
const REASON: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_CRL_REASONS;

fn list_extensions(
    request: &CrlRequest<'_>,
    issuer: &x509_cert::TbsCertificate,
) -> Result<Extensions, BuildError> {
    let key_identifier = Some(match issuer.get::<SubjectKeyIdentifier>()? {
        Some((_, id)) => id.0,
        None => key_id(&issuer.subject_public_key_info)?,
    });
    let authority = AuthorityKeyIdentifier {
        key_identifier,
        ..Default::default()
    };
    let number = |number: u64| Uint::new(&number.to_be_bytes());
    let mut extensions = vec![
        extension(AUTHORITY, false, &authority)?,
        extension(NUMBER, false, &CrlNumber(number(request.number)?))?,
    ];
    if let Some(base) = request.base {
        extensions.push(extension(DELTA, true, &BaseCrlNumber(number(base)?))?);
    } else if let Some(url) = request.delta_url {
        extensions.push(extension(
            FRESHEST,
            false,
            &FreshestCrl(distribution_point(url)?.0),
        )?);
    }
    Ok(extensions)
}

fn extension(
    oid: const_oid::ObjectIdentifier,
    critical: bool,
    value: &impl der::Encode,
) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

/// A list was not read or is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CrlError {
    /// Larger than [`MAX_OCTETS`] or longer than [`MAX_ENTRIES`].
    #[error("the revocation list is larger than {MAX_OCTETS} octets or {MAX_ENTRIES} entries")]
    TooLarge,
    /// Not a CRL in DER.
    #[error("not a revocation list in DER: {0}")]
    Malformed(String),
    /// Of a kind that says nothing about the certificates here: indirect, by reason, of attributes, or
    /// with a critical extension that is not understood.
    #[error("the revocation list cannot be used: {0}")]
    Unusable(String),
    /// Another CA's list.
    #[error("the revocation list is another CA's")]
    OtherIssuer,
    /// The signature does not verify, or the CA may not sign lists.
    #[error("the revocation list is not signed by its CA: {0}")]
    Signature(String),
    /// Made in the future, by more than [`crate::revocation::SKEW`].
    #[error("the revocation list is of {0}, which is in the future")]
    Future(Timestamp),
    /// The next one is overdue.
    #[error("the revocation list ran out at {0}")]
    Old(Timestamp),
}

impl CrlError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge => revocation::TOO_LARGE,
            Self::Malformed(_) => revocation::MALFORMED,
            Self::Unusable(_) | Self::OtherIssuer => revocation::OTHER_SCOPE,
            Self::Signature(_) => revocation::BAD_SIGNATURE,
            Self::Future(_) => revocation::FROM_THE_FUTURE,
            Self::Old(_) => revocation::STALE,
        }
    }
}

fn malformed(error: impl fmt::Display) -> CrlError {
    CrlError::Malformed(error.to_string())
}

/// Which certificates a list speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that the CA issued.
    All,
    /// Leaves alone.
    Leaves,
    /// CAs alone.
    Cas,
}

/// A list that was read. Nothing in it is believed before [`Crl::verify`].
#[derive(Clone)]
pub struct Crl {
    issuer: Name,
    authority: Option<Vec<u8>>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    number: Option<u64>,
    base: Option<u64>,
    scope: Scope,
    /// Places named by the list itself: it then speaks only of certificates that name one of them.
    places: Vec<String>,
    /// Sorted by the octets of the serial.
    entries: Vec<Entry>,
    der: Vec<u8>,
}

#[derive(Clone)]
struct Entry {
    serial: Box<[u8]>,
    at: Timestamp,
    reason: Reason,
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &self.issuer_name())
            .field("number", &self.number)
            .field("base", &self.base)
            .field("this_update", &self.this_update)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// Reads a list.
///
/// # Errors
/// Too large, not a list, or one that cannot be used.
pub fn parse(der: &[u8]) -> Result<Crl, CrlError> {
    if der.len() > MAX_OCTETS {
        return Err(CrlError::TooLarge);
    }
    let signed = Signed::alone(der).map_err(malformed)?;
    let body = body(&signed).map_err(malformed)?;
    let mut crl = Crl {
        issuer: body.issuer,
        authority: None,
        this_update: timestamp(&body.this_update),
        next_update: body.next_update.as_ref().map(timestamp),
        number: None,
        base: None,
        scope: Scope::All,
        places: Vec::new(),
        entries: read_entries(body.entries)?,
        der: der.to_vec(),
    };
    read_extensions(&body.extensions, &mut crl)?;
    Ok(crl)
}

struct Body<'a> {
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    /// Inside `revokedCertificates`.
    entries: &'a [u8],
    extensions: Extensions,
}

/// Walked by hand: a list of version 1 has no version field, and entries are read one by one.
fn body<'a>(signed: &Signed<'a>) -> der::Result<Body<'a>> {
    let mut reader = SliceReader::new(signed.body)?;
    let body = reader.sequence(|tbs| {
        if tbs.peek_tag()? == Tag::Integer {
            let version: u8 = tbs.decode()?;
            if version != 1 {
                return Err(Tag::Integer.value_error());
            }
        }
        let algorithm: AlgorithmIdentifierOwned = tbs.decode()?;
        // Stated inside and outside the signed part; a difference is an attack.
        if algorithm != signed.algorithm {
            return Err(Tag::Sequence.value_error());
        }
        let issuer = tbs.decode()?;
        let this_update = tbs.decode()?;
        let next_update = match tbs.is_finished() {
            false if matches!(tbs.peek_tag()?, Tag::UtcTime | Tag::GeneralizedTime) => Some(tbs.decode()?),
            _ => None,
        };
        let entries = match tbs.is_finished() {
            false if tbs.peek_tag()? == Tag::Sequence => inside(tbs.tlv_bytes()?)?,
            _ => &[],
        };
        let extensions = tbs
            .context_specific::<Extensions>(TagNumber::N0, der::TagMode::Explicit)?
            .unwrap_or_default();
        Ok(Body {
            issuer,
            this_update,
            next_update,
            entries,
            extensions,
        })
    })?;
    reader.finish(body)
}

fn inside(tlv: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(tlv)?;
    let header: der::Header = reader.decode()?;
    reader.read_slice(header.length)
}

fn read_entries(octets: &[u8]) -> Result<Vec<Entry>, CrlError> {
    let mut found = Vec::new();
    if octets.is_empty() {
        return Ok(found);
    }
    let mut reader = SliceReader::new(octets).map_err(malformed)?;
    while !reader.is_finished() {
        if found.len() == MAX_ENTRIES {
            return Err(CrlError::TooLarge);
        }
        let entry: RevokedCert = reader.decode().map_err(malformed)?;
        let mut reason = Reason::Unspecified;
        for extension in entry.crl_entry_extensions.iter().flatten() {
            if extension.extn_id == REASON {
                let read = CrlReason::from_der(extension.extn_value.as_bytes()).map_err(malformed)?;
                reason = Reason::of(read);
            } else if extension.critical {
                // RFC 5280, 5.3: the list must then not be used at all. certificateIssuer is one of them.
                let oid = extension.extn_id;
                return Err(CrlError::Unusable(format!(
                    "an entry carries the critical extension {oid}"
                )));
            }
        }
        found.push(Entry {
            serial: entry.serial_number.as_bytes().into(),
            at: timestamp(&entry.revocation_date),
            reason,
        });
    }
    found.sort_by(|a, b| a.serial.cmp(&b.serial).then(a.at.cmp(&b.at)));
    Ok(found)
}

fn read_extensions(extensions: &Extensions, crl: &mut Crl) -> Result<(), CrlError> {
    let number = |octets: &[u8]| {
        let number = Uint::from_der(octets).map_err(malformed)?;
        let mut wide = [0; 8];
        let octets = number.as_bytes();
        let start = wide
            .len()
            .checked_sub(octets.len())
            .ok_or_else(|| malformed("a CRL number of more than 64 bits"))?;
        if let Some(place) = wide.get_mut(start..) {
            place.copy_from_slice(octets);
        }
        Ok::<u64, CrlError>(u64::from_be_bytes(wide))
    };
    for (index, extension) in extensions.iter().enumerate() {
        let again = |earlier: &Extension| earlier.extn_id == extension.extn_id;
        if extensions.iter().take(index).any(again) {
            return Err(malformed(format!("extension {} occurs twice", extension.extn_id)));
        }
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            NUMBER => crl.number = Some(number(value)?),
            DELTA => crl.base = Some(number(value)?),
            POINT => point(value, crl)?,
            AUTHORITY => {
                let id = AuthorityKeyIdentifier::from_der(value).map_err(malformed)?;
                crl.authority = id.key_identifier.map(OctetString::into_bytes);
            }
            oid if extension.critical => {
                return Err(CrlError::Unusable(format!(
                    "it carries the critical extension {oid}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// RFC 5280, 5.2.5.
fn point(value: &[u8], crl: &mut Crl) -> Result<(), CrlError> {
    let point = IssuingDistributionPoint::from_der(value).map_err(malformed)?;
    let unusable = |why: &str| Err(CrlError::Unusable(why.to_owned()));
    if point.indirect_crl {
        return unusable("it is indirect");
    }
    if point.only_some_reasons.is_some() {
        return unusable("it holds some reasons only");
    }
    if point.only_contains_attribute_certs {
        return unusable("it is about attribute certificates");
    }
    crl.scope = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
        (false, false) => Scope::All,
        (true, false) => Scope::Leaves,
        (false, true) => Scope::Cas,
        (true, true) => return unusable("it is about leaves only and CAs only"),
    };
    match point.distribution_point {
        None => {}
        Some(DistributionPointName::FullName(names)) => crl.places = uris(&names),
        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
            return unusable("its place is a relative name");
        }
    }
    Ok(())
}

fn uris(names: &[GeneralName]) -> Vec<String> {
    names
        .iter()
        .map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => uri.to_string(),
            // A place that no certificate of ours can name: the list then covers nothing.
            _ => String::new(),
        })
        .collect()
}

impl Crl {
    /// The issuer's common name, for people.
    #[must_use]
    pub fn issuer_name(&self) -> String {
        certificate::names(&self.issuer).common_name.unwrap_or_default()
    }

    /// The list's number; lists of version 1 have none.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// For a delta, the number of the full list it completes.
    #[must_use]
    pub fn base(&self) -> Option<u64> {
        self.base
    }

    /// When it was made.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// Before when the next one comes.
    #[must_use]
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// Which certificates it speaks of.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How many certificates are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The list as it was read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What the list says about the serial number `serial` (unsigned, big-endian) of its CA. A delta says
    /// nothing about what it does not list.
    #[must_use]
    pub fn status(&self, serial: &[u8]) -> Status {
        self.status_of_content(&serial_content(serial))
    }

    pub(crate) fn status_of_content(&self, content: &[u8]) -> Status {
        let at = self.entries.partition_point(|entry| *entry.serial < *content);
        match self.entries.get(at).filter(|entry| *entry.serial == *content) {
            None if self.base.is_some() => Status::Unknown,
            None => Status::Good,
            Some(entry) if entry.reason == Reason::RemoveFromCrl => Status::Good,
            Some(entry) => Status::Revoked {
                at: entry.at,
                reason: entry.reason,
            },
        }
    }

    /// Whether this delta completes `full` (RFC 5280, 5.2.4): same CA, same scope, and a base that `full`
    /// has reached but not passed.
    #[must_use]
    pub fn completes(&self, full: &Self) -> bool {
        let numbers = match (self.base, self.number, full.number, full.base) {
            (Some(base), Some(own), Some(theirs), None) => base <= theirs && theirs < own,
            _ => false,
        };
        numbers
            && self.issuer == full.issuer
            && self.authority == full.authority
            && self.scope == full.scope
            && self.places == full.places
    }

    /// Whether the list speaks of `certificate` at all: issued under this name, within the list's scope,
    /// and naming the list's place where the list names one.
    #[must_use]
    pub fn covers(&self, certificate: &Certificate) -> bool {
        let tbs = &certificate.tbs_certificate;
        if tbs.issuer != self.issuer {
            return false;
        }
        let is_ca = tbs
            .get::<BasicConstraints>()
            .ok()
            .flatten()
            .is_some_and(|(_, constraints)| constraints.ca);
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Leaves => !is_ca,
            Scope::Cas => is_ca,
        };
        in_scope && (self.places.is_empty() || names_a_place(tbs, &self.places))
    }

    /// Whether the CA `issuer` (DER) signed this list and it is of the time `now`.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, issuer: &[u8], verifier: &dyn Verify, now: Timestamp) -> Result<(), CrlError> {
        let issuer = certificate::parse(issuer).map_err(malformed)?;
        fresh(self.this_update, self.next_update, now).map_err(|stale| match stale {
            Stale::Future => CrlError::Future(self.this_update),
            Stale::Old => CrlError::Old(self.next_update.unwrap_or(self.this_update)),
        })?;
        self.authentic(&issuer, verifier)
    }

    /// Whether `issuer` signed it, whenever that was.
    pub(crate) fn authentic(&self, issuer: &Certificate, verifier: &dyn Verify) -> Result<(), CrlError> {
        let tbs = &issuer.tbs_certificate;
        if tbs.subject != self.issuer {
            return Err(CrlError::OtherIssuer);
        }
        let own_id = tbs.get::<SubjectKeyIdentifier>().ok().flatten();
        if let (Some((_, own)), Some(wanted)) = (own_id, &self.authority)
            && own.0.as_bytes() != wanted
        {
            return Err(CrlError::OtherIssuer);
        }
        if lint::key_usage(tbs).is_some_and(|(_, bits)| bits & usage::CRL_SIGN == 0) {
            return Err(CrlError::Signature("the CA's key usage lacks cRLSign".to_owned()));
        }
        let signed = Signed::alone(&self.der).map_err(malformed)?;
        signed
            .made_by(&tbs.subject_public_key_info, verifier)
            .map(|_| ())
            .map_err(|fault| {
                CrlError::Signature(match fault {
                    SignatureFault::Unsupported(algorithm) => format!("no profile allows {algorithm}"),
                    SignatureFault::OtherKey(algorithm) => format!("{algorithm} does not fit the CA's key"),
                    SignatureFault::Wrong => "it does not verify".to_owned(),
                })
            })
    }
}

/// Where a certificate (DER) says that its issuer publishes lists; empty where it says nothing readable.
#[must_use]
pub fn distribution_points(certificate: &[u8]) -> Vec<String> {
    let points = certificate::parse(certificate).ok().and_then(|parsed| {
        parsed
            .tbs_certificate
            .get::<CrlDistributionPoints>()
            .ok()
            .flatten()
    });
    let mut found = Vec::new();
    for point in points.map(|(_, points)| points.0).unwrap_or_default() {
        if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
            found.extend(uris(names).into_iter().filter(|uri| !uri.is_empty()));
        }
    }
    found
}

fn names_a_place(tbs: &x509_cert::TbsCertificate, places: &[String]) -> bool {
    let points = tbs.get::<CrlDistributionPoints>().ok().flatten();
    points.is_some_and(|(_, points)| {
        points.0.iter().any(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => uris(names)
                .iter()
                .any(|uri| !uri.is_empty() && places.contains(uri)),
            _ => false,
        })
    })
}
