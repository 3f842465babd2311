//! Room for another key in a token or a TPM, and making room.

use gridlatch_vocab::catalogue::key;

use crate::open::{Listed, list};
use crate::pin::PinSource;
use crate::quiet::Quiet;
use crate::uri::KeyUri;
use crate::{KeyError, pkcs11};

/// The first handle that is tried for a new key in a TPM.
const FIRST_HANDLE: u32 = 0x8101_0000;
/// How many handles are tried.
const HANDLES: u32 = 256;

/// Where a key called `name` can be made in the token or the TPM `place` (a URI without a key's name): by that name
/// in a token, at the first free handle in a TPM. Nothing is made or reserved.
///
/// # Errors
/// The token has a key by this name, the TPM is full, `place` is a file, or it does not answer.
pub fn free(place: &KeyUri, name: &str, pin: &PinSource) -> Result<KeyUri, KeyError> {
    if matches!(place, KeyUri::File(_)) {
        return Err(KeyError::Unsupported);
    }
    choose(place, name, list(place, pin)?)
}

fn choose(place: &KeyUri, name: &str, held: Vec<Listed>) -> Result<KeyUri, KeyError> {
    match place {
        KeyUri::File(_) => Err(KeyError::Unsupported),
        KeyUri::Pkcs11(token) => {
            let mut uri = token.clone();
            uri.object = Some(name.to_owned());
            let taken = held
                .iter()
                .any(|listed| matches!(&listed.uri, KeyUri::Pkcs11(other) if other.object == uri.object));
            let uri = KeyUri::Pkcs11(uri);
            if taken {
                return Err(KeyError::Hardware {
                    code: key::MISMATCH,
                    key: uri.to_string(),
                    reason: "the token has a key by this name already, of somebody else or of a trial; it is not used \
                             and not replaced: take another token, or remove the old key"
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
                key: place.to_string(),
                reason: "the TPM has no free handle for another key".to_owned(),
            })?);
            Ok(KeyUri::Tpm(uri))
        }
    }
}

/// Removes the key at `uri` from its token or TPM for good.
///
/// # Errors
/// It is a file (those are removed as files), it is not there, its name is not one key's, or the token refuses.
pub fn remove(uri: &KeyUri, pin: &PinSource) -> Result<(), KeyError> {
    let _quiet = Quiet;
    match uri {
        KeyUri::File(_) => Err(KeyError::Unsupported),
        KeyUri::Pkcs11(uri) => pkcs11::remove(uri, pin),
        #[cfg(feature = "tpm")]
        KeyUri::Tpm(uri) => crate::tpm::remove(uri),
        #[cfg(not(feature = "tpm"))]
        KeyUri::Tpm(uri) => Err(crate::open::no_tpm(uri)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a test that meets what it did not expect stops there"
    )]

    use super::*;

    fn listed(uri: &str) -> Listed {
        Listed {
            uri: uri.parse().unwrap(),
            algorithm: None,
        }
    }

    #[test]
    fn a_name_in_use_is_refused_and_a_full_tpm_too() {
        let token: KeyUri = "pkcs11:token=t?module-path=/m.so".parse().unwrap();
        let held = || vec![listed("pkcs11:token=t;object=a;id=%01?module-path=/m.so")];
        assert_eq!(
            choose(&token, "b", held()).unwrap().to_string(),
            "pkcs11:token=t;object=b?module-path=/m.so"
        );
        assert_eq!(choose(&token, "a", held()).unwrap_err().code(), key::MISMATCH);

        let tpm: KeyUri = "tpm:?tcti=device:/dev/tpmrm0".parse().unwrap();
        let at = |number: u32| listed(&format!("tpm:{number:#x}?tcti=device:/dev/tpmrm0"));
        let second = choose(&tpm, "any", vec![at(FIRST_HANDLE), at(FIRST_HANDLE + 2)]).unwrap();
        assert!(second.to_string().contains("0x81010001"), "{second}");
        let full = (FIRST_HANDLE..FIRST_HANDLE + HANDLES).map(at).collect();
        assert_eq!(choose(&tpm, "any", full).unwrap_err().code(), key::UNSUPPORTED);
    }
}
