//! What a station's certificates are for, and what it starts with.

use std::path::PathBuf;

use gridlatch_keys::{KeyAlgorithm, KeyError};
use gridlatch_tls::Credential;
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_vocab::{Code, StationId};
use thiserror::Error;

use super::{KeyStore, RootUse};

/// What a certificate of the station is for, as OCPP's `CertificateSigningUse` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateUse {
    /// `ChargingStationCertificate`: shown to the platform.
    Platform,
    /// `V2GCertificate`: shown to vehicles of ISO 15118-2, on secp256r1.
    Vehicle,
    /// `V2G20Certificate` (OCPP 2.1): shown to vehicles of ISO 15118-20, on secp521r1.
    Vehicle20,
}

impl CertificateUse {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::Platform, Self::Vehicle, Self::Vehicle20];

    /// OCPP's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Platform => "ChargingStationCertificate",
            Self::Vehicle => "V2GCertificate",
            Self::Vehicle20 => "V2G20Certificate",
        }
    }

    /// The use OCPP calls so.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// The profile of its certificate.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Platform => Profile::iso2(Kind::StationClient),
            Self::Vehicle => Profile::iso2(Kind::SeccLeaf),
            Self::Vehicle20 => Profile::iso20(Kind::SeccLeaf),
        }
    }

    /// The type of its key.
    #[must_use]
    pub const fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Platform | Self::Vehicle => KeyAlgorithm::P256,
            Self::Vehicle20 => KeyAlgorithm::P521,
        }
    }

    /// What its files are called.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Vehicle => "vehicle-2",
            Self::Vehicle20 => "vehicle-20",
        }
    }

    pub(super) const fn for_vehicles(self) -> bool {
        matches!(self, Self::Vehicle | Self::Vehicle20)
    }

    pub(super) const fn root(self) -> RootUse {
        match self {
            Self::Platform => RootUse::Csms,
            Self::Vehicle | Self::Vehicle20 => RootUse::V2g,
        }
    }
}

/// What a station starts with.
#[derive(Debug, Clone)]
pub struct CustodyConfig {
    /// Where keys and certificates that arrive later are kept; made if missing, mode 0700.
    pub folder: PathBuf,
    /// The station's identity: common name of its certificate towards the platform.
    pub station: StationId,
    /// Common name of its certificates towards vehicles: an EVSEID or SECCID.
    pub secc_name: String,
    /// Organisation in its requests.
    pub organization: String,
    /// Country in its requests, two letters.
    pub country: String,
    /// Certificates it was delivered with, for vehicles.
    pub vehicle: Vec<Credential>,
    /// The certificate it was delivered with, for the platform.
    pub platform: Option<Credential>,
    /// Roots it was delivered with, in DER.
    pub roots: Vec<(RootUse, Vec<u8>)>,
    /// Where it makes the keys of certificates it asks for.
    pub keys: KeyStore,
}

/// Why something was not installed, requested or removed. The old state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CustodyError {
    /// The row of the catalogue.
    pub code: Code,
    /// What, why, by which rule.
    pub message: String,
}

impl CustodyError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<KeyError> for CustodyError {
    fn from(error: KeyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// A request for a certificate, on its way to the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    /// What the certificate is for.
    pub usage: CertificateUse,
    /// PKCS#10 as PEM.
    pub csr: String,
}
