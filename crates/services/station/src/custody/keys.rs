//! Where a station's private keys are made: in its folder, or in a token or a TPM, which they never leave.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use gridlatch_keys::{
    FileKey, KeyAlgorithm, KeyError, KeyUri, PinSource, Signer, free, generate, open, remove,
    write_atomically,
};
use gridlatch_vocab::catalogue::key as codes;

/// Longest reference to a key that is read, in bytes: longer than any URI that is understood.
const MAX_REFERENCE: u64 = 4096;

/// Where keys are made.
#[derive(Debug, Clone, Default)]
pub enum KeyStore {
    /// In files of mode 600 in the station's folder.
    #[default]
    Files,
    /// In a token or a TPM.
    Token {
        /// Which, without a key's name.
        place: KeyUri,
        /// How to log in.
        pin: PinSource,
    },
}

impl KeyStore {
    /// The key whose PEM or whose reference is in the file; `None` where the file names a key that was never made.
    pub(super) fn read(&self, path: &Path) -> Result<Option<StationKey>, KeyError> {
        let failed = |source| KeyError::File {
            operation: "read",
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        if file.take(MAX_REFERENCE).read_to_string(&mut text).is_err() || text.starts_with("-----BEGIN") {
            return FileKey::load(path).map(|key| Some(StationKey::File(key)));
        }
        let uri: KeyUri = text.trim().parse()?;
        match open(&uri, self.pin()) {
            Ok(key) => Ok(Some(StationKey::Token(uri, key))),
            Err(error) if error.code() == codes::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a key. In a token it is called `name`; its reference is in the file `note` before it is made, so that a
    /// crash leaves no key that nobody knows.
    pub(super) fn make(
        &self,
        name: &str,
        algorithm: KeyAlgorithm,
        note: &Path,
    ) -> Result<StationKey, KeyError> {
        match self {
            Self::Files => {
                let key = StationKey::File(FileKey::generate(algorithm)?);
                key.keep(note)?;
                Ok(key)
            }
            Self::Token { place, pin } => {
                let uri = free(place, name, pin)?;
                keep_reference(&uri, note)?;
                let key = generate(&uri, algorithm, pin)?;
                Ok(StationKey::Token(uri, key))
            }
        }
    }

    /// Removes the key that the file names from its token, where places are few. `false`: it is still there, for the
    /// token did not answer.
    pub(super) fn forget(&self, path: &Path) -> bool {
        let named = std::fs::read_to_string(path).ok();
        let Some(Ok(uri)) = named.map(|text| text.trim().parse::<KeyUri>()) else {
            return true;
        };
        match remove(&uri, self.pin()) {
            Ok(()) => true,
            Err(error) if error.code() == codes::NOT_FOUND => true,
            Err(error) => {
                tracing::warn!(%error, "a key that is no longer used is still in its token");
                false
            }
        }
    }

    /// Whether a key is kept as new ones are.
    pub(super) const fn holds(&self, key: &StationKey) -> bool {
        matches!(
            (self, key),
            (Self::Files, StationKey::File(_)) | (Self::Token { .. }, StationKey::Token(..))
        )
    }

    const fn pin(&self) -> &PinSource {
        match self {
            Self::Files => &PinSource::None,
            Self::Token { pin, .. } => pin,
        }
    }
}

/// A private key of the station.
#[derive(Debug, Clone)]
pub(super) enum StationKey {
    File(FileKey),
    Token(KeyUri, Arc<dyn Signer>),
}

impl StationKey {
    pub(super) fn signer(&self) -> Arc<dyn Signer> {
        match self {
            Self::File(key) => Arc::new(key.clone()),
            Self::Token(_, key) => Arc::clone(key),
        }
    }

    /// Writes the key, or where it is, to a file of mode 600.
    pub(super) fn keep(&self, path: &Path) -> Result<(), KeyError> {
        match self {
            Self::File(key) => key.save(path),
            Self::Token(uri, _) => keep_reference(uri, path),
        }
    }
}

fn keep_reference(uri: &KeyUri, path: &Path) -> Result<(), KeyError> {
    write_atomically(path, format!("{uri}\n").as_bytes(), 0o600).map_err(|source| KeyError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}
