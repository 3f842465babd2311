//! What CRLs and OCSP have in common: reasons, statuses, serial numbers, and how old an answer may be.

use gridlatch_vocab::Timestamp;
use time::Duration;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::serial_number::SerialNumber;

/// How far the clocks of two honest parties may differ: an answer from the near future is believed, and
/// one that has just run out too.
pub const SKEW: Duration = Duration::minutes(5);
/// How old an answer may be that does not say when the next one comes.
pub const MAX_AGE: Duration = Duration::days(7);

/// Why a certificate was revoked (RFC 5280, 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "reasons as RFC 5280 names them")]
pub enum Reason {
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    /// Suspended; may be lifted again.
    CertificateHold,
    /// Only in a delta CRL: the suspension is lifted.
    RemoveFromCrl,
    PrivilegeWithdrawn,
    AaCompromise,
}

impl Reason {
    /// Every reason, as the standard numbers them.
    pub const ALL: [Self; 10] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The standard's spelling: `keyCompromise`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// Reads the standard's spelling; case, hyphens and underscores do not matter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(|c| !matches!(c, '-' | '_')).collect();
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(&plain))
    }

    pub(crate) const fn of(reason: CrlReason) -> Self {
        match reason {
            CrlReason::Unspecified => Self::Unspecified,
            CrlReason::KeyCompromise => Self::KeyCompromise,
            CrlReason::CaCompromise => Self::CaCompromise,
            CrlReason::AffiliationChanged => Self::AffiliationChanged,
            CrlReason::Superseded => Self::Superseded,
            CrlReason::CessationOfOperation => Self::CessationOfOperation,
            CrlReason::CertificateHold => Self::CertificateHold,
            CrlReason::RemoveFromCRL => Self::RemoveFromCrl,
            CrlReason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            CrlReason::AaCompromise => Self::AaCompromise,
        }
    }

    pub(crate) const fn to_asn1(self) -> CrlReason {
        match self {
            Self::Unspecified => CrlReason::Unspecified,
            Self::KeyCompromise => CrlReason::KeyCompromise,
            Self::CaCompromise => CrlReason::CaCompromise,
            Self::AffiliationChanged => CrlReason::AffiliationChanged,
            Self::Superseded => CrlReason::Superseded,
            Self::CessationOfOperation => CrlReason::CessationOfOperation,
            Self::CertificateHold => CrlReason::CertificateHold,
            Self::RemoveFromCrl => CrlReason::RemoveFromCRL,
            Self::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
            Self::AaCompromise => CrlReason::AaCompromise,
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The serial number, unsigned and big-endian; leading zeros do not matter.
    pub serial: Vec<u8>,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// What is known about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// Nothing is known.
    Unknown,
}

/// An answer that is not of this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was made after `now`, by more than [`SKEW`].
    Future,
    /// It has run out, or is older than it may be.
    Old,
}

/// Whether an answer made at `this` and good until `next` still says something at `now`.
pub(crate) fn fresh(this: Timestamp, next: Option<Timestamp>, now: Timestamp) -> Result<(), Stale> {
    let end = next.map_or_else(|| this.0.saturating_add(MAX_AGE), |next| next.0);
    if this.0 > now.0.saturating_add(SKEW) {
        Err(Stale::Future)
    } else if end < now.0.saturating_sub(SKEW) {
        Err(Stale::Old)
    } else {
        Ok(())
    }
}

/// From an unsigned number to the octets of a DER INTEGER, which is how serials are compared: a negative
/// serial must not pass for a positive one.
pub(crate) fn serial_content(unsigned: &[u8]) -> Vec<u8> {
    let trimmed = trim(unsigned);
    let mut content = Vec::with_capacity(trimmed.len() + 1);
    if trimmed.first().is_none_or(|octet| octet & 0x80 != 0) {
        content.push(0);
    }
    content.extend(trimmed);
    content
}

/// As the INTEGER that lists and answers write; zero, which has no octets here, has one there.
pub(crate) fn serial_number(unsigned: &[u8]) -> der::Result<SerialNumber> {
    SerialNumber::new(if unsigned.is_empty() { &[0] } else { unsigned })
}

/// Without leading zeros.
pub(crate) fn trim(unsigned: &[u8]) -> &[u8] {
    let start = unsigned
        .iter()
        .position(|octet| *octet != 0)
        .unwrap_or(unsigned.len());
    unsigned.get(start..).unwrap_or_default()
}
