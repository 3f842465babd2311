//! Who signs certificates for stations: a port the binary fills, with the platform's own PKI or anybody's.

use core::fmt::Debug;
use core::future::Future;
use core::pin::Pin;

use gridlatch_vocab::{Code, StationId};
use thiserror::Error;

/// What a station's certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StationCertificate {
    /// Shown to the platform (`ChargingStationCertificate`).
    Platform,
    /// Shown to vehicles of ISO 15118-2 (`V2GCertificate`).
    Vehicle,
    /// Shown to vehicles of ISO 15118-20 (`V2G20Certificate`).
    Vehicle20,
}

impl StationCertificate {
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
}

/// A certificate was not issued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct NotSigned {
    /// The row of the catalogue.
    pub code: Code,
    /// Who refused, and why.
    pub message: String,
}

/// What [`StationAuthority::sign`] returns: the chain in DER, leaf first, without the root.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Vec<u8>>, NotSigned>> + Send + 'a>>;

/// What [`StationAuthority::signed`] returns: chains in DER, leaf first, without the root.
pub type Signed<'a> = Pin<Box<dyn Future<Output = Vec<Vec<Vec<u8>>>> + Send + 'a>>;

/// Signs certificates for stations.
pub trait StationAuthority: Send + Sync + Debug {
    /// Has the request (PKCS#10 DER) of an authenticated station signed. The platform has checked that
    /// the station proved its identity; what the request may hold is the authority's policy.
    fn sign<'a>(&'a self, station: &'a StationId, usage: StationCertificate, csr: &'a [u8]) -> Signing<'a>;

    /// The chains of what it signed with this serial number (hex), for stations that name what they hold by
    /// hash. Several CAs may have given out one number; an authority that keeps nothing finds none.
    fn signed<'a>(&'a self, serial: &'a str) -> Signed<'a> {
        let _ = serial;
        Box::pin(core::future::ready(Vec::new()))
    }
}
