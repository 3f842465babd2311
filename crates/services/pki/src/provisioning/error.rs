//! Why no contract comes.

use gridlatch_session::provisioning::{ProvisioningFault, Refusal};
use gridlatch_store::StoreError;
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{pki, platform, provisioning as codes};
use thiserror::Error;

use crate::PkiError;

/// No contract came: who is to blame, why, and what the vehicle is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ProvisioningError {
    code: Code,
    message: String,
    refusal: Refusal,
    exi: Option<Vec<u8>>,
}

impl ProvisioningError {
    pub(crate) fn new(code: Code, refusal: Refusal, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            refusal,
            exi: None,
        }
    }

    /// The row of the catalogue.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The word of the standard for it.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// A refusal in EXI for the vehicle; nothing when its request could not be read.
    #[must_use]
    pub fn exi(&self) -> Option<&[u8]> {
        self.exi.as_deref()
    }

    pub(crate) fn telling(mut self, exi: Option<Vec<u8>>) -> Self {
        self.exi = exi;
        self
    }
}

impl From<ProvisioningFault> for ProvisioningError {
    fn from(fault: ProvisioningFault) -> Self {
        let refusal = match fault {
            ProvisioningFault::Unsigned | ProvisioningFault::Signature { .. } => Refusal::Signature,
            _ => Refusal::Failed,
        };
        Self::new(fault.code(), refusal, fault.to_string())
    }
}

impl From<StoreError> for ProvisioningError {
    fn from(error: StoreError) -> Self {
        Self::new(
            platform::STORE_FAILED,
            Refusal::Failed,
            format!("the pools: {error}"),
        )
    }
}

impl From<PkiError> for ProvisioningError {
    fn from(error: PkiError) -> Self {
        Self::new(error.code(), Refusal::Failed, error.to_string())
    }
}

impl ProvisioningError {
    pub(crate) fn entropy() -> Self {
        Self::new(
            pki::KEY_UNAVAILABLE,
            Refusal::Failed,
            "the system gave no random numbers",
        )
    }

    pub(crate) fn stopped() -> Self {
        Self::new(
            codes::SIGNER_UNAVAILABLE,
            Refusal::Failed,
            "the signing task was stopped",
        )
    }
}
