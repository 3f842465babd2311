//! Certificates and keys as pairs of files, written so that a crash at any point can be completed.
//!
//! The key is written before its certificate: a key without a certificate is a half-written pair and
//! is completed; a certificate without its key is damage.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _, write_atomically};

use crate::PkiError;

/// A certificate with its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) der: Vec<u8>,
    pub(crate) key: Arc<FileKey>,
}

/// What is found on the disk for one name.
pub(crate) enum Found {
    Whole(Pair),
    OnlyKey(FileKey),
    Nothing,
}

/// The folder of one tree.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    pub(crate) fn open(root: &Path) -> Result<Self, PkiError> {
        make_dir(root)?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Held while something is issued, so that two processes on one folder do not issue it twice.
    pub(crate) fn lock(&self) -> Result<fs::File, PkiError> {
        let path = self.root.join(".lock");
        let locked = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| PkiError::File {
            operation: "lock",
            path,
            source,
        })
    }

    pub(crate) fn path(&self, folder: &str, name: &str, extension: &str) -> PathBuf {
        self.root.join(folder).join(format!("{name}.{extension}"))
    }

    pub(crate) fn find(&self, folder: &str, name: &str) -> Result<Found, PkiError> {
        let (cert_path, key_path) = (
            self.path(folder, name, "crt.pem"),
            self.path(folder, name, "key.pem"),
        );
        let exists = |path: &Path| {
            path.try_exists().map_err(|source| PkiError::File {
                operation: "look for",
                path: path.to_owned(),
                source,
            })
        };
        match (exists(&cert_path)?, exists(&key_path)?) {
            (false, false) => Ok(Found::Nothing),
            (false, true) => Ok(Found::OnlyKey(FileKey::load(&key_path)?)),
            (true, false) => Err(PkiError::Damaged {
                path: cert_path,
                reason: "its key file is missing",
            }),
            (true, true) => {
                let key = FileKey::load(&key_path)?;
                let text = fs::read(&cert_path).map_err(|source| PkiError::File {
                    operation: "read",
                    path: cert_path.clone(),
                    source,
                })?;
                let damaged = |reason| PkiError::Damaged {
                    path: cert_path.clone(),
                    reason,
                };
                let der = from_pem(&text).ok_or_else(|| damaged("it is not one certificate in PEM"))?;
                let spki = spki(&der).ok_or_else(|| damaged("it is not a certificate"))?;
                if spki != key.public_key_der() {
                    return Err(damaged("its key file holds another key"));
                }
                Ok(Found::Whole(Pair {
                    der,
                    key: Arc::new(key),
                }))
            }
        }
    }

    /// Names of the certificates in a folder, in order; none if it is missing.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<String>, PkiError> {
        let path = self.root.join(folder);
        let wrap = |source| PkiError::File {
            operation: "list",
            path: path.clone(),
            source,
        };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrap(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(wrap)?.file_name();
            if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".crt.pem")) {
                names.push(stem.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    pub(crate) fn new_key(
        &self,
        folder: &str,
        name: &str,
        algorithm: KeyAlgorithm,
    ) -> Result<FileKey, PkiError> {
        make_dir(&self.root.join(folder))?;
        let key = FileKey::generate(algorithm)?;
        key.save(&self.path(folder, name, "key.pem"))?;
        Ok(key)
    }

    pub(crate) fn write_certificate(&self, folder: &str, name: &str, der: &[u8]) -> Result<(), PkiError> {
        let path = self.path(folder, name, "crt.pem");
        write_atomically(&path, to_pem(der).as_bytes(), 0o644).map_err(|source| PkiError::File {
            operation: "write",
            path,
            source,
        })
    }

    /// Removes an outdated pair, certificate first, so that a crash in between leaves a key to complete.
    pub(crate) fn remove(&self, folder: &str, name: &str) -> Result<(), PkiError> {
        for extension in ["crt.pem", "key.pem"] {
            let path = self.path(folder, name, extension);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(PkiError::File {
                        operation: "remove",
                        path,
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

pub(crate) fn make_dir(path: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| PkiError::File {
            operation: "create",
            path: path.to_owned(),
            source,
        })
}

/// One certificate as PEM.
pub(crate) fn to_pem(der: &[u8]) -> String {
    gridlatch_trust::certificate::to_pem(der)
}

fn from_pem(text: &[u8]) -> Option<Vec<u8>> {
    match gridlatch_trust::certificate::from_pem(text).ok()?.as_mut_slice() {
        [one] => Some(std::mem::take(one)),
        _ => None,
    }
}

fn spki(der: &[u8]) -> Option<Vec<u8>> {
    gridlatch_trust::certificate::public_key_der(der).ok()
}
