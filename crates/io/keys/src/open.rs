//! One way to every key: by its URI.

use std::sync::Arc;

use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::catalogue::key;

use crate::pin::PinSource;
use crate::quiet::Quiet;
use crate::uri::KeyUri;
use crate::{FileKey, KeyError, Signer, pkcs11};

/// A key that a token or a TPM holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub uri: KeyUri,
    /// Its type; nothing where it is of a type that cannot be used here.
    pub algorithm: Option<KeyAlgorithm>,
}

/// Opens the key at `uri`. A key in hardware signs once, to make sure that it is the one it says.
///
/// Nothing else is ever tried in its place: a key that cannot be opened is an error.
///
/// # Errors
/// A [`KeyError`] whose code and text say who, why and what to do.
pub fn open(uri: &KeyUri, pin: &PinSource) -> Result<Arc<dyn Signer>, KeyError> {
    let _quiet = Quiet;
    Ok(match uri {
        KeyUri::File(path) => Arc::new(FileKey::load(path)?),
        KeyUri::Pkcs11(uri) => Arc::new(pkcs11::Pkcs11Key::open(uri, pin)?),
        #[cfg(feature = "tpm")]
        KeyUri::Tpm(uri) => Arc::new(crate::tpm::TpmKey::open(uri, pin)?),
        #[cfg(not(feature = "tpm"))]
        KeyUri::Tpm(uri) => return Err(no_tpm(uri)),
    })
}

/// Makes a new key at `uri`, inside the token or the TPM or as a file of mode 600, and opens it.
/// A key that is there already is not replaced.
///
/// # Errors
/// As [`open`]; [`key::UNSUPPORTED`] for Ed448 in hardware.
pub fn generate(uri: &KeyUri, algorithm: KeyAlgorithm, pin: &PinSource) -> Result<Arc<dyn Signer>, KeyError> {
    let _quiet = Quiet;
    match uri {
        KeyUri::File(path) => {
            absent(path)?;
            FileKey::generate(algorithm)?.save(path)?;
        }
        KeyUri::Pkcs11(uri) => pkcs11::generate(uri, algorithm, pin)?,
        #[cfg(feature = "tpm")]
        KeyUri::Tpm(uri) => crate::tpm::generate(uri, algorithm, pin)?,
        #[cfg(not(feature = "tpm"))]
        KeyUri::Tpm(uri) => return Err(no_tpm(uri)),
    }
    open(uri, pin)
}

/// Copies the key `from` to `uri` and opens it there. A key that existed outside its token is only as
/// secret as it was there: prefer [`generate`].
///
/// # Errors
/// As [`generate`].
pub fn import(uri: &KeyUri, from: &FileKey, pin: &PinSource) -> Result<Arc<dyn Signer>, KeyError> {
    let _quiet = Quiet;
    match uri {
        KeyUri::File(path) => {
            absent(path)?;
            from.save(path)?;
        }
        KeyUri::Pkcs11(uri) => pkcs11::import(uri, from, pin)?,
        #[cfg(feature = "tpm")]
        KeyUri::Tpm(uri) => crate::tpm::import(uri, from, pin)?,
        #[cfg(not(feature = "tpm"))]
        KeyUri::Tpm(uri) => return Err(no_tpm(uri)),
    }
    open(uri, pin)
}

/// The keys at `uri`: of the file, on the token, in the TPM.
///
/// # Errors
/// As [`open`].
pub fn list(uri: &KeyUri, pin: &PinSource) -> Result<Vec<Listed>, KeyError> {
    let _quiet = Quiet;
    match uri {
        KeyUri::File(path) => Ok(vec![Listed {
            uri: uri.clone(),
            algorithm: Some(FileKey::load(path)?.algorithm()),
        }]),
        KeyUri::Pkcs11(uri) => pkcs11::list(uri, pin),
        #[cfg(feature = "tpm")]
        KeyUri::Tpm(uri) => crate::tpm::list(uri),
        #[cfg(not(feature = "tpm"))]
        KeyUri::Tpm(uri) => Err(no_tpm(uri)),
    }
}

fn absent(path: &std::path::Path) -> Result<(), KeyError> {
    if path.exists() {
        return Err(KeyError::Hardware {
            code: key::MISMATCH,
            key: KeyUri::File(path.to_owned()).to_string(),
            reason: "the file is there already; it is not replaced".into(),
        });
    }
    Ok(())
}

#[cfg(not(feature = "tpm"))]
pub(crate) fn no_tpm(uri: &crate::uri::TpmUri) -> KeyError {
    KeyError::Hardware {
        code: key::UNSUPPORTED,
        key: uri.to_string(),
        reason: "this program was built without the feature \"tpm\"; build it with that, or reach the TPM \
                 through PKCS#11 (libtpm2_pkcs11)"
            .into(),
    }
}
