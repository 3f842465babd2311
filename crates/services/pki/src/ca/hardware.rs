//! Keys of the CA in a PKCS#11 token or a TPM.

use std::sync::Arc;

use gridlatch_keys::{KeyAlgorithm, KeyError, KeyUri, PinSource, Signer, free, generate, open};

use super::KeySource;

/// A token or a TPM as a source of keys. New keys are made inside it and never leave.
#[derive(Debug, Clone)]
pub struct Hardware {
    place: KeyUri,
    pin: PinSource,
}

impl Hardware {
    /// Keys at `place`: `pkcs11:token=NAME?module-path=PATH` or `tpm:?tcti=...`, without a key's name.
    #[must_use]
    pub const fn new(place: KeyUri, pin: PinSource) -> Self {
        Self { place, pin }
    }

    /// The scheme this serves.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self.place {
            KeyUri::File(_) => super::FILE,
            KeyUri::Pkcs11(_) => "pkcs11",
            KeyUri::Tpm(_) => "tpm",
        }
    }
}

impl KeySource for Hardware {
    fn open(&self, uri: &str) -> Result<Arc<dyn Signer>, KeyError> {
        open(&uri.parse()?, &self.pin)
    }

    fn place(&self, name: &str) -> Result<String, KeyError> {
        free(&self.place, &name.replace('/', "-"), &self.pin).map(|uri| uri.to_string())
    }

    fn make(&self, uri: &str, algorithm: KeyAlgorithm) -> Result<(), KeyError> {
        generate(&uri.parse()?, algorithm, &self.pin).map(drop)
    }
}
