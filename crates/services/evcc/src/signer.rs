//! Lets the session sign with a contract key that stays in `io/keys`.

use std::sync::Arc;

use gridlatch_keys::{KeyAlgorithm, Signer};
use gridlatch_session::evcc::{Contract, ContractSigner, Curve};

use crate::config::ContractCredential;

#[derive(Debug)]
struct ContractKey {
    key: Arc<dyn Signer>,
    curve: Curve,
}

impl ContractSigner for ContractKey {
    fn curve(&self) -> Curve {
        self.curve
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.key.sign(message).map_err(|error| error.to_string())
    }
}

/// The contract as the session takes it; `Err` names a key it cannot use.
pub(crate) fn contract(credential: &ContractCredential) -> Result<Contract, String> {
    let curve = match credential.key.algorithm() {
        KeyAlgorithm::P256 => Curve::P256,
        KeyAlgorithm::P521 => Curve::P521,
        other => {
            return Err(format!(
                "{other:?} contract keys are not supported in signatures yet"
            ));
        }
    };
    Ok(Contract {
        emaid: credential.emaid.clone(),
        chain: credential.chain.clone(),
        signer: Box::new(ContractKey {
            key: Arc::clone(&credential.key),
            curve,
        }),
    })
}
