//! One encrypted file with everything: the database as of one moment, and the keys in files.
//!
//! Inside is a tar archive, so that a person with the passphrase and this page's format can always get at
//! it; around it is `gridlatch_keys::archive`. Keys in tokens and TPMs are not in it: they cannot leave.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use gridlatch_keys::archive::{ArchiveError, ArchiveReader, ArchiveWriter, archive_error};
use gridlatch_store::Store;
use gridlatch_vocab::{EventSink, catalogue::ca};
use sha2::{Digest as _, Sha256};

use super::{APPROVERS, Ca, CaError, Control, DATABASE, KeyRing};

/// The shortest passphrase, characters.
const MIN_PASSPHRASE: usize = 10;
/// The most files of a backup.
const MAX_FILES: usize = 100_000;
/// How deep folders go in it.
const MAX_DEPTH: usize = 4;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// How many files.
    pub files: usize,
    /// Their size, bytes.
    pub octets: u64,
    /// SHA-256 of the encrypted file, lower-case hex: what operators approve before it is restored.
    pub digest: String,
}

/// An operator's consent to restoring one file: name and signature over [`restore_message`].
pub type Consent = (String, Vec<u8>);

/// What an operator's key signs to allow restoring the backup with this digest.
#[must_use]
pub fn restore_message(digest: &str) -> Vec<u8> {
    format!("gridlatch pki restore 1\n{digest}\n").into_bytes()
}

/// A key of a CA that is in a token or a TPM, and therefore in no backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyElsewhere {
    /// The CA.
    pub authority: String,
    /// Where its key is.
    pub uri: String,
}

impl Ca {
    /// The keys of CAs in use that no backup holds.
    #[must_use]
    pub fn keys_elsewhere(&self) -> Vec<KeyElsewhere> {
        self.authorities()
            .into_iter()
            .filter(|authority| authority.active && self.keys().path(&authority.key_uri).is_err())
            .map(|authority| KeyElsewhere {
                authority: authority.name.clone(),
                uri: authority.key_uri.clone(),
            })
            .collect()
    }

    /// Writes a backup to `to`, which must not exist, and reads it back. The CA stays in use.
    ///
    /// # Errors
    /// The passphrase is too short, the file exists, there is no room, or the database is on a server.
    /// No file is left then.
    pub async fn backup(&self, to: &Path, passphrase: &str) -> Result<Contents, CaError> {
        let result = self.try_backup(to, passphrase).await;
        let (code, message) = match &result {
            Ok(contents) => (
                ca::BACKED_UP,
                format!("{} files, {} bytes", contents.files, contents.octets),
            ),
            Err(error) => (error.code(), error.to_string()),
        };
        self.emit(code, message, |event| {
            event.with("file", to.display().to_string())
        });
        result
    }

    async fn try_backup(&self, to: &Path, passphrase: &str) -> Result<Contents, CaError> {
        if passphrase.chars().count() < MIN_PASSPHRASE {
            return Err(CaError::Plan("a passphrase has at least 10 characters"));
        }
        let folder = self.inner.keys.folder();
        let id = std::process::id();
        let snapshot = folder.join(format!(".snapshot-{id}.db"));
        if to.try_exists().map_err(|error| wrap(to, error))? {
            return Err(CaError::Exists(to.display().to_string()));
        }
        // What has the name of a backup is one: a backup that is killed leaves nothing that looks whole.
        let staged = staging(to, "unfinished", &id.to_string());
        sweep(&staging(to, "unfinished", ""));
        sweep(&folder.join(".snapshot-"));
        let file = create(&staged)?;
        let written = async {
            self.inner.store.snapshot(&snapshot).await?;
            write(file, folder, &snapshot, passphrase).map_err(|error| wrap(to, error))?;
            let contents = check(&staged, passphrase)?;
            name(&staged, to)?;
            Ok(contents)
        }
        .await;
        let _ = fs::remove_file(&snapshot);
        let _ = fs::remove_file(&staged);
        written
    }

    /// Restores a backup into `folder`, which must be missing or empty. The database and every key in a
    /// file are checked before anything is put in place; a CA under dual control takes the consent of two of
    /// its own operators.
    ///
    /// # Errors
    /// The passphrase is wrong, the file damaged, the folder in use, consent missing, or there is no room.
    /// The folder is untouched then.
    pub async fn restore(
        from: &Path,
        folder: &Path,
        passphrase: &str,
        consents: &[Consent],
        sink: Arc<dyn EventSink>,
    ) -> Result<Self, CaError> {
        let used = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(CaError::Exists(folder.display().to_string()));
        }
        let contents = check(from, passphrase)?;
        sweep(&staging(folder, "restoring", ""));
        let staged = staging(folder, "restoring", &std::process::id().to_string());
        let result = async {
            unpack(from, &staged, passphrase)?;
            judge(&staged, &contents, consents, Arc::clone(&sink)).await
        }
        .await;
        if let Err(error) = result {
            let _ = fs::remove_dir_all(&staged);
            return Err(error);
        }
        let failed = |source| CaError::File {
            operation: "put in place",
            path: folder.to_owned(),
            source,
        };
        // An empty folder gives way; a full one does not.
        fs::rename(&staged, folder).map_err(failed)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(failed)?;
        }
        let store = open_store(folder).await?;
        let this = Self::open(store, KeyRing::in_folder(folder), sink).await?;
        this.emit(ca::RESTORED, format!("{} files", contents.files), |event| {
            event.with("digest", contents.digest.as_str())
        });
        Ok(this)
    }
}

/// Where something is made before it gets its name: beside it, with the number of the process.
fn staging(target: &Path, word: &str, process: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{word}-{process}"));
    target.with_file_name(name)
}

/// Gives a finished file its name, unless something has it meanwhile; durable when it returns.
fn name(staged: &Path, to: &Path) -> Result<(), CaError> {
    match fs::hard_link(staged, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CaError::Exists(to.display().to_string()));
        }
        // A file system without links: taken first, then replaced.
        Err(_) => {
            drop(create(to)?);
            fs::rename(staged, to).map_err(|error| wrap(to, error))?;
        }
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))
        .and_then(|parent| parent.sync_all())
        .map_err(|error| wrap(to, error))
}

/// Removes what backups and restores that were killed left: copies of the database, keys in clear. `stem` is the path
/// up to the number of the process; one that still runs keeps what it made.
fn sweep(stem: &Path) {
    let (Some(folder), Some(stem)) = (stem.parent(), stem.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(stem));
        let gone = process.is_some_and(|id| {
            id.trim_end_matches(".db")
                .parse::<u32>()
                .is_ok_and(|id| !Path::new("/proc").join(id.to_string()).exists())
        });
        if gone {
            let path = entry.path();
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}

/// Reads a whole backup without restoring it.
///
/// # Errors
/// The passphrase is wrong, or the file damaged.
pub fn check(from: &Path, passphrase: &str) -> Result<Contents, CaError> {
    let mut contents = Contents {
        files: 0,
        octets: 0,
        digest: digest(from)?,
    };
    let mut database = false;
    each(from, passphrase, |path, entry| {
        contents.files += 1;
        contents.octets += io::copy(entry, &mut io::sink())?;
        database |= path == Path::new(DATABASE);
        Ok(())
    })?;
    if !database {
        return Err(damaged(from, "it holds no database"));
    }
    Ok(contents)
}

fn digest(from: &Path) -> Result<String, CaError> {
    let mut file = File::open(from).map_err(|error| wrap(from, error))?;
    // It is read twice, and to its end: a device or a pipe has none, or only one.
    if !file.metadata().map_err(|error| wrap(from, error))?.is_file() {
        return Err(damaged(from, "it is no regular file"));
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut buffer).map_err(|error| wrap(from, error))?;
        match buffer.get(..length) {
            Some([]) | None => return Ok(hex::encode(hash.finalize())),
            Some(part) => hash.update(part),
        }
    }
}

fn create(to: &Path) -> Result<File, CaError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CaError::Exists(to.display().to_string()),
            _ => wrap(to, error),
        })
}

fn write(file: File, folder: &Path, snapshot: &Path, passphrase: &str) -> io::Result<()> {
    let sealed = ArchiveWriter::new(BufWriter::new(file), passphrase.as_bytes())?;
    let mut tar = tar::Builder::new(sealed);
    tar.append_path_with_name(snapshot, DATABASE)?;
    let mut found = Vec::new();
    gather(folder, Path::new(""), &mut found)?;
    for relative in found {
        tar.append_path_with_name(folder.join(&relative), &relative)?;
    }
    let file = tar
        .into_inner()?
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Every file of the folder but the database itself, what SQLite keeps beside it, and temporary ones.
fn gather(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder.join(below))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let relative = below.join(entry.file_name());
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && relative.components().count() < MAX_DEPTH {
            gather(folder, &relative, found)?;
        } else if kind.is_file() {
            let of_sqlite = [
                DATABASE.to_owned(),
                format!("{DATABASE}-wal"),
                format!("{DATABASE}-shm"),
            ];
            let skip = name.starts_with('.') || name.ends_with(".new") || of_sqlite.contains(&name);
            if !skip {
                found.push(relative);
            }
        }
        if found.len() > MAX_FILES {
            return Err(io::Error::other("the folder holds more files than a CA has"));
        }
    }
    Ok(())
}

/// Goes through the files of a backup, whose names have been checked.
fn each(
    from: &Path,
    passphrase: &str,
    mut visit: impl FnMut(&Path, &mut dyn io::Read) -> io::Result<()>,
) -> Result<(), CaError> {
    let file = File::open(from).map_err(|error| wrap(from, error))?;
    let sealed = ArchiveReader::new(BufReader::new(file), passphrase.as_bytes())
        .map_err(|error| wrap(from, error.into()))?;
    let mut tar = tar::Archive::new(sealed);
    let mut count = 0;
    for entry in tar.entries().map_err(|error| wrap(from, error))? {
        let mut entry = entry.map_err(|error| wrap(from, error))?;
        count += 1;
        let path = entry.path().map_err(|error| wrap(from, error))?.into_owned();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let depth = path.components().count();
        if count > MAX_FILES
            || !plain
            || depth == 0
            || depth > MAX_DEPTH
            || !entry.header().entry_type().is_file()
        {
            return Err(damaged(from, "it holds a name that no backup has"));
        }
        visit(&path, &mut entry).map_err(|error| wrap(from, error))?;
    }
    // To the very end: what was cut off after the last file shows only there.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|error| wrap(from, error))?;
    Ok(())
}

fn unpack(from: &Path, staged: &Path, passphrase: &str) -> Result<(), CaError> {
    let folder = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(staged)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CaError::Exists(staged.display().to_string()),
            _ => wrap(staged, error),
        })?;
    each(from, passphrase, |relative, entry| {
        let path = staged.join(relative);
        if let Some(parent) = path.parent() {
            folder(parent)?;
        }
        let public = relative.to_string_lossy().ends_with(".crt.pem");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if public { 0o644 } else { 0o600 })
            .open(&path)?;
        io::copy(entry, &mut file)?;
        file.sync_all()
    })
}

/// Whether what was unpacked is a CA whose keys are its own, and whether its operators agree.
async fn judge(
    staged: &Path,
    contents: &Contents,
    consents: &[Consent],
    sink: Arc<dyn EventSink>,
) -> Result<(), CaError> {
    let this = Ca::open(open_store(staged).await?, KeyRing::in_folder(staged), sink).await?;
    for authority in this.authorities() {
        // A root's key may be in a safe, and one in hardware is not in the backup.
        let here = this
            .keys()
            .path(&authority.key_uri)
            .is_ok_and(|path| path.exists());
        if here {
            authority.signer(this.keys())?;
        }
    }
    if this.control() == Control::Single {
        return Ok(());
    }
    let message = restore_message(&contents.digest);
    let operators = this.inner.store.pki_operators().await?;
    let given = operators
        .iter()
        .filter(|(name, spki)| {
            consents
                .iter()
                .any(|(who, signature)| who == name && super::approval::signed_by(spki, &message, signature))
        })
        .count();
    if given < APPROVERS {
        return Err(CaError::ApprovalNeeded {
            what: "restoring a CA",
            needed: APPROVERS,
        });
    }
    Ok(())
}

async fn open_store(folder: &Path) -> Result<Store, CaError> {
    let path = folder.join(DATABASE);
    let text = path
        .to_str()
        .ok_or(CaError::Plan("the folder's name is not text"))?;
    Ok(Store::open(text).await?)
}

fn damaged(path: &Path, reason: &str) -> CaError {
    CaError::Backup {
        code: ca::BACKUP_DAMAGED,
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// What failed around a backup file, as the catalogue names it.
fn wrap(path: &Path, error: io::Error) -> CaError {
    let code = match archive_error(&error) {
        Some(ArchiveError::Passphrase) => ca::WRONG_PASSPHRASE,
        Some(ArchiveError::Damaged | ArchiveError::Foreign) => ca::BACKUP_DAMAGED,
        _ if matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        ) =>
        {
            ca::BACKUP_DAMAGED
        }
        _ => {
            return CaError::File {
                operation: "read or write",
                path: path.to_owned(),
                source: error,
            };
        }
    };
    CaError::Backup {
        code,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
