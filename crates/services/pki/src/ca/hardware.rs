//! Keys of the CA in a PKCS#11 token or a TPM.

use std::sync::Arc;

use gridlatch_keys::{KeyAlgorithm, KeyError, KeyUri, PinSource, Signer, generate, list, open};
use gridlatch_vocab::catalogue::key;

use super::KeySource;

/// The first handle that is tried for a new key in a TPM.
const FIRST_HANDLE: u32 = 0x8101_0000;
/// How many handles are tried.
const HANDLES: u32 = 256;

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
        let held = list(&self.place, &self.pin)?;
        match &self.place {
            KeyUri::Pkcs11(token) => {
                let mut uri = token.clone();
                uri.object = Some(name.replace('/', "-"));
                let taken = held
                    .iter()
                    .any(|listed| matches!(&listed.uri, KeyUri::Pkcs11(other) if other.object == uri.object));
                let uri = KeyUri::Pkcs11(uri).to_string();
                if taken {
                    return Err(KeyError::Hardware {
                        code: key::MISMATCH,
                        key: uri,
                        reason:
                            "the token has a key by this name already, of another CA or of a trial; it is \
                                 not used and not replaced: take another token, or delete the old keys"
                                .to_owned(),
                    });
                }
                Ok(uri)
            }
            KeyUri::Tpm(tpm) => {
                let taken: Vec<u32> = held
                    .into_iter()
                    .filter_map(|listed| match listed.uri {
                        KeyUri::Tpm(uri) => uri.handle,
                        _ => None,
                    })
                    .collect();
                let free = (FIRST_HANDLE..FIRST_HANDLE + HANDLES).find(|handle| !taken.contains(handle));
                let mut uri = tpm.clone();
                uri.handle = Some(free.ok_or_else(|| KeyError::Hardware {
                    code: key::UNSUPPORTED,
                    key: self.place.to_string(),
                    reason: "the TPM has no free handle for another key".to_owned(),
                })?);
                Ok(KeyUri::Tpm(uri).to_string())
            }
            KeyUri::File(_) => Err(KeyError::Unsupported),
        }
    }

    fn make(&self, uri: &str, algorithm: KeyAlgorithm) -> Result<(), KeyError> {
        generate(&uri.parse()?, algorithm, &self.pin).map(drop)
    }
}
