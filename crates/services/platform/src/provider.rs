//! Where contracts for vehicles come from: our own provisioning service or somebody's ecosystem, plugged in by the
//! binary.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use gridlatch_vocab::Code;

/// What a vehicle wants (OCPP `CertificateActionEnum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisioningAction {
    /// A first contract.
    Install,
    /// A new certificate for the contract it holds.
    Update,
}

/// What a provider gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidedContract {
    /// The response for the vehicle, EXI.
    pub exi: Vec<u8>,
    /// How many more contracts wait for it (ISO 15118-20).
    pub remaining: u8,
}

/// Why no contract comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisioningRefusal {
    /// The row of the catalogue.
    pub code: Code,
    /// One sentence with the particulars.
    pub message: String,
    /// A refusal in EXI for the vehicle, if the provider made one.
    pub exi: Option<Vec<u8>>,
}

/// The answer of a provider, to come.
pub type Providing<'a> =
    Pin<Box<dyn Future<Output = Result<ProvidedContract, ProvisioningRefusal>> + Send + 'a>>;

/// Answers vehicles' requests for contracts.
pub trait ContractProvider: Send + Sync + fmt::Debug {
    /// Answers the request `exi`, whose schema OCPP names `schema_version`.
    fn get_15118_ev_certificate(
        &self,
        schema_version: String,
        action: ProvisioningAction,
        exi: Vec<u8>,
    ) -> Providing<'_>;
}
