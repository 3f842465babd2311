//! Files that commands read and write: nothing is overwritten, keys are private from the first byte.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use gridlatch_pki::ca::CaError;
use gridlatch_trust::certificate;

use super::CliError;
use crate::cli::bounded;

/// The largest file that is read as a certificate, a request or a key, bytes.
const MAX_OCTETS: u64 = 1024 * 1024;

/// A small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| {
        CliError::from(CaError::File {
            operation: "read",
            path: path.to_owned(),
            source,
        })
    };
    bounded::read(path, MAX_OCTETS).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            CliError::Usage(format!("{} is larger than {MAX_OCTETS} bytes", path.display()))
        }
        _ => failed(error),
    })
}

/// The certificates of a file, PEM or DER, in its order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    let octets = read(path)?;
    if octets.first() == Some(&0x30) {
        return Ok(vec![octets]);
    }
    let found = certificate::from_pem(&octets)
        .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
    if found.is_empty() {
        return Err(CliError::Usage(format!(
            "{} holds no certificate",
            path.display()
        )));
    }
    Ok(found)
}

/// One PEM block of this label, or DER as it is.
pub(crate) fn pem_or_der(path: &Path, label: &str) -> Result<Vec<u8>, CliError> {
    let octets = read(path)?;
    if octets.first() == Some(&0x30) {
        return Ok(octets);
    }
    gridlatch_pki::ca::from_pem_block(&octets, label)
        .ok_or_else(|| CliError::Usage(format!("{} holds no {label} in PEM or DER", path.display())))
}

/// Files to be written, reserved before anything is issued so that a full disk or a name that is taken
/// shows first. What was reserved and not written is removed again.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    reserved: Vec<(PathBuf, fs::File)>,
}

impl Outputs {
    /// Creates a file that must not exist, mode 0600 or 0644.
    pub(crate) fn reserve(&mut self, path: &Path, mode: u32) -> Result<(), CliError> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => CaError::Exists(path.display().to_string()),
                _ => CaError::File {
                    operation: "create",
                    path: path.to_owned(),
                    source,
                },
            })?;
        self.reserved.push((path.to_owned(), file));
        Ok(())
    }

    /// Fills a reserved file; it is on the disk when this returns.
    pub(crate) fn write(&mut self, path: &Path, content: &[u8]) -> Result<(), CliError> {
        let Some(index) = self.reserved.iter().position(|(reserved, _)| reserved == path) else {
            return Err(CliError::Usage(format!("{} was not reserved", path.display())));
        };
        let (path, mut file) = self.reserved.swap_remove(index);
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|source| {
                let _ = fs::remove_file(&path);
                CaError::File {
                    operation: "write",
                    path,
                    source,
                }
                .into()
            })
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        for (path, _) in &self.reserved {
            let _ = fs::remove_file(path);
        }
    }
}

/// `PREFIX` with something appended: `out/secc` and `.crt.pem`.
pub(crate) fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
