//! Where keys and certificates are kept: a key is on the disk before its certificate, a certificate
//! before it is used, and what is half there after a crash is not used.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use gridlatch_keys::{KeyError, write_atomically};
use gridlatch_tls::Credential;
use gridlatch_trust::certificate;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::{custody as codes, pki};
use std::collections::{BTreeMap, BTreeSet};

use super::keys::{KeyStore, StationKey};
use super::shelf::Held;
use super::{CertificateUse, CustodyError, RootUse};

/// Files of one folder that are looked at.
const MAX_FILES: usize = 256;

#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    keys: KeyStore,
}

impl Disk {
    pub(super) fn open(folder: &Path, keys: KeyStore) -> Result<Self, CustodyError> {
        let disk = Self {
            folder: folder.to_owned(),
            keys,
        };
        let uses = CertificateUse::ALL.map(CertificateUse::folder);
        let roots = RootUse::ALL.map(|usage| format!("roots/{}", usage.folder()));
        let names = uses
            .iter()
            .map(|name| (*name).to_owned())
            .chain(roots)
            .chain(["pending".to_owned()]);
        for name in names {
            let path = disk.folder.join(name);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|error| failed("make the folder", &path, &error))?;
        }
        Ok(disk)
    }

    /// Whole pairs; a key without a certificate was never in use, or is no more, and is removed.
    pub(super) fn pairs(&self, usage: CertificateUse) -> Result<Vec<(Credential, Timestamp)>, CustodyError> {
        let mut found = Vec::new();
        for key_path in self.files(usage.folder(), "key")? {
            let pem_path = key_path.with_extension("pem");
            if !pem_path.exists() {
                self.discard(usage, &key_path);
                continue;
            }
            let damaged =
                |why: String| CustodyError::new(pki::STORE_DAMAGED, format!("{}: {why}", pem_path.display()));
            let key = match self.keys.read(&key_path) {
                Ok(Some(key)) => key.signer(),
                Ok(None) => return Err(damaged("the token has no such key any more".to_owned())),
                // A token that is away is no damage.
                Err(error @ KeyError::Hardware { .. }) => return Err(error.into()),
                Err(error) => return Err(damaged(error.to_string())),
            };
            let text = fs::read(&pem_path).map_err(|error| failed("read", &pem_path, &error))?;
            let at = fs::metadata(&pem_path)
                .and_then(|meta| meta.modified())
                .map_err(|error| failed("read", &pem_path, &error))?;
            let chain = certificate::from_pem(&text).map_err(|error| damaged(error.to_string()))?;
            let spki = chain
                .first()
                .and_then(|leaf| certificate::public_key_der(leaf).ok())
                .unwrap_or_default();
            if spki != key.public_key_der() {
                return Err(damaged("the key is another certificate's".to_owned()));
            }
            let label = format!("{}/{}", usage.folder(), stem(&key_path));
            found.push((Credential::new(label, chain, key), Timestamp(at.into())));
        }
        Ok(found)
    }

    pub(super) fn keep_pair(
        &self,
        usage: CertificateUse,
        held: &Held,
        key: &StationKey,
    ) -> Result<(), CustodyError> {
        let base = self.folder.join(usage.folder()).join(short(&held.fingerprint));
        key.keep(&base.with_extension("key"))
            .map_err(|error| CustodyError::new(codes::NOT_KEPT, error.to_string()))?;
        let chain: String = held
            .credential
            .chain
            .iter()
            .map(|der| certificate::to_pem(der))
            .collect();
        write(&base.with_extension("pem"), chain.as_bytes(), 0o644)
    }

    /// The certificate goes first: a key alone is removed at the next start, if not now.
    pub(super) fn forget(&self, usage: CertificateUse, fingerprint: &str) {
        let base = self.folder.join(usage.folder()).join(short(fingerprint));
        let _ = fs::remove_file(base.with_extension("pem"));
        self.discard(usage, &base.with_extension("key"));
    }

    /// Removes a key and the file it is in or is named by. While its token is away the file stays, so that the next
    /// start tries again; a key that still waits for its certificate is not touched.
    fn discard(&self, usage: CertificateUse, path: &Path) {
        let named = |path: &Path| fs::read(path).ok();
        let waits = named(&self.pending_path(usage)).is_some_and(|text| named(path) == Some(text));
        if waits || self.keys.forget(path) {
            let _ = fs::remove_file(path);
        }
    }

    pub(super) fn pending(&self) -> Result<BTreeMap<CertificateUse, StationKey>, CustodyError> {
        let mut found = BTreeMap::new();
        for usage in CertificateUse::ALL {
            let path = self.pending_path(usage);
            if path.exists() {
                match self.keys.read(&path) {
                    Ok(Some(key)) => {
                        found.insert(usage, key);
                    }
                    // Noted and then not made: the next request makes another.
                    Ok(None) => self.forget_pending(usage),
                    Err(error @ KeyError::Hardware { .. }) => return Err(error.into()),
                    Err(error) => return Err(CustodyError::new(pki::STORE_DAMAGED, error.to_string())),
                }
            }
        }
        Ok(found)
    }

    /// Makes a key for a request; it is durable when this returns.
    pub(super) fn new_pending(&self, usage: CertificateUse, name: &str) -> Result<StationKey, CustodyError> {
        let note = self.pending_path(usage);
        self.keys
            .make(name, usage.algorithm(), &note)
            .map_err(|error| match error {
                KeyError::File { .. } => CustodyError::new(codes::NOT_KEPT, error.to_string()),
                other => other.into(),
            })
    }

    pub(super) fn forget_pending(&self, usage: CertificateUse) {
        let _ = fs::remove_file(self.pending_path(usage));
    }

    fn pending_path(&self, usage: CertificateUse) -> PathBuf {
        self.folder
            .join("pending")
            .join(usage.folder())
            .with_extension("key")
    }

    pub(super) fn roots(&self) -> Result<Vec<(RootUse, Vec<u8>)>, CustodyError> {
        let mut found = Vec::new();
        for usage in RootUse::ALL {
            for path in self.files(&format!("roots/{}", usage.folder()), "pem")? {
                let text = fs::read(&path).map_err(|error| failed("read", &path, &error))?;
                let ders = certificate::from_pem(&text).map_err(|error| {
                    CustodyError::new(pki::STORE_DAMAGED, format!("{}: {error}", path.display()))
                })?;
                found.extend(ders.into_iter().map(|der| (usage, der)));
            }
        }
        Ok(found)
    }

    pub(super) fn keep_root(&self, usage: RootUse, der: &[u8]) -> Result<(), CustodyError> {
        write(
            &self.root_path(usage, der)?,
            certificate::to_pem(der).as_bytes(),
            0o644,
        )
    }

    pub(super) fn forget_root(&self, usage: RootUse, der: &[u8]) -> Result<(), CustodyError> {
        let path = self.root_path(usage, der)?;
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))
    }

    /// Fingerprints of what was withdrawn of the delivery.
    pub(super) fn withdrawn(&self) -> Result<BTreeSet<String>, CustodyError> {
        let path = self.folder.join("roots/withdrawn");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(super::retire::read(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    pub(super) fn keep_withdrawn(&self, withdrawn: &BTreeSet<String>) -> Result<(), CustodyError> {
        let text = super::retire::written(withdrawn);
        write(&self.folder.join("roots/withdrawn"), text.as_bytes(), 0o644)
    }

    fn root_path(&self, usage: RootUse, der: &[u8]) -> Result<PathBuf, CustodyError> {
        let summary = certificate::summary(der)
            .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
        Ok(self
            .folder
            .join("roots")
            .join(usage.folder())
            .join(short(&summary.fingerprint))
            .with_extension("pem"))
    }

    fn files(&self, folder: &str, extension: &str) -> Result<Vec<PathBuf>, CustodyError> {
        let path = self.folder.join(folder);
        let entries = fs::read_dir(&path).map_err(|error| failed("list", &path, &error))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .take(MAX_FILES)
            .collect();
        found.sort();
        Ok(found)
    }
}

fn short(fingerprint: &str) -> String {
    fingerprint
        .chars()
        .take(32)
        .collect::<String>()
        .to_ascii_lowercase()
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), CustodyError> {
    write_atomically(path, content, mode).map_err(|error| failed("write", path, &error))
}

fn failed(operation: &str, path: &Path, error: &io::Error) -> CustodyError {
    CustodyError::new(
        codes::NOT_KEPT,
        format!("cannot {operation} {}: {error}", path.display()),
    )
}
