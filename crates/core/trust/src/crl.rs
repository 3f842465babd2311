//! Certificate revocation lists (RFC 5280, section 5), full and delta: built, read, and believed or not.

mod make;
mod read;

use core::fmt;

use gridlatch_vocab::{Code, Timestamp, catalogue::revocation};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::DistributionPointName;
use x509_cert::ext::pkix::{BasicConstraints, CrlDistributionPoints, SubjectKeyIdentifier};
use x509_cert::name::Name;

pub use self::make::{CrlRequest, build};
pub use self::read::parse;
use self::read::uris;
use crate::profile::usage;
use crate::revocation::{Reason, Stale, Status, fresh, serial_content};
use crate::signed::{SignatureFault, Signed};
use crate::{Verify, certificate, lint};

/// The largest list that is read, in octets: some 200 000 entries with reasons.
pub const MAX_OCTETS: usize = 10 * 1024 * 1024;
/// The longest list that is read.
pub const MAX_ENTRIES: usize = 250_000;

const NUMBER: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_CRL_NUMBER;
const DELTA: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_DELTA_CRL_INDICATOR;
const FRESHEST: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_FRESHEST_CRL;
const POINT: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
const AUTHORITY: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER;
const REASON: const_oid::ObjectIdentifier = const_oid::db::rfc5280::ID_CE_CRL_REASONS;

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
