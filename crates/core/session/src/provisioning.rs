//! How a contract reaches a vehicle: `CertificateInstallation` and `CertificateUpdate` of ISO 15118-2 and
//! `CertificateInstallation` of ISO 15118-20, for whoever answers, forwards or asks.
//!
//! The station only forwards these messages; the secondary actors sign and the vehicle checks. Deliberately
//! absent: certificate chains and their verdicts (`core/trust`), key agreement with keys that live elsewhere
//! (a closure here, `io/keys` outside), and whether a vehicle may have a contract (`services/pki`).

mod answer;
mod envelope;
mod fault;
mod fragment;
mod iso2;
mod iso20;
mod request;
#[cfg(test)]
mod tests;
mod xml;

use gridlatch_vocab::Personal;

pub use answer::{Answer, Refusal, SignedContract, refuse};
pub use envelope::{ENVELOPE_ISO2, IV_ISO2, agree_p256, open_iso2, public_p256, seal_iso2, session_key_iso2};
pub use fault::ProvisioningFault;
pub use request::{Installation, InstallationRequest, RootId};
pub use xml::MAX_XML;

pub use crate::evcc::{ContractSigner, Curve, Generation};

/// The largest message looked at, bytes: a request with a chain of four certificates of 1600 bytes, twice.
pub const MAX_MESSAGE: usize = 16 * 1024;
/// Root certificates a vehicle may name (ISO 15118-2 `ListOfRootCertificateIDs`).
pub const MAX_ROOTS: usize = 20;

/// What the vehicle asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A first contract, for the provisioning certificate.
    Install,
    /// A new certificate for a contract it holds; ISO 15118-2 only.
    Update,
}

/// Which key of ISO 15118-20 travels, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A P-256 key under AES-128-CBC: ISO 15118-2.
    P256,
    /// A secp521r1 key under AES-256-GCM: ISO 15118-20.
    P521,
    /// A 448-bit key under AES-256-GCM: ISO 15118-20.
    X448,
    /// A secp521r1 key wrapped for a TPM 2.0: ISO 15118-20; passed on, never made here.
    Tpm,
}

impl Delivery {
    /// The length of the encrypted key, bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::P256 => ENVELOPE_ISO2,
            Self::P521 => 94,
            Self::X448 => 84,
            Self::Tpm => 206,
        }
    }
}

/// A contract with its key, encrypted for one vehicle, before the provisioning service signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractData {
    /// The contract id.
    pub emaid: Personal<String>,
    /// The contract certificate and its sub-CAs in DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// How the key was encrypted.
    pub delivery: Delivery,
    /// The encrypted private key.
    pub encrypted_key: Vec<u8>,
    /// The sender's ephemeral public key: 65 bytes for secp256r1, 133 for secp521r1.
    pub dh_public_key: Vec<u8>,
}
