//! Where keys are: references like `file:iso2/v2g-root.key.pem` resolved into signers.

use core::fmt::Debug;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use gridlatch_keys::{FileKey, KeyAlgorithm, KeyError, KeyUri, PinSource, Pkcs11Uri, Signer, TpmUri};
use gridlatch_vocab::catalogue::key as codes;

use super::CaError;
use crate::store::make_dir;

/// A kind of key store: a token, a TPM. It opens what is there and makes new keys; it never replaces one.
pub trait KeySource: Send + Sync + Debug {
    /// The signer of a reference of this source's scheme.
    ///
    /// # Errors
    /// The key is missing or does not answer.
    fn open(&self, uri: &str) -> Result<Arc<dyn Signer>, KeyError>;

    /// Where a key named after `name` (`iso2/v2g-root`) will be: the reference of a free place.
    ///
    /// # Errors
    /// The name is taken, or the store has no room for another key or does not answer.
    fn place(&self, name: &str) -> Result<String, KeyError>;

    /// Makes a key at a place that [`Self::place`] found.
    ///
    /// # Errors
    /// There is a key by now, or the store cannot make such a key.
    fn make(&self, uri: &str, algorithm: KeyAlgorithm) -> Result<(), KeyError>;
}

/// The key stores of one CA. Files are always among them; others are added with [`Self::with`].
#[derive(Debug, Clone)]
pub struct KeyRing {
    folder: PathBuf,
    sources: BTreeMap<String, Arc<dyn KeySource>>,
}

/// The scheme of keys in files.
pub const FILE: &str = "file";

impl KeyRing {
    /// Keys in files below `folder`, mode 0600.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            sources: BTreeMap::new(),
        }
    }

    /// Adds a key store for references that begin with `scheme:`.
    #[must_use]
    pub fn with(mut self, scheme: &str, source: Arc<dyn KeySource>) -> Self {
        self.sources.insert(scheme.to_owned(), source);
        self
    }

    /// Opens keys in tokens and TPMs too, wherever their references point; new ones need a place of their
    /// own ([`Self::with`]).
    #[must_use]
    pub fn with_hardware(self, pin: &PinSource) -> Self {
        let anywhere = |uri| Arc::new(super::Hardware::new(uri, pin.clone()));
        self.with("pkcs11", anywhere(KeyUri::Pkcs11(Pkcs11Uri::default())))
            .with(
                "tpm",
                anywhere(KeyUri::Tpm(TpmUri {
                    handle: None,
                    tcti: TpmUri::DEFAULT_TCTI.to_owned(),
                })),
            )
    }

    /// The folder of the key files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The signer of a reference.
    ///
    /// # Errors
    /// Nobody knows the scheme, or the key cannot be used. There is no fallback to another key.
    pub fn open(&self, uri: &str) -> Result<Arc<dyn Signer>, CaError> {
        let wrap = |source| CaError::Key {
            uri: uri.to_owned(),
            source,
        };
        match uri.split_once(':') {
            Some((FILE, _)) => Ok(Arc::new(FileKey::load(&self.path(uri)?).map_err(wrap)?)),
            Some((scheme, _)) => self
                .sources
                .get(scheme)
                .ok_or_else(|| CaError::KeyScheme(uri.to_owned()))?
                .open(uri)
                .map_err(wrap),
            None => Err(CaError::KeyScheme(uri.to_owned())),
        }
    }

    /// A key in a file, with its private part: for exports.
    ///
    /// # Errors
    /// The key is in hardware ([`CaError::KeyScheme`]) or its file cannot be used.
    pub fn open_file(&self, uri: &str) -> Result<FileKey, CaError> {
        FileKey::load(&self.path(uri)?).map_err(|source| CaError::Key {
            uri: uri.to_owned(),
            source,
        })
    }

    /// The file of a `file:` reference; absolute, or below the folder and not outside it.
    ///
    /// # Errors
    /// Another scheme, or a path that climbs.
    pub fn path(&self, uri: &str) -> Result<PathBuf, CaError> {
        let bad = || CaError::KeyScheme(uri.to_owned());
        let path = Path::new(uri.strip_prefix("file:").ok_or_else(bad)?);
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if inside && path.components().next().is_some() {
            Ok(self.folder.join(path))
        } else {
            Err(bad())
        }
    }

    fn source(&self, scheme: &str) -> Result<&dyn KeySource, CaError> {
        self.sources
            .get(scheme)
            .map(|source| &**source)
            .ok_or_else(|| CaError::KeyScheme(scheme.to_owned()))
    }

    /// A free place for a key in a token or a TPM.
    ///
    /// # Errors
    /// The scheme is unknown, the name is taken, or the token does not answer.
    pub(super) fn place(&self, scheme: &str, name: &str) -> Result<String, CaError> {
        self.source(scheme)?.place(name).map_err(|source| CaError::Key {
            uri: format!("{scheme}:{name}"),
            source,
        })
    }

    /// Makes the key of this reference in its token or TPM, unless a key of the right type is there: the
    /// process died between key and certificate.
    ///
    /// # Errors
    /// Another type of key is there, or the token does not make this one.
    pub(super) fn make(&self, uri: &str, algorithm: KeyAlgorithm) -> Result<(), CaError> {
        let wrap = |source| CaError::Key {
            uri: uri.to_owned(),
            source,
        };
        match self.open(uri) {
            Ok(key) if key.algorithm() == algorithm => Ok(()),
            Ok(_) => Err(CaError::Exists(uri.to_owned())),
            Err(CaError::Key { source, .. }) if source.code() == codes::NOT_FOUND => {
                let (scheme, _) = uri.split_once(':').unwrap_or((uri, ""));
                self.source(scheme)?.make(uri, algorithm).map_err(wrap)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a key file and returns its reference. One that exists already and is of the right type is
    /// taken as it is: the process died between key and certificate.
    ///
    /// # Errors
    /// The key cannot be made or kept.
    pub fn create(&self, name: &str, algorithm: KeyAlgorithm) -> Result<String, CaError> {
        let uri = format!("file:{name}.key.pem");
        let path = self.path(&uri)?;
        let wrap = |source| CaError::Key {
            uri: uri.clone(),
            source,
        };
        let exists = path.try_exists().map_err(|source| CaError::File {
            operation: "look for",
            path: path.clone(),
            source,
        })?;
        if exists {
            if FileKey::load(&path).map_err(wrap)?.algorithm() != algorithm {
                return Err(CaError::Exists(path.display().to_string()));
            }
        } else {
            if let Some(parent) = path.parent() {
                make_dir(parent)?;
            }
            let key = FileKey::generate(algorithm).map_err(wrap)?;
            key.save(&path).map_err(wrap)?;
        }
        Ok(uri)
    }
}
