//! Who signs: the mobility operator's CA the certificate, the provisioning service the data.

use core::fmt::Debug;
use std::sync::Arc;

use gridlatch_keys::{KeyAlgorithm, Signer};
use gridlatch_session::provisioning::{ContractData, ContractSigner, Curve, SignedContract};
use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::provisioning as codes;
use gridlatch_vocab::{Emaid, Timestamp};

use super::{ProvisioningError, session_generation};

/// What signs contract data: a certificate under a V2G root, and its key.
#[derive(Debug, Clone)]
pub struct CpsSigner {
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The V2G root above it, DER.
    pub root: Vec<u8>,
    /// The key.
    pub key: Arc<dyn Signer>,
}

/// The authorities behind contracts. Calls may block on a key in hardware; they run on blocking threads.
pub trait ContractAuthority: Send + Sync + Debug {
    /// Issues a contract certificate: DER, leaf first, without the root.
    ///
    /// # Errors
    /// The request breaks the profile, or the key failed.
    fn issue(
        &self,
        generation: Generation,
        emaid: &Emaid,
        public_key: &[u8],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Result<Vec<Vec<u8>>, ProvisioningError>;

    /// The signers of contract data for one generation, preferred first.
    ///
    /// # Errors
    /// None can be loaded.
    fn cps(&self, generation: Generation) -> Result<Vec<CpsSigner>, ProvisioningError>;
}

/// A [`Signer`] as `core/session` uses it.
#[derive(Debug)]
pub(crate) struct SignAs(pub(crate) Arc<dyn Signer>);

impl ContractSigner for SignAs {
    fn curve(&self) -> Curve {
        match self.0.algorithm() {
            KeyAlgorithm::P256 => Curve::P256,
            // Ed448 is refused before a signature is asked for.
            KeyAlgorithm::P521 | KeyAlgorithm::Ed448 => Curve::P521,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.0.sign(message).map_err(|error| error.to_string())
    }
}

/// Has contract data signed, and checks the signature before it goes anywhere.
///
/// # Errors
/// The data does not fit the messages of the standard, or the key failed.
pub fn sign_contract_data(
    generation: Generation,
    contract: ContractData,
    signer: &CpsSigner,
) -> Result<SignedContract, ProvisioningError> {
    if signer.key.algorithm() == KeyAlgorithm::Ed448 {
        return Err(ProvisioningError::new(
            codes::UNMAKEABLE,
            gridlatch_session::provisioning::Refusal::Failed,
            "contract data is signed with secp256r1 or secp521r1; the message set at hand knows no Ed448",
        ));
    }
    let signed = SignedContract::sign(
        session_generation(generation),
        contract,
        signer.chain.clone(),
        &SignAs(Arc::clone(&signer.key)),
    )?;
    signed.verify()?;
    Ok(signed)
}
