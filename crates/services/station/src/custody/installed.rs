//! What is installed, in OCPP's words, and which roots may be.

use gridlatch_keys::OpensslVerifier;
use gridlatch_trust::certificate::{self, OcspHashData};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{Generation, verdict};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::{custody as codes, pki};

use super::CustodyError;

/// What a root is for, as OCPP's `InstallCertificateUse` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RootUse {
    /// `V2GRootCertificate`: above the station's certificates towards vehicles.
    V2g,
    /// `MORootCertificate`: above contract certificates.
    Mo,
    /// `CSMSRootCertificate`: above the platform's certificate.
    Csms,
}

impl RootUse {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::V2g, Self::Mo, Self::Csms];

    /// OCPP's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V2g => "V2GRootCertificate",
            Self::Mo => "MORootCertificate",
            Self::Csms => "CSMSRootCertificate",
        }
    }

    /// The use OCPP calls so; `None` for roots this station has no use for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::V2g => Kind::V2gRoot,
            Self::Mo => Kind::MoRoot,
            Self::Csms => Kind::CsmsRoot,
        }
    }

    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::V2g => "v2g",
            Self::Mo => "mo",
            Self::Csms => "csms",
        }
    }
}

/// A certificate that was just installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// OCPP's word for its use.
    pub usage: &'static str,
    /// Its serial number, hex.
    pub serial: String,
    /// Its issuer's common name.
    pub issuer: String,
    /// When the first certificate of its path expires.
    pub valid_until: Timestamp,
}

/// One row of GetInstalledCertificateIds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledChain {
    /// OCPP's word: a [`RootUse`]'s, or `V2GCertificateChain`.
    pub usage: &'static str,
    /// The root, or the leaf.
    pub own: OcspHashData,
    /// The certificates above a leaf, without the root; OCPP's `childCertificateHashData`.
    pub others: Vec<OcspHashData>,
}

impl InstalledChain {
    pub(super) fn root(usage: RootUse, der: &[u8]) -> Option<Self> {
        Some(Self {
            usage: usage.word(),
            own: certificate::hash_data(der, der).ok()?,
            others: Vec::new(),
        })
    }

    pub(super) fn leaf(chain: &[Vec<u8>], roots: &[Vec<u8>]) -> Option<Self> {
        // The top of the chain is hashed against whichever root issued it.
        let top = chain.last()?;
        let root = roots.iter().find(|root| {
            let issuer = certificate::summary(top).map(|summary| summary.issuer_cn);
            let subject = certificate::summary(root).map(|summary| summary.subject_cn);
            matches!((issuer, subject), (Ok(issuer), Ok(subject)) if issuer == subject)
        });
        let issuers = chain.iter().skip(1).chain(root);
        let mut hashes = chain
            .iter()
            .zip(issuers)
            .filter_map(|(one, issuer)| certificate::hash_data(one, issuer).ok());
        Some(Self {
            usage: "V2GCertificateChain",
            own: hashes.next()?,
            others: hashes.take(4).collect(),
        })
    }
}

/// Whether `der` is the self-signed certificate that `wanted` names.
pub(super) fn is(der: &[u8], wanted: &OcspHashData) -> bool {
    certificate::hash_data(der, der).is_ok_and(|own| {
        own.issuer_name_hash
            .eq_ignore_ascii_case(&wanted.issuer_name_hash)
            && own.issuer_key_hash.eq_ignore_ascii_case(&wanted.issuer_key_hash)
            && serial(&own.serial_number) == serial(&wanted.serial_number)
    })
}

pub(super) fn same_serial(der: &[u8], wanted: &OcspHashData) -> bool {
    certificate::summary(der).is_ok_and(|own| serial(&own.serial_hex) == serial(&wanted.serial_number))
}

/// Serial numbers come with and without leading zeros.
fn serial(text: &str) -> String {
    text.trim_start_matches('0').to_ascii_lowercase()
}

/// Reads one root: a self-signed CA by the profile of its kind, valid at `now`.
pub(super) fn root(usage: RootUse, pem: &str, now: Timestamp) -> Result<Vec<u8>, CustodyError> {
    let mut found = certificate::from_pem(pem.as_bytes())
        .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
    let (Some(der), true) = (found.pop(), found.is_empty()) else {
        return Err(CustodyError::new(
            pki::MALFORMED,
            "a root is exactly one certificate",
        ));
    };
    // A root is judged as its own anchor: signed by itself, a CA, in time. Anything else that was given
    // an anchor's power could sign for everybody.
    let judge = |generation| {
        let profile = Profile {
            kind: usage.kind(),
            generation,
        };
        let chain = std::slice::from_ref(&der);
        verdict::check_with(chain, chain, profile, now, &OpensslVerifier)
    };
    let outcome = match judge(Generation::Iso2) {
        Err(first) => judge(Generation::Iso20).map_err(|_| first),
        accepted => accepted,
    };
    match outcome {
        Ok(_) => Ok(der),
        Err(rejected) => Err(CustodyError::new(
            codes::NO_ROOT,
            format!("not installed as {}: {}", usage.word(), rejected.message),
        )),
    }
}
