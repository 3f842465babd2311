//! The one folder that holds all state of a process.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The data folder could not be used.
#[derive(Debug, Error)]
#[error("cannot use the data folder {path}")]
pub struct DataDirError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Proof that this process is the only one using a data folder. Dropping it gives the folder back.
#[derive(Debug)]
pub struct Claim {
    _file: fs::File,
}

/// The data folder, created with access for its owner only.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Where state lives when nobody says otherwise: `$GRIDLATCH_DATA`, else
    /// `$XDG_STATE_HOME/gridlatch`, else `~/.local/state/gridlatch`, else `./.gridlatch`.
    #[must_use]
    pub fn default_root() -> PathBuf {
        let set = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        set("GRIDLATCH_DATA")
            .or_else(|| set("XDG_STATE_HOME").map(|base| base.join("gridlatch")))
            .or_else(|| set("HOME").map(|home| home.join(".local/state/gridlatch")))
            .unwrap_or_else(|| PathBuf::from(".gridlatch"))
    }

    /// Claims the folder for this process, as long as the returned guard lives. `Ok(None)` when
    /// another process holds it. The claim is the kernel's and ends with the process, however it ends.
    pub fn claim(&self) -> Result<Option<Claim>, DataDirError> {
        let path = self.root.join(".lock");
        let wrap = |source| DataDirError {
            path: path.clone(),
            source,
        };
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(wrap)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(wrap(source)),
        }
    }

    /// Opens the folder, creating it and its parents when missing, and checks that it can be written.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let root = root.into();
        let wrap = |source| DataDirError {
            path: root.clone(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(wrap)?;
        // Several processes of one `up` open the same folder.
        let probe = root.join(format!(".write-probe-{}", std::process::id()));
        fs::write(&probe, b"")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(wrap)?;
        let root = root.canonicalize().map_err(wrap)?;
        Ok(Self { root })
    }

    /// The folder itself, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the folder. Nothing is created.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A sub-folder, created with access for its owner only when missing.
    pub fn dir(&self, relative: &str) -> Result<PathBuf, DataDirError> {
        let path = self.root.join(relative);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| DataDirError {
                path: path.clone(),
                source,
            })?;
        Ok(path)
    }

    /// Replaces a file as a whole: readers see the old or the new content, never a part; mode 0600.
    pub fn write_private(&self, relative: &str, content: &[u8]) -> Result<PathBuf, DataDirError> {
        let path = self.root.join(relative);
        let temporary = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            io::Write::write_all(&mut file, content)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            if let Some(parent) = path.parent() {
                fs::File::open(parent)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|source| DataDirError {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
